"""Batch: sources, ends, reading ahead, and poison messages; laws 7, 13 and 14."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers

import go_state as gs
from go_state.modes.stop import StopSwitch

drivers = both_drivers.drivers

collect: gs.Program[tuple[Any, ...], Any] = gs.reducer(tuple, lambda model, msg: (*model, msg))
count: gs.Program[int, Any] = gs.reducer(int, lambda model, msg: model + 1)


def echoing(*names: str) -> gs.Program[tuple[str, ...], str]:
    """Return a program that answers each of the names with itself in upper case."""
    return gs.Program(lambda: ((), ()), lambda model, msg: ((*model, msg), [gs.Cmd.send(msg.upper())] if msg in names else ()))


def failing_on(bad: Any) -> gs.Program[tuple[Any, ...], Any]:
    """Return a program that cannot take one message."""

    def update(model: tuple[Any, ...], msg: Any) -> gs.Step[tuple[Any, ...], Any]:
        if msg == bad:
            raise ValueError("program")
        return (*model, msg), ()

    return gs.Program(lambda: ((), ()), update)


def read_ahead_threads() -> list[threading.Thread]:
    """Return the threads that read ahead."""
    return [thread for thread in threading.enumerate() if thread.name == "go_state-read-ahead"]


async def ticks(*messages: Any, forever: bool = False) -> AsyncIterator[Any]:
    """Give the messages, then end or wait forever."""
    for message in messages:
        await asyncio.sleep(0)
        yield message
    if forever:
        await asyncio.Event().wait()


class Tape:
    """A source with positions: the number of the message."""

    name = "tape"

    def __init__(self, *messages: Any) -> None:
        self.messages = messages
        self.closed = 0

    def fingerprint(self) -> str:
        return "tape 1"

    def recognise(self, fingerprint: str) -> None:
        if fingerprint != self.fingerprint():
            raise gs.errors.SourceChanged(self.name, fingerprint)

    def read(self, after: Any = None) -> "TapeReading":
        return TapeReading(self, after or 0)


class TapeReading:
    def __init__(self, tape: Tape, position: int) -> None:
        self.position = position
        self._tape = tape

    def __iter__(self) -> Iterator[Any]:
        for message in self._tape.messages[self.position :]:
            self.position += 1
            yield message

    def close(self) -> None:
        self._tape.closed += 1


def fetcher(*chunks: list[Any]) -> Callable[[], tuple[list[Any], bool]]:
    """Return a fetcher that gives the chunks, one a call."""
    left = list(chunks)
    return lambda: (left.pop(0), bool(left))


# ---------------------------------------------------------------------- sources


@pytest.mark.parametrize("prefetch", [0, 1, 2, 50])
@pytest.mark.parametrize(
    "source",
    [
        lambda: list("abc"),
        lambda: iter("abc"),
        lambda: [None, "a", None, "b", "c", None],
        lambda: fetcher(["a"], [], ["b", None, "c"]),
        lambda: fetcher(["a", "b"], ["c"]),
        lambda: Tape("a", "b", "c"),
        lambda: Tape(None, "a", "b", None, "c"),
    ],
)
def test_sources(drivers: Drivers, source: Callable[[], Any], prefetch: int) -> None:
    """Whatever gives messages is read to its end, in order, without its Nones."""
    result = drivers.batch(collect, source(), prefetch=prefetch)
    assert (result.model, result.processed, result.ended) == (("a", "b", "c"), 3, "exhausted")


def test_position_is_the_sources(drivers: Drivers) -> None:
    """A source with positions says where it stands, and is let go of once."""
    tape = Tape("a", "b", "c")
    assert drivers.batch(collect, tape, limit=2).position == 2
    assert tape.closed == 1
    assert drivers.batch(collect, tape, prefetch=10, limit=2).position == 2


@pytest.mark.parametrize("prefetch", [0, 3])
@pytest.mark.parametrize("source", [lambda: list("abc"), lambda: fetcher(["a"], ["b"], ["c"]), lambda: Tape("a", "b", "c")])
def test_queue_is_drained_before_the_next_is_taken(drivers: Drivers, source: Callable[[], Any], prefetch: int) -> None:
    """What a message leads to is processed before the source's next one."""
    assert drivers.batch(echoing("a", "b"), source(), prefetch=prefetch).model == ("a", "A", "b", "B", "c")


def test_read_ahead_fetches_stay_apart(drivers: Drivers) -> None:
    """Fetches that were all read ahead before the first turn are queued one at a time nevertheless."""
    all_fetched = threading.Event()
    chunks = [["a"], ["b"], ["c"], ["d"]]

    def fetch() -> tuple[list[str], bool]:
        chunk = chunks.pop(0)
        if not chunks:
            all_fetched.set()
        return chunk, bool(chunks)

    base = echoing("a", "b", "c")

    def update(model: tuple[str, ...], msg: str) -> gs.Step[tuple[str, ...], str]:
        assert all_fetched.wait(30)
        return base.update(model, msg)

    program = gs.Program(base.init, update)
    assert drivers.batch(program, fetch, prefetch=40).model == ("a", "A", "b", "B", "c", "C", "d")


def test_init_commands_come_before_the_source(drivers: Drivers) -> None:
    """What init sends is processed before the source's first message."""
    program = gs.Program(lambda: ((), [gs.Cmd.send("i")]), lambda model, msg: ((*model, msg), ()))
    assert drivers.batch(program, ["a"]).model == ("i", "a")


def test_chain_of_commands_is_drained(drivers: Drivers) -> None:
    """A chain of twenty messages, each sent by the one before, belongs to the batch."""
    program = gs.Program(lambda: (0, ()), lambda model, msg: (model + 1, [gs.Cmd.send(msg - 1)] if msg else ()))
    assert drivers.batch(program, [20]).processed == 21


def test_source_is_read_lazily(drivers: Drivers) -> None:
    """Without prefetch the source's next message is not made before its turn."""
    trace: list[str] = []

    def source() -> Iterator[str]:
        for name in "ab":
            trace.append(f"made {name}")
            yield name

    program = gs.Program(lambda: (0, ()), lambda model, msg: (trace.append(f"turn {msg}") or model, ()))
    drivers.batch(program, source())
    assert trace == ["made a", "turn a", "made b", "turn b"]


async def test_async_iterable() -> None:
    """An async iterable is read on the loop."""
    assert (await gs.batch_async(collect, ticks("a", None, "b"))).model == ("a", "b")


async def test_async_fetcher() -> None:
    """A coroutine function may fetch."""
    fetch = fetcher(["a"], ["b"])

    async def fetch_async() -> tuple[list[str], bool]:
        await asyncio.sleep(0)
        return fetch()

    assert (await gs.batch_async(collect, fetch_async)).model == ("a", "b")


class Fetch:
    """A coroutine function that fetches "a", and the next time waits until it is let go on."""

    def __init__(self) -> None:
        self.waits = asyncio.Event()
        self.go_on = asyncio.Event()
        self.calls = 0
        self.cancelled = False

    async def __call__(self) -> tuple[list[str], bool]:
        self.calls += 1
        if self.calls == 1:
            return ["a"], True
        self.waits.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return ["b"], False


async def test_a_budget_ends_the_wait_for_an_async_fetch() -> None:
    """The fetch is cancelled, as an async iterable is closed."""
    fetch = Fetch()
    result = await asyncio.wait_for(gs.batch_async(collect, fetch, budget=0.05), 20)
    assert (result.model, result.ended, fetch.cancelled) == (("a",), "budget", True)


async def test_a_stop_ends_the_wait_for_an_async_fetch() -> None:
    """So does the switch of `signals`, from whichever thread."""
    fetch, stop = Fetch(), StopSwitch()
    batch = asyncio.create_task(gs.batch_async(collect, fetch, stop=stop))
    await fetch.waits.wait()
    stop.set()
    result = await asyncio.wait_for(batch, 20)
    assert (result.model, result.ended, fetch.cancelled) == (("a",), "stopped", True)


async def test_commands_are_delivered_while_an_async_fetch_waits() -> None:
    """What a command has produced has its turn meanwhile, and the fetch goes on: it is not called again."""
    fetch = Fetch()

    def update(model: tuple[str, ...], msg: str) -> gs.Step[tuple[str, ...], str]:
        if msg == "late":
            fetch.go_on.set()
        return (*model, msg), [gs.Cmd.after(0.01, "late")] if msg == "a" else ()

    result = await asyncio.wait_for(gs.batch_async(gs.Program(lambda: ((), ()), update), fetch), 20)
    assert (result.model, result.ended, fetch.calls) == (("a", "late", "b"), "exhausted", 2)


async def test_a_cancelled_batch_cancels_its_fetch() -> None:
    """Nothing of it is left."""
    fetch = Fetch()
    batch = asyncio.create_task(gs.batch_async(collect, fetch, budget=100))
    await fetch.waits.wait()
    batch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await batch
    assert fetch.cancelled


def test_buffer_as_source(drivers: Drivers) -> None:
    """A buffer is read to its present end and may forget what the batch has done."""
    with gs.Buffer() as buffer:
        buffer.put("a", "b")
        assert drivers.batch(echoing("a"), buffer).model == ("a", "A", "b")
        assert buffer.size() == 0
        assert drivers.batch(collect, buffer).model == ()


def test_closed_and_drained_buffer_is_an_empty_source(drivers: Drivers) -> None:
    """A buffer that is closed and has nothing left is exhausted, which is no error."""
    buffer: gs.Buffer[Any] = gs.Buffer()
    buffer.close()
    assert drivers.batch(collect, buffer).ended == "exhausted"


def test_failed_batch_leaves_the_buffer_as_it_was(drivers: Drivers) -> None:
    """A batch that failed has taken nothing from its buffer and left no reader."""
    with gs.Buffer() as buffer:
        buffer.put("a", "bad", "b")
        with pytest.raises(ValueError, match="program"):
            drivers.batch(failing_on("bad"), buffer)
        assert buffer.statistics().readers == ()
        assert drivers.batch(collect, buffer).model == ("a", "bad", "b")


def test_consumer_as_source(drivers: Drivers) -> None:
    """A reader of one's own is read on from where it stands, committed after success and rolled back after failure."""
    with gs.Buffer() as buffer, buffer.consumer() as consumer:
        buffer.put("a", "bad", "b")
        assert drivers.batch(collect, consumer, limit=1).model == ("a",)
        with pytest.raises(ValueError, match="program"):
            drivers.batch(failing_on("bad"), consumer)
        assert consumer.committed == consumer.position == 1
        assert drivers.batch(collect, consumer).model == ("bad", "b")


async def test_two_batches_on_one_buffer() -> None:
    """Two batches at once on one buffer see all its messages, none of each other's, and end by themselves."""
    with gs.Buffer(retention=gs.retention.keep_all) as buffer:
        buffer.put(*"ab" * 50)
        results = await asyncio.gather(gs.batch_async(echoing("a"), buffer), gs.batch_async(echoing("b"), buffer))
    assert results[0].model == tuple("aAb" * 50)
    assert results[1].model == tuple("abB" * 50)


def test_batch_inside_a_batch_on_one_buffer() -> None:
    """A batch that begins and ends in the middle of another leaves no mark in their buffer."""
    with gs.Buffer() as buffer:
        buffer.put("a", "b", "c")
        inner: list[Any] = []
        program = gs.Program(
            lambda: ((), ()), lambda model, msg: ((*model, msg), [lambda: inner.append(gs.batch(collect, buffer))])
        )
        assert gs.batch(program, buffer).model == ("a", "b", "c")
    assert [result.model for result in inner] == [("a", "b", "c")] * 3


# ---------------------------------------------------------------------- ends


@pytest.mark.parametrize("prefetch", [0, 1, 10])
@pytest.mark.parametrize(
    "source", [lambda: iter(range(10)), lambda: Tape(*range(10)), lambda: fetcher(*([n] for n in range(10)))]
)
def test_limit(drivers: Drivers, source: Callable[[], Any], prefetch: int) -> None:
    """`limit` takes so many messages of the source, and what they lead to is processed."""
    result = drivers.batch(collect, source(), limit=3, prefetch=prefetch)
    assert (result.model, result.ended) == ((0, 1, 2), "limit")


def test_limit_takes_no_more_than_it_says(drivers: Drivers) -> None:
    """Without prefetch the message after the limit stays in the source."""
    source = iter(range(10))
    drivers.batch(count, source, limit=3)
    assert next(source) == 3


def test_limit_zero_is_init_alone(drivers: Drivers) -> None:
    """A limit of none runs turn 0."""
    assert drivers.batch(count, [1], limit=0) == gs.Result(0, 0, None, "limit", ())


def test_limit_counts_messages_and_not_nones(drivers: Drivers) -> None:
    """None in the source is no message, and messages of commands are not the source's."""
    assert drivers.batch(echoing("a", "b"), [None, "a", None, "b", "c"], limit=2).model == ("a", "A", "b", "B")


def test_limit_does_not_cut_a_fetch(drivers: Drivers) -> None:
    """What was fetched together is processed together, past the limit, because nothing would give it again; then it ends."""
    result = drivers.batch(collect, fetcher([1, 2, 3, 4], [5]), limit=2)
    assert (result.model, result.ended) == ((1, 2, 3, 4), "limit")


@pytest.mark.parametrize("make", [gs.StopSwitch, threading.Event])
def test_stop_ends_between_two_messages(drivers: Drivers, make: Callable[[], Any]) -> None:
    """A switch that is set in a turn lets the turn and what it sent be processed, and no more of the source."""
    stop = make()
    base = echoing("b")

    def update(model: tuple[str, ...], msg: str) -> gs.Step[tuple[str, ...], str]:
        if msg == "b":
            stop.set()
        return base.update(model, msg)

    result = drivers.batch(gs.Program(base.init, update), list("abc"), stop=stop)
    assert (result.model, result.ended) == (("a", "b", "B"), "stopped")


def test_stop_that_is_set_before(drivers: Drivers) -> None:
    """A switch that is set already leaves turn 0."""
    stop = gs.StopSwitch()
    stop.set()
    assert drivers.batch(count, [1, 2], stop=stop) == gs.Result(0, 0, None, "stopped", ())


def test_budget_that_is_over(drivers: Drivers) -> None:
    """A budget smaller than a turn ends the batch after it at the latest, and the result says so."""
    result = drivers.batch(count, iter(int, 1), budget=1e-9)
    assert result.ended == "budget"


def test_timeout_raises(drivers: Drivers) -> None:
    """An endless batch with a timeout raises and says how long it was."""
    with pytest.raises(gs.TimedOut, match=r"timeout of 0\.01 seconds"):
        drivers.batch(count, iter(int, 1), timeout=0.01)


async def test_timeout_ends_a_wait_for_an_async_source() -> None:
    """A timeout frees a batch that waits."""
    with pytest.raises(gs.TimedOut):
        await gs.batch_async(count, ticks(1, forever=True), timeout=0.01)


async def test_budget_ends_a_wait_for_an_async_source() -> None:
    """A budget does too, without an error."""
    result = await gs.batch_async(collect, ticks(1, 2, forever=True), budget=0.05)
    assert (result.model, result.ended) == ((1, 2), "budget")


async def test_timeout_error_of_the_program_is_its_own() -> None:
    """A TimeoutError that update raises is not the batch's."""

    def update(model: int, msg: int) -> gs.Step[int, int]:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine") as caught:
        await gs.batch_async(gs.Program(lambda: (0, ()), update), [1], timeout=60)
    assert not isinstance(caught.value, gs.TimedOut)


async def test_source_is_not_touched_after_a_stop_while_it_waits() -> None:
    """A switch set while an async source waits ends the batch with what it has."""
    stop = gs.StopSwitch()

    async def source() -> AsyncIterator[int]:
        yield 1
        stop.set()
        await asyncio.Event().wait()

    result = await gs.batch_async(collect, source(), stop=stop)
    assert (result.model, result.ended) == ((1,), "stopped")


# ---------------------------------------------------------------------- reading ahead


def test_read_ahead_failing_source(drivers: Drivers) -> None:
    """A source's error comes after the messages before it, as without prefetch."""
    seen: list[int] = []

    def source() -> Iterator[int]:
        yield from range(5)
        raise OSError("source")

    program = gs.Program(lambda: (0, ()), lambda model, msg: (seen.append(msg) or model, ()))
    for prefetch in (0, 1, 3, 100):
        seen.clear()
        with pytest.raises(OSError, match="source"):
            drivers.batch(program, source(), prefetch=prefetch)
        assert seen == [0, 1, 2, 3, 4]
    assert read_ahead_threads() == []


def test_both_sides_failing(drivers: Drivers) -> None:
    """When program and source fail, an ExceptionGroup holds both."""
    failed = threading.Event()

    def source() -> Iterator[int]:
        try:
            yield 1
            raise OSError("source")
        finally:
            failed.set()

    def update(model: int, msg: int) -> gs.Step[int, int]:
        assert failed.wait(30)
        raise ValueError("program")

    with pytest.raises(ExceptionGroup) as caught:
        drivers.batch(gs.Program(lambda: (0, ()), update), source(), prefetch=2)
    assert [str(error) for error in caught.value.exceptions] == ["program", "source"]
    assert read_ahead_threads() == []


def test_failing_program_ends_the_thread(drivers: Drivers) -> None:
    """A program that fails ends an endless read-ahead."""
    with pytest.raises(ValueError, match="program"):
        drivers.batch(failing_on(0), iter(int, 1), prefetch=3)
    assert read_ahead_threads() == []


def test_reading_ahead_is_bounded(drivers: Drivers) -> None:
    """A slow program is never much more than `prefetch` messages behind an endless source."""
    made = 0

    def source() -> Iterator[int]:
        nonlocal made
        while True:
            made += 1
            yield made

    ahead: list[int] = []
    program = gs.Program(lambda: (0, ()), lambda model, msg: (ahead.append(made - msg) or model, ()))
    drivers.batch(program, source(), prefetch=8, limit=2000)
    assert max(ahead) <= 16


@pytest.mark.parametrize("prefetch", [0, 1, 4])
@pytest.mark.parametrize("limit", [0, 1, 3])
def test_limit_takes_no_more_of_the_source(drivers: Drivers, prefetch: int, limit: int) -> None:
    """What is beyond the limit is left for the next batch, however far this one reads ahead."""
    source = iter(range(10))
    program = gs.reducer(int, lambda model, msg: model + 1)
    assert drivers.batch(program, source, prefetch=prefetch, limit=limit).ended == "limit"
    assert list(source) == list(range(limit, 10))


def test_stop_set_just_before_the_wait_is_seen(drivers: Drivers) -> None:
    """A switch that is set between the last look and the wait for a blocked source is not missed."""
    release = threading.Event()
    by_batch: list[bool] = []

    class Late(gs.StopSwitch):
        def calling(self, callback: Callable[[], object]) -> AbstractContextManager[None]:
            self.set()  # in the moment before the batch could be told
            return super().calling(callback)

    def source() -> Iterator[int]:
        by_batch.append(release.wait(1))
        yield 1

    store = gs.MemoryStore()
    drivers.aggregate(number, source(), store=store, key="k", prefetch=1, stop=Late(), on_commit=lambda *_: release.set())
    assert by_batch == [True]


def _add(model: int, msg: int) -> int:
    return model + msg


number: gs.Program[int, int] = gs.reducer(int, _add)


# ---------------------------------------------------------------------- poison messages


def test_stop_is_the_default(drivers: Drivers) -> None:
    """A failing message ends the batch, and its note says type and position but no contents."""
    with pytest.raises(ValueError, match="program") as caught:
        drivers.batch(failing_on("secret"), ["a", "secret"])
    assert "type str, position 1" in caught.value.__notes__[0]
    assert "secret" not in caught.value.__notes__[0]


@pytest.mark.parametrize("prefetch", [0, 2])
def test_set_aside_is_listed(drivers: Drivers, prefetch: int) -> None:
    """What was set aside is in the result with its position and error, and is not counted as processed."""
    aside: gs.Buffer[Any] = gs.Buffer(retention=gs.retention.keep_all)
    result = drivers.batch(failing_on("bad"), Tape("a", "bad", "b"), on_error=gs.SetAside(aside), prefetch=prefetch)
    assert (result.model, result.processed) == (("a", "b"), 2)
    (failed,) = result.set_aside
    assert (failed.message, failed.position, str(failed.error)) == ("bad", 2, "program")
    assert aside.slice() == [failed]


def test_function_decides(drivers: Drivers) -> None:
    """A function sees message, position and error, and decides for each."""
    seen: list[Any] = []

    def decide(message: Any, position: Any, error: Exception) -> gs.Raise | gs.SetAside[Any]:
        seen.append((message, position, type(error)))
        return gs.SetAside() if message == "x" else gs.Raise()

    with pytest.raises(ZeroDivisionError):
        drivers.batch(gs.reducer(int, lambda model, msg: model if msg == 1 else int(msg) // 0), [1, "x", 2], on_error=decide)
    assert seen == [("x", 1, ValueError), (2, 2, ZeroDivisionError)]


def test_position_in_a_buffer_is_the_same_in_run_and_batch(drivers: Drivers) -> None:
    """A message that was set aside has one position in its buffer, whoever read it."""
    buffer: gs.Buffer[Any] = gs.Buffer(retention=gs.retention.keep_all)
    buffer.put("a", "bad")
    buffer.close()
    aside: gs.Buffer[Any] = gs.Buffer(retention=gs.retention.keep_all)
    drivers.run(failing_on("bad"), buffer, on_error=gs.SetAside(aside))
    drivers.batch(failing_on("bad"), buffer, on_error=gs.SetAside(aside))
    run, batch = aside.slice()
    assert run.position == batch.position == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_interrupts_are_never_set_aside(drivers: Drivers, error: type[BaseException]) -> None:
    """Ctrl-C inside update is not a message's fault."""

    def update(model: int, msg: int) -> gs.Step[int, int]:
        raise error

    with pytest.raises(error):
        drivers.batch(gs.Program(lambda: (0, ()), update), [1], on_error=gs.SetAside())


@pytest.mark.parametrize("prefetch", [0, 4])
def test_replaying_silences_exactly_its_turns(drivers: Drivers, prefetch: int) -> None:
    """The predicate is asked once a turn, and silences that turn's commands and view."""
    shown: list[Any] = []
    answers = [True, True, False, True]
    base = echoing("a", "b", "c")
    program = gs.Program(base.init, base.update, view=shown.append)
    result = drivers.batch(program, list("ab"), prefetch=prefetch, replaying=lambda: answers.pop(0))
    assert result.model == ("a", "b", "B")
    assert shown == [("a", "b")]
    assert answers == []


@pytest.mark.slow
def test_a_million_messages_in_flat_memory() -> None:
    """A batch over a generator keeps none of its messages."""

    class Message:
        alive = 0

        def __init__(self) -> None:
            Message.alive += 1
            Message.most = max(Message.most, Message.alive)

        def __del__(self) -> None:
            Message.alive -= 1

        most = 0

    assert gs.batch(count, (Message() for _ in range(1_000_000)), prefetch=0).model == 1_000_000
    gc.collect()
    assert Message.most < 10
