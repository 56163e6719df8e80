"""The page in a real browser: looking, finding, trying and mending; hostile contents; the end of an app; screen readers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from inspector_browser import Looked, browser, elsewhere, position
from inspector_support import Msg, Sale, Shop, fill, init, sales, shop, update

import go_state as gs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["browser"]  # a fixture
pytestmark = pytest.mark.slow

AXE = Path(__file__).parent / "vendor" / "axe.js"


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("browser") / "shop.lmdb"
    elsewhere(lambda: fill(path, sales(300)))
    return path


@pytest.fixture
def looked(browser: Browser, journal: Path) -> Iterator[Looked]:
    with gs.LMDBStore(journal, readonly=True) as store, gs.inspect(store, shop) as inspector:
        looked = Looked(browser, inspector.address)
        looked.page.locator(".row.chosen").wait_for()
        looked.page.locator(".moment .tree").wait_for()
        yield looked
        looked.close()


def test_stepping_jumping_and_the_address(looked: Looked) -> None:
    """The keys of the list, and an address that leads to a position; the token is not in it."""
    from playwright.sync_api import expect

    page = looked.page
    assert "token" not in page.url
    page.keyboard.press("Home")
    expect(page.locator(".row.chosen .position")).to_have_text("0")
    for _ in range(7):
        page.keyboard.press("ArrowRight")
    expect(page.locator(".moment h2")).to_have_text("Model after position 7")
    expect(page.locator(".diff tbody th")).to_have_text(["total", 'orders["o6"].refunded'])
    page.get_by_role("tab", name="Commands").click()
    expect(page.locator(".commands strong")).to_have_text("tell")
    page.get_by_role("tab", name="Message").click()
    expect(page.locator("[role=tabpanel]")).to_contain_text("Refund at position 7")
    page.keyboard.press("g")
    page.locator("dialog").wait_for()
    page.keyboard.type("120")
    page.keyboard.press("Enter")
    expect(page.locator(".row.chosen .position")).to_have_text("120")
    assert position(page) == 120
    page.goto(page.url.replace("/120", "/7"))
    expect(page.locator(".moment h2")).to_have_text("Model after position 7")
    page.get_by_role("tab", name="Subscriptions").click()
    page.get_by_role("tab", name="Turn").click()
    expect(page.locator("[role=tabpanel]")).to_contain_text("position")


def test_filtering_and_finding(looked: Looked) -> None:
    """By type, by text, and the first message where something is so."""
    from playwright.sync_api import expect

    page = looked.page
    page.locator("select").select_option("Refund")
    expect(page.locator(".filters [role=status]")).to_have_text("42 found")
    expect(page.locator(".row .kind").first).to_have_text("Refund")
    page.get_by_role("button", name="clear").click()
    page.keyboard.press("Escape")
    page.locator(".rows").focus()
    page.keyboard.press("/")
    page.keyboard.type("o123")
    expect(page.locator(".filters [role=status]")).to_have_text("1 found")
    page.get_by_role("button", name="clear").click()
    page.locator(".rows").focus()
    page.keyboard.press("f")
    page.get_by_label("Expression").fill("after.orders['o20'].refunded > 0")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Found at position")).to_be_visible()
    page.get_by_label("Expression").fill("open('x')")
    page.get_by_role("button", name="Find", exact=True).click()
    expect(page.locator("dialog .problem")).to_contain_text("calls")
    looked.troubles[:] = [each for each in looked.troubles if "422" not in each]  # which the browser notes, as it should


def test_what_if_in_the_editor(looked: Looked) -> None:
    """A message left out: where it parts from what was, and what comes of it."""
    from playwright.sync_api import expect

    page = looked.page
    page.keyboard.press("Home")
    for _ in range(7):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("e")
    expect(page.locator("textarea")).to_have_value(re.compile("Refund"))
    page.get_by_role("button", name="Leave it out").click()
    page.get_by_role("button", name="Fold on").click()
    expect(page.locator("dialog .diff tbody th")).to_have_text(["total", 'orders["o6"].refunded'])
    with page.expect_download() as download:
        page.get_by_role("button", name="As a test").click()
    assert "def test_replay" in download.value.path().read_text()


@pytest.mark.parametrize(("scheme", "width"), [("dark", 1440), ("light", 360), ("dark", 360), ("light", 3840)])
def test_every_size_and_colour(browser: Browser, journal: Path, tmp_path: Path, scheme: Any, width: int) -> None:
    """Nothing sticks out of the window, whatever its size; narrow ones show one pane at a time."""
    from playwright.sync_api import expect

    with gs.LMDBStore(journal, readonly=True) as store, gs.inspect(store, shop) as inspector:
        looked = Looked(browser, inspector.address, viewport={"width": width, "height": 800}, color_scheme=scheme)
        page = looked.page
        page.locator(".row.chosen").wait_for()
        page.screenshot(path=tmp_path / "messages.png")
        if width < 700:
            page.get_by_role("button", name="Model", exact=True).click()
            expect(page.locator(".moment .tree")).to_be_visible()
            page.screenshot(path=tmp_path / "model.png")
        sticks_out = page.evaluate("() => document.documentElement.scrollWidth > document.documentElement.clientWidth")
        assert not sticks_out
        looked.close()


AXE_RUN = """async () =>
    (await axe.run()).violations.map((each) => each.id + ": " + each.nodes.map((node) => node.html.slice(0, 120)).join(" | "))"""


def check_panes(page: Page, *, is_narrow: bool) -> None:
    """Look at a message that has changed something and asked for a command, in each tab, and at the panes that a narrow window hides."""
    page.keyboard.press("Home")
    for _ in range(7):
        page.keyboard.press("ArrowRight")
    if is_narrow:
        page.get_by_role("button", name="Model", exact=True).click()
    for tab in ("Message", "Commands", "Subscriptions", "Turn", "Changes"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate(AXE_RUN) == [], tab
    if is_narrow:
        page.get_by_role("button", name="Keys", exact=True).first.click()
        assert page.evaluate(AXE_RUN) == []
        page.get_by_role("button", name="Messages", exact=True).click()


def test_screen_readers_find_their_way(browser: Browser, journal: Path) -> None:
    """Axe finds nothing, in both colours, wide and narrow, in the page, its panes and tabs, and each of its dialogs."""
    with gs.LMDBStore(journal, readonly=True) as store, gs.inspect(store, shop) as inspector:
        for scheme, width in (("light", 1440), ("dark", 420)):
            size = {"width": width, "height": 900}
            looked = Looked(browser, inspector.address, bypass_csp=True, color_scheme=scheme, viewport=size)
            page = looked.page
            page.locator(".row.chosen").wait_for()
            page.add_script_tag(path=AXE)
            check_panes(page, is_narrow=width < 1000)
            for key in ("", "f", "g", "e", "?"):
                if key:
                    page.keyboard.press(key)
                    page.locator("dialog").wait_for()
                assert page.evaluate(AXE_RUN) == [], (scheme, key)
                if key:
                    page.keyboard.press("Escape")
                    page.locator("dialog").wait_for(state="detached")
            looked.close()


@dataclass(frozen=True)
class Note:
    text: str


@dataclass(frozen=True)
class Notes:
    notes: tuple[str, ...] = ()
    by_text: dict[str, int] | None = None


def test_hostile_contents_are_shown_and_not_run(browser: Browser) -> None:
    """Markup, scripts, control characters, writing from right to left, ten megabytes: in messages, models, keys and errors."""
    hostile = [
        "<img src=x onerror=alert(1)>",
        "<script>document.title='run'</script>",
        "a\x00\x1b[2J\u202eevil",
        "x" * 10_000_000,
        "</bdi>'\"`${alert(1)}",
    ]

    def take(model: Notes, msg: Note) -> gs.Step[Notes, Note]:
        if msg.text == "raise":
            raise ValueError("<img src=x onerror=alert(1)>")
        return Notes((*model.notes, msg.text), {**(model.by_text or {}), msg.text: len(msg.text)}), ()

    program: gs.Program[Notes, Note] = gs.Program(lambda: (Notes(), ()), take, name="<img src=x onerror=alert(1)>")
    app = gs.start(program)
    with gs.inspect(app) as inspector:
        looked = Looked(browser, inspector.address)
        page = looked.page
        page.locator(".live [aria-pressed]").wait_for()
        app.send(*map(Note, hostile))
        page.locator(".row").nth(4).wait_for()
        for index in range(5):
            page.locator(".row").nth(index).click()
            page.locator(".moment h2").get_by_text(f"position {index}", exact=False).wait_for()
            page.get_by_role("tab", name="Message").click()
            page.get_by_role("tab", name="Changes").click()
        app.send(Note("raise"))
        page.get_by_text("The program has failed").wait_for()
        assert page.locator("img[src=x]").count() == 0
        assert "run" not in page.title()
        assert page.evaluate("() => document.body.innerText.length") < 200_000
        looked.close()
    with pytest.raises(ValueError, match="img"):
        elsewhere(lambda: app.wait(5))


def test_a_live_app_is_followed_and_its_end_is_said(browser: Browser) -> None:
    """The newest is followed, and not when the view is paused; the end is said, then that nobody answers, then that another run does."""
    from playwright.sync_api import expect

    app = gs.start(shop)
    with gs.inspect(app) as inspector:
        looked = Looked(browser, inspector.address)
        page = looked.page
        page.locator(".live [aria-pressed]").wait_for()
        app.send(*[Sale(f"o{number}", number) for number in range(50)])
        expect(page.locator(".row.chosen .position")).to_have_text("49")
        page.get_by_role("button", name="pause").click()
        app.send(Sale("later", 1))
        expect(page.locator(".steps")).to_contain_text("of 50")
        expect(page.locator(".row.chosen .position")).to_have_text("49")
        page.get_by_role("button", name="follow").click()
        expect(page.locator(".row.chosen .position")).to_have_text("50")
        elsewhere(app.stop)
        expect(page.get_by_text("The program has ended")).to_be_visible()
        page.keyboard.press("Home")
        expect(page.locator(".row.chosen .position")).to_have_text("0")
    expect(page.get_by_role("alert")).to_contain_text("does not answer")  # once, whoever has asked
    address = urlsplit(inspector.address)
    other = gs.start(shop)
    with gs.inspect(other, port=address.port or 0, token=address.query.removeprefix("token=")):
        expect(page.get_by_role("alert")).to_contain_text("was started again", timeout=20_000)  # it asks every five seconds
        other.send(Sale("another", 1), Sale("run", 1))
        page.get_by_role("button", name="Load this page again").click()
        expect(page.locator(".moment .tree")).to_contain_text("another")
        expect(page.get_by_role("alert")).to_have_count(0)
        elsewhere(other.stop)
    looked.close(unless="ERR_|Failed to load|503")


def test_a_page_without_the_token_says_so(browser: Browser, journal: Path) -> None:
    """In plain words, and without anything of the program."""
    from playwright.sync_api import expect

    with gs.LMDBStore(journal, readonly=True) as store, gs.inspect(store, shop) as inspector:
        looked = Looked(browser, inspector.address.partition("?")[0])
        expect(looked.page.get_by_role("alert")).to_contain_text("token")
        looked.close(unless="401")


def test_another_key_is_chosen_while_the_newest_is_followed(browser: Browser, tmp_path: Path) -> None:
    """What is shown is what was chosen, also when it has failed."""
    from playwright.sync_api import expect

    def fails(model: Shop, msg: Msg) -> gs.Step[Shop, Msg]:
        if msg == Sale("bad", 0):
            raise ValueError("a bad sale")
        return update(model, msg)

    store = gs.LMDBStore(tmp_path / "s.lmdb")
    shops = elsewhere(lambda: gs.start_keyed(gs.Program(init, fails, name="shop"), store=store))
    elsewhere(lambda: shops["north"].apply(Sale("o1", 1)))
    elsewhere(lambda: shops["south"].send(Sale("o2", 1), Sale("bad", 0)))
    try:
        with gs.inspect(shops) as inspector:
            looked = Looked(browser, inspector.address)
            page = looked.page
            expect(page.locator(".row.chosen .text")).to_contain_text("o1")
            page.get_by_role("button", name="south").click()
            expect(page.locator(".row.chosen .text")).to_contain_text("bad")
            expect(page.locator(".moment")).to_contain_text("a bad sale")
            expect(page.get_by_text("The program has failed")).to_be_visible()
            page.get_by_role("button", name="north").click()
            expect(page.locator(".row.chosen .text")).to_contain_text("o1")
            looked.close()
    finally:
        elsewhere(shops.stop)
        store.close()
