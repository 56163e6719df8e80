"""What becomes of a partition that is revoked, lost, fenced, failed or ended; the others are as they were."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import streams_support
from streams_support import TALLY, Add, Reads, Tally, begin, key_of, log_of, update

import go_state as gs
from go_state.core.errors import BadRecord, SourceChanged, StoreUnavailable
from go_state.core.ports import Write
from go_state.modes.aggregate.partitions.shares import runner
from go_state.testing.streams.log import LogSource, PartitionedLog
from go_state.testing.streams.members import Member

reads = streams_support.reads

LATER = gs.Snapshots(seconds=1e6)


def member(source: LogSource[Add], store: Any, program: Any = TALLY, **options: Any) -> Member[Tally, Add]:
    """Return a member that saves only when it has to."""
    return Member(program, source, store=store, key=key_of, **{"snapshots": LATER, **options})


def counts(store: Any) -> dict[str, int]:
    """Return how many messages each model has."""
    found = gs.aggregate(TALLY, PartitionedLog[Add](0).source("none", ends=True), store=store, key=key_of).models
    return {key: model.count for key, model in found.items()}


# -------------------------------------------------------------------- hand-over


def test_a_revoked_partition_is_saved_before_it_is_let_go() -> None:
    """What had its turn is in the store when `revoked` returns, and the next holder goes on from there."""
    store, source = gs.MemoryStore(), log_of(2, 5).source(alone=False)
    one, two = member(source, store), member(source, store)
    one.reading.tell("assigned", "0", "1")
    one.step(2)
    one.reading.tell("revoked", "0")
    one.step()
    assert counts(store) == {"p0k0": 5}
    two.reading.tell("assigned", "0")
    two.step(2)
    assert two.close().processed == 0
    assert one.close().positions == {"0": 4, "1": 4}
    assert counts(store) == {"p0k0": 5, "p1k0": 5}


def test_a_lost_partition_is_not_saved() -> None:
    """Nothing of it is written, and whoever has it next reads it again."""
    store, source = gs.MemoryStore(), log_of(2, 5).source(alone=False)
    one = member(source, store)
    one.reading.tell("assigned", "0", "1")
    one.step(2)
    one.reading.tell("lost", "0")
    one.step()
    assert one.close().processed == 5
    assert counts(store) == {"p1k0": 5}


def test_a_handover_takes_no_longer_than_it_may(reads: Reads) -> None:
    """A command that does not return is given up with what its partition has not saved; the others are saved."""
    entered, over = threading.Event(), threading.Event()

    def hanging(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
        commands = [gs.Cmd.call(_hang, entered, over, thread=True)] if msg.key == "p0k0" else ()
        return update(model, msg)[0], commands

    store, stop = gs.MemoryStore(), gs.StopSwitch()
    source = log_of(2, 1).source()

    def stopping() -> None:
        entered.wait(30)
        stop.set()

    waiter = threading.Thread(target=stopping)
    waiter.start()
    with pytest.warns(gs.errors.LeftRunning):
        result = reads.aggregate(
            gs.Program(begin, hanging, name="Tally"),
            source,
            store=store,
            stop=stop,
            hand_over=0.1,
            effects=gs.Effects(grace=0.05),
        )
    over.set()
    waiter.join()
    assert (result.ended, result.processed) == ("stopped", 1)
    assert counts(store) == {"p1k0": 1}


def _hang(entered: threading.Event, over: threading.Event) -> None:
    entered.set()
    over.wait(30)


def test_a_handover_waits_for_commands(reads: Reads) -> None:
    """A command that is running when the partition goes returns first, and its message is saved with it."""
    stop = gs.StopSwitch()

    def asking(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
        if msg.n == 0:
            return update(model, msg)[0], [gs.Cmd.call(stop.set, ok=lambda _: Add("p0k0", 1), thread=True)]
        return update(model, msg)

    result = reads.aggregate(gs.Program(begin, asking, name="Tally"), log_of(1, 1).source(), store=gs.MemoryStore(), stop=stop)
    assert result.models["p0k0"] == Tally(2, 1)


# -------------------------------------------------------------------- fences


def test_a_fenced_partition_is_dropped_alone() -> None:
    """Its holder saves nothing of it, the other partitions are saved, and nobody is asked to end."""
    store, source = gs.MemoryStore(), log_of(2, 5).source(alone=False)
    one, two = member(source, store), member(source, store)
    one.reading.tell("assigned", "0", "1")
    one.step(2)
    two.reading.tell("assigned", "0")
    two.step(2)
    assert two.close().processed == 5
    assert one.close().processed == 5
    assert counts(store) == {"p0k0": 5, "p1k0": 5}


def test_who_was_fenced_asks_the_engine_first() -> None:
    """If the engine says that the partition is another's, it is not claimed again; if not, it is read again from where it stands."""
    store, log = gs.MemoryStore(), log_of(1, 5)
    source = log.source(alone=False)
    one, two = member(source, store, snapshots=gs.Snapshots(every=1)), member(source, store)
    one.reading.tell("assigned", "0")
    one.step(2)
    two.reading.tell("assigned", "0")
    two.step(2)
    one.reading.owned.discard("0")
    log.put("0", Add("p0k0", 5))
    one.step(4)
    assert one.reading.asked == ["0"]
    assert one.reading.at == {"0": 6}
    two.step(2)
    assert two.close().processed == 1
    one.reading.owned.add("0")
    one.reading.tell("assigned", "0")
    log.put("0", Add("p0k0", 6))
    one.step(3)
    assert one.close().processed == 6
    assert counts(store) == {"p0k0": 7}


def test_who_was_fenced_by_mistake_goes_on() -> None:
    """If the partition is still its own, it claims it again, and reads on from what is stored."""
    store, source = gs.MemoryStore(), log_of(1, 5).source(alone=False)
    one, two = member(source, store, snapshots=gs.Snapshots(every=1)), member(source, store)
    one.reading.tell("assigned", "0")
    one.step(2)
    two.reading.tell("assigned", "0")
    two.step(1)
    two.crash()
    source.log.put("0", Add("p0k0", 5))
    one.step(4)
    assert one.reading.asked == ["0"]
    assert one.close().processed == 6
    assert counts(store) == {"p0k0": 6}


def test_a_zombie_shows_update_nothing_that_is_ahead() -> None:
    """A model that the next holder has saved is not loaded for a message of the one before: nothing is set aside, no command is run."""
    store, source = gs.MemoryStore(), log_of(1, 6, keys=2).source(alone=False, at_once=2)
    seen: list[int] = []

    def noting(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
        return update(model, msg)[0], [gs.Cmd.call(seen.append, msg.n)]

    one = member(source, store, gs.Program(begin, noting, name="Tally"), cache=1, on_error=gs.SetAside())
    two = member(source, store)
    one.reading.tell("assigned", "0")
    one.step(1)
    two.reading.tell("assigned", "0")
    two.step(5)
    assert two.close().processed == 6
    before = len(seen)
    one.reading.owned.clear()
    one.step(3)
    assert one.close().set_aside == ()
    assert len(seen) == before
    assert counts(store) == {"p0k0": 3, "p0k1": 3}


class Hour:
    """The time as it is, and what has passed besides."""

    passed = 0.0
    perf_counter = staticmethod(time.perf_counter)

    def monotonic(self) -> float:
        return time.monotonic() + self.passed


@pytest.mark.parametrize("stood_still", [True, False])
def test_who_stood_still_looks_at_the_claims_before_it_goes_on(stood_still: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that waited, on models that are in memory, have no turn if the partition is another's: no command is performed."""
    hour = Hour()
    monkeypatch.setattr(runner, "time", hour)
    store, source, seen = gs.MemoryStore(), log_of(2, 100).source(alone=False), list[str]()
    two = member(source, store)
    two.reading.tell("assigned", "0")

    def noting(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
        if msg == Add("p0k0", 5):
            two.step(1)  # while this process stands still
            hour.passed += 3600 if stood_still else 0
        return update(model, msg)[0], [gs.Cmd.call(seen.append, msg.key)]

    one = member(source, store, gs.Program(begin, noting, name="Tally"))
    one.reading.tell("assigned", "0", "1")
    one.reading.owned.discard("0")
    one.step(8)
    assert seen.count("p0k0") == (16 if stood_still else 100)  # the rest of the chunk, which takes some milliseconds
    assert seen.count("p1k0") == 100
    two.step(2)
    two.close()
    one.close()
    assert counts(store) == {"p0k0": 100, "p1k0": 100}


def test_two_partitions_with_one_key_take_turns() -> None:
    """A key that moves between partitions of one holder: each save is whole, and no message is lost or counted twice."""
    log: PartitionedLog[Add] = PartitionedLog(2)
    log.put("0", *(Add("k", n) for n in range(5)))
    store = gs.MemoryStore()

    def counting(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
        return replace(model, count=model.count + 1), ()

    program = gs.Program(begin, counting, name="Tally")
    log.put("1", *(Add("k", n) for n in range(5, 12)))
    result = gs.aggregate(program, log.source(ends=True), store=store, key=key_of, snapshots=gs.Snapshots(every=2))
    assert result.models["k"].count == 12
    assert result.position == {"0": 4, "1": 6}
    assert result.processed == 12


# -------------------------------------------------------------------- failures


def poisoned(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
    """Fail on message 3 of one key."""
    if msg.key == "p0k0" and msg.n == 3:
        raise RuntimeError("poison")
    return update(model, msg)


POISONED = gs.Program(begin, poisoned, name="Tally")


def test_a_failure_is_raised_and_the_others_are_saved(reads: Reads) -> None:
    """What befalls one partition is no reason to do the work of the others twice."""
    store, source = gs.MemoryStore(), log_of(2, 5).source(ends=True, at_once=1)
    with pytest.raises(RuntimeError, match="poison"):
        reads.aggregate(POISONED, source, store=store)
    assert source.readings[0].is_closed
    assert set(counts(store)) == {"p1k0"}


def test_a_halt_keeps_what_came_before(reads: Reads) -> None:
    """The result names the message, each partition is saved, and the next run begins at the one that has failed."""
    store = gs.MemoryStore()
    log = log_of(2, 5)
    result = reads.aggregate(POISONED, log.source(ends=True), store=store, on_error=gs.Halt())
    assert result.ended == "failed"
    assert result.failed.message == Add("p0k0", 3)
    assert result.position["0"] == 2
    assert counts(store)["p0k0"] == 3
    rest = reads.aggregate(TALLY, log.source(ends=True), store=store)
    assert result.processed + rest.processed == 10


def test_a_message_is_set_aside(reads: Reads) -> None:
    """It is in the result, and in the letters, with source, partition and position."""
    store = gs.MemoryStore()

    def tolerant(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
        if msg.n == 3:
            raise RuntimeError("poison")
        return Tally(model.count + 1, msg.n), ()

    program = gs.Program(begin, tolerant, name="Tally")
    result = reads.aggregate(program, log_of(2, 5).source(ends=True), store=store, on_error=gs.SetAside())
    assert [(failed.message, failed.position) for failed in result.set_aside] == [(Add("p0k0", 3), 3), (Add("p1k0", 3), 3)]
    letters = gs.DeadLetters(gs.MemoryStore(), "dead")
    reads.aggregate(program, log_of(2, 5).source("orders", ends=True), store=letters.box.store, on_error=gs.SetAside(letters))
    assert sorted((letter.source, letter.position) for letter in letters) == [("orders/0", 3), ("orders/1", 3)]


def test_a_record_that_is_no_message_goes_to_on_error(reads: Reads) -> None:
    """`on_error` decides with the partition and the position in the error, which has nothing of what the record holds."""
    log: PartitionedLog[Any] = log_of(1, 2)
    log.put("0", ValueError("secret"), BadRecord("orders/0", 3, "it is no order"), Add("p0k0", 2))
    with pytest.raises(BadRecord, match="record 2 of orders/0: decoding it raised ValueError") as raised:
        reads.aggregate(TALLY, log.source("orders", ends=True), store=gs.MemoryStore())
    assert "secret" not in str(raised.value)
    result = reads.aggregate(TALLY, log.source("orders", ends=True), store=gs.MemoryStore(), on_error=gs.SetAside())
    assert [str(failed.error) for failed in result.set_aside] == [
        "record 2 of orders/0: decoding it raised ValueError",
        "record 3 of orders/0: it is no order",
    ]
    assert (result.processed, result.position) == (3, {"0": 4})


def test_a_store_that_fails_ends_it_with_nothing_more_saved(reads: Reads) -> None:
    """The error is raised, the partitions are given back, and the next run has the rest."""

    class Failing(gs.MemoryStore):
        left = 3

        def store(self, writes: Mapping[str, Write]) -> Mapping[str, int]:
            self.left -= 1
            if self.left < 0:
                raise StoreUnavailable("gone")
            return super().store(writes)

    store, source = Failing(), log_of(2, 40).source(ends=True, at_once=5)
    with pytest.raises(StoreUnavailable):
        reads.aggregate(TALLY, source, store=store, snapshots=gs.Snapshots(every=10))
    assert source.readings[0].is_closed
    store.left = 1000
    reads.aggregate(TALLY, source.log.source(ends=True), store=store)
    assert counts(store) == {"p0k0": 40, "p1k0": 40}


def test_an_on_commit_that_raises_ends_it(reads: Reads) -> None:
    """The save that it was called after stays."""
    store = gs.MemoryStore()

    def committed(changed: object, position: object) -> None:
        raise LookupError("on_commit")

    with pytest.raises(LookupError):
        reads.aggregate(TALLY, log_of(1, 3).source(ends=True), store=store, on_commit=committed)
    assert counts(store) == {"p0k0": 3}


# -------------------------------------------------------------------- ends and gaps


def test_an_end_is_stored_with_the_last_position() -> None:
    """Children may begin when the ends of their parents are in the store, whoever has read these."""
    store, source = gs.MemoryStore(), log_of(2, 5).source(alone=False)
    one = member(source, store)
    one.reading.tell("assigned", "0", "1")
    one.step(2)
    face = _Face(one)
    assert face.ends(["0", "1"]) == frozenset()
    one.reading.tell("ended", "0")
    one.step(3)
    assert face.ends(["0", "1"]) == {"0"}
    assert one.reading.acknowledged == {"0": 4}
    one.close()
    assert face.ends(["0", "1"]) == {"0"}
    again = member(source, store)
    again.reading.tell("assigned", "0")
    again.step(2)
    assert _Face(again).ends(["0"]) == {"0"}


class _Face:
    """What a reading sees of a member's holder."""

    def __init__(self, of: Member[Tally, Add]) -> None:
        from go_state.runtime.flow.driver import drive

        self.ends = lambda partitions: drive(of.holder.ends(partitions))


def test_an_end_that_is_not_processed_is_not_stored() -> None:
    """A partition that has ended and is revoked before all of it had its turn has no end yet."""
    store, source = gs.MemoryStore(), log_of(1, 5).source(alone=False)
    one = member(source, store)
    one.reading.tell("assigned", "0")
    one.step(1)
    one.reading.tell("ended", "0")
    one.reading.tell("revoked", "0")
    one.reading.news.rotate(0)
    one.step(1)
    assert _Face(one).ends(["0"]) == frozenset()


def test_a_stream_that_was_made_anew_raises(reads: Reads) -> None:
    """Nothing of it is read, and its position stays as it is."""
    store, log = gs.MemoryStore(), log_of(2, 5)
    reads.aggregate(TALLY, log.source(ends=True), store=store)
    log.made["1"] = 1
    source = log.source(ends=True)
    with pytest.raises(SourceChanged, match="made anew"):
        reads.aggregate(TALLY, source, store=store)
    assert source.readings[0].at == {}


def test_a_gap_raises_and_is_told(reads: Reads) -> None:
    """A position that the log no longer has is an error, not a jump."""
    store, log, told = gs.MemoryStore(), log_of(1, 9), Told()
    reads.aggregate(TALLY, log.source(ends=True), store=store, limit=3)
    log.first["0"] = 5
    with pytest.raises(SourceChanged, match="3 is to come next"):
        reads.aggregate(TALLY, log.source(ends=True), store=store, observe=told)
    assert told.of(gs.observe.PartitionGap) == [gs.observe.PartitionGap("Tally", None, "log", "0", 2)]


class Told:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[gs.observe.Event] = []

    def on_event(self, event: gs.observe.Event) -> None:
        self.events.append(event)

    def of(self, kind: type) -> list[gs.observe.Event]:
        return [event for event in self.events if isinstance(event, kind)]


def test_observers_are_told_of_partitions(reads: Reads) -> None:
    """Assigned, saved with lag and age, and given back; the run begins and ends once."""
    told = Told()
    reads.aggregate(TALLY, log_of(2, 5).source("orders", ends=True), store=gs.MemoryStore(), observe=told)
    assert told.of(gs.observe.PartitionAssigned) == [
        gs.observe.PartitionAssigned("Tally", None, "orders", p, None, 1) for p in ("0", "1")
    ]
    assert told.of(gs.observe.PartitionRevoked) == [
        gs.observe.PartitionRevoked("Tally", None, "orders", p, 4) for p in ("0", "1")
    ]
    saved = told.of(gs.observe.PartitionSaved)
    assert [(event.partition, event.position, event.models, event.lag) for event in saved] == [("0", 4, 1, 0), ("1", 4, 1, 0)]
    assert all(event.age is not None and event.age >= 0 for event in saved)
    kinds = [type(event).__name__ for event in told.events]
    assert (kinds.count("RunStarted"), kinds.count("RunEnded"), kinds[0], kinds[-1]) == (1, 1, "RunStarted", "RunEnded")


def test_observers_are_told_of_fences() -> None:
    """With the holder that has claimed the partition."""
    store, source, told = gs.MemoryStore(), log_of(1, 5).source(alone=False), Told()
    one, two = member(source, store, observe=told), member(source, store)
    one.reading.tell("assigned", "0")
    one.step(2)
    two.reading.tell("assigned", "0")
    two.step(1)
    one.close()
    assert [(event.partition, bool(event.holder)) for event in told.of(gs.observe.PartitionFenced)] == [("0", True)]


def test_a_source_that_is_always_slow_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each poll looks as if the process had stood still: the claims are looked at each time, and it goes on."""
    hour, store = Hour(), gs.MemoryStore()
    monkeypatch.setattr(runner, "time", hour)
    one = member(log_of(2, 10).source(alone=False, at_once=1), store)
    one.reading.tell("assigned", "0", "1")
    for _ in range(60):
        hour.passed += 10
        one.step()
    one.close()
    assert counts(store) == {"p0k0": 10, "p1k0": 10}


def test_who_stood_still_saves_what_was_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """A share that waits for its save is not run before that, whatever it is given meanwhile."""
    hour, store = Hour(), gs.MemoryStore()
    monkeypatch.setattr(runner, "time", hour)
    log = log_of(3, 300, keys=3)

    def slow(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
        hour.passed += 0.3  # so that each chunk takes longer than anybody waits
        return update(model, msg)

    source = log.source(ends=True, at_once=7)
    result = gs.aggregate(
        gs.Program(begin, slow, name="Tally"), source, store=store, key=key_of, snapshots=gs.Snapshots(every=5)
    )
    assert result.position == {"0": 299, "1": 299, "2": 299}
    assert set(counts(store).values()) == {100}
