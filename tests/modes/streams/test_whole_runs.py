"""A run of messages that the loop has whole comes to the same as one that is taken message by message, also where it ends early."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from streams_support import Add, Tally, begin, key_of

import go_state as gs
from go_state.modes.aggregate.partitions import holder
from go_state.modes.aggregate.partitions.shares.reader import ShareReader
from go_state.modes.keeping import filing
from go_state.testing.streams.log import PartitionedLog


@dataclass(frozen=True)
class Plan:
    """What is done at which message, by their numbers; what comes from threads comes at another moment each time."""

    sends: frozenset[int]
    calls: frozenset[int]
    poison: frozenset[int]
    late_poison: frozenset[int]
    nothing: frozenset[int]
    undecodable: frozenset[int]

    @staticmethod
    def of(chance: random.Random) -> Plan:
        def some(rate: float) -> frozenset[int]:
            return frozenset(n for n in range(60) if chance.random() < rate)

        rates = chance.choice([(0.1, 0.1), (0.0, 0.0), (0.4, 0.3), (0.02, 0.02)])
        failing = chance.choice([0.0, 0.02, 0.1])
        return Plan(*(some(rate) for rate in (*rates, failing, failing, 0.05, chance.choice([0.0, 0.0, 0.03]))))


def _program(plan: Plan, did: list[str]) -> gs.Program[Tally, Add]:
    def note(msg: Add) -> Add:
        did.append(f"{gs.effect_id()} {msg.n}")
        return Add("late" if msg.n in plan.late_poison else "echo", msg.n)

    def update(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
        if msg.key == "late" or (msg.key not in ("echo", "sent") and msg.n in plan.poison):
            raise RuntimeError("poison")
        commands: list[Any] = []
        if msg.key not in ("echo", "sent"):
            commands += [gs.Cmd.send(Add("sent", msg.n))] if msg.n in plan.sends else []
            commands += [gs.Cmd.call(note, msg)] if msg.n in plan.calls else []
        return Tally(model.count + 1, model.last + msg.n), commands

    return gs.Program(begin, update, name="Tally")


def _read(plan: Plan, on_error: Any, every: int | None, limit: int | None, store: gs.abc.Store | None = None) -> Any:
    log: PartitionedLog[Any] = PartitionedLog(1)  # of two, how far the other is when one halts is a matter of time
    for n in range(60):
        broken, none = n in plan.undecodable, n in plan.nothing
        log.put("0", ValueError("broken") if broken else None if none else Add(f"k{n % 3}", n))
    did: list[str] = []
    result = gs.aggregate(
        _program(plan, did), log.source(ends=True, at_once=40), store=store or gs.MemoryStore(), key=key_of, on_error=on_error, limit=limit,
        snapshots=gs.Snapshots(every=every),
    )  # fmt: skip
    failed = None if result.failed is None else (result.failed.message, result.failed.position)
    return dict(result.models), result.position, result.ended, result.processed, failed, len(result.set_aside), sorted(did)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("policy", [gs.Halt, gs.SetAside])
def test_it_comes_to_the_same(policy: Callable[[], Any], seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models, positions, what has failed, what was performed, and how many messages were counted."""
    chance = random.Random(seed)
    plan, every, limit = Plan.of(chance), chance.choice([None, 1, 7]), chance.choice([None, None, 50])
    found = _read(plan, policy(), every, limit)
    monkeypatch.setattr(ShareReader, "left_in_run", lambda self: None)
    assert found == _read(plan, policy(), every, limit)


@pytest.mark.parametrize("seed", [1, 26, 87])
def test_a_run_that_is_left_for_a_save_of_letters_goes_on_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after it may halt, and then goes back no further than it has to."""
    chance = random.Random(seed)
    plan, every, limit = Plan.of(chance), chance.choice([None, 1, 7]), chance.choice([None, None, 50])
    halts = frozenset(n for n in range(60) if chance.random() < 0.3)
    monkeypatch.setattr(filing, "_MOST", chance.choice([1, 2, 3]))

    def read() -> Any:
        store = gs.MemoryStore()
        letters: gs.SetAside[Any] = gs.SetAside(gs.DeadLetters(store, "bad"))

        def decide(message: object, position: object, error: Exception) -> gs.Halt | gs.SetAside[Any]:
            return gs.Halt() if isinstance(message, Add) and message.n in halts else letters

        return _read(plan, decide, every, limit, store), [key for key in store.keys() if "letter" in key]  # noqa: SIM118

    found = read()
    monkeypatch.setattr(ShareReader, "left_in_run", lambda self: None)
    assert found == read()


@pytest.mark.parametrize("every", [None, 1])
def test_a_limit_is_reached_however_slow_it_is(every: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was taken from the source has its turn, also if there is a save, and a poll, after each."""
    monkeypatch.setattr(holder, "_ROUND", 0.0)
    log: PartitionedLog[Add] = PartitionedLog(2)
    for partition in log.records:
        log.put(partition, *(Add(f"k{partition}", n) for n in range(20)))
    program = gs.Program(begin, lambda model, msg: (Tally(model.count + 1, msg.n), ()), name="Tally")
    options: Any = {"limit": 25, "snapshots": gs.Snapshots(every=every)}
    result = gs.aggregate(program, log.source(), store=gs.MemoryStore(), key=key_of, **options)
    assert (result.ended, result.processed) == ("limit", 25)
