"""Commands are values: equal, printable, and performed in order by a turn."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import go_state as gs
from go_state.core.commands import Call


@dataclass(frozen=True)
class Wrapped:
    name: str
    msg: object


def fail() -> None:
    raise LookupError("secret")


def broken() -> int:
    raise gs.ProgramError("a broken contract")


def sent_by(*commands: Any) -> list[Any]:
    """Return the messages that the commands send, as update sees them."""
    seen: list[Any] = []

    def update(model: None, msg: Any) -> gs.Step[None, Any]:
        seen.append(msg)
        return None, ()

    gs.batch(gs.Program(lambda: (None, list(commands)), update), [])
    return seen


def test_commands_are_equal_and_printable() -> None:
    """Commands that ask for the same are equal and print what they ask for."""
    assert gs.Cmd.send(1, 2) == gs.Cmd.send(1, 2) != gs.Cmd.send(2, 1)
    assert gs.Cmd.call(len, "x", ok=str) == gs.Cmd.call(len, "x", ok=str) != gs.Cmd.call(len, "y", ok=str)
    assert gs.Cmd.map([gs.Cmd.send(1)], Wrapped, "a") == gs.Cmd.map([gs.Cmd.send(1)], Wrapped, "a")
    assert repr(gs.Cmd.send(1)) == "Send(messages=(1,))"


def test_commands_do_nothing_by_themselves() -> None:
    """Making a call calls nothing."""
    gs.Cmd.map([gs.Cmd.call(fail)], Wrapped, "a")


def test_messages_keep_their_order() -> None:
    """The messages of a turn's commands enter in the order of the commands."""
    assert sent_by(gs.Cmd.send(1, 2), lambda: 3, gs.Cmd.call(int, "4"), gs.Cmd.send(5)) == [1, 2, 3, 4, 5]


def test_none_is_ignored_everywhere() -> None:
    """None among commands, sent messages, results and wrapped results is nothing."""
    assert sent_by(
        None, gs.Cmd.send(None, 1), lambda: None, gs.Cmd.call(dict.clear, {}), gs.Cmd.call(int, ok=lambda _: None)
    ) == [1]
    assert sent_by(*gs.Cmd.map([gs.Cmd.send(1, 2)], lambda msg: None if msg == 1 else msg)) == [2]


def test_map_keeps_length_and_none() -> None:
    """A mapped list has the child's length and its Nones, and no list gives an empty one."""
    assert gs.Cmd.map([None, gs.Cmd.send(1), None], Wrapped, "a")[::2] == [None, None]
    assert gs.Cmd.map(None, Wrapped) == gs.Cmd.map([], Wrapped) == []


def test_map_does_not_wrap_nothing() -> None:
    """A child that sends nothing still sends nothing: its parent never sees a wrapped None."""
    assert sent_by(*gs.Cmd.map([lambda: None, gs.Cmd.send(None)], Wrapped, "a")) == []


def test_map_nests() -> None:
    """A grandchild's message is wrapped once by each generation, innermost first."""
    inner = gs.Cmd.map([gs.Cmd.send(1), lambda: 2], Wrapped, "child")
    expected = [Wrapped("parent", Wrapped("child", 1)), Wrapped("parent", Wrapped("child", 2))]
    assert sent_by(*gs.Cmd.map(inner, Wrapped, "parent")) == expected


def test_failure_is_a_value() -> None:
    """With err, an exception of the function becomes a message with its kind and text."""
    assert sent_by(gs.Cmd.call(fail, err=lambda failure: failure)) == [gs.Failure("LookupError", "secret")]


def test_failure_without_err_raises() -> None:
    """Without err, the exception ends the run as it is."""
    with pytest.raises(LookupError, match="secret"):
        sent_by(gs.Cmd.call(fail))


def test_failing_ok_is_no_failure_of_the_function() -> None:
    """An exception of ok is the program's and does not go to err."""
    with pytest.raises(ZeroDivisionError):
        sent_by(gs.Cmd.call(int, ok=lambda n: 1 // n, err=lambda failure: failure))


@pytest.mark.parametrize(
    ("commands", "teaches"),
    [
        (gs.Cmd.send(1), r"one command was returned alone, a Send: .*\[command\]"),
        (fail, r"one command was returned alone, a function: .*\[command\]"),
        ("text", "list or tuple of commands, not a str"),
        ({1}, "list or tuple of commands, not a set"),
        (iter([None]), "list or tuple of commands, not a list_iterator"),
        ([1], "a int is among the commands.*gs.Cmd.send"),
        ([gs.Cmd()], "is not one of go_state's commands"),
        (gs.Cmd.map([5], Wrapped), "a int is among the commands"),  # type: ignore[list-item]
    ],
)
def test_wrong_commands_teach(commands: Any, teaches: str) -> None:
    """What is no command is refused with what to write instead."""
    with pytest.raises(gs.ProgramError, match=teaches):
        gs.batch(gs.Program(lambda: (0, ()), lambda model, msg: (model, commands)), [1])


def test_map_of_one_command_alone_teaches() -> None:
    """Cmd.map takes a list; one command alone is refused with what to write instead."""
    alone: Callable[..., Any] = lambda: gs.Cmd.map(gs.Cmd.send(1), Wrapped)  # type: ignore[arg-type]  # noqa: E731
    with pytest.raises(gs.ProgramError, match="list"):
        alone()


@pytest.mark.parametrize("commands", [0, False, "", 0.0])
def test_empty_value_that_is_no_list_teaches(commands: Any) -> None:
    """A second part that is empty but no list is refused as well: a model that is a pair, returned alone, looks like this."""
    with pytest.raises(gs.ProgramError, match="list or tuple of commands"):
        gs.batch(gs.Program(lambda: (0, ()), lambda model, msg: (model, commands)), [1])


def test_program_error_inside_a_call_is_not_a_failure() -> None:
    """A broken contract is never turned into a message."""
    bad: Any = gs.Cmd.call(broken, err=lambda failure: 1)
    with pytest.raises(gs.ProgramError):
        sent_by(bad)


@pytest.mark.parametrize(
    "made",
    [
        lambda value: gs.Cmd.after(value, "message"),
        lambda value: gs.Sub.every(value, "message"),
        lambda value: gs.Sub.at(value, "message"),
    ],
    ids=["after", "every", "at"],
)
def test_what_stands_in_the_place_of_a_time_is_not_quoted(made: Callable[[Any], object]) -> None:
    """It comes from a model or a message; a number is shown."""
    with pytest.raises(gs.ProgramError, match="not a str") as raised:
        made("secret")
    assert "secret" not in str(raised.value)
    with pytest.raises(gs.ProgramError, match="not nan"):
        made(float("nan"))


def test_a_call_is_what_it_calls_and_how() -> None:
    """It is equal to another of the same parts, hashes, matches, copies and pickles by them, and its parts cannot be changed."""
    call: Any = gs.Cmd.call(len, "four", ok=str, key="k", busy="skip")
    match call:
        case Call(fn, args, ok, err, how):
            assert (fn, args, ok, err, how.key, how.busy, call.key) == (len, ("four",), str, None, "k", "skip", "k")
        case _:
            pytest.fail("it does not match")
    for same in (
        gs.Cmd.call(len, "four", ok=str, key="k", busy="skip"),
        copy.copy(call),
        copy.deepcopy(call),
        pickle.loads(pickle.dumps(call)),
    ):
        assert (same, hash(same), repr(same)) == (call, hash(call), repr(call))
    for other in (
        gs.Cmd.call(len, "four", ok=str, key="k"),
        gs.Cmd.call(len, "fou"),
        (len, ("four",), str, None, call.how),
        call.parts,
    ):
        assert call != other
    with pytest.raises(AttributeError):
        call.fn = str
