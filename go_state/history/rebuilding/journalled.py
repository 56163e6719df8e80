"""The snapshots of journalled programs, made again: the newest and the keyframes, each at the position where it stood."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Generic, TypeVar

from go_state.core.errors import Incompatible, Lagged, LeaseHeld, UsageError
from go_state.core.ports import Stored
from go_state.core.program import Program, read_step
from go_state.history.rebuilding.changes import Changes, Rebuilt
from go_state.middleware.chain import replayed
from go_state.modes.keeping.folding import fold
from go_state.modes.keeping.keyframes import MARK, position_of, set_message_type
from go_state.modes.keeping.schema import schema_of
from go_state.storage.backends.record_store import RecordStore
from go_state.storage.codec.difference import ABSENT
from go_state.storage.journal.journal import Journal
from go_state.storage.records.models import Rewrite
from go_state.storage.records.records import PROGRAM
from go_state.storage.snapshots.snapshot import Mark, Schema, is_envelope, read_envelope

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_STOP = "Stop the program, rebuild, and start it again."


class Journalled(Generic[Model, Msg]):
    """One rebuild of the journalled programs in a store."""

    def __init__(self, program: Program[Model, Msg], store: RecordStore, *, dry_run: bool) -> None:
        self._schema: Schema[Model] = schema_of(program, None)
        self._store = store
        self._dry_run = dry_run
        self._changes = Changes()
        self._rewrites: list[Rewrite] = []
        self._leases = ExitStack()

    def keys_under(self, prefix: str) -> Iterator[str]:
        """Give the names of the journals under the prefix that this program's snapshots are of."""
        for name in self._store.journal_names():
            stored = self._store.load(name) if name.startswith(prefix) else None
            if stored is not None and is_envelope(stored.data):
                envelope = read_envelope(name, stored.data)
                if envelope.name in self._schema.names and MARK in envelope.marks:
                    yield name

    def add(self, name: str, program: Program[Model, Msg], progress: Callable[[int], object] | None) -> None:
        """Fold the journal of this name, from its beginning to its newest snapshot."""
        was_open = self._store.journals.is_open(name)
        journal: Journal[Msg] = self._store.journal(name)
        if not was_open:
            self._leases.callback(journal.close)
        self.add_journal(journal, program, progress)

    def add_journal(
        self, journal: Journal[Msg], program: Program[Model, Msg], progress: Callable[[int], object] | None
    ) -> None:
        """Fold a journal that is open; the lease is taken first, and stays with it until it is closed."""
        if not self._dry_run:
            _take_lease(journal)
        set_message_type(journal, program)
        journal.lease.refresh()
        newest = self._store.load(journal.name)
        if newest is None:
            raise UsageError(f"nothing is stored of the program {journal.name!r}: there is no snapshot to make again")
        if start := journal.statistics().start:
            raise Lagged(
                start,
                start,
                f"the journal {journal.name!r} begins at {start}: what came before is forgotten, and cannot be folded again",
            )
        self._fold(journal, replayed(program), newest, progress)

    def _fold(
        self, journal: Journal[Msg], program: Program[Model, Msg], newest: Stored, progress: Callable[[int], object] | None
    ) -> None:
        end = position_of(journal, newest)
        kept = {
            each: found for each in self._keyframes(journal, end) if (found := self._store.load_keyframe(journal.name, each))
        }
        model, position, made = read_step(program.init(), "init")[0], 0, {}
        differ = False
        for at, stored in (*kept.items(), (end, newest)):
            model = fold(program, journal, model, position, at)
            position = at
            if progress is not None:
                progress(at)
            changed = self._changes.compare(journal.name, at, self._was(journal.name, stored), model)
            if changed or read_envelope(journal.name, stored.data).revision != program.revision:
                differ = True
                made[at] = self._schema.seal(journal.name, model, {MARK: Mark(at, journal.journal_id)})
        if differ:
            self._rewrites.append(Rewrite(journal.name, made.pop(end, newest.data), newest.version, made))

    def _keyframes(self, journal: Journal[Msg], end: int) -> list[int]:
        return [position for position in self._store.keyframes(journal.name) if position < end]

    def _was(self, key: str, stored: Stored) -> object:
        """Return the model as it was stored, `ABSENT` if today's types cannot read it."""
        try:
            return self._schema.open(key, stored.data)[0]
        except Incompatible:
            return ABSENT

    def finish(self) -> Rebuilt:
        """Write what has changed, in one transaction, and return what it is."""
        if self._rewrites and not self._dry_run:
            self._schema.remember_types(self._store)
            self._store.rewrite_snapshots(self._rewrites)
        return self._changes.rebuilt(written=bool(self._rewrites) and not self._dry_run)

    def __enter__(self) -> Journalled[Model, Msg]:
        return self

    def __exit__(self, *ended: object) -> None:
        self._leases.close()


def _take_lease(journal: Journal[Msg]) -> None:
    """Take the lease; `LeaseHeld` if a program, of this process or another, has it."""
    try:
        if any(cursor.name == PROGRAM for cursor in journal.log.cursors):
            raise LeaseHeld(journal.name)
        journal.lease.acquire("fail")
    except LeaseHeld as error:
        error.add_note(_STOP)
        raise
