"""Rewrite: messages of a journal replaced or emptied, and the snapshots of its program made anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from go_state.core.errors import UsageError
from go_state.core.program import Program, read_step, takes_key
from go_state.middleware.chain import replayed
from go_state.modes.keeping.keyframes import MARK, Keyframe, full_step, kept, newest, position_of, set_message_type
from go_state.modes.keeping.schema import schema_of
from go_state.modes.settings import checked_program
from go_state.storage.codec.codecs import message_codec
from go_state.storage.codec.difference import difference
from go_state.storage.codec.message_codec import MessageCodec
from go_state.storage.codec.program_types import message_type, migrations_of
from go_state.storage.journal.erasing.rewriting import Rewritten
from go_state.storage.journal.history import Recorded, Rewrite
from go_state.storage.journal.journal import Journal
from go_state.storage.letters.erasing import rewrite_letters
from go_state.storage.records.records import PROGRAM
from go_state.storage.snapshots.snapshot import Mark

Model = TypeVar("Model")
Msg = TypeVar("Msg")


def rewrite(
    program: Program[Model, Msg],
    journal: Journal[Msg],
    fn: Rewrite,
    *,
    key: str | None = None,
    model: Callable[[Model], Model] | None = None,
    rebuild: bool = False,
    dry_run: bool = False,
    progress: Callable[[int], object] | None = None,
) -> Rewritten:
    """Replace messages of a program's journal in place, or empty them, and make its snapshots anew; no command is performed.

    `fn(entry)` returns `entry.message` as it is, another in its place, or None to empty it; of a message that cannot be read and was
    set aside, `entry.message` is its JSON, such as `["Add", {"by": 1}]`. Positions, times of entry, readers' positions and effect ids
    stay. Letters of messages that change, in the same store, are deleted with their errors. All of it counts at once, or nothing: a
    crash leaves the journal and its snapshots as they were, or as they are to be.

    The old messages are folded as well, but for those that have had no turn, and have to lead to the snapshots that there are:
    otherwise today's program would change more than what was rewritten, which is for `rebuild=True` to allow. If the journal's first
    messages are forgotten, the oldest snapshot holds what they made; `model(it)` returns it without what is to be erased. `key` is
    what a program's init is given that takes one: the journal's name, if it is not said. With `dry_run` messages are only
    counted. `progress` is called now and then with how many were looked at.

    Dead letters of the journal whose messages it has forgotten follow, after that: their messages are given to `fn` as well, and one
    that it empties is deleted. Interrupted in between, the same call finishes it. Letters of aggregates, and in other stores, are for
    `gs.DeadLetters`.

    Raises `LeaseHeld` and `UsageError` if the program runs, a command of a message that changes has not ended, or another model would
    come out of the old messages; and what `fn` and `update` raise, with a note of the position.
    """
    program = checked_program(program)
    set_message_type(journal, program)
    journal.lease.refresh()
    if dry_run:
        done = journal.rewrite(fn, dry_run=True, progress=progress)
    else:
        refolding = _Refolding(program, journal, journal.name if key is None else key, model, rebuild=rebuild)
        done = journal.rewrite(fn, refolding=refolding, progress=progress)
    codec: MessageCodec[Msg] = message_codec(message_type(program), program.schema, migrations_of(program))

    def of_letter(position: int, at: float, message: object) -> object:
        return fn(Recorded(position, at, message))

    left = rewrite_letters(journal.store, journal.name, codec, program.schema, of_letter, dry_run=dry_run)
    return done._replace(letters=max(done.letters, left) if dry_run else done.letters + left)


class _Refolding(Generic[Model, Msg]):
    """Folds the messages as they were and as they are to be, from one snapshot to the next."""

    def __init__(
        self,
        program: Program[Model, Msg],
        journal: Journal[Msg],
        key: str,
        model: Callable[[Model], Model] | None,
        *,
        rebuild: bool,
    ) -> None:
        journal.writer.begin()  # takes the lease: from here on the snapshots stay as they are
        self._program = replayed(program)
        self._journal = journal
        self._schema = schema_of(program, None)
        self._schema.remember_types(journal.store)
        self._model = model
        self._rebuild = rebuild
        self._start = journal.statistics().start
        self.positions: Sequence[int] = self._found()
        # What lies beyond has had no turn, which may be because its turn fails, and no snapshot is made of it.
        self._until = max(journal.parts.positions.stored.get(PROGRAM, 0), *self.positions[-1:], 0)
        self._old: Model  # set when it has begun, and so is the new one
        self._new: Model  # the very same as the old one, until a message differs
        self._begun = not self._start
        if self._begun:
            self._old = self._new = read_step(program.init(key) if takes_key(program) else program.init(), "init")[0]

    def _found(self) -> list[int]:
        """Return the positions of the snapshots that the journal leads on from."""
        journal, name = self._journal, self._journal.name
        stored = journal.store.load(name)
        if stored is None:
            return []
        if self._start and self._model is None:
            raise UsageError(
                f"the journal {name!r} begins at {self._start}, and its snapshots hold what the messages before have made: say with "
                f"model= what becomes of the oldest, such as lambda model: model if nothing of it is to be erased"
            )
        positions = {*journal.store.keyframes(name), position_of(journal, stored)}
        return sorted(position for position in positions if position >= self._start)

    def take(self, position: int, at: float, before: Msg | None, after: Msg | None) -> None:
        if not self._begun or position >= self._until:
            return
        same = after is before and self._new is self._old
        new = self._folded(self._new, after, at, position)
        self._old = new if same else self._folded(self._old, before, at, position)
        self._new = new

    def _folded(self, model: Model, message: Msg | None, at: float, position: int) -> Model:
        if message is None:
            return model
        return full_step(self._program, model, message, at, position, self._journal.journal_id)[0]

    def snapshot(self, position: int) -> bytes:
        frame = self._stored(position)
        if not self._begun:
            self._begun = True
            self._old = frame.model
            self._new = frame.model if self._model is None else self._model(frame.model)
        elif not self._rebuild and (differs := difference(frame.model, self._old)) is not None:
            raise UsageError(
                f"today's program does not make the snapshot at position {position} of {self._journal.name!r} of the messages before "
                f"it ({differs.path} differs), so more would change than what is rewritten, and nothing was: `gs.verify` says from "
                f"where on; rebuild=True makes the snapshots anew all the same"
            )
        journal = self._journal
        return self._schema.seal(journal.name, self._new, {MARK: Mark(position, journal.journal_id)})

    def _stored(self, position: int) -> Keyframe[Model]:
        is_newest = position == self.positions[-1]
        frame = newest(self._schema, self._journal) if is_newest else kept(self._schema, self._journal, position)
        assert frame is not None  # the lease is ours, and it was there
        return frame
