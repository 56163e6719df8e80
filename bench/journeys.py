"""How many Python-level calls does a message make on its way, in how many files, and how many transactions does it wait for?

Three journeys, each of one message into a program that waits for it, counted by `sys.setprofile` in every thread:

    put to view       `Buffer.put` of a message, to the call of the view with the model it made
    an async command  the update that returns `Cmd.call(coroutine function)`, to the update that gets its result
    put to a watcher  `Journal.put` of a message, to a watcher that returns the model it made; LMDB's own count of transactions

A call is counted when its code is in go_state, or is generated (of a dataclass, a named tuple) and was called from there; each
time that a generator or a coroutine is resumed counts as one, as it costs as much. What a thread does after it has woken the next
one is not on the message's way, and not counted. `python journeys.py --calls` lists the calls.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))  # the checkout that one stands in, wherever this script is

import go_state as gs
from go_state.waking.waker import ThreadWaker

PACKAGE = str(Path(gs.__file__).parent)
WAKE = "<wake>"  # in the place of a call's file: a thread has woken another
TIMES = 15  # journeys measured, after as many that are not: the median is told
IDLE = 0.02  # seconds after which a program that has nothing to do waits


class Call(NamedTuple):
    """A call: the thread that made it, the file and the name of the function."""

    thread: int
    file: str
    name: str


class Recorder:
    """Records the calls of all threads between `begin` and `end`."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._recording = False

    def __enter__(self) -> Recorder:
        make = self._make_waker = ThreadWaker.__init__
        record = self._woken

        def noted(waker: ThreadWaker) -> None:
            make(waker)
            wake = waker.wake
            waker.wake = lambda: (record(), wake())[1]

        ThreadWaker.__init__ = noted  # type: ignore[method-assign]  # waking calls no function of Python, and would not be seen
        threading.setprofile(self._profile)  # of the threads that are started from here on
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)
        ThreadWaker.__init__ = self._make_waker  # type: ignore[method-assign]

    def begin(self) -> None:
        self.calls = []
        self._recording = True

    def end(self) -> None:
        self._recording = False

    def _woken(self) -> None:
        if self._recording:
            self.calls.append(Call(threading.get_ident(), WAKE, ""))

    def _profile(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call" or not self._recording:
            return
        file, caller = frame.f_code.co_filename, frame.f_back
        if file.startswith("<") and caller is not None and caller.f_code.co_filename.startswith(PACKAGE):
            file = caller.f_code.co_filename  # generated code has no file: it counts to whoever calls it
        if file.startswith(PACKAGE):
            self.calls.append(Call(threading.get_ident(), file.removeprefix(PACKAGE + "/"), frame.f_code.co_qualname))


def on_the_way(calls: list[Call]) -> list[Call]:
    """Return the calls without those that a thread made after it last woke another, but for the thread in which it ends."""
    last = {call.thread: number for number, call in enumerate(calls) if call.file == WAKE or call.name.endswith(".wake")}
    end = calls[-1].thread
    way = [call for number, call in enumerate(calls) if call.thread == end or number <= last.get(call.thread, number)]
    return [call for call in way if call.file != WAKE]


class Journey(NamedTuple):
    """What one message took."""

    calls: list[Call]
    transactions: int = 0

    @property
    def files(self) -> int:
        return len({call.file for call in self.calls})

    @property
    def changes(self) -> int:
        """How often the next call of a thread was in another file than its last."""
        last: dict[int, str] = {}
        changes = 0
        for call in self.calls:
            changes += last.get(call.thread, call.file) != call.file
            last[call.thread] = call.file
        return changes


@dataclass(frozen=True)
class Model:
    count: int = 0


@dataclass(frozen=True)
class Add:
    by: int


@dataclass(frozen=True)
class Fetch:
    by: int


def add(model: Model, msg: Add) -> Model:
    return replace(model, count=model.count + msg.by)


def init() -> gs.Step[Model, Add]:
    return Model(), ()


def update(model: Model, msg: Add) -> gs.Step[Model, Add]:
    return add(model, msg), ()


def median(journeys: list[Journey]) -> Journey:
    """Return the one in the middle, by its calls."""
    return sorted(journeys, key=lambda each: len(each.calls))[len(journeys) // 2]


def put_to_view(recorder: Recorder) -> Journey:
    """A message is put by one thread while `run` sleeps in another."""
    shown = threading.Event()

    def view(_: Model) -> None:
        recorder.end()
        shown.set()

    program = gs.Program(init, update, view=view)
    buffer: gs.Buffer[Add] = gs.Buffer()
    thread = threading.Thread(target=gs.run, args=(program, buffer))
    thread.start()
    journeys = []
    for _ in range(2 * TIMES):
        time.sleep(IDLE)
        shown.clear()
        recorder.begin()
        buffer.put(Add(1))
        shown.wait()
        journeys.append(Journey(on_the_way(recorder.calls)))
    buffer.close()
    thread.join()
    return median(journeys[TIMES:])


def async_command(recorder: Recorder) -> Journey:
    """A coroutine function is called by a command, and its result is the next message."""
    journeys: list[Journey] = []

    async def fetch(by: int) -> int:
        await asyncio.sleep(0)
        return by

    def update(model: Model, msg: Fetch | Add) -> gs.Step[Model, Fetch | Add]:
        match msg:
            case Fetch(by):
                command = gs.Cmd.call(fetch, by, ok=Add)
                recorder.begin()
                return model, [command]
            case Add():
                recorder.end()
                journeys.append(Journey(on_the_way(recorder.calls)))
                return add(model, msg), ()

    async def main() -> None:
        buffer: gs.Buffer[Fetch | Add] = gs.Buffer()
        program: gs.Program[Model, Fetch | Add] = gs.Program(lambda: (Model(), ()), update)
        run = asyncio.create_task(gs.run_async(program, buffer))
        for _ in range(2 * TIMES):
            await asyncio.sleep(IDLE)
            buffer.put(Fetch(1))
        await asyncio.sleep(IDLE)
        buffer.close()
        await run

    asyncio.run(main())
    return median(journeys[TIMES:])


def put_to_watcher(recorder: Recorder) -> Journey:
    """A message is put into the journal of an app, and a thread gets the model from a watcher that waits for it."""
    with tempfile.TemporaryDirectory() as folder, gs.LMDBStore(Path(folder, "journey.lmdb")) as store:
        program = gs.Program(init, update, name="journey")
        with store.journal("journey", of=Add) as journal, gs.start(program, journal) as app, app.watch() as watcher:
            watcher.get()
            journeys = [one_put(recorder, Path(folder, "journey.lmdb"), journal, watcher) for _ in range(2 * TIMES)]
    return median(journeys[TIMES:])


def one_put(recorder: Recorder, path: Path, journal: Any, watcher: gs.watch.Watcher[Model]) -> Journey:
    """Put a message while a thread waits for its model; the transactions are those up to then, and what is left to write is not."""
    transactions = []

    def wait() -> None:
        watcher.get()
        recorder.end()
        transactions.append(committed(path))

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(IDLE)
    before = committed(path)
    recorder.begin()
    journal.put(Add(1))
    waiting.join()
    calls = on_the_way(recorder.calls)
    time.sleep(IDLE)
    return Journey(calls, transactions[0] - before)


def committed(path: Path) -> int:
    """Return how many transactions LMDB has committed: the greater of the numbers in its two meta pages, as `lmdb.h` lays them out."""
    with path.open("rb") as file:
        head = file.read(64 * 1024)
    page = int.from_bytes(head[16 + 24 : 16 + 28], sys.byteorder)  # of the first database's record, where the page size is kept
    return max(int.from_bytes(head[at : at + 8], sys.byteorder) for at in (16 + 128, page + 16 + 128))


class Target(NamedTuple):
    """A journey, and what it may take: calls, files, transactions."""

    name: str
    walk: Callable[[Recorder], Journey]
    calls: int
    files: int | None = None
    transactions: int | None = None


TARGETS = (
    Target("Buffer.put to the view", put_to_view, 15),
    Target("an async command", async_command, 45, 9),
    Target("Journal.put to a watcher's get", put_to_watcher, 80, 14, 1),
)


def told(measured: int, target: int | None) -> str:
    return str(measured) if target is None else f"{measured} (<= {target})"


def main(arguments: Sequence[str] = ()) -> None:
    print(f"{'journey':<34} {'calls':>14} {'files':>12} {'changes of file':>16} {'transactions':>14}")
    for target in TARGETS:
        with Recorder() as recorder:
            journey = target.walk(recorder)
        transactions = told(journey.transactions, target.transactions) if target.transactions is not None else ""
        print(
            f"{target.name:<34} {told(len(journey.calls), target.calls):>14} {told(journey.files, target.files):>12} "
            f"{journey.changes:>16} {transactions:>14}"
        )
        keep(target, journey)
        if "--calls" in arguments:
            threads: list[int] = []
            for call in journey.calls:
                if call.thread not in threads:
                    threads.append(call.thread)
                print(f"    thread {threads.index(call.thread)}   {call.file:<38} {call.name}")


def keep(target: Target, journey: Journey) -> None:
    """Record the figures if `python bench` runs this; a copy of the script alone records nothing."""
    try:
        from runs import Result, record
    except ImportError:
        return
    for unit, measured, most in (
        ("calls", len(journey.calls), target.calls),
        ("files", journey.files, target.files),
        ("transactions", journey.transactions, target.transactions),
    ):
        if most is not None:
            record(
                Result("journeys", f"{target.name}: {unit}", measured, f"<= {most}", f"{journey.changes} changes of file", unit)
            )


if __name__ == "__main__":
    main(sys.argv[1:])
