"""The original's ticker, message by message: two counters whose child messages the parent wraps, and what they are multiplied by.

The expected traces come from `simulate`, which knows the original's rules and nothing of go_state.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers

import go_state as gs

drivers = both_drivers.drivers


@dataclass(frozen=True)
class Increment:
    pass


@dataclass(frozen=True)
class Decrement:
    pass


@dataclass(frozen=True)
class Horizontal:
    msg: Increment | Decrement


@dataclass(frozen=True)
class Vertical:
    msg: Increment | Decrement


@dataclass(frozen=True)
class SetHorizontalMulti:
    multi: int


@dataclass(frozen=True)
class SetVerticalMulti:
    multi: int


@dataclass(frozen=True)
class Tick:
    pass


Msg = Horizontal | Vertical | SetHorizontalMulti | SetVerticalMulti | Tick


@dataclass(frozen=True)
class Ticker:
    horizontal: int = 0
    vertical: int = 0
    horizontal_multi: int = 0
    vertical_multi: int = 0


def counter(model: int, msg: Increment | Decrement) -> gs.Step[int, Increment | Decrement]:
    """The child program."""
    return model + (1 if isinstance(msg, Increment) else -1), ()


def moves(multi: int) -> list[gs.Command[Increment | Decrement]]:
    """The child's commands for one tick."""
    return [gs.Cmd.send(Increment() if multi > 0 else Decrement())] * abs(multi)


def init() -> gs.Step[Ticker, Msg]:
    return Ticker(), ()


def update(model: Ticker, msg: Msg) -> gs.Step[Ticker, Msg]:
    match msg:
        case Horizontal(child):
            count, commands = counter(model.horizontal, child)
            return replace(model, horizontal=count), gs.Cmd.map(commands, Horizontal)
        case Vertical(child):
            count, commands = counter(model.vertical, child)
            return replace(model, vertical=count), gs.Cmd.map(commands, Vertical)
        case SetHorizontalMulti(multi):
            return replace(model, horizontal_multi=multi), ()
        case SetVerticalMulti(multi):
            return replace(model, vertical_multi=multi), ()
        case Tick():
            horizontal = gs.Cmd.map(moves(model.horizontal_multi), Horizontal)
            return model, [*horizontal, *gs.Cmd.map(moves(model.vertical_multi), Vertical)]


MESSAGES: list[Msg] = [
    Horizontal(Increment()), Horizontal(Increment()), Vertical(Decrement()), Horizontal(Decrement()),
    SetHorizontalMulti(1), SetVerticalMulti(-1), Tick(), Tick(), Tick(), SetHorizontalMulti(-10), SetVerticalMulti(10),
    Tick(), Tick(),
]  # fmt: skip


def simulate(chunks: list[list[Msg]], start: tuple[int, int, int, int] = (0, 0, 0, 0)) -> list[Any]:
    """Return the trace that the original's rules give: each chunk enters the queue together, once the queue is empty."""
    h, v, hm, vm = start
    trace: list[Any] = [("view", start)]
    for chunk in chunks:
        queue = deque(chunk)
        while queue:
            msg, sent = queue.popleft(), []
            trace.append(("update", msg))
            if isinstance(msg, Horizontal):
                h += 1 if msg.msg == Increment() else -1
            elif isinstance(msg, Vertical):
                v += 1 if msg.msg == Increment() else -1
            elif isinstance(msg, SetHorizontalMulti):
                hm = msg.multi
            elif isinstance(msg, SetVerticalMulti):
                vm = msg.multi
            else:
                sent += [Horizontal(Increment() if hm > 0 else Decrement())] * abs(hm)
                sent += [Vertical(Increment() if vm > 0 else Decrement())] * abs(vm)
            queue.extend(sent)
            trace.append(("view", (h, v, hm, vm)))
    return trace


def traced(trace: list[Any]) -> gs.Program[Ticker, Msg]:
    """Return the ticker that writes down its turns."""

    def noting(model: Ticker, msg: Msg) -> gs.Step[Ticker, Msg]:
        trace.append(("update", msg))
        return update(model, msg)

    def view(model: Ticker) -> None:
        trace.append(("view", (model.horizontal, model.vertical, model.horizontal_multi, model.vertical_multi)))

    return gs.Program(init, noting, view=view)


def singles() -> Iterator[tuple[list[Msg], bool]]:
    """Give what a fetcher returns that has one message at a time."""
    for left, msg in enumerate(MESSAGES, start=1 - len(MESSAGES)):
        yield [msg], left < 0


BACKLOG = simulate([MESSAGES])
ONE_BY_ONE = simulate([[msg] for msg in MESSAGES])


def test_the_two_traces_differ_but_end_alike() -> None:
    """Whether messages are queued together shows in the order of the turns, not in the last model."""
    assert BACKLOG != ONE_BY_ONE
    assert BACKLOG[-1] == ONE_BY_ONE[-1] == ("view", (-16, 16, -10, 10))
    assert len(BACKLOG) == len(ONE_BY_ONE) == 1 + 2 * (13 + 3 * 2 + 2 * 20)


def test_run_of_a_backlog(drivers: Drivers) -> None:
    """Run over thirteen queued messages is the original's trace."""
    trace: list[Any] = []
    with gs.Buffer() as buffer:
        buffer.put(*MESSAGES)
    assert drivers.run(traced(trace), buffer) == Ticker(-16, 16, -10, 10)
    assert trace == BACKLOG


SOURCES: list[tuple[str, Callable[[], Any], list[Any]]] = [
    ("one fetch of all", lambda: lambda: (MESSAGES, False), BACKLOG),
    ("one message a fetch", lambda: singles().__next__, ONE_BY_ONE),
    ("a list", lambda: MESSAGES, ONE_BY_ONE),
    ("a generator", lambda: iter(MESSAGES), ONE_BY_ONE),
]
sources = pytest.mark.parametrize(("source", "expected"), [pytest.param(s, e, id=name) for name, s, e in SOURCES])


@sources
@pytest.mark.parametrize("prefetch", [0, 1, 5, 100])
def test_batch(drivers: Drivers, source: Callable[[], Any], expected: list[Any], prefetch: int) -> None:
    """What is fetched together enters the queue together; the next comes when the queue is empty, however far is read ahead."""
    trace: list[Any] = []
    result = drivers.batch(traced(trace), source(), prefetch=prefetch)
    assert result == gs.Result(Ticker(-16, 16, -10, 10), 59, None, "exhausted", ())
    assert trace == expected


@sources
@pytest.mark.parametrize("snapshots", [gs.Snapshots(), gs.Snapshots(every=1)])
def test_aggregate(drivers: Drivers, source: Callable[[], Any], expected: list[Any], snapshots: gs.Snapshots) -> None:
    """An aggregate takes the turns of the batch, and is saved under its key."""
    trace: list[Any] = []
    store = gs.MemoryStore()
    codec = gs.JsonCodec(Ticker)
    result = drivers.aggregate(traced(trace), source(), store=store, key="ticker", codec=codec, snapshots=snapshots)
    assert result.model == Ticker(-16, 16, -10, 10)
    assert trace == expected
    assert gs.load_model(gs.Program(init, update), store=store, key="ticker") == result.model


def test_aggregate_twice_goes_on(drivers: Drivers) -> None:
    """The second aggregate over the list begins with the first one's model and runs no init."""
    trace: list[Any] = []
    store = gs.MemoryStore()
    drivers.aggregate(gs.Program(init, update), MESSAGES, store=store, key="ticker")
    again = traced(trace)
    no_init = gs.Program(lambda: 1 // 0, again.update, view=again.view)
    drivers.aggregate(no_init, MESSAGES, store=store, key="ticker", codec=gs.JsonCodec(Ticker))
    assert trace == simulate([[msg] for msg in MESSAGES], (-16, 16, -10, 10))


def test_batch_with_a_queue_of_ones_own(drivers: Drivers) -> None:
    """A Buffer as the queue, and one fetch of all, give the trace of Run."""
    trace: list[Any] = []
    with gs.Buffer() as buffer, buffer.consumer() as consumer:
        drivers.batch(traced(trace), lambda: (MESSAGES, False), producer=buffer, consumer=consumer)
    assert trace == BACKLOG
