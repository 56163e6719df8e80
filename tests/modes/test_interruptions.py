# ruff: noqa: B023  - fakes; a trap is used up in the round that makes it
"""Whatever ends an aggregate of a hundred messages, wherever: the store has the old state or a whole one, and nothing is left behind."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers
from test_batch import Tape

import go_state as gs

drivers = both_drivers.drivers

COUNT = 100
POINTS = ["source", "update", "command", "view", "load", "store", "stored", "on_commit"]
ERRORS = [ValueError, KeyboardInterrupt, SystemExit, asyncio.CancelledError]


@dataclass(frozen=True)
class Sum:
    """`twice` is sent by a command for each message: in a whole model it equals `once`."""

    once: int = 0
    twice: int = 0


class Trap:
    """Does something when the chosen point is passed for the nth time."""

    def __init__(self, point: str, nth: int, act: Callable[[], None]) -> None:
        self.point, self.left, self.act = point, nth, act

    def passing(self, point: str) -> None:
        if point == self.point:
            self.left -= 1
            if self.left == 0:
                self.act()


class Store(gs.MemoryStore):
    """A store with the trap before loading, before writing and after it."""

    trap: Trap | None = None

    def _pass(self, point: str) -> None:
        if self.trap is not None:
            self.trap.passing(point)

    def load(self, key: str) -> gs.abc.Stored | None:
        self._pass("load")
        return super().load(key)

    def store(self, writes: Mapping[str, gs.abc.Write]) -> Mapping[str, int]:
        self._pass("store")
        versions = super().store(writes)
        self._pass("stored")
        return versions


class TrappedTape(Tape):
    def __init__(self, trap: Trap) -> None:
        super().__init__(*range(1, COUNT + 1))
        self.trap = trap

    def read(self, after: Any = None) -> Any:
        reading = super().read(after)
        inner = iter(reading)

        class Passing:
            position = property(lambda _: reading.position)
            close = staticmethod(reading.close)

            def __iter__(passing) -> Iterator[Any]:  # noqa: N805
                for message in inner:
                    self.trap.passing("source")
                    yield message

        return Passing()


def trapped(trap: Trap) -> gs.Program[Sum, int]:
    """Return a program that counts each message once itself and once through a command."""

    def update(model: Sum, msg: int) -> gs.Step[Sum, int]:
        trap.passing("update")
        if msg < 0:
            return Sum(model.once, model.twice - msg), ()

        def command() -> int:
            trap.passing("command")
            return -msg

        return Sum(model.once + msg, model.twice), [command]

    return gs.Program(lambda: (Sum(), ()), update, view=lambda model: trap.passing("view"))


def quiet() -> Trap:
    """Return a trap that does nothing."""
    return Trap("", 0, lambda: None)


def is_whole(store: Store, position: int | None) -> bool:
    """Tell whether the model is what the messages up to the position lead to, or nothing is stored."""
    store.trap = None
    model = gs.load_model(trapped(quiet()), store=store, key="k")
    if model is None:
        return position in (None, 0)
    total = sum(range(1, (position or 0) + 1))
    return model == Sum(total, total)


def stored_position(store: Store) -> int | None:
    """Return the position that is saved with the model."""
    store.trap = None
    seen = gs.aggregate(trapped(quiet()), TrappedTape(quiet()), store=store, key="k", limit=0).position
    return None if seen is None else int(seen)


def finish_and_check(store: Store, before: set[threading.Thread]) -> None:
    """Assert that what is stored is whole, that a new run completes it, and that no thread is left."""
    assert not [t for t in set(threading.enumerate()) - before if t.name == "go_state-read-ahead"]
    empty = store._data == {}
    assert is_whole(store, None if empty else stored_position(store))
    result = gs.aggregate(trapped(quiet()), TrappedTape(quiet()), store=store, key="k")
    assert result.model == Sum(5050, 5050)
    assert result.position == COUNT


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize(("every", "prefetch"), [(None, 0), (10, 0), (7, 5)])
def test_error_at_every_point(
    drivers: Drivers, point: str, error: type[BaseException], every: int | None, prefetch: int
) -> None:
    """An exception, Ctrl-C, exit or cancellation at the source, in a turn, the store or on_commit never leaves half a model."""
    for nth in (1, 2, 50, COUNT):
        before = set(threading.enumerate())

        def act() -> None:
            raise error

        trap, store = Trap(point, nth, act), Store()
        store.trap = trap
        try:
            drivers.aggregate(
                trapped(trap),
                TrappedTape(trap),
                store=store,
                key="k",
                snapshots=gs.Snapshots(every=every),
                prefetch=prefetch,
                on_commit=lambda changed, position, trap=trap: trap.passing("on_commit"),
            )
        except BaseException as raised:
            # One that nobody has asked for is a fault of the program, as any other.
            found = raised.__cause__ if error is asyncio.CancelledError else raised
            assert isinstance(found, error)
        else:
            assert trap.left > 0
        finish_and_check(store, before)


@pytest.mark.parametrize("point", [*POINTS, "nowhere"])
@pytest.mark.parametrize("every", [None, 10])
@pytest.mark.parametrize("prefetch", [0, 5])
async def test_cancel_at_every_point(point: str, every: int | None, prefetch: int) -> None:
    """A task that is cancelled at any point raises, saves nothing by halves and leaves no task."""
    for nth in (1, 2, 50):
        before = set(threading.enumerate())
        loop, store = asyncio.get_running_loop(), Store()
        trap = Trap(point, nth, lambda: loop.call_soon_threadsafe(task.cancel) and None)
        store.trap = trap

        async def on_commit(changed: Any, position: Any, trap: Trap = trap) -> None:
            trap.passing("on_commit")
            await asyncio.sleep(0)

        task = asyncio.create_task(
            gs.aggregate_async(
                trapped(trap),
                TrappedTape(trap),
                store=store,
                key="k",
                snapshots=gs.Snapshots(every=every),
                prefetch=prefetch,
                on_commit=on_commit,
            )
        )
        if point == "nowhere":
            task.cancel()
        await asyncio.wait({task})
        assert task.cancelled() or task.result().model == Sum(5050, 5050)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await asyncio.to_thread(finish_and_check, store, before)


@pytest.mark.parametrize("every", [None, 10])
async def test_cancel_from_inside_a_turn_saves_nothing_more(every: int | None) -> None:
    """A cancellation asked for in a turn raises before the next save."""
    for nth in (1, 15, COUNT):
        store = Store()
        trap = Trap("command", nth, lambda: asyncio.current_task().cancel() and None)  # type: ignore[union-attr]
        program = trapped(trap)
        task = asyncio.create_task(
            gs.aggregate_async(program, TrappedTape(trap), store=store, key="k", snapshots=gs.Snapshots(every=every))
        )
        await asyncio.wait({task})
        assert task.cancelled()
        transactions = max(store._transactions - 2, 0)  # the first are the claim, and the types
        assert transactions <= (0 if every is None else (nth - 1) // every)


@pytest.mark.parametrize("point", ["update", "command", "view"])
async def test_cancel_at_every_message(point: str) -> None:
    """Cancelled around any of the hundred messages, what is stored is whole."""
    for nth in range(1, COUNT + 1, 3):
        loop, store = asyncio.get_running_loop(), Store()
        trap = Trap(point, nth, lambda: loop.call_soon(task.cancel) and None)
        program, tape = trapped(trap), TrappedTape(trap)
        task = asyncio.create_task(gs.aggregate_async(program, tape, store=store, key="k", snapshots=gs.Snapshots(every=5)))
        await asyncio.wait({task})
        await asyncio.to_thread(finish_and_check, store, set(threading.enumerate()))


@pytest.mark.parametrize("prefetch", [0, 5])
def test_timeout_at_every_message(drivers: Drivers, prefetch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A timeout that is over at any message raises, and what is stored is whole."""
    import go_state.modes.batch.limits as pace

    for nth in (1, 2, 50, COUNT):
        before, store = set(threading.enumerate()), Store()
        with monkeypatch.context() as patch:
            ahead = 0.0
            real = pace.time.monotonic

            def expire() -> None:
                nonlocal ahead
                ahead = 1e6

            class Clock:
                monotonic = staticmethod(lambda: real() + ahead)

            patch.setattr(pace, "time", Clock)
            trap = Trap("command", nth, expire)
            with pytest.raises(gs.TimedOut):
                drivers.aggregate(
                    trapped(trap),
                    TrappedTape(trap),
                    store=store,
                    key="k",
                    timeout=1000,
                    prefetch=prefetch,
                    snapshots=gs.Snapshots(every=10),
                )
        finish_and_check(store, before)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("point", ["update", "command", "view"])
def test_buffer_is_usable_afterwards(drivers: Drivers, point: str, error: type[BaseException]) -> None:
    """After an interrupted aggregate over a buffer, a second one takes what is not saved, once each."""

    def act() -> None:
        raise error

    store, trap = Store(), Trap(point, 60, act)
    with gs.Buffer() as buffer:
        buffer.put(*range(1, COUNT + 1))
        with pytest.raises(error):
            drivers.aggregate(trapped(trap), buffer, store=store, key="k", snapshots=gs.Snapshots(every=10))
        assert buffer.statistics().readers == ()
        assert drivers.aggregate(trapped(quiet()), buffer, store=store, key="k").model == Sum(5050, 5050)
        assert buffer.size() == 0


async def test_cancelled_save_is_finished() -> None:
    """A save that has begun when the task is cancelled is whole in the store when the cancellation is raised."""
    begun, go, store = threading.Event(), threading.Event(), Store()

    def hold() -> None:
        begun.set()
        assert go.wait(30)

    store.trap = Trap("store", 2, hold)  # the first is the claim
    task = asyncio.create_task(gs.aggregate_async(trapped(quiet()), TrappedTape(quiet()), store=store, key="k"))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    await asyncio.sleep(0)
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert is_whole(store, COUNT)


async def test_cancelled_wait_for_an_async_source_leaves_no_task() -> None:
    """A batch that is cancelled while its async source waits ends the wait too."""
    waiting = asyncio.Event()

    async def source() -> Any:
        waiting.set()
        await asyncio.Event().wait()
        yield 1

    options: list[dict[str, Any]] = [{}, {"stop": gs.StopSwitch()}, {"budget": 1000.0}]
    for each in options:
        waiting.clear()
        task = asyncio.create_task(gs.batch_async(trapped(quiet()), source(), **each))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}
