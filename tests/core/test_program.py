"""What makes a program, and what is refused with a sentence that helps."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any, NamedTuple

import pytest

import go_state as gs


def init() -> gs.Step[int, int]:
    return 0, ()


def update(model: int, msg: int) -> gs.Step[int, int]:
    return model + msg, ()


async def async_update(model: int, msg: int) -> gs.Step[int, int]:
    return model + msg, ()


class Pair(NamedTuple):
    one: int
    two: int


async def wait() -> None:
    """Do nothing, later."""


def test_program_is_a_frozen_equal_value() -> None:
    """Two programs of the same functions are equal, and none can be changed."""
    program = gs.Program(init, update)
    assert program == gs.Program(init, update)
    with pytest.raises(FrozenInstanceError):
        program.schema = 2  # type: ignore[misc]


def test_reducer_needs_no_commands() -> None:
    """A reducer's functions return a model alone."""
    counter = gs.reducer(int, lambda model, by: model + by)
    assert gs.testing.play(counter, 1, 2).models == (0, 1, 3)


def test_play_shows_commands_and_performs_none() -> None:
    """`play` lists what each turn asks for without doing it."""
    program = gs.Program(lambda: (0, [gs.Cmd.send(9)]), lambda model, msg: (model + msg, [gs.Cmd.send(msg)]))
    played = gs.testing.play(program, 1, 2)
    assert played.model == 3
    assert played.commands == ((gs.Cmd.send(9),), (gs.Cmd.send(1),), (gs.Cmd.send(2),))


def test_play_ignores_none() -> None:
    """A None message is no turn in `play` either."""
    program: gs.Program[int, Any] = gs.Program(init, update)
    assert gs.testing.play(program, None, 1, None).models == (0, 1)


@pytest.mark.parametrize(
    ("make", "teaches"),
    [
        (lambda: gs.Program(None, update), "init is a function"),
        (lambda: gs.Program(0, update), "pass the function itself"),
        (lambda: gs.Program(init, init), r"update is called as update\(model, msg\)"),
        (lambda: gs.Program(lambda one, two: (0, ()), update), r"init is called as init\(\) or \(key\)"),
        (lambda: gs.Program(init, async_update), "return the waiting as a command"),
        (lambda: gs.Program(init, update, view=lambda: None), r"view is called as view\(model\)"),
        (lambda: gs.Program(init, update, on_restore=lambda: None), r"on_restore is called as on_restore\(model\)"),
        (lambda: gs.reducer(0, update), "init is a function"),
        (lambda: gs.reducer(int, lambda model: model), r"update is called as update\(model, msg\)"),
    ],
)
def test_wrong_function_is_refused_when_made(make: Callable[[], Any], teaches: str) -> None:
    """A function that cannot be called as it will be is refused by name before anything runs."""
    with pytest.raises(gs.ProgramError, match=teaches):
        make()


@pytest.mark.parametrize("schema", [0, -1, 1.5, "1", True])
def test_schema_is_a_whole_number_from_one(schema: Any) -> None:
    """A schema that is no number from 1 is refused."""
    with pytest.raises(gs.UsageError, match="whole number from 1"):
        gs.Program(init, update, schema=schema)


def test_no_init_is_an_error() -> None:
    """A program without init cannot be made."""
    with pytest.raises(TypeError, match="init"):
        gs.Program(update=update)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("step", "teaches"),
    [
        (lambda: None, "returned None: a branch without a return"),
        (lambda: 1, "returned a int"),
        (lambda: (1, (), 3), "returned a tuple of 3"),
        (lambda: (1,), "returned a tuple of 1"),
        (lambda: Pair(1, 2), "returned a Pair"),
        (lambda: [1, ()], "returned a list"),
    ],
)
@pytest.mark.parametrize("role", ["init", "update"])
def test_no_step_teaches_how_to_write_one(role: str, step: Callable[[], Any], teaches: str) -> None:
    """Whatever is returned in a step's place, the error names the role, the find and the cure."""
    program = gs.Program(step if role == "init" else init, (lambda model, msg: step()) if role == "update" else update)
    with pytest.raises(gs.ProgramError, match=f"{role} {teaches}.*return model, \\(\\)"):
        gs.batch(program, [1])


def test_coroutine_step_teaches() -> None:
    """An update that hands back a coroutine is told that it does not wait."""
    coroutine = wait()
    with pytest.raises(gs.ProgramError, match="decides and does not wait"):
        gs.batch(gs.Program(init, lambda model, msg: coroutine), [1])
    coroutine.close()


def test_errors_have_one_root() -> None:
    """Everything that go_state raises on purpose is a GoStateError, and of the builtin kind one expects."""
    assert issubclass(gs.ProgramError, gs.GoStateError)
    assert issubclass(gs.ProgramError, TypeError)
    assert issubclass(gs.UsageError, ValueError)
    assert issubclass(gs.TimedOut, TimeoutError)
    assert issubclass(gs.errors.InsideLoop, RuntimeError)
    assert issubclass(gs.errors.MissingExtra, ImportError)


def test_missing_extra_says_what_to_install() -> None:
    """The error for an absent dependency holds the command to type."""
    error = gs.errors.MissingExtra("cli", "a progress bar")
    assert 'pip install "go-state[cli]"' in str(error)
    assert error.extra == "cli"


def test_init_with_a_key_teaches_without_one() -> None:
    """An init that asks for a key is told so by a mode that has none."""
    program: gs.Program[Any, int] = gs.Program(lambda key: (key, ()), lambda model, msg: (model, ()))
    with pytest.raises(gs.UsageError, match="key"):
        gs.batch(program, [1])


def test_play_gives_the_key_to_init() -> None:
    """An init that takes a key is given that of `play`, and one that takes none is not."""
    keyed: gs.Program[list[Any], Any] = gs.Program(
        lambda key: ([key], [gs.Cmd.send(key)]), lambda model, msg: ([*model, msg], ())
    )
    played = gs.testing.play(keyed, "m", key="x")
    assert (played.models, played.commands) == ((["x"], ["x", "m"]), ((gs.Cmd.send("x"),), ()))
    assert gs.testing.play(gs.reducer(list, lambda model, msg: [*model, msg]), "m", key="x").model == ["m"]
    with pytest.raises(gs.UsageError, match="key="):
        gs.testing.play(keyed, "m")


def test_reducer_hands_on_what_belongs_to_a_program() -> None:
    """View, name and schema of a reducer are its program's."""
    program = gs.reducer(int, lambda model, msg: model + msg, view=print, name="total", schema=3)
    assert (program.view, program.name, program.schema) == (print, "total", 3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: gs.Program[int, int](lambda: (0, ()), lambda model, msg: (model, ())),
        lambda: gs.FailedMessage[int](1, 0, ValueError()),
        lambda: gs.SetAside[int](gs.Buffer()),
    ],
    ids=["Program", "FailedMessage", "SetAside"],
)
def test_a_generic_value_is_made_with_its_types_said(make: Callable[[], object]) -> None:
    """Program[Model, Msg](...) is the same as Program(...)."""
    assert make() is not None
