"""An aggregate of a source with partitions, in a thread and on an event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
import streams_support
from streams_support import TALLY, Add, Reads, Tally, begin, key_of, log_of, update

import go_state as gs
from go_state.core.ports import Stored
from go_state.testing.streams.log import PartitionedLog

reads = streams_support.reads


def test_every_message_of_every_partition_counts(reads: Reads) -> None:
    """The result has the models of all keys, how many messages there were, and the position of each partition."""
    source = log_of(3, 50, keys=2).source(ends=True)
    result = reads.aggregate(TALLY, source, store=gs.MemoryStore())
    assert (result.processed, result.ended, result.set_aside, result.failed) == (150, "exhausted", (), None)
    assert result.position == {"0": 49, "1": 49, "2": 49}
    assert {key: model.count for key, model in result.models.items()} == {f"p{p}k{k}": 25 for p in range(3) for k in range(2)}


def test_it_goes_on_where_it_stopped(reads: Reads) -> None:
    """A second run takes what has come since, and nothing twice."""
    log, store = log_of(2, 5), gs.MemoryStore()
    assert reads.aggregate(TALLY, log.source(ends=True), store=store).processed == 10
    log.put("1", Add("p1k0", 5))
    again = reads.aggregate(TALLY, log.source(ends=True), store=store)
    assert (again.processed, again.position) == (1, {"0": 4, "1": 5})


def test_partitions_that_are_due_are_saved_in_one_transaction(reads: Reads) -> None:
    """on_commit is called once for them, with the models that changed and the positions by partition."""
    calls: list[tuple[Mapping[str, Tally], Mapping[str, int]]] = []
    source = log_of(2, 10).source(ends=True)
    reads.aggregate(
        TALLY, source, store=gs.MemoryStore(), on_commit=lambda changed, position: calls.append((changed, position))
    )
    assert calls == [({"p0k0": Tally(10, 9), "p1k0": Tally(10, 9)}, {"0": 9, "1": 9})]


def test_the_engine_is_told_of_positions_that_are_stored(reads: Reads) -> None:
    """What is acknowledged is in the store by then, and at the end it is everything."""
    store = gs.MemoryStore()
    source = log_of(2, 30).source(ends=True, at_once=7)
    reads.aggregate(TALLY, source, store=store, snapshots=gs.Snapshots(every=10))
    assert source.readings[0].acknowledged == {"0": 29, "1": 29}


def test_every_counts_the_messages_of_a_partition(reads: Reads) -> None:
    """A save after each so many of them, and one at the end."""
    positions: list[int] = []
    source = log_of(1, 25).source(ends=True)
    reads.aggregate(
        TALLY,
        source,
        store=gs.MemoryStore(),
        snapshots=gs.Snapshots(every=10),
        on_commit=lambda _, position: positions.append(position["0"]),
    )
    assert positions == [9, 19, 24]


def test_a_stop_ends_it_with_what_had_its_turn(reads: Reads) -> None:
    """What is processed is saved, and the rest is there for the next run."""
    log, store, stop = log_of(2, 2000), gs.MemoryStore(), threading.Event()

    def stopping(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
        if msg.n == 100:
            stop.set()
        return update(model, msg)

    program = gs.Program(begin, stopping, name="Tally")
    first = reads.aggregate(program, log.source(), store=store, stop=stop)
    assert first.ended == "stopped"
    assert 101 <= first.processed < 4000
    rest = reads.aggregate(TALLY, log.source(ends=True), store=store)
    assert first.processed + rest.processed == 4000


def test_a_switch_of_signals_ends_a_poll(reads: Reads) -> None:
    """A source that is idle does not keep it."""
    stop = gs.StopSwitch()
    threading.Timer(0.05, stop.set).start()
    result = reads.aggregate(TALLY, log_of(1, 3).source(), store=gs.MemoryStore(), stop=stop)
    assert (result.ended, result.processed) == ("stopped", 3)


def test_a_budget_and_a_limit_end_it(reads: Reads) -> None:
    """The limit counts the messages of all partitions, and is not exceeded."""
    store = gs.MemoryStore()
    assert reads.aggregate(TALLY, log_of(1, 3).source(), store=store, budget=0.05).ended == "budget"
    limited = reads.aggregate(TALLY, log_of(3, 100).source(), store=gs.MemoryStore(), limit=70)
    assert (limited.ended, limited.processed) == ("limit", 70)


def test_commands_of_one_partition_do_not_hold_the_others(reads: Reads) -> None:
    """A command that waits for a message of another partition gets it, and its own message is processed then."""
    others = threading.Event()

    def waiting(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
        if msg.key == "slow" and msg.n == 0:
            return update(model, msg)[0], [
                gs.Cmd.call(others.wait, 30, ok=lambda found: Add("slow", 1) if found else msg, thread=True)
            ]
        if msg.key == "quick" and msg.n == 999:
            others.set()
        return update(model, msg)

    log: PartitionedLog[Add] = PartitionedLog(2)
    log.put("0", Add("slow", 0))
    log.put("1", *(Add("quick", n) for n in range(1000)))
    result = reads.aggregate(gs.Program(begin, waiting, name="T"), log.source(ends=True), store=gs.MemoryStore())
    assert result.models["slow"] == Tally(2, 1)
    assert result.models["quick"].count == 1000


def test_a_command_that_returns_ends_the_poll(reads: Reads) -> None:
    """Its message is processed while the source is idle, which nothing else would end."""
    stop, released = gs.StopSwitch(), threading.Event()

    def asking(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
        if msg.n == 0:
            threading.Timer(0.05, released.set).start()
            return update(model, msg)[0], [gs.Cmd.call(released.wait, ok=lambda _: Add("k", 1), thread=True)]
        stop.set()
        return update(model, msg)

    log: PartitionedLog[Add] = PartitionedLog(1)
    log.put("0", Add("k", 0))
    result = reads.aggregate(gs.Program(begin, asking, name="T"), log.source(), store=gs.MemoryStore(), stop=stop)
    assert result.models["k"] == Tally(2, 1)


def test_timers_of_commands_are_due(reads: Reads) -> None:
    """A reminder is processed although nothing comes from the source."""
    stop = gs.StopSwitch()

    def reminding(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
        if msg.n == 0:
            return update(model, msg)[0], [gs.Cmd.after(0.02, Add("k", 1))]
        stop.set()
        return update(model, msg)

    log: PartitionedLog[Add] = PartitionedLog(1)
    log.put("0", Add("k", 0))
    result = reads.aggregate(gs.Program(begin, reminding, name="T"), log.source(), store=gs.MemoryStore(), stop=stop)
    assert result.models["k"] == Tally(2, 1)


def test_effects_are_named_by_source_partition_and_position(reads: Reads) -> None:
    """The name is the same at each try, on whichever machine."""
    names: list[str] = []

    def naming(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
        return update(model, msg)[0], [gs.Cmd.call(lambda: names.append(gs.effect_id()))]

    program = gs.Program(begin, naming, name="T")
    for _ in range(2):
        reads.aggregate(program, log_of(2, 2).source("orders", ends=True), store=gs.MemoryStore())
    assert sorted(names) == sorted(2 * [f"orders/{p}/{n}+0/0" for p in range(2) for n in range(2)])


def test_each_command_finds_the_environment(reads: Reads) -> None:
    """Many partitions run in one thread, and each has its own context."""
    found: list[str] = []

    def asking(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
        return update(model, msg)[0], [gs.Cmd.call(lambda: found.append(gs.env(str)), thread=msg.n % 2 == 1)]

    program = gs.Program(begin, asking, name="T")
    reads.aggregate(program, log_of(3, 4).source(ends=True), store=gs.MemoryStore(), env="the environment")
    assert found == 12 * ["the environment"]


def test_retired_models_are_deleted_and_the_cache_is_shared(reads: Reads) -> None:
    """`cache` is how many models all partitions hold together, and models that were let go are loaded again."""
    source = log_of(2, 600, keys=60).source(ends=True, at_once=20)
    result = reads.aggregate(
        TALLY,
        source,
        store=gs.MemoryStore(),
        cache=10,
        snapshots=gs.Snapshots(every=30),
        retire=lambda model: model.last == 9,
    )
    assert result.processed == 1200
    assert len(result.models) == 0


def test_middleware_is_folded_around_update(reads: Reads) -> None:
    """What it denies is passed over, and its position counts."""

    def counting(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
        return Tally(model.count + 1, msg.n), ()

    program = gs.Program(begin, counting, name="T", middleware=[gs.middleware.authorise(lambda model, msg: msg.n % 2 == 0)])
    result = reads.aggregate(program, log_of(1, 10).source(ends=True), store=gs.MemoryStore(), on_error=gs.SetAside())
    assert result.models["p0k0"].count == 5
    assert result.position == {"0": 9}


def test_models_for_a_poll_are_loaded_together(reads: Reads) -> None:
    """A store that can load many keys is asked once for those of a chunk."""

    class Asked(gs.MemoryStore):
        def __init__(self) -> None:
            super().__init__()
            self.asked: list[int] = []

        def load_many(self, keys: Iterable[str]) -> Mapping[str, Stored]:
            names = [key for key in keys if not key.startswith("@")]
            self.asked.append(len(names))
            return {key: found for key in keys if (found := self.load(key)) is not None}

    store = Asked()
    reads.aggregate(TALLY, log_of(1, 200, keys=200).source(ends=True), store=store)
    assert sum(store.asked) == 200
    assert len([count for count in store.asked if count]) < 20


@pytest.mark.slow
def test_more_than_a_partition_may_hold_is_not_asked_for(reads: Reads) -> None:
    """A partition whose update is slower than its source is paused, and goes on when there is room."""
    source = log_of(1, 30_000).source(ends=True, at_once=12_000)
    paused: set[bool] = set()

    def busy(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
        until = time.perf_counter() + 2e-5
        while time.perf_counter() < until:
            pass
        paused.add(bool(source.readings[0].paused))
        return update(model, msg)

    result = reads.aggregate(gs.Program(begin, busy, name="T"), source, store=gs.MemoryStore())
    assert result.processed == 30_000
    assert paused == {True, False}


def test_what_does_not_fit_a_stream_is_refused(reads: Reads) -> None:
    """A key that is a text, a timeout, and a queue of one's own are errors that say what to do instead."""
    source, store = log_of(1, 1).source(), gs.MemoryStore()
    with pytest.raises(gs.UsageError, match="key= is a function"):
        reads.aggregate(TALLY, source, store=store, key="one")
    with pytest.raises(gs.UsageError, match=r"timeout= does not go with .* stop= or budget="):
        reads.aggregate(TALLY, source, store=store, timeout=1)
    with pytest.raises(gs.UsageError, match="prefetch="):
        reads.aggregate(TALLY, source, store=store, prefetch=10)
    with pytest.raises(gs.UsageError, match="producer="):
        reads.aggregate(TALLY, source, store=store, producer=gs.Buffer(), consumer=gs.Buffer().consumer())
    with pytest.raises(gs.UsageError, match="hand_over"):
        reads.aggregate(TALLY, source, store=store, hand_over=-1)
    assert not list(store.keys())


def test_a_source_of_event_loops_is_refused_in_a_thread() -> None:
    """It says which mode to use."""
    with pytest.raises(gs.UsageError, match="aggregate_async"):
        gs.aggregate(TALLY, streams_support.AsyncLogSource(log_of(1, 1).source()), store=gs.MemoryStore(), key=key_of)  # type: ignore[call-overload]


def test_a_cancelled_aggregate_saves_nothing_more() -> None:
    """The task ends, its partitions are given back, and what was saved before stays."""
    before = set(threading.enumerate())
    store, source = gs.MemoryStore(), log_of(2, 10).source()

    async def act() -> None:
        saved = asyncio.Event()

        def committed(changed: object, position: Mapping[str, int]) -> None:
            if position == {"0": 7, "1": 7}:
                saved.set()

        options: Any = {"snapshots": gs.Snapshots(every=4), "on_commit": committed}
        task = asyncio.ensure_future(gs.aggregate_async(TALLY, source, store=store, key=key_of, **options))
        await saved.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(act())
    assert source.readings[0].is_closed
    rest = gs.aggregate(TALLY, source.log.source(ends=True), store=store, key=key_of)
    assert rest.processed == 4
    assert not set(threading.enumerate()) - before


def test_seconds_save_all_partitions(reads: Reads) -> None:
    """A save is due by the clock although nothing more comes."""
    saved = threading.Event()
    stop = gs.StopSwitch()

    def committed(changed: object, position: Mapping[str, int]) -> None:
        if position == {"0": 2, "1": 2}:
            saved.set()
            stop.set()

    began = time.monotonic()
    reads.aggregate(
        TALLY,
        log_of(2, 3).source(),
        store=gs.MemoryStore(),
        snapshots=gs.Snapshots(seconds=0.05),
        on_commit=committed,
        stop=stop,
        budget=20,
    )
    assert saved.is_set()
    assert time.monotonic() - began < 20
