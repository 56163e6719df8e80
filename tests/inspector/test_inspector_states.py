"""The page when something is on its way, gone, or wrong; and a list that stays right while the app goes on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from inspector_browser import Looked, browser, elsewhere, position
from inspector_support import Msg, Refund, Sale, Shop, fill, init, sales, shop, update

import go_state as gs
from go_state.history.reading.opened import opened
from go_state.inspector.serving.inspect import serve
from go_state.inspector.worlds.recording import KEPT
from go_state.inspector.worlds.stores import HistoryWorld

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

__all__ = ["browser"]  # a fixture
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("states") / "shop.lmdb"
    elsewhere(lambda: fill(path, sales(300), every=100_000))
    return path


@pytest.fixture
def store(journal: Path) -> Iterator[gs.LMDBStore]:
    with gs.LMDBStore(journal, readonly=True) as store:
        yield store


def positions(page: Page) -> list[int]:
    """Return the positions of the rows that are seen."""
    return sorted(int(text.replace(",", "")) for text in page.locator(".row .position").all_inner_texts())


def test_what_is_on_its_way_is_said(browser: Browser, store: gs.LMDBStore) -> None:
    """The page, a subject, its rows and a moment; what is shown of another moment is dimmed until then."""
    from playwright.sync_api import expect

    held: list[Route] = []
    holds = re.compile("nothing")

    def answer(route: Route) -> None:
        held.append(route) if holds.search(route.request.url) else route.continue_()

    with gs.inspect(store, shop) as inspector:
        looked = Looked(browser, "about:blank")
        page = looked.page

        def hold(pattern: str) -> None:
            nonlocal holds
            holds = re.compile(pattern)
            for _ in range(len(held)):
                answer(held.pop(0))

        page.route("**/api/**", answer)
        hold(r"/api/about$")
        page.goto(inspector.address)
        expect(page.get_by_role("status")).to_have_text("Loading…")
        hold(r"/api/s/shop$")
        expect(page.get_by_role("region", name="Messages").get_by_text("Loading…")).to_be_visible()
        expect(page.get_by_role("region", name="The moment").get_by_text("Loading…")).to_be_visible()
        hold(r"/api/s/shop/(rows|at)")
        expect(page.locator(".row.waiting").first).to_be_visible()
        expect(page.get_by_text("folding up to")).to_be_visible()
        hold("nothing")
        expect(page.locator(".moment h2")).to_be_visible()
        expect(page.locator(".row.waiting")).to_have_count(0)
        hold(r"/api/s/shop/at")
        page.keyboard.press("Home")
        expect(page.locator(".moment.waiting")).to_contain_text("folding up to 0")
        hold("nothing")
        expect(page.locator(".moment h2")).to_have_text("Model after position 0")
        expect(page.locator(".moment.waiting")).to_have_count(0)
        looked.close()


def test_addresses_that_lead_nowhere(browser: Browser, store: gs.LMDBStore) -> None:
    """Another key, a position beyond the end, one that is no address, and another token: each says what is wrong."""
    from playwright.sync_api import expect

    with gs.inspect(store, shop) as inspector:
        looked = Looked(browser, inspector.address)
        page = looked.page
        page.locator(".row.chosen").wait_for()
        root = inspector.address.partition("?")[0]
        for address, said in (("nosuch/5", "nothing called nosuch"), ("shop/99999999", "Position 99,999,999 is not there")):
            page.goto(f"{root}#/{address}")
            page.reload()
            expect(page.get_by_text(said)).to_be_visible()
        page.goto(f"{root}#/%E0%A4%A/5")
        page.reload()
        expect(page.locator(".row.chosen")).to_be_visible()
        page.goto(f"{inspector.address}x")
        expect(page.get_by_role("main")).to_contain_text("The token in the address is not valid")
        looked.close(unless="401|404")


def test_a_program_that_fails_on_the_way_is_not_shown_with_another_model(
    browser: Browser, store: gs.LMDBStore, capfd: pytest.CaptureFixture[str]
) -> None:
    """It says at which message, and leads there; the terminal stays silent."""
    from playwright.sync_api import expect

    def fails(model: Shop, msg: Msg) -> gs.Step[Shop, Msg]:
        if isinstance(msg, Refund):
            raise KeyError(msg.order)
        return update(model, msg)

    with gs.inspect(store, gs.Program(init, fails, name="shop")) as inspector:
        looked = Looked(browser, inspector.address)
        page = looked.page
        expect(page.get_by_role("alert")).to_contain_text("at position 7, a Refund, the program fails with KeyError")
        expect(page.locator(".model")).to_have_count(0)
        page.get_by_role("button", name="Go to 7").click()
        expect(page.locator(".moment h2")).to_have_text("Model after position 7")
        expect(page.get_by_role("alert")).to_contain_text("o6")
        looked.close(unless="409")
    assert "Traceback" not in capfd.readouterr().err


def test_without_a_program_there_is_nothing_to_try(browser: Browser, store: gs.LMDBStore) -> None:
    """The messages are there, and what would need a model is not offered."""
    from playwright.sync_api import expect

    with gs.inspect(store) as inspector:
        looked = Looked(browser, inspector.address)
        page = looked.page
        expect(page.get_by_role("tab")).to_have_text(["Message", "Turn"])
        expect(page.locator(".moment")).to_contain_text("go-state inspect module:program")
        for name in ("Find first", "What if", "Your fix"):
            expect(page.get_by_role("button", name=name)).to_be_disabled()
        page.keyboard.press("e")
        expect(page.locator("dialog")).to_have_count(0)
        looked.close()


def test_a_store_that_is_closed_is_said_once(browser: Browser, journal: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What was loaded stays, but not as if it were of another message; the terminal is not filled."""
    from playwright.sync_api import expect

    store = gs.LMDBStore(journal, readonly=True)
    with gs.inspect(store, shop) as inspector:
        looked = Looked(browser, inspector.address)
        page = looked.page
        page.locator(".moment .tree").wait_for()
        store.close()
        expect(page.get_by_role("alert")).to_contain_text("is closed")
        page.keyboard.press("Home")
        expect(page.locator(".model")).to_have_count(0)
        expect(page.get_by_role("alert")).to_have_count(1)
        looked.close(unless="409|ERR_")
    assert "Traceback" not in capfd.readouterr().err


def test_a_filter_is_asked_for_once_and_stepped_through(browser: Browser, store: gs.LMDBStore) -> None:
    """The keys of the list go from one message that passes it to the next."""
    from playwright.sync_api import expect

    with gs.inspect(store, shop) as inspector:
        looked = Looked(browser, inspector.address)
        page = looked.page
        page.locator(".row.chosen").wait_for()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if "/rows?" in request.url else None)
        page.locator("select").select_option("Refund")
        expect(page.locator(".filters [role=status]")).to_have_text("42 found")
        page.locator(".rows").focus()
        for key, there in (("Home", 7), ("ArrowRight", 15), ("PageDown", 175), ("End", 335), ("ArrowRight", 335), ("k", 327)):
            page.keyboard.press(key)
            expect(page.locator(".row.chosen .position")).to_have_text(str(there))
            assert position(page) == there
        page.wait_for_timeout(500)  # in which nothing is asked
        assert len(asked) == 7
        looked.close()


def test_the_messages_of_one_key_of_a_file(browser: Browser, tmp_path: Path) -> None:
    """Of an aggregate of many keys the list has those of the key that is looked at, unless somebody asks for all."""
    from playwright.sync_api import expect

    path = tmp_path / "sales.csv"
    path.write_text("order,amount,email\n" + "".join(f"o{number % 3},{number},x\n" for number in range(300)))

    def add(model: Shop, msg: Sale) -> Shop:
        return Shop(model.total + msg.amount)

    work = opened("inspect", gs.reducer(Shop, add), gs.sources.CSV(path, Sale), key="o1", key_of="order")
    with serve(HistoryWorld(work), None, host="127.0.0.1", port=0, token=None) as inspector:
        looked = Looked(browser, inspector.address)
        page = looked.page
        expect(page.locator(".filters [role=status]")).to_have_text("100 found")
        page.locator(".rows").focus()
        page.keyboard.press("End")
        expect(page.locator(".moment h2")).to_have_text("Model after position 298")
        expect(page.locator(".model")).to_contain_text(str(sum(range(1, 300, 3))))
        page.get_by_role("button", name="clear").click()
        page.locator(".rows").focus()
        page.keyboard.press("End")
        expect(page.locator(".row.chosen .position")).to_have_text("299")
        looked.close()


def test_the_list_of_an_app_without_a_store_is_right_while_it_forgets(browser: Browser) -> None:
    """The newest rows when it is followed; the same rows, and the same moment, when it is paused; and what is gone is said."""
    from playwright.sync_api import expect

    def add(model: int, by: int) -> int:
        return model + by

    app = elsewhere(lambda: gs.start(gs.reducer(int, add)))
    try:
        with gs.inspect(app) as inspector:
            looked = Looked(browser, inspector.address)
            page = looked.page
            page.locator(".live [aria-pressed]").wait_for()
            seen, end = list[int](), 0
            for _ in range(5):
                app.send(*[1] * (KEPT // 2))
                end = elsewhere(lambda: app.apply(1))
                expect(page.locator(".row.chosen .position")).to_have_text(f"{end - 1:,}")
                expect(page.locator(".row.waiting")).to_have_count(0)
                seen = positions(page)
                assert seen == list(range(seen[0], end))
            page.get_by_role("button", name="pause").click()
            app.send(*[1] * (2 * KEPT))
            newest = elsewhere(lambda: app.apply(1))
            expect(page.locator(".steps")).to_contain_text(f"of {newest - 1:,}")
            assert positions(page)[:10] == seen[:10]
            expect(page.locator(".moment h2")).to_have_text(f"Model after position {end - 1:,}")
            page.keyboard.press("ArrowLeft")
            expect(page.locator(".moment")).to_contain_text("not kept any more")
            page.keyboard.press("Home")
            expect(page.locator(".row.gone").first).to_have_text("not kept any more")
            page.get_by_role("button", name="follow").click()
            expect(page.locator(".moment h2")).to_have_text(f"Model after position {newest - 1:,}")
            looked.close()
    finally:
        elsewhere(app.stop)


def test_another_page_is_refused_in_words_and_the_api_in_json(store: gs.LMDBStore) -> None:
    """Who opens an address in a browser is told so by a page, without anything of the program."""
    import httpx

    with gs.inspect(store, shop) as inspector:
        address = urlsplit(inspector.address)
        with httpx.Client(base_url=f"http://{address.netloc}") as client:
            refused = client.get("/", params={"token": "another"}, headers={"sec-fetch-mode": "navigate"})
            assert refused.status_code == 401
            assert refused.headers["content-type"] == "text/html; charset=utf-8"
            assert "default-src 'none'" in refused.headers["content-security-policy"]
            assert client.get("/", params={"token": "another"}).json()["error"].startswith("The token")


def test_what_cannot_be_had_is_asked_for_again_and_not_all_the_time(browser: Browser, store: gs.LMDBStore) -> None:
    """The server is not reached, though what goes on is still heard: some questions a second, and all is there when it answers."""
    from playwright.sync_api import expect

    with gs.inspect(store, shop) as inspector:
        looked = Looked(browser, inspector.address)
        page = looked.page
        page.locator(".row.chosen").wait_for()
        asked: list[str] = []

        def refuse(route: Route) -> None:
            asked.append(route.request.url)
            route.abort()

        unreached = re.compile("/api/s/shop/(rows|at|turns)")
        page.route(unreached, refuse)
        page.keyboard.press("Home")
        expect(page.locator(".moment")).to_contain_text("does not answer")
        page.wait_for_timeout(3000)  # in which some are asked
        assert len(asked) <= 20
        page.unroute(unreached)
        expect(page.locator(".moment h2")).to_have_text("Model after position 0")
        expect(page.locator(".row.chosen .position")).to_have_text("0")
        expect(page.get_by_role("alert")).to_have_count(0)
        looked.close(unless="ERR_FAILED")
