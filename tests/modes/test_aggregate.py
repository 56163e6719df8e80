"""Aggregate with one key: atomic, exactly once over a source with positions; law 8."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers
from test_batch import Tape

import go_state as gs

drivers = both_drivers.drivers


@dataclass(frozen=True)
class Log:
    seen: tuple[str, ...] = ()


def update(model: Log, msg: str) -> gs.Step[Log, str]:
    if msg == "bad":
        raise ValueError("bad")
    return Log((*model.seen, msg)), [gs.Cmd.send(msg.upper())] if msg in ("x", "y") else ()


def first() -> gs.Step[Log, str]:
    return Log(("init",)), [gs.Cmd.send("i")]


program = gs.Program(first, update)


class Watched(gs.MemoryStore):
    """A store that lists the models written."""

    def __init__(self) -> None:
        super().__init__()
        self.saved: list[Any] = []

    def store(self, writes: Mapping[str, gs.abc.Write]) -> Mapping[str, int]:
        versions = super().store(writes)
        if "k" in writes:
            self.saved.append(gs.load_model(program, store=self, key="k"))
        return versions


def kept(store: gs.MemoryStore) -> tuple[str, ...] | None:
    """Return what the store has."""
    model = gs.load_model(program, store=store, key="k")
    return None if model is None else model.seen


def test_first_run_begins_with_init(drivers: Drivers) -> None:
    """Without a snapshot the program begins with init and its commands, and is saved."""
    store = gs.MemoryStore()
    result = drivers.aggregate(program, ["a"], store=store, key="k")
    assert result.model.seen == kept(store) == ("init", "i", "a")
    assert (result.processed, result.ended, result.position) == (2, "exhausted", None)


def test_plain_list_twice_is_applied_twice(drivers: Drivers) -> None:
    """The second run over a list goes on from the first model and runs no init."""
    store = gs.MemoryStore()
    drivers.aggregate(program, ["a"], store=store, key="k")
    drivers.aggregate(replace(program, init=lambda: 1 // 0), ["a"], store=store, key="k")
    assert kept(store) == ("init", "i", "a", "a")


@pytest.mark.parametrize("prefetch", [0, 3])
def test_source_twice_is_applied_once(drivers: Drivers, prefetch: int) -> None:
    """A source is read on from the stored position: nothing twice, nothing lost, also when it has grown."""
    store = gs.MemoryStore()
    for messages in ("ab", "ab", "abc"):
        result = drivers.aggregate(program, Tape(*messages), store=store, key="k", prefetch=prefetch)
    assert kept(store) == ("init", "i", "a", "b", "c")
    assert (result.processed, result.position) == (1, 3)


def test_interrupted_source_goes_on_where_it_was_saved(drivers: Drivers) -> None:
    """After a failure the next run takes the messages after the last checkpoint, once each."""
    store = gs.MemoryStore()
    with pytest.raises(ValueError, match="bad"):
        drivers.aggregate(program, Tape(*"abc", "bad"), store=store, key="k", snapshots=gs.Snapshots(every=2))
    assert kept(store) == ("init", "i", "a", "b")
    drivers.aggregate(program, Tape(*"abcd"), store=store, key="k")
    assert kept(store) == ("init", "i", "a", "b", "c", "d")


def test_other_source_under_an_old_name_is_refused(drivers: Drivers) -> None:
    """A source that does not recognise its fingerprint raises before anything is read."""
    store = gs.MemoryStore()
    drivers.aggregate(program, Tape("a"), store=store, key="k")
    other = Tape("z")
    other.fingerprint = lambda: "tape 2"  # type: ignore[method-assign]
    with pytest.raises(gs.errors.SourceChanged):
        drivers.aggregate(program, other, store=store, key="k")
    assert kept(store) == ("init", "i", "a")


def test_checkpoints_come_only_where_the_queue_is_empty(drivers: Drivers) -> None:
    """However often it is saved, no snapshot has a message without what it led to."""
    store = Watched()
    drivers.aggregate(program, Tape("x", "a", "y"), store=store, key="k", snapshots=gs.Snapshots(every=1))
    assert [model.seen[2:] for model in store.saved] == [("x", "X"), ("x", "X", "a"), ("x", "X", "a", "y", "Y")]


def test_nothing_new_writes_nothing(drivers: Drivers) -> None:
    """A run that changes neither model nor position leaves the version as it is, and on_commit is not called."""
    store = gs.MemoryStore()
    drivers.aggregate(program, Tape("a"), store=store, key="k")
    before = store.load("k")
    drivers.aggregate(program, Tape("a"), store=store, key="k", on_commit=lambda changed, position: 1 // 0)
    assert store.load("k") == before


def test_saved_without_messages(drivers: Drivers) -> None:
    """The first run saves init's model even when the source is empty."""
    store = gs.MemoryStore()
    drivers.aggregate(gs.reducer(Log, lambda model, msg: model), [], store=store, key="k", codec=gs.JsonCodec(Log))
    assert kept(store) == ()


def test_on_commit_comes_after_the_save(drivers: Drivers) -> None:
    """on_commit sees what is in the store already, with the position."""
    store, seen = gs.MemoryStore(), []
    drivers.aggregate(
        program, Tape("a", "b"), store=store, key="k", snapshots=gs.Snapshots(every=1),
        on_commit=lambda changed, position: seen.append((changed["k"].seen == kept(store), list(changed), position)),
    )  # fmt: skip
    assert seen == [(True, ["k"], 1), (True, ["k"], 2)]


async def test_on_commit_may_be_a_coroutine_function() -> None:
    """On a loop on_commit is awaited."""
    seen: list[Any] = []

    async def on_commit(changed: Mapping[str, Log], position: Any) -> None:
        await asyncio.sleep(0)
        seen.append(position)

    await gs.aggregate_async(program, Tape("a"), store=gs.MemoryStore(), key="k", on_commit=on_commit)
    assert seen == [1]


def test_on_restore_runs_in_inits_place(drivers: Drivers) -> None:
    """A restored program runs on_restore's commands, and a new one init's."""
    store = gs.MemoryStore()
    restoring = replace(program, on_restore=lambda model: [gs.Cmd.send(f"restored {len(model.seen)}")])
    drivers.aggregate(restoring, [], store=store, key="k")
    assert kept(store) == ("init", "i")
    drivers.aggregate(restoring, ["a"], store=store, key="k")
    assert kept(store) == ("init", "i", "restored 2", "a")


def test_on_restore_may_return_none(drivers: Drivers) -> None:
    """An on_restore without commands returns nothing at all."""
    store = gs.MemoryStore()
    for _ in range(2):
        drivers.aggregate(replace(program, on_restore=lambda model: None), ["a"], store=store, key="k")
    assert kept(store) == ("init", "i", "a", "a")


def test_replaying_still_saves(drivers: Drivers) -> None:
    """Silent turns change the model that is saved, perform nothing and show nothing."""
    store, shown = gs.MemoryStore(), []
    drivers.aggregate(replace(program, view=shown.append), ["a", "x"], store=store, key="k", replaying=lambda: True)
    assert kept(store) == ("init", "a", "x")
    assert shown == []


def test_replaying_silences_a_restored_program(drivers: Drivers) -> None:
    """While it replays, a restored program performs no command of on_restore and shows no view."""
    store, shown = gs.MemoryStore(), []
    drivers.aggregate(program, ["a"], store=store, key="k")
    restoring = replace(program, on_restore=lambda model: [gs.Cmd.send("loud")], view=shown.append)
    drivers.aggregate(restoring, ["b"], store=store, key="k", replaying=lambda: True)
    assert kept(store) == ("init", "i", "a", "b")
    assert shown == []


def test_second_writer_conflicts(drivers: Drivers) -> None:
    """When somebody else wrote the key meanwhile, Conflict says both versions and nothing is lost."""
    store = gs.MemoryStore()
    drivers.aggregate(program, ["a"], store=store, key="k")

    def source() -> Any:
        yield "b"
        gs.aggregate(program, ["other"], store=store, key="k")

    with pytest.raises(gs.Conflict) as caught:
        asyncio.run(asyncio.to_thread(gs.aggregate, program, source(), store=store, key="k"))
    assert caught.value.expected < caught.value.found == (store.load("k") or gs.abc.Stored(b"", 0)).version
    assert kept(store) == ("init", "i", "a", "other")


def test_limit_saves_what_it_took(drivers: Drivers) -> None:
    """Ended by limit, the next run goes on behind it."""
    store = gs.MemoryStore()
    for _ in range(3):
        drivers.aggregate(program, Tape(*"abc"), store=store, key="k", limit=1, prefetch=2)
    assert kept(store) == ("init", "i", "a", "b", "c")


def test_timeout_saves_nothing(drivers: Drivers) -> None:
    """A batch that runs out of time raises and leaves the store as it was."""
    store = gs.MemoryStore()
    endless: gs.Program[int, int] = gs.reducer(int, lambda model, msg: model)
    with pytest.raises(gs.TimedOut):
        drivers.aggregate(endless, iter(int, 1), store=store, key="k", timeout=0.01)
    assert store.load("k") is None


def test_set_aside_moves_the_position_on(drivers: Drivers) -> None:
    """A message that was set aside is not read again."""
    store = gs.MemoryStore()
    result = drivers.aggregate(program, Tape("a", "bad"), store=store, key="k", on_error=gs.SetAside())
    assert [(failed.message, failed.position) for failed in result.set_aside] == [("bad", 2)]
    assert drivers.aggregate(program, Tape("a", "bad"), store=store, key="k").processed == 0


def test_buffer_keeps_what_is_not_saved(drivers: Drivers) -> None:
    """Of a buffer as source only saved messages are committed."""
    store = gs.MemoryStore()
    with gs.Buffer() as buffer:
        buffer.put("a", "b", "c", "bad")
        with pytest.raises(ValueError, match="bad"):
            drivers.aggregate(program, buffer, store=store, key="k", snapshots=gs.Snapshots(every=2))
        assert kept(store) == ("init", "i", "a", "b")
        assert buffer.slice() == ["c", "bad"]


@pytest.mark.parametrize("key", ["", "ünï", "x" * 480])
def test_keys(drivers: Drivers, key: str) -> None:
    """Any string of up to 480 bytes is a key, the empty one too."""
    store = gs.MemoryStore()
    drivers.aggregate(program, ["a"], store=store, key=key)
    assert gs.load_model(program, store=store, key=key) == Log(("init", "i", "a"))


def test_init_takes_the_key(drivers: Drivers) -> None:
    """An init with a parameter is given the key."""

    def init(key: str) -> gs.Step[Log, str]:
        return Log((key,)), ()

    assert drivers.aggregate(gs.Program(init, update), [], store=gs.MemoryStore(), key="k").model == Log(("k",))


async def test_idle_checkpoint_loses_nothing_of_an_async_source() -> None:
    """A save that comes due while an async source waits leaves the source waiting: its next message is not lost."""
    store, saved = gs.MemoryStore(), asyncio.Event()

    async def source() -> AsyncIterator[str]:
        yield "a"
        await saved.wait()
        yield "b"

    await gs.aggregate_async(
        program, source(), store=store, key="k", snapshots=gs.Snapshots(seconds=0.01),
        on_commit=lambda changed, position: saved.set(), timeout=20,
    )  # fmt: skip
    assert kept(store) == ("init", "i", "a", "b")


@pytest.mark.parametrize("key", ["k", lambda msg: msg], ids=["one", "keyed"])
def test_an_equal_model_is_not_written_again(drivers: Drivers, key: Any) -> None:
    """Messages that lead to an equal model, another object, change no version, and on_commit is not called."""
    store, committed = gs.MemoryStore(), []
    versions = set()

    def again(model: Log, msg: str) -> Log:
        return Log((*model.seen,))

    for _ in range(2):
        result = drivers.aggregate(
            gs.reducer(Log, again), ["k", "k"], store=store, key=key, snapshots=gs.Snapshots(every=1),
            on_commit=lambda changed, position: committed.append(dict(changed)),
        )  # fmt: skip
        assert result.processed == 2
        versions.add((store.load("k") or gs.abc.Stored(b"", 0)).version)
    assert committed == [{"k": Log()}]
    assert len(versions) == 1


def test_a_reader_that_is_closed_under_an_aggregate_ends_it(drivers: Drivers) -> None:
    """A consumer that somebody closes in mid-stream has not come to its end: Closed, and nothing is saved."""
    store, buffer = gs.MemoryStore(), gs.Buffer[int]()
    buffer.put(1, 2, 3)
    consumer = buffer.consumer()

    def closing(model: int, msg: int) -> int:
        consumer.close()
        return model + msg

    with pytest.raises(gs.Closed):
        drivers.aggregate(gs.reducer(int, closing), consumer, store=store, key="k")
    assert store.load("k") is None
