"""Rebuild beside others, interrupted, and of what cannot be rebuilt; the tools beside a program that runs; damaged and truncated journals."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from history_worlds import OwnSource, Sale, Shop, World, by_hand, keyed, mended, plain, some_sales

import go_state as gs

TESTS = Path(__file__).parents[1]
new = replace(plain, update=mended)
new_keyed = replace(keyed, update=mended)


@contextmanager
def child(script: str, *args: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script in another process, which is killed at the end."""
    path = os.pathsep.join([str(Path(gs.__file__).parents[1]), str(TESTS), str(TESTS / "history")])
    process = subprocess.Popen(
        [sys.executable, "-c", script, *args], text=True, stdout=subprocess.PIPE, env={"PYTHONPATH": path}
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.mark.slow
def test_a_program_that_runs_is_not_rebuilt(make_world: Callable[..., World]) -> None:
    """In this process: the lease is held, and the error says to stop it; a dry run is allowed."""
    world = make_world("lmdb", plain, some_sales())
    store, before = world.rebuild_of, world.stored()
    with gs.start(plain, store=store, key="shops/office"):
        assert gs.history.rebuild(new, store, dry_run=True, prefix="shops/", key="office").changed
        with pytest.raises(gs.errors.LeaseHeld) as raised:
            gs.history.rebuild(new, store, prefix="shops/", key="office")
        assert "Stop the program" in raised.value.__notes__[0]
        assert world.stored() == before
    assert gs.history.rebuild(new, store, prefix="shops/", key="office").written


RUNS = """
import sys, go_state as gs
from history_worlds import Sale, plain
with gs.LMDBStore(sys.argv[1]) as store, gs.start(plain, store=store, key="shop", snapshots=gs.Snapshots(every=50, keep=3)) as app:
    for number in range(100_000):
        app.apply(Sale("office", number % 5 - 1))
        if number == 200:
            print("runs", flush=True)
"""


@pytest.mark.processes
def test_every_tool_works_beside_a_program_that_runs_elsewhere(tmp_path: Path) -> None:
    """Another process writes and snapshots all the time; what is asked here is answered as of some moment, and nothing is written."""
    path = str(tmp_path / "shop.lmdb")
    with child(RUNS, path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "runs\n"
        with gs.LMDBStore(path) as store:
            journal = store.journal("shop")
            seen = 0
            for _ in range(3):
                found: Any = gs.history.peek(plain, store, "shop")
                assert found.position > seen
                seen = found.position
                expected = sum(number % 5 - 1 for number in range(seen))
                assert found.model.total == expected == gs.replay(plain, journal, until=seen).total
                assert gs.verify(plain, journal).ok
                step: Any = gs.history.first(plain, journal, lambda before, msg, after: after.total >= 50)
                assert step.after.total >= 50
                parted: Any = gs.history.compare(plain, new, journal).parted
                assert parted.position == 0
                assert gs.history.rebuild(new, store, key="shop", dry_run=True).changed
                with pytest.raises(gs.errors.LeaseHeld):
                    gs.history.rebuild(new, store, key="shop")
            assert process.poll() is None


def test_an_aggregate_that_saves_meanwhile_makes_a_rebuild_fail(make_world: Callable[..., World]) -> None:
    """The versions are not those that were read, and nothing was written; and an aggregate that was rebuilt under finds out likewise."""
    world = make_world("aggregate", plain, some_sales())
    store = world.options["store"]

    def fold_and_save(model: Shop, msg: Sale) -> gs.Step[Shop, Sale]:
        if msg == world.messages[-1] and not saved:
            saved.append(True)
            with open(world.history.location, "a") as file:
                file.write("office,7\n")
            gs.aggregate(plain, world.history, store=store, key=lambda each: each.shop)
        return mended(model, msg)

    saved: list[bool] = []
    before = world.stored()
    with pytest.raises(gs.Conflict) as raised:
        gs.history.rebuild(replace(plain, update=fold_and_save), world.history, store=store, key_of="shop")
    assert "The aggregate has saved meanwhile" in raised.value.__notes__[0]
    assert world.stored().keys() == before.keys()
    office = gs.load_model(plain, store=store, key="office")
    assert office == by_hand(plain, [*world.messages, Sale("office", 7)], "office", follows=True, routed=True)
    assert gs.history.rebuild(new, world.history, store=store, key_of="shop").written


def test_a_single_model_that_is_saved_meanwhile_is_not_overwritten() -> None:
    """Its version is that of the model whose mark has said how far to fold."""
    source, store = OwnSource(some_sales(9)), gs.MemoryStore()
    gs.aggregate(plain, source, store=store, key="one")

    def fold_and_save(model: Shop, msg: Sale) -> gs.Step[Shop, Sale]:
        if len(source.messages) == 9:
            source.messages.append(Sale("a", 5))
            gs.aggregate(plain, source, store=store, key="one")
        return mended(model, msg)

    with pytest.raises(gs.Conflict):
        gs.history.rebuild(replace(plain, update=fold_and_save), source, store=store, key="one")
    assert gs.load_model(plain, store=store, key="one") == by_hand(plain, source.messages, None, follows=True, routed=False)


def test_an_aggregate_goes_on_after_a_rebuild(make_world: Callable[..., World]) -> None:
    """From the models that were made again, at the position that it had come to."""
    world = make_world("aggregate", keyed, some_sales())
    store = world.options["store"]
    gs.history.rebuild(new_keyed, world.history, store=store, key_of="shop")
    more = [Sale("office", -4), Sale("west", 1)]
    with open(world.history.location, "a") as file:
        file.write("".join(f"{each.shop},{each.amount}\n" for each in more))
    models = gs.aggregate(new_keyed, world.history, store=store, key=lambda each: each.shop).models
    for key in ("office", "north", "south", "west"):
        assert models[key] == by_hand(new_keyed, world.messages + more, key, follows=True, routed=True)


def test_models_that_are_retired_or_no_longer_made_are_deleted(make_world: Callable[..., World]) -> None:
    """And named with what they were; those that are made only now are stored."""
    world = make_world("aggregate", plain, some_sales())
    store = world.options["store"]
    north: Any = gs.load_model(plain, store=store, key="north")
    west = {"south": "west"}
    done = gs.history.rebuild(
        plain, world.history, store=store, key_of=lambda msg: west.get(msg.shop, msg.shop), retire=lambda model: model == north
    )
    changes = {change.key: (repr(change.was) == "nothing", repr(change.now) == "nothing") for change in done.changes}
    assert changes == {"south": (False, True), "north": (False, True), "west": (True, False)}
    assert (store.load("south"), store.load("west") is None) == (None, False)


def test_what_is_not_of_the_aggregate_is_left_alone(make_world: Callable[..., World]) -> None:
    """The snapshot of a journalled program, and a single model, that lie in the same store under a name of the same class."""
    world = make_world("aggregate", plain, some_sales())
    store = world.options["store"]
    with gs.start(plain, store=store, key="live") as app:
        app.apply(Sale("a", 1))
    gs.aggregate(plain, OwnSource([Sale("a", 2)]), store=store, key="single")
    before = {key: store.load(key) for key in ("live", "single")}
    assert gs.verify(plain, world.history, store=store, key_of="shop").snapshots == 3
    assert gs.history.rebuild(new, world.history, store=store, key_of="shop").models == 3
    assert {key: store.load(key) for key in ("live", "single")} == before


def test_models_of_several_sources_are_not_rebuilt(tmp_path: Path) -> None:
    """In which order their messages came nobody knows; nor is what was made of something else."""
    store = gs.MemoryStore()
    first, second = OwnSource([Sale("a", 1)]), OwnSource([Sale("a", 2)])
    second.name = "other"
    for source in (first, second):
        gs.aggregate(plain, source, store=store, key="one")
    with pytest.raises(gs.UsageError, match="are made of 'other' as well"):
        gs.history.rebuild(new, first, store=store, key="one")
    with pytest.raises(gs.UsageError, match="nothing that is stored was made of 'own'"):
        gs.history.rebuild(new, first, store=store, key="two")


def test_a_journal_whose_beginning_is_forgotten_is_not_rebuilt(make_world: Callable[..., World], tmp_path: Path) -> None:
    """The other tools begin at the oldest snapshot that was kept."""
    world = make_world("lmdb", plain, some_sales())
    world.history.truncate(10)
    with pytest.raises(gs.errors.Lagged) as raised:
        gs.history.rebuild(new, world.history)
    assert "cannot be folded again" in str(raised.value)
    asked: list[Callable[[], object]] = [
        lambda: gs.replay(plain, world.history, start=0),
        lambda: gs.first(plain, world.history, lambda *_: True, until=11),
        lambda: gs.compare(plain, new, world.history, until=11),
        lambda: gs.to_test(plain, world.history, tmp_path / "test_it.py", of="shop:plain", until=11),
    ]
    for ask in asked:
        with pytest.raises(gs.errors.Lagged, match=r"begins at 10.* stands at \d+, so that it cannot be folded"):
            ask()
    start = next(position for position in world.rebuild_of.keyframes("shops/office") if position >= 10)
    steps = list(gs.history.steps(plain, world.history))
    assert (steps[0].position, steps[-1].after) == (start, world.hand())
    assert gs.verify(plain, world.history).ok
    parted: Any = gs.history.compare(plain, new, world.history).parted
    assert parted.position == next(p for p, msg in enumerate(world.messages) if p >= start and msg.amount < 0)


@pytest.mark.slow
def test_a_damaged_journal_is_named(make_world: Callable[..., World]) -> None:
    """With the position, by every tool that comes to it; what comes before is answered."""
    world = make_world("lmdb", plain, some_sales(3000))
    store = world.rebuild_of
    blocks = []
    with store.backend.transaction() as transaction:
        blocks = [(name, record) for name, record in transaction.items(b"j/") if name.startswith(b"j/shops/office\0b")]
    name, record = blocks[1]
    position = int.from_bytes(name[-8:], "big")
    with store.backend.transaction(write=True) as transaction:
        transaction.put(name, record[:-9] + b"x" + record[-8:])
    for ask in (
        lambda: gs.replay(plain, world.history, start=0),
        lambda: list(gs.history.steps(plain, world.history)),
        lambda: gs.history.compare(plain, plain, world.history),
        lambda: gs.history.rebuild(new, world.history),
    ):
        with pytest.raises(gs.errors.Corrupt) as raised:
            ask()
        assert raised.value.position == position
    with pytest.raises(gs.errors.Corrupt):
        gs.verify(plain, world.history)
    assert gs.replay(plain, world.history, until=position) == world.hand(position)


REBUILDS = """
import sys, go_state as gs
from dataclasses import replace
from history_worlds import Sale, keyed, mended, plain
new = replace(plain, update=mended) if sys.argv[3] == "new" else plain
new_keyed = replace(keyed, update=mended) if sys.argv[3] == "new" else keyed
with gs.LMDBStore(sys.argv[1]) as store:
    print("begins", flush=True)
    gs.history.rebuild(new, store, prefix="shops/")
    gs.history.rebuild(new_keyed, gs.sources.CSV(sys.argv[2], Sale), store=store, key_of="shop")
    print("done", flush=True)
"""


@pytest.mark.slow
@pytest.mark.processes
def test_a_rebuild_that_is_killed_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    """At thirty moments: of all snapshots of all programs, and of all models of an aggregate, either every one is new or none is."""
    path, table, messages = str(tmp_path / "shop.lmdb"), tmp_path / "sales.csv", some_sales(400)
    table.write_text("shop,amount\n" + "".join(f"{each.shop},{each.amount}\n" for each in messages))
    with gs.LMDBStore(path) as store:
        for name in ("shops/a", "shops/b", "shops/c"):
            with store.journal(name, of=Sale) as journal:
                journal.put(*messages)
            gs.run(plain, closed(store.journal(name, of=Sale)), store=store, key=name, snapshots=gs.Snapshots(every=50, keep=9))
        gs.aggregate(keyed, gs.sources.CSV(table, Sale), store=store, key=lambda msg: msg.shop)
    chance, seen, longest = random.Random(3), set(), 0.0
    for number in range(32):
        with child(REBUILDS, path, str(table), "new" if number % 2 else "old") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begins\n"
            if number < 2:  # two that nobody interrupts, to know how long they take
                begun = time.monotonic()
                assert process.stdout.readline() == "done\n"
                longest = time.monotonic() - begun
            time.sleep(chance.random() * longest * 1.2)  # any moment will do: the law holds at each
            os.kill(process.pid, signal.SIGKILL)
        with gs.LMDBStore(path) as store:
            journalled = {each for name in ("shops/a", "shops/b", "shops/c") for each in are_new(store, name, messages)}
            aggregated = {is_new_model(store, messages, key) for key in ("office", "north", "south")}
        assert (len(journalled), len(aggregated)) == (1, 1)
        seen |= {("journal", *journalled), ("aggregate", *aggregated)}
    assert len(seen) == 4


def closed(journal: gs.Journal[Sale]) -> gs.Journal[Sale]:
    journal.close()
    return journal


def are_new(store: gs.LMDBStore, name: str, messages: list[Sale]) -> Iterator[bool]:
    """Give of each snapshot whether it is the one that the new update makes; it is one of the two."""
    journal = store.journal(name, of=Sale)
    recorded = [each.message for each in journal.read()]
    for position in [*store.keyframes(name), len(recorded)]:
        kept = gs.replay(plain, journal, until=position, start=position)
        old, now = (by_hand(each, recorded[:position], None, follows=False, routed=False) or Shop() for each in (plain, new))
        assert kept in (old, now)
        if old != now:
            yield kept == now


def is_new_model(store: gs.LMDBStore, messages: list[Sale], key: str) -> bool:
    kept = gs.load_model(keyed, store=store, key=key)
    old, now = (by_hand(each, messages, key, follows=True, routed=True) for each in (keyed, new_keyed))
    assert kept in (old, now)
    assert old != now
    return kept == now
