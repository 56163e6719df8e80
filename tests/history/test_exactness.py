"""What a source does not say: sent messages are followed as an aggregate takes them, and what cannot be known is refused."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from history_worlds import KINDS, OwnSource, Sale, Shop, World, by_hand, keyed, plain, update
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import go_state as gs

AMOUNTS = st.lists(st.tuples(st.sampled_from(["office", "north"]), st.sampled_from([-3, 2, 13, 13])), max_size=12)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(AMOUNTS)
def test_a_source_is_folded_as_an_aggregate_folds_it(pairs: list[tuple[str, int]]) -> None:
    """At every position, with the messages that commands have sent in their order: as by hand, and as the mode itself does it."""
    messages = [Sale(*pair) for pair in pairs]
    for until in range(len(messages) + 1):
        source = OwnSource(messages[:until])
        store = gs.MemoryStore()
        gs.aggregate(plain, source, store=store, key="one")
        one = gs.load_model(plain, store=store, key="one")
        assert gs.replay(plain, OwnSource(messages), until=until) == (one or Shop())
        models = gs.aggregate(keyed, source, store=gs.MemoryStore(), key=lambda msg: msg.shop).models
        for key in models:
            assert gs.replay(keyed, OwnSource(messages), until=until, key=key, key_of="shop") == models[key]
            assert models[key] == by_hand(keyed, messages[:until], key, follows=True, routed=True)


@pytest.mark.parametrize("kind", ["lmdb", "own history"])
def test_a_journal_is_not_followed(make_world: Any, kind: str) -> None:
    """What its commands have sent is in it already, once."""
    world: World = make_world(kind, plain, [Sale("office", 13), Sale("north", 2)])
    total = sum(each.amount for each in world.messages)
    assert gs.replay(plain, world.history).total == total
    assert kind in KINDS


@dataclass(frozen=True)
class Asked:
    command: str


async def fetch() -> str:
    return "found"


async def announce() -> None: ...


def deliver(result: object) -> None: ...


def asking(model: int, msg: Asked) -> gs.Step[int, Asked]:
    commands: dict[str, list[Any]] = {
        "none": [None, gs.Cmd.reply(1), gs.Cmd.cancel("x"), gs.Cmd.send()],
        "announce": [gs.Cmd.call(announce), gs.Cmd.call(fetch, ok=deliver)],
        "all": [gs.Cmd.all(gs.Cmd.send(Asked("none")), gs.Cmd.map([gs.Cmd.send("none")], Asked)[0])],
        "seq": [gs.Cmd.seq(gs.Cmd.send(Asked("none")), gs.Cmd.send(Asked("none")))],
        "call": [gs.Cmd.call(fetch, ok=Asked)],
        "error": [gs.Cmd.call(announce, err=lambda failure: Asked("none"))],
        "bare": [lambda: Asked("none")],
        "after": [gs.Cmd.after(1, Asked("none"))],
        "after another": [gs.Cmd.seq(gs.Cmd.call(announce), gs.Cmd.send(Asked("none")))],
    }
    return model + 1, commands[msg.command]


class Asking(OwnSource):
    def __init__(self, *commands: str) -> None:
        super().__init__([Asked(each) for each in ("none", *commands)])  # type: ignore[misc]  # messages of another class


asks = gs.Program(lambda: (0, ()), asking)


@pytest.mark.parametrize(("command", "turns"), [("none", 2), ("announce", 2), ("all", 4), ("seq", 4)])
def test_commands_that_bring_nothing_else_are_followed(command: str, turns: int) -> None:
    """What is sent is data, also in groups and mapped; what says that it returns None can bring nothing."""
    source: Any = Asking(command)
    assert gs.replay(asks, source) == turns == asyncio.run(gs.batch_async(asks, source)).model


@pytest.mark.parametrize("command", ["call", "error", "bare", "after", "after another"])
def test_commands_that_may_have_brought_something_are_refused(command: str) -> None:
    """By every tool, with the position of the message; up to there it is folded."""
    source: Any = Asking("none", command, "none")
    for tool in (
        gs.replay,
        gs.verify,
        lambda program, history: gs.history.first(program, history, lambda before, msg, after: False),
        lambda program, history: gs.history.compare(program, program, history),
    ):
        with pytest.raises(gs.errors.NotRepeatable, match="at position 2") as raised:
            tool(asks, source)
        assert (raised.value.position, raised.value.name) == (2, "own")
    assert gs.replay(asks, source, until=2) == 2


def test_a_turn_that_asks_for_what_a_source_does_not_have_is_refused() -> None:
    """Its time and its chance; an update that only takes the turn is folded."""

    def timed(model: float, msg: Sale, turn: gs.Turn) -> gs.Step[float, Sale]:
        return (turn.at if msg.amount == 5 else turn.random() if msg.amount == 6 else model + 1), ()

    program = gs.Program(lambda: (0.0, ()), timed)
    assert gs.replay(program, OwnSource([Sale("a", 1), Sale("a", 2)])) == 2
    for amount in (5, 6):
        with pytest.raises(gs.errors.NotRepeatable, match="at position 1"):
            gs.replay(program, OwnSource([Sale("a", 1), Sale("a", amount)]))


def test_an_update_that_raises_says_where() -> None:
    """The error is the program's own, with a note of the tool and the position."""

    def failing(model: Shop, msg: Sale) -> gs.Step[Shop, Sale]:
        if msg.amount == 9:
            raise ZeroDivisionError
        return update(model, msg)

    with pytest.raises(ZeroDivisionError) as raised:
        gs.replay(replace(plain, update=failing), OwnSource([Sale("a", 1), Sale("a", 9)]))
    assert "replay was at position 1, a message of type Sale" in raised.value.__notes__


@pytest.mark.parametrize(
    ("options", "teaches"),
    [
        ({"key": 5}, "key= is the key of one model"),
        ({"key_of": 5}, "key_of= is a function of the message"),
        ({"key_of": "shop"}, "say which with key="),
        ({"store": 5, "key": "a"}, "store= is the open store"),
        ({"store": gs.MemoryStore()}, "store= has models by key"),
    ],
)
def test_wrong_options_teach(options: Any, teaches: str) -> None:
    """Each says what is expected."""
    with pytest.raises(gs.UsageError, match=teaches):
        gs.replay(plain, OwnSource([Sale("a", 1)]), **options)


@pytest.mark.parametrize("given", [[Sale("a", 1)], iter(()), 5, gs.sources.CSV])
def test_what_can_be_read_only_once_is_no_history(given: Any) -> None:
    """A list or an iterator has no positions that anybody has kept."""
    with pytest.raises(gs.UsageError, match="a history is a journal"):
        gs.replay(plain, given)


def test_a_key_is_asked_for(tmp_path: Path) -> None:
    """A program whose init takes one is told where to find it."""
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        store.journal("rooms/lobby", of=Sale).put(Sale("a", 1))
        for tool in (gs.replay, gs.verify):
            with pytest.raises(gs.UsageError, match=r"the journal's name without its prefix \(this one is 'rooms/lobby'\)"):
                tool(keyed, store.journal("rooms/lobby"))
