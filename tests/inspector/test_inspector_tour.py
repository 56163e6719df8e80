"""The tour of the inspector: a wrong figure, from noticing to a test, by clicking; and a run that is watched. It takes the pictures."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from inspector_browser import Looked, browser, elsewhere, picture, position

import go_state as gs

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["browser"]  # a fixture
pytestmark = pytest.mark.slow
SIZE = {"width": 1180, "height": 640}

WRONG = "        refunded = model.refunded + amount * (2 if order in model.partly else 1)"
RIGHT = "        refunded = model.refunded + amount"
SHOP = f"""
from dataclasses import dataclass, field, replace
import go_state as gs

@dataclass(frozen=True)
class Shop:
    sold: int = 0
    refunded: int = 0
    partly: tuple[str, ...] = ()
    customers: dict[str, int] = field(default_factory=dict)

@dataclass(frozen=True)
class Sale:
    order: str
    amount: int
    customer: str = ""

@dataclass(frozen=True)
class Refund:
    order: str
    amount: int

def init() -> gs.Step[Shop, Sale | Refund]:
    return Shop(), ()

def update(model: Shop, msg: Sale | Refund) -> gs.Step[Shop, Sale | Refund]:
    if isinstance(msg, Refund):
        order, amount = msg.order, msg.amount
{WRONG}
        return replace(model, refunded=refunded, partly=(*model.partly, order)), ()
    customers = {{**model.customers, msg.customer: model.customers.get(msg.customer, 0) + msg.amount}}
    return replace(model, sold=model.sold + msg.amount, customers=customers), ()

shop = gs.Program(init, update)
"""
RUN = """
import go_state as gs
from bad_shop import Refund, Sale, shop
NAMES = "ann", "bea", "cem", "dov", "eve", "fay", "gus"
with gs.LMDBStore("shop.lmdb") as store, gs.start(shop, store=store, key="shop", snapshots=gs.Snapshots(every=100, keep=50)) as app:
    for number in range(2000):
        app.send(Sale(f"o{number}", 10, NAMES[number % 7]))
        if number % 9 == 0:
            app.send(Refund(f"o{number}", 5))
    app.send(Refund("o1800", 5), Sale("last", 10))
    for number in range(500):
        app.send(Sale(f"p{number}", 10, NAMES[number % 7]))
"""


@pytest.mark.processes
def test_a_wrong_figure_from_noticing_to_a_test(browser: Browser, tmp_path: Path) -> None:
    """Refunds counted twice, in an order that is rare: found by clicking, tried out, mended, compared, and written as a test."""
    from playwright.sync_api import expect

    root = Path(gs.__file__).parents[1]
    environment = {"PYTHONPATH": f"{root}:{tmp_path}", "PATH": ""}
    (tmp_path / "bad_shop.py").write_text(SHOP)
    subprocess.run([sys.executable, "-c", RUN], cwd=tmp_path, env=environment, check=True)
    command = [sys.executable, "-m", "go_state.cli", "inspect", "bad_shop:shop", "shop.lmdb"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        found = re.search(r"http\S+", process.stderr.readline())
        assert found is not None
        try:
            looked = Looked(browser, found[0], viewport=SIZE)
            page = looked.page
            page.locator(".moment .tree").wait_for()
            picture(page, "inspector_noticed")
            page.get_by_role("button", name="Find first").click()
            page.get_by_label("Expression").fill("after.refunded - before.refunded > msg.amount")
            page.keyboard.press("Enter")
            expect(page.get_by_text("Found at position")).to_be_visible()
            picture(page, "inspector_found")
            page.keyboard.press("Escape")
            expect(page.locator(".diff tbody th")).to_contain_text(["refunded"])
            expect(page.locator(".row.chosen .kind")).to_have_text("Refund")
            at = position(page)
            picture(page, "inspector")
            page.get_by_role("button", name="What if").click()
            expect(page.locator("textarea")).to_have_value(re.compile("o1800"))
            page.locator("textarea").fill('["Refund", {"order": "another", "amount": 5}]')
            page.get_by_role("button", name="Edit it so").click()
            page.get_by_role("button", name="Fold on").click()
            expect(page.locator("dialog .diff tbody")).to_contain_text("refunded")
            picture(page, "inspector_what_if")
            page.keyboard.press("Escape")
            (tmp_path / "bad_shop.py").write_text(SHOP.replace(WRONG, RIGHT))
            page.get_by_role("button", name="Your fix").click()
            page.get_by_role("button", name="Load again and compare").click()
            expect(page.locator("dialog")).to_contain_text("1 of 2,725 messages comes out differently")
            expect(page.locator("dialog table")).to_contain_text("refunded")
            picture(page, "inspector_mended")
            with page.expect_download() as download:
                page.get_by_role("button", name="The first as a test").click()
            (tmp_path / "test_refund.py").write_text(download.value.path().read_text())
            page.locator("dialog table button").click()
            assert position(page) == at
            looked.close()
        finally:
            process.terminate()
    for text, passes in ((SHOP.replace(WRONG, RIGHT), True), (SHOP, False)):
        (tmp_path / "bad_shop.py").write_text(text)
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_refund.py"], cwd=tmp_path, env=environment
        )
        assert (done.returncode == 0) is passes


@dataclass(frozen=True)
class Orders:
    open: dict[str, str] = field(default_factory=dict)
    charged: int = 0


@dataclass(frozen=True)
class Ordered:
    order: str
    kind: int


@dataclass(frozen=True)
class Charged:
    order: str


@dataclass(frozen=True)
class NotShipped:
    order: str
    why: str


Msg = Ordered | Charged | NotShipped


async def charge(order: str, tries: list[str]) -> Charged:
    """Charge at the second try."""
    tries.append(order)
    if tries.count(order) < 2:
        raise ConnectionError("no answer")
    return Charged(order)


async def ship(order: str) -> None:
    """Ship the last order, which takes long, and no other."""
    if order != "o38":
        raise ValueError("the address is not known")
    await asyncio.Event().wait()


def take(model: Orders, msg: Msg) -> gs.Step[Orders, Msg]:
    """Charge each second order, and ship each fourth."""
    match msg:
        case Ordered(order, kind):
            commands: list[gs.Cmd[Msg]] = []
            if kind == 1:
                commands = [gs.Cmd.call(charge, order, TRIES, retry=gs.Retry(attempts=3, wait=0.001))]
            if kind == 2:
                commands = [gs.Cmd.call(ship, order, err=lambda failure: NotShipped(order, failure.text))]
            if order == "o39":
                commands = [gs.Cmd.after(90, Charged("late"), key="reminder")]
            return replace(model, open={**model.open, order: "ordered"}), commands
        case Charged(order):
            return replace(model, open={**model.open, order: "charged"}, charged=model.charged + 1), ()
        case NotShipped(order, why):
            return replace(model, open={**model.open, order: why}), ()


def is_allowed(model: Orders, msg: Msg) -> bool | str:
    """Take no order of the fourth kind, but the last."""
    return "nothing of this kind is left" if isinstance(msg, Ordered) and msg.kind == 3 and msg.order != "o39" else True


def asked(model: Orders) -> list[gs.Sub[Msg]]:
    """Look each minute."""
    return [gs.Sub.every(60.0, Charged("clock"), key="clock")]


TRIES: list[str] = []
orders = gs.Program(
    lambda: (Orders(), ()), take, name="orders", subscriptions=asked, middleware=[gs.middleware.authorise(is_allowed)]
)


def test_a_run_that_is_watched(browser: Browser) -> None:
    """What is under way, what commands came to, and the way from one to the message that it brought, and back."""
    from playwright.sync_api import expect

    app = elsewhere(lambda: gs.start(orders))
    try:
        with gs.inspect(app) as inspector:
            looked = Looked(browser, inspector.address, viewport=SIZE, color_scheme="dark")
            page = looked.page
            page.locator(".live [aria-pressed]").wait_for()
            app.send(*[Ordered(f"o{number}", number % 4) for number in range(40)])
            expect(page.get_by_role("button", name="1 under way, 1 timer")).to_be_visible()
            page.get_by_role("button", name="pause").click()
            page.get_by_role("button", name="1 under way, 1 timer").click()
            expect(page.get_by_role("table", name="Commands under way")).to_contain_text("ship")
            page.keyboard.press("Home")
            page.keyboard.press("ArrowRight")
            expect(page.locator(".badge.denied").first).to_be_visible()
            expect(page.locator(".badge.command-failed").first).to_be_visible()
            page.get_by_role("tab", name="Commands").click()
            tries = page.locator(".commands li").filter(has_text="charge")
            expect(tries).to_contain_text("done")
            expect(tries).to_contain_text("2 tries")
            picture(page, "inspector_live")
            tries.get_by_role("button").click()
            expect(page.locator(".row.chosen .kind")).to_have_text("Charged")
            page.get_by_role("tab", name="Message").click()
            page.get_by_role("tabpanel").get_by_role("button", name="1", exact=True).click()
            expect(page.locator(".row.chosen .position")).to_have_text("1")
            page.get_by_role("tab", name="Subscriptions").click()
            expect(page.get_by_role("tabpanel")).to_contain_text("goes on")
            looked.close()
    finally:
        elsewhere(lambda: app.stop(drain=False))
