"""How a durable run begins: from its newest snapshot to its first live turn.

    newest snapshot ──▶ replay, silently, to the cursor ──▶ commands that were running ──▶ on_restore ──▶ the first model is shown

The commands that were running when the last run ended are found by taking their turns once more, silently; they are held, as a turn
holds what it starts, and started together with what `on_restore` returns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from go_state.core.errors import UsageError
from go_state.core.program import Program, read_step
from go_state.middleware.chain import replayed
from go_state.modes.durable.replaying import replay_flow
from go_state.modes.keeping.keyframes import Keyframe, full_step, nearest
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.effects.place import Origin
from go_state.runtime.flow.waits import Blocking, Flow
from go_state.storage.journal.history import Recorded
from go_state.storage.journal.journal import Journal
from go_state.system.own_thread import OwnThread, Stepwise

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class Beginning(Generic[Model, Msg]):
    """The beginning of one run, up to the commands that the run starts with.

    `is_stopping` is asked between the steps of the replay, and ends it. `thread` uses the disk; a run in a thread of its own
    reads messages there (`on_loop` false).
    """

    def __init__(
        self,
        program: Program[Model, Msg],
        journal: Journal[Msg],
        manager: EffectManager,
        thread: OwnThread,
        is_stopping: Callable[[], bool],
        *,
        on_loop: bool,
    ) -> None:
        self._program = program
        self._journal = journal
        self._manager = manager
        self._thread = thread
        self._is_stopping = is_stopping
        self._on_loop = on_loop

    def model_at(
        self, applied: int, snapshot: Keyframe[Model] | None, running: Sequence[str]
    ) -> Flow[tuple[Model, Sequence[Msg]] | None]:
        """Return the model before the message at `applied`, and the messages that the beginning sends; None if the run is stopping.

        What was `running` by these names, and what init or on_restore has started, is held by the manager.
        """
        program, journal = self._program, self._journal
        if snapshot is not None and journal.writer.rules.has_unwritten():  # what a first snapshot takes along
            yield self._with_disk(Stepwise(journal.flush, journal.writer.flush_in_steps))
        start = journal.parts.tail.start
        if snapshot is None:
            if start:
                raise UsageError(f"the journal {journal.name!r} begins at {start} and no snapshot covers what was before it")
            first, (model, commands) = 0, read_step(program.init(), "init")
        else:
            first, model, commands = snapshot.position, snapshot.model, ()
        begun = snapshot is not None or applied > first  # whether turn 0 is processed
        model = yield from self._folded(replayed(program), model, first, applied)
        if self._is_stopping():
            return None
        self._manager.note_in(journal.run_record)
        yield from self._resume(applied, running, begun=begun)
        if self._is_stopping():
            return None
        name = "init"
        if begun:
            name, commands = f"restore/{applied}", () if program.on_restore is None else program.on_restore(model)
        return model, self._perform(commands, name)

    def _perform(self, commands: object, name: str) -> Sequence[Msg]:
        manager, journal_id = self._manager, self._journal.journal_id
        manager.names.name_turns(lambda: f"{journal_id}/{name}")
        sent = manager.perform(commands)
        manager.names.name_turns(lambda: f"{journal_id}/{manager.names.where()}")
        return sent

    def _folded(self, program: Program[Model, Msg], model: Model, start: int, end: int) -> Flow[Model]:
        """Replay the messages from `start` to before `end`, silently."""
        thread = self._thread if self._on_loop else None
        folded: Model = yield from replay_flow(
            program, self._journal, model, start, end, thread=thread, is_stopping=self._is_stopping
        )
        return folded

    def _with_disk(self, fn: Callable[[], object]) -> Blocking:
        return Blocking(fn, self._thread)

    # ------------------------------------------------------------------ commands that were running

    def _resume(self, applied: int, names: Sequence[str], *, begun: bool) -> Flow[None]:
        """Find the commands of the turns before `applied` again, by taking those turns once more, and hold what was running."""
        journal, manager = self._journal, self._manager
        if not names:
            return
        for name in names:
            journal.run_record.opened(name)  # it stays noted in this life: one that fails before it has begun them forgets none
        init = f"{journal.journal_id}/init"
        if begun and any(name.startswith(f"{init}/") for name in names):
            manager.resume(read_step(self._program.init(), "init")[1], Origin(None, "init", init), names)
        yield from self._resume_turns(sorted(each for each in positions_of(names) if each < applied), names)
        if self._is_stopping():
            return  # what is held is noted, and the next life finds it again
        held = manager.held_names()
        journal.run_record.ended([name for name in names if name not in held])

    def _resume_turns(self, positions: Sequence[int], names: Sequence[str]) -> Flow[None]:
        """Take the turns at the positions, in order, each on the model that it had."""
        silent, reached, journal_id = replayed(self._program), -1, self._journal.journal_id
        model: Any = None  # of the user's program, once there is one
        for position in positions:
            if reached < 0:
                snapshot = yield self._with_disk(partial(nearest, self._program, self._journal, position))
                if snapshot is None:
                    raise UsageError(f"a command of the message at {position} is running, and no snapshot leads there")
                reached, model = snapshot.position, snapshot.model
            model = yield from self._folded(silent, model, reached, position)
            if self._is_stopping():
                return
            recorded = yield self._with_disk(partial(_recorded_at, self._journal, position))
            model, commands = full_step(silent, model, recorded.message, recorded.at, position, journal_id)
            self._manager.resume(commands, Origin(recorded.message, position, f"{journal_id}/{position}"), names)
            reached = position + 1


def _recorded_at(journal: Journal[Msg], position: int) -> Recorded[Msg]:
    return next(journal.history.exactly(position, position + 1))


def positions_of(names: Sequence[str]) -> set[int]:
    """Return the positions of the messages that sent the commands of these names."""
    turns = (name.split("/")[1] for name in names)
    return {int(turn) for turn in turns if turn.isdecimal()}
