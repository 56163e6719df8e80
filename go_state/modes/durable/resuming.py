"""Commands that were under way when a durable program's last run ended: their turns are not taken again, and they are held again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from go_state.core.errors import UsageError
from go_state.core.program import Program, read_step
from go_state.middleware.chain import replayed
from go_state.modes.keeping.keyframes import full_step, nearest
from go_state.runtime.effects.effect import Origin
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.flow.waits import Blocking, Flow
from go_state.storage.journal.history import Recorded
from go_state.storage.journal.journal import Journal


def resume_flow(
    program: Program[Any, Any],
    journal: Journal[Any],
    manager: EffectManager,
    applied: int,
    with_disk: Callable[[Callable[[], Any]], Blocking],
    fold: Callable[[Program[Any, Any], Any, int, int], Flow[Any]],
    is_stopping: Callable[[], bool],
    *,
    begun: bool,
) -> Flow[None]:
    """Find the commands of the turns before `applied` again, by taking those turns once more, silently, and hold what was under way.

    `begun` tells whether turn 0 is one of these.
    """
    names: list[str] = yield with_disk(journal.under_way)
    if not names:
        return
    for name in names:
        journal.opened(name)  # it stays noted in this life: one that fails before it has begun them forgets none
    if begun and any(name.startswith(f"{journal.journal_id}/init/") for name in names):
        manager.resume(read_step(program.init(), "init")[1], Origin(None, "init", f"{journal.journal_id}/init"), names)
    silent, reached = replayed(program), -1
    model: Any = None
    for position in sorted(each for each in positions_of(names) if each < applied):
        if reached < 0:
            frame = yield with_disk(partial(nearest, program, journal, position))
            if frame is None:
                raise UsageError(f"a command of the message at {position} is under way, and no snapshot leads there")
            reached, model = frame.position, frame.model
        model = yield from fold(silent, model, reached, position)
        if is_stopping():
            return  # what is held is noted, and the next life finds it again
        recorded = yield with_disk(partial(_recorded_at, journal, position))
        model, commands = full_step(silent, model, recorded.message, recorded.at, position, journal.journal_id)
        manager.resume(commands, Origin(recorded.message, position, f"{journal.journal_id}/{position}"), names)
        reached = position + 1
    noted = manager.held_names()
    journal.ended([name for name in names if name not in noted])


def _recorded_at(journal: Journal[Any], position: int) -> Recorded[Any]:
    return next(journal.exactly(position, position + 1))


def positions_under_way(journal: Journal[Any]) -> set[int]:
    """Return the positions of the messages whose commands are under way."""
    return positions_of(journal.under_way())


def positions_of(names: Sequence[str]) -> set[int]:
    """Return the positions of the messages that sent the commands of these names."""
    turns = (name.split("/")[1] for name in names)
    return {int(turn) for turn in turns if turn.isdecimal()}
