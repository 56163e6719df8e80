"""Every tool of gs.history on every kind of history: journals in LMDB and Postgres, files, sources and histories of one's own, aggregates."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from history_worlds import Sale, Shop, World, mended, update

import go_state as gs


def changed(world: World, fn: Any) -> gs.Program[Shop, Sale]:
    return replace(world.program, update=fn)


def test_replay_comes_to_what_a_fold_by_hand_comes_to(world: World) -> None:
    """At every position, also when it is asked to begin at another than the nearest."""
    for until in range(len(world.messages) + 1):
        expected = world.hand(until)
        if expected is None and (world.routed or until == 0):
            if world.routed:
                with pytest.raises(gs.UsageError, match="no message of the history"):
                    gs.replay(world.program, world.history, until=until, **world.options)
            continue
        assert gs.replay(world.program, world.history, until=until, **world.options) == expected, until
        assert gs.replay(world.program, world.history, until=until, start=0, **world.options) == expected, until
    assert gs.replay(world.program, world.history, **world.options) == world.hand()


def test_replay_of_no_position_teaches(world: World) -> None:
    """A position that the history does not have is refused, with what there is."""
    for until in (-1, len(world.messages) + 1, "3", True):
        with pytest.raises(gs.UsageError, match=r"has (the )?positions"):
            gs.replay(world.program, world.history, until=until, **world.options)


def test_steps_are_the_turns(world: World) -> None:
    """Each step goes on from the one before; those of a position are its message and what its commands have sent."""
    steps = list(gs.history.steps(world.program, world.history, **world.options))
    for before, after in pairwise(steps):
        assert after.before == before.after
    own = [step for step in steps if step.sent == 0]
    assert [step.message for step in own] == [
        each for each in world.messages if not world.routed or each.shop == world.options["key"]
    ]
    some = list(gs.history.steps(world.program, world.history, start=9, until=12, **world.options))
    assert some == [step for step in steps if 9 <= step.position < 12]


def test_first_names_the_message_that_made_it_so(world: World) -> None:
    """It is the first step of all that makes it so, and None if none does."""
    steps = gs.history.steps(world.program, world.history, **world.options)
    expected = next(step for step in steps if step.after.refunded >= 3 > step.before.refunded)
    found = gs.history.first(
        world.program, world.history, lambda before, msg, after: after.refunded >= 3 > before.refunded, **world.options
    )
    assert found == expected
    assert (
        gs.history.first(world.program, world.history, lambda before, msg, after: after.total > 10**6, **world.options) is None
    )


def test_compare_names_the_message_at_which_two_updates_part(world: World) -> None:
    """The first refund, by field; to go on counts every one."""
    new = changed(world, mended)
    options = {name: value for name, value in world.options.items() if name != "store"}
    compared = gs.history.compare(world.program, new, world.history, **options)
    refunds = [position for position, msg in enumerate(world.messages) if msg.amount < 0]
    assert compared.parted is not None
    assert compared.parted.position == refunds[0]
    assert [(each.path, each.found - each.expected) for each in compared.parted.fields] == [(".refunded", 3)]
    assert gs.history.compare(world.program, new, world.history, go_on=True, **options).counts == {".refunded": len(refunds)}
    assert gs.history.compare(world.program, world.program, world.history, **options).ok


def test_verify_of_what_was_recorded(world: World) -> None:
    """Today's update makes what it made, and what was kept is reached."""
    verified = gs.verify(world.program, world.history, **world.options)
    assert (verified.ok, verified.finding) == (True, None)
    kept = 0 if world.rebuilds is None else 1 if world.routed else 1 + len(world.rebuild_of.keyframes("shops/office"))
    assert verified.snapshots == kept


def test_verify_names_the_message_of_a_clock_and_of_a_change_in_place(world: World) -> None:
    """At whichever message it is, exactly that one is named, and what is wrong with it."""

    def clock(model: Shop, msg: Sale) -> gs.Step[Shop, Sale]:
        after, commands = update(model, msg)
        return (replace(after, name=str(time.perf_counter_ns())) if msg.amount == 5 else after), commands

    def in_place(model: Shop, msg: Sale) -> gs.Step[Shop, Sale]:
        after, commands = update(model, msg)
        if msg.amount == 5:
            model.last.append(0)
        return after, commands

    first = next(position for position, msg in enumerate(world.messages) if msg.amount == 5)
    finding: Any = gs.verify(changed(world, clock), world.history, **world.options).finding
    found = finding.start, finding.position, finding.message, finding.what, finding.path
    assert found == (first, first, "Sale", "two runs of update differ", ".name")
    finding = gs.verify(changed(world, in_place), world.history, **world.options).finding
    found = finding.start, finding.position, finding.message, finding.what, finding.path
    assert found == (first, first, "Sale", "update changes the model that it is given", ".last")


def test_verify_finds_an_update_that_has_changed(world: World) -> None:
    """With what was kept; the message is among those that it names, and the field is."""
    if world.rebuilds is None:
        return
    finding: Any = gs.verify(changed(world, mended), world.history, **world.options).finding
    refunds = [position for position, msg in enumerate(world.messages) if msg.amount < 0]
    if not world.routed:
        assert finding.start <= refunds[0] <= finding.position < finding.start + 7
        assert refunds[0] in finding.changed_by or finding.start == finding.position
    assert finding.path == ".refunded"


def test_a_recorded_run_becomes_a_test(world: World, tmp_path: Path) -> None:
    """Its messages lead to its model, also those that commands have sent; another update comes to another model."""
    path = tmp_path / "test_it.py"
    gs.to_test(world.program, world.history, path, of="some.where:program", **world.options)
    names: dict[str, Any] = {}
    exec(path.read_text().replace("from some.where import program", ""), names)
    recording: gs.testing.Recording = names["RECORDING"]
    assert recording.replay(world.program) == recording.expected(world.program) == world.hand()
    assert recording.replay(changed(world, mended)) != recording.expected(world.program)


def test_rebuild_makes_the_models_again(world: World) -> None:
    """What was kept is what today's update makes of all messages, and the change is named; a dry run says the same and writes nothing."""
    if world.rebuilds is None:
        with pytest.raises(gs.UsageError, match="give store="):
            gs.history.rebuild(world.program, world.history, **world.options)
        return
    new, before = changed(world, mended), world.stored()
    dry = gs.history.rebuild(new, world.rebuild_of, dry_run=True, **world.rebuilds)
    assert (dry.written, world.stored()) == (False, before)
    done = gs.history.rebuild(new, world.rebuild_of, **world.rebuilds)
    assert (done.written, done.changes, done.changed) == (True, dry.changes, dry.changed)
    assert {change.path for change in done.changes} == {".refunded"}
    history = world.history if world.routed else world.rebuild_of.journal("shops/office")
    assert gs.verify(new, history, **world.options).ok
    assert gs.replay(new, history, **world.options) == world.hand(program=new)
    assert gs.history.rebuild(new, world.rebuild_of, **world.rebuilds)[:4] == (done.models, 0, (), False)


def test_peek_is_the_model_as_of_now(world: World) -> None:
    """A journal's snapshot and what came after it, or what an aggregate has saved."""
    if world.rebuilds is None:
        return
    store = world.options.get("store", world.rebuild_of)
    prefix = "" if world.routed else "shops/"
    found = gs.history.peek(world.program, store, "office", prefix=prefix)
    assert found is not None
    assert (found.model, found.behind, found.since) == (world.hand(), 0, None)
    assert gs.history.peek(world.program, store, "nobody", prefix=prefix) is None
    if not world.routed:
        store.journal("shops/office", of=Sale).put(Sale("north", 1000), Sale("north", 1))
        store.journal("shops/office").flush()
        later: Any = gs.history.peek(world.program, store, "office", prefix=prefix)
        assert (later.behind, later.position, later.model.total) == (2, len(world.messages) + 2, found.model.total + 1001)
        assert time.time() - later.since < 60
