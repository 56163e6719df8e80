"""The plain fold: one function for a replay, a durable run and a recorded test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import go_state as gs
from go_state.core.turn import Turn
from go_state.modes.keeping.folding import chunks, fold, folded


def plain(model: list[int], message: int) -> gs.Step[list[int], int]:
    return [*model, message], ()


def with_turn(model: list[int], message: int, turn: gs.Turn) -> gs.Step[list[int], int]:
    return [*model, message * 100 + turn.position], ()


PLAIN: gs.Program[list[int], int] = gs.Program(lambda: ([], ()), plain)
TURNS: gs.Program[list[int], int] = gs.Program(lambda: ([], ()), with_turn)


@pytest.mark.parametrize(
    ("program", "steps", "model"),
    [
        (PLAIN, [], []),
        (PLAIN, [1, 2], [1, 2]),
        (PLAIN, [1, None, 2], [1, 2]),
        (TURNS, [(1, Turn(0.0, 5, "j/5")), (2, Turn(0.0, 6, "j/6"))], [105, 206]),
    ],
)
def test_steps_are_folded(program: Any, steps: list[Any], model: list[int]) -> None:
    """Messages, or pairs of a message and its turn; None is passed over."""
    assert folded(program, [], iter(steps)) == model


@pytest.mark.parametrize("step", [None, 1, (1,), (1, (), ()), [1, ()]])
@pytest.mark.parametrize("takes_turn", [False, True])
def test_what_is_not_a_step_is_an_error(step: Any, takes_turn: bool) -> None:
    """The same one as in a run."""
    if takes_turn:
        program: Any = gs.Program(lambda: (0, ()), lambda model, message, turn: step)
        steps: list[Any] = [(1, Turn(0.0, 0, "j/0"))]
    else:
        program, steps = gs.Program(lambda: (0, ()), lambda model, message: step), [1]
    with pytest.raises(gs.ProgramError, match="update returned"):
        folded(program, 0, steps)


@pytest.mark.parametrize("program", [PLAIN, TURNS])
def test_a_journal_is_folded_exactly(tmp_path: Path, program: Any) -> None:
    """From one position to before another, but for what was set aside; in chunks that are read when they are asked for."""
    with gs.LMDBStore(tmp_path / "s") as store:
        journal = store.journal("j", of=int)
        journal.put(*range(5))
        journal.flush()
        journal.skip(3)
        expected = [1, 2, 4] if program is PLAIN else [101, 202, 404]
        assert fold(program, journal, [], 1, 5) == expected
        assert [list(chunk.messages) for chunk in chunks(program, journal, 1, 5)] == [[1, 2, 4]]
        journal.truncate(2)
        with pytest.raises(gs.Lagged):
            fold(program, journal, [], 1, 5)
