"""What does the inspector's page cost an app that it watches, and how quick is it with a million messages?

The page is a real one, in headless Chromium, in a process of its own, and follows the newest. An app at 20,000 messages a second is
given twenty each millisecond; one at full speed takes a queue of them, and is measured by the processor time of its process, because the
browser has processors of its own, or takes them from the app as any other program does. A million messages are a journal with a model
kept each thousand.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ratio import Add, Counter, init, line, update

import go_state as gs

COUNT = 200_000
TIMES = 7
RATE = 20_000
MILLION = 1_000_000


@dataclass(frozen=True)
class Shop:
    total: int = 0
    orders: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Sale:
    order: int
    amount: int


@dataclass(frozen=True)
class Refund:
    order: int


def opened() -> gs.Step[Shop, Sale | Refund]:
    return Shop(), ()


def sell(model: Shop, msg: Sale | Refund) -> gs.Step[Shop, Sale | Refund]:
    match msg:
        case Sale(order, amount):
            return replace(model, total=model.total + amount, orders={**model.orders, order % 20: amount}), ()
        case Refund(order):
            return replace(model, total=model.total - model.orders.get(order % 20, 0)), ()


SHOP = gs.Program(opened, sell, name="shop")


class Viewer:
    """A browser in a process of its own."""

    def __init__(self) -> None:
        command = [sys.executable, __file__, "view"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, what: str, *given: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([what, *given]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def main() -> None:
    viewer = Viewer()
    try:
        beside_an_app(viewer)
        with a_million() as address:
            through_a_million(viewer, address)
    finally:
        viewer.close()


# ------------------------------------------------------------------ beside an app


def beside_an_app(viewer: Viewer) -> None:
    paced: dict[bool, list[float]] = {True: [], False: []}
    full: dict[bool, list[float]] = {True: [], False: []}
    with gs.start(gs.Program(init, update, name="adds")) as app, gs.inspect(app) as page:
        for number in range(2 * TIMES):
            is_watched = number % 2 == 1
            viewer.ask("open" if is_watched else "leave", page.address)
            paced[is_watched].append(at_a_pace(app))
            full[is_watched].append(at_full_speed(app))
    for name, rates in (("20,000 messages a second", paced), ("full speed", full)):
        ratio = statistics.median(a / b for a, b in zip(rates[True], rates[False], strict=True))
        detail = f"{statistics.median(rates[True]):,.0f} a second, {statistics.median(rates[False]):,.0f} with nobody"
        line(f"the rate of an app at {name}, watched against not", ratio, ">= 0.9", detail)


def at_a_pace(app: gs.App[Counter, Add]) -> float:
    """Give it twenty messages each millisecond, for two seconds; return how many a second had their turn."""
    each = [Add(1)] * (RATE // 1000)
    begun, first, sent = time.perf_counter(), app.statistics().processed, 0
    while (passed := time.perf_counter() - begun) < 2:
        due = int(passed * RATE) - sent
        if due >= len(each):
            app.send(*each * (due // len(each)))
            sent += due // len(each) * len(each)
        time.sleep(0.001)
    return (app.statistics().processed - first) / (time.perf_counter() - begun)


def at_full_speed(app: gs.App[Counter, Add]) -> float:
    """Give it a queue of them; return how many had their turn in a second of this process's processor time, the server's included."""
    messages = [Add(1)] * COUNT
    begun = time.process_time()
    app.send(*messages)
    app.apply(Add(1))
    return COUNT / (time.process_time() - begun)


# ------------------------------------------------------------------ a million messages


@contextmanager
def a_million() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shop.lmdb"
        snapshots = gs.Snapshots(every=1000, keep=2000)
        with gs.LMDBStore(path) as store, gs.start(SHOP, store=store, key="shop", snapshots=snapshots) as app:
            for begin in range(0, MILLION, 50_000):
                app.send(*[Refund(n) if n % 10 == 9 else Sale(n, 3) for n in range(begin, begin + 50_000)])
                app.apply(Sale(0, 0))
        command = [sys.executable, "-m", "go_state.cli", "inspect", "bench_inspector:SHOP", str(path)]
        with subprocess.Popen(command, cwd=Path(__file__).parent, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            try:
                yield f"{process.pid} {process.stderr.readline().split()[-1]}"
            finally:
                process.terminate()


def through_a_million(viewer: Viewer, found: str) -> None:
    pid, _, address = found.partition(" ")
    before = resident(pid)
    answers = viewer.ask("million", address)
    line("the page of a million messages is there, seconds", answers["ready"], "<= 1", unit="s")
    line("   and all of them are read", answers["indexed"], "", unit="s")
    line("   a jump to anywhere, until it is on the screen, median of 20", answers["jump"], "<= 0.1", unit="s")
    line(
        "   the longest task of 300 turns of the wheel",
        answers["longest"],
        "<= 0.05",
        f"{answers['tasks']} over 50 ms",
        unit="s",
    )
    line("   a type among all", answers["filter"], "<= 2", unit="s")
    line("   memory of the server, more than at its start", (resident(pid) - before) / 1e6, "", unit="MB")


def resident(pid: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


# ------------------------------------------------------------------ the browser


def view() -> None:
    """Do what is asked on standard input, one after the other."""
    import shutil

    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        for given in sys.stdin:
            what, address = json.loads(given)
            answer: object = None
            if what == "open":
                page.goto(address)
                page.locator(".live").wait_for()
            elif what == "leave":
                page.goto("about:blank")
            else:
                answer = a_tour(page, address)
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


_TASKS = """
    window.tasks = [];
    new PerformanceObserver((list) => { for (const each of list.getEntries()) window.tasks.push(each.duration); })
        .observe({ type: "longtask", buffered: false });
"""
_JUMP = """async (position) => {
    const begun = performance.now();
    location.hash = `#/${location.hash.split("/")[1]}/${position}`;
    const wanted = `Model after position ${new Intl.NumberFormat("en").format(position)}`;
    const is = () => document.querySelector(".moment h2")?.textContent === wanted && document.querySelector(".row.chosen");
    while (!is()) await new Promise(requestAnimationFrame);
    return (performance.now() - begun) / 1000;
}"""
_WHEEL = """async () => {
    const rows = document.querySelector(".rows");
    for (let turn = 0; turn < 300; turn += 1) {
        rows.dispatchEvent(new WheelEvent("wheel", { deltaY: turn % 3 ? 400 : 40000, bubbles: true, cancelable: true }));
        await new Promise(requestAnimationFrame);
    }
}"""


def a_tour(page: Any, address: str) -> dict[str, float]:
    """Return how long each thing takes, in seconds."""
    begun = time.perf_counter()
    page.goto(address)
    page.locator(".row.chosen").wait_for()
    page.locator(".moment .tree").wait_for()
    ready = time.perf_counter() - begun
    page.locator("progress").wait_for(state="detached")
    indexed = time.perf_counter() - begun
    jumps = [page.evaluate(_JUMP, (number * 7_919 * 131) % MILLION) for number in range(1, 21)]
    page.evaluate(_TASKS)
    page.evaluate(_WHEEL)
    page.wait_for_timeout(500)  # what was asked for last is drawn
    tasks = page.evaluate("() => window.tasks")
    begun = time.perf_counter()
    page.locator("select").select_option("Refund")
    page.locator(".filters [role=status]").get_by_text("100,000 found").wait_for()
    page.locator(".row .text").first.wait_for()
    return {
        "ready": ready,
        "indexed": indexed,
        "jump": statistics.median(jumps),
        "longest": max(tasks, default=0.0) / 1000,
        "tasks": len(tasks),
        "filter": time.perf_counter() - begun,
    }


if __name__ == "__main__":
    if sys.argv[1:] == ["view"]:
        view()
    else:
        print(__doc__)
        main()
