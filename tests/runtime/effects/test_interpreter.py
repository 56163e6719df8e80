"""The interpreter by itself: what a turn's commands come to, without a run."""

from __future__ import annotations

import types
from collections.abc import Generator
from types import CoroutineType
from typing import Any

import pytest

import go_state as gs
from go_state.runtime.effects.interpreter import Interpreter
from go_state.runtime.effects.place import Origin, Outcome, TurnNames
from go_state.runtime.effects.scheduler import Cancelling, Effect

Cmd = gs.Cmd


class Taken:
    """A scheduler's keys, as a test says."""

    def __init__(self, *keys: Any) -> None:
        self.keys = {((), key) for key in keys}

    def is_taken(self, key: Any) -> bool:
        return key in self.keys

    def keys_in(self, scope: Any) -> list[Any]:
        return [key for key in self.keys if key[0][: len(scope)] == scope]


async def later() -> str:
    return "later"


def fails() -> None:
    raise LookupError("no")


def said(held: list[Any]) -> list[Any]:
    """Return what is held, an effect by where it stands in its turn."""
    return [each.path if isinstance(each, Effect) else ("cancel", each.scope, each.key) for each in held]


AFTER = Cmd.after(1, "late")
THREAD = Cmd.call(len, "four", thread=True, key="k")

TABLE: list[tuple[str, Any, list[Any], list[Any]]] = [
    ("nothing", (), [], []),
    ("None is nothing", None, [], []),
    ("None is no command and no message", [None, Cmd.send(None, 1), lambda: None], [1], []),
    ("messages, in order", [Cmd.send(1, 2), lambda: 3, Cmd.call(len, "four", ok=str)], [1, 2, 3, "4"], []),
    ("a failure that is a message", [Cmd.call(fails, err=lambda failure: failure.kind)], ["LookupError"], []),
    ("the only message of a turn", [Cmd.send(1)], [1], []),
    ("the only command sends two, or none", [Cmd.send(None, 1, 2)], [1, 2], []),
    ("the only command sends None", [Cmd.send(None)], [], []),
    ("the only callable", [lambda: 3], [3], []),
    ("the only callable sends nothing", [lambda: None], [], []),
    ("the only call", [Cmd.call(len, "four", ok=str)], ["4"], []),
    ("a tuple of one", (lambda: 3,), [3], []),
    ("a lambda that makes a coroutine is held", [lambda: later()], [], [(0,)]),
    ("a timer is held", [Cmd.send(1), AFTER], [1], [(0,)]),
    ("messages do not count", [lambda: 1, Cmd.send(2), AFTER], [1, 2], [(1,)]),
    ("a thread is held", [THREAD], [], [(0,)]),
    ("a coroutine function is held", [later], [], [(0,)]),
    ("so is its call", [Cmd.call(later, ok=str)], [], [(0,)]),
    ("a key is cancelled", [Cmd.cancel("k"), AFTER], [], [("cancel", (), ((), "k")), (1,)]),
    ("all is cancelled", [Cmd.cancel()], [], [("cancel", (), None)]),
    ("an inline call takes the place of its key's", [Cmd.call(len, "", key="k", ok=str)], ["0"], [("cancel", (), ((), "k"))]),
    (
        "also if it fails, and its failure is a message",
        [Cmd.call(fails, key="k", err=lambda failure: failure.kind)],
        ["LookupError"],
        [("cancel", (), ((), "k"))],
    ),
    ("one that is to be awaited takes the place when it begins", [Cmd.call(later, key="k")], [], [(0,)]),
    ("one that skips is called if its key is free", [Cmd.call(len, "", key="free", busy="skip", ok=str)], ["0"], []),
    ("if it is taken, the scheduler decides", [Cmd.call(len, "", key="taken", busy="skip", ok=str)], [], [(0,)]),
    ("a key that is held is taken", [THREAD, Cmd.call(len, "", key="k", busy="queue", ok=str)], [], [(0,), (1,)]),
    (
        "a key that is given up is free",
        [Cmd.cancel("taken"), Cmd.call(len, "", key="taken", busy="queue", ok=str)],
        ["0"],
        [("cancel", (), ((), "taken"))],
    ),
    (
        "all keys that are given up are free",
        [Cmd.cancel(), Cmd.call(len, "", key="taken", busy="skip", ok=str)],
        ["0"],
        [("cancel", (), None)],
    ),
    ("a sequence goes on as far as it can", [Cmd.seq(lambda: 1, Cmd.send(2), AFTER, Cmd.send(3))], [1, 2], [((0,), 2)]),
    ("one that fails is left", [Cmd.seq(Cmd.call(fails, err=lambda _: "no"), Cmd.send(2))], ["no"], []),
    ("all begin", [Cmd.all(AFTER, lambda: 1, THREAD)], [1], [((0,), 0), ((0,), 2)]),
    ("nested", [Cmd.seq(Cmd.all(Cmd.seq(lambda: 1, AFTER), Cmd.send(2)), Cmd.send(3))], [1, 2], [((((0,), 0), 0), 1)]),
    ("a child's", Cmd.map([Cmd.send("m"), lambda: None], dict.fromkeys), [{"m": None}], []),
]


@pytest.mark.parametrize(("commands", "messages", "held"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_commands_come_to(commands: Any, messages: list[Any], held: list[Any]) -> None:
    """Messages are returned, and what goes on after the turn is held, in order."""
    interpreter = Interpreter(Taken("taken"), TurnNames())
    assert list(interpreter.perform(commands, "msg")) == messages
    assert said(interpreter.held) == held
    interpreter.drop()
    assert interpreter.held == []


def test_a_turn_that_sends_and_holds_nothing_gives_the_empty_tuple() -> None:
    """By which a loop knows that there is nothing to commit but its position."""
    interpreter = Interpreter(Taken(), TurnNames())
    assert interpreter.perform([None, lambda: None]) is ()  # noqa: F632
    assert interpreter.perform([AFTER]) == []


@pytest.mark.parametrize("commands", [[gs.Cmd[int]()], [1], lambda: 1, 5, [Cmd.map([3], str)[0]]])
def test_what_is_no_command_is_refused(commands: Any) -> None:
    """Alone or in a list, by an error that says how commands are written."""
    with pytest.raises(gs.ProgramError):
        Interpreter(Taken(), TurnNames()).perform(commands)


def test_what_is_dropped_is_never_awaited_and_its_keys_are_free_again() -> None:
    """The coroutine of a turn that is rolled back is closed."""
    interpreter = Interpreter(Taken(), TurnNames())
    interpreter.perform([Cmd.call(later, key="k")])
    (effect,) = interpreter.held
    assert isinstance(effect, Effect)
    coroutine = effect.coroutine
    assert isinstance(coroutine, CoroutineType)
    assert interpreter.drop() == [effect]
    assert coroutine.cr_frame is None
    assert interpreter.perform([Cmd.call(len, "", key="k", busy="skip", ok=str)]) == ["0"]


def test_held_effects_of_several_turns_add_up_until_they_are_begun() -> None:
    """Their keys count as taken in the turns after theirs, and one of these gives them up."""
    interpreter = Interpreter(Taken(), TurnNames())
    interpreter.perform([THREAD])
    assert list(interpreter.perform([Cmd.call(len, "", key="k", busy="skip", ok=str)])) == []
    assert list(interpreter.perform([Cmd.cancel("k"), Cmd.call(len, "", key="k", busy="skip", ok=str)])) == ["0"]
    assert said(interpreter.held) == [(0,), (0,), ("cancel", (), ((), "k"))]


def test_names_are_of_the_turn_and_the_place_in_it() -> None:
    """Those of turns at one position are told apart by a number, and nothing is named that needs no name."""
    names = TurnNames()
    names.name_run("run")
    position = [7]
    names.connect(lambda: position[0])
    interpreter = Interpreter(Taken(), names)
    for _ in range(2):
        interpreter.perform([Cmd.send(1)])  # not numbered
        interpreter.perform([AFTER, Cmd.seq(AFTER)])
    position[0] = 8
    interpreter.perform([AFTER])
    assert [each.name for each in interpreter.held if isinstance(each, Effect)] == [
        "run/7+0/0",
        "run/7+0/1.0",
        "run/7+1/0",
        "run/7+1/1.0",
        "run/8+0/0",
    ]


class Noted:
    """Marks, as a list."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def opened(self, name: str) -> None:
        self.log.append(name)

    def ended(self, names: Any) -> None:
        raise AssertionError("the interpreter ends nothing")


def test_what_is_held_is_noted_and_so_is_an_all_that_has_failed_with_parts_running() -> None:
    """Before the turn is committed."""
    interpreter = Interpreter(Taken(), TurnNames())
    interpreter.holding.marks = noted = Noted()
    interpreter.resume([], Origin(None, 1, "t"), ())
    names = TurnNames()
    names.name_turns(lambda: "t")
    interpreter = Interpreter(Taken(), names)
    interpreter.holding.marks = noted
    interpreter.perform([Cmd.all(AFTER, Cmd.call(fails, err=lambda _: None))])
    assert noted.log == ["t/0.0", "t/0!"]


def test_what_was_running_is_held_again_with_what_follows_it() -> None:
    """And nothing else of its turn is performed."""
    called: list[str] = []
    commands = [lambda: called.append("inline"), Cmd.seq(lambda: called.append("before"), AFTER, Cmd.send("then")), THREAD]
    interpreter = Interpreter(Taken(), TurnNames())
    interpreter.resume(commands, Origin("msg", 3, "t"), {"t/1.1"})
    (effect,) = interpreter.held
    assert isinstance(effect, Effect)
    assert (called, effect.name, effect.origin.position) == ([], "t/1.1", 3)
    assert effect.group is not None
    assert [each for _, each in effect.group.rest] == [Cmd.send("then")]


def test_a_part_of_a_sequence_may_cancel_its_own_key_and_scope_and_the_rest_goes_on() -> None:
    """What follows is performed in the same step, and the cancel is carried out with it."""
    interpreter = Interpreter(Taken("k"), TurnNames())
    interpreter.perform([Cmd.seq(AFTER, Cmd.cancel("k"), Cmd.cancel(), lambda: "end")])
    (effect,) = interpreter.held
    assert isinstance(effect, Effect)
    interpreter.holding.clear()
    sent: list[Any] = []
    interpreter.arrived(effect.origin)
    assert effect.group is not None
    interpreter.part_ended(effect.group, Outcome.DONE, sent)
    assert sent == ["end"]
    assert interpreter.held == [Cancelling((), ((), "k")), Cancelling((), None)]


@types.coroutine
def of_old() -> Generator[None, None, int]:
    yield
    return 5


def test_what_is_remembered_of_a_result_is_its_class_alone() -> None:
    """A generator that can be awaited is known after one that cannot, and a coroutine after a plain result."""
    interpreter = Interpreter(Taken(), TurnNames())
    plain = (each for each in ())
    results: list[Any] = [1, of_old(), plain, 1, 2, "two", later(), "three", None, 3]
    sent = [list(interpreter.perform([lambda result=result: result])) for result in results]
    assert sent == [[1], [], [plain], [1], [2], ["two"], [], ["three"], [], [3]]
    assert said(interpreter.held) == [(0,), (0,)]
    assert [interpreter.perform([Cmd.call(lambda result=result: result)]) for result in (None, 7)] == [[], [7]]
    interpreter.drop()
