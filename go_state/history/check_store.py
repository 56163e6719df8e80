"""Checking a store before a deploy: can the new program read all that the old one has stored, and as what it was?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Generic, NamedTuple, TypeVar

from go_state.core.errors import Corrupt, Incompatible
from go_state.core.ports import Store, Stored
from go_state.core.program import Program
from go_state.modes.keeping.schema import schema_of
from go_state.storage.backends.record_store import RecordStore
from go_state.storage.codec.codecs import message_codec
from go_state.storage.codec.message_codec import MessageCodec
from go_state.storage.codec.program_types import message_type, migrations_of
from go_state.storage.records.layout import Block
from go_state.storage.snapshots.snapshot import Schema, is_envelope, read_envelope
from go_state.storage.types.compatibility import WHOLE, Change, changes
from go_state.storage.types.description import Description

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_MARKS = "positions of "  # how far the sources of a keyed program were read is stored under its name with this before it


class StoreFinding(NamedTuple):
    """What today's types make of something stored: of a key's snapshots, or of the messages from a position of its journal on.

    `verdict` is "fine", "risky" (it may be read as something else), "impossible" (it cannot be read) or "other" (it seems to be
    another program's, and was not read); `field` is the path of the field, and `records` counts the snapshots or messages for which
    the same holds, from this one on.
    """

    verdict: str
    key: str
    position: int | None
    field: str
    why: str
    records: int

    def __str__(self) -> str:
        where = self.key if self.position is None else f"{self.key}, messages from position {self.position} on"
        more = f", {self.records:,} times" if self.records > 1 else ""
        return f"{self.verdict}: {where}: {self.field}: {self.why}{more}"


class StoreChecked(NamedTuple):
    """How many snapshots and messages were read with today's types, and what was found."""

    snapshots: int
    messages: int
    findings: tuple[StoreFinding, ...]

    @property
    def ok(self) -> bool:
        """Whether everything of the program can be read as what it was."""
        return all(finding.verdict in ("fine", "other") for finding in self.findings)


def check_store(program: Program[Model, Msg], store: Store, *, progress: Callable[[int], object] | None = None) -> StoreChecked:
    """Read every snapshot of the program, kept ones included, and every message of their journals with today's types and migrations.

    The types that something was stored with are compared with today's as well, so that a field that was changed without a new
    schema is found also if nothing stored happens to show it. What is stored under another name is reported too: as impossible if
    it seems to be the program's own under a former name (because nothing has its name of today, or because the journal beside it
    holds the program's messages), or else as another program's. A journal without a snapshot is read if one of its classes is the
    program's, and reported if none is. Nothing is written. `progress` is called with the number of records read so far.

    Raises `Corrupt` for damaged records.
    """
    check = _Check(program, schema_of(program, None), store, progress)
    for key, stored in check.snapshots():
        check.snapshot(key, stored)
    for key in check.keys:
        check.journal(key)
    check.others()
    return StoreChecked(check.read_snapshots, check.read_messages, tuple(check.findings.values()))


class _Check(Generic[Model, Msg]):
    def __init__(
        self, program: Program[Model, Msg], schema: Schema[Model], store: Store, progress: Callable[[int], object] | None
    ) -> None:
        self._program = program
        self._schema = schema
        self._store = store
        self._progress = progress
        self._changes: dict[tuple[str, str], list[Change]] = {}  # by the digests of stored types and of today's
        self.keys: list[str] = []
        self._unmatched: dict[str, str] = {}  # the names of models that are not the program's, by their keys
        self.read_snapshots = self.read_messages = 0
        self.findings: dict[tuple[str, ...], StoreFinding] = {}

    def snapshots(self) -> Iterator[tuple[str, Stored]]:
        """Give the snapshots of the program; those of one key oldest first."""
        for key in self._store.keys():  # noqa: SIM118  - a store is not a mapping
            stored = self._store.load(key)
            if stored is None or not is_envelope(stored.data):
                continue
            name = read_envelope(key, stored.data).name
            if name not in self._schema.names:
                if name.removeprefix(_MARKS) not in self._schema.names:
                    self._unmatched[key] = name
                continue
            self.keys.append(key)
            if isinstance(self._store, RecordStore):
                for position in self._store.keyframes(key):
                    if (kept := self._store.load_keyframe(key, position)) is not None:
                        yield key, kept
            yield key, stored

    def snapshot(self, key: str, stored: Stored) -> None:
        """Read one snapshot."""
        self.read_snapshots += 1
        self._report_progress()
        try:
            self._schema.open(key, stored.data)
        except Incompatible as error:
            self._found("impossible", "snapshots", key, None, error.field, error.why, 1)
        except Corrupt:
            raise
        except Exception as error:
            self._found("impossible", "snapshots", key, None, "codec", f"it has raised {type(error).__qualname__}", 1)
        envelope = read_envelope(key, stored.data)
        if envelope.number == self._schema.number and self._schema.types is not None:
            for change in self._compared(envelope.types, self._schema.types):
                self._found(change.verdict, "snapshots", key, None, change.field, change.why, 1)

    def journal(self, key: str) -> None:
        """Read the messages of the journal under the key, if there is one."""
        codec = self._codec
        for block in self._blocks(key):
            self.read_messages += block.number
            self._report_progress()
            try:
                codec.decode_block(key, block)
            except Incompatible:
                self._misfits(key, block)
            if block.schema == codec.schema:
                for change in self._compared(block.types, codec.types):
                    self._found(change.verdict, key, key, block.first, change.field, change.why, block.number)

    def _misfits(self, key: str, block: Block) -> None:
        """Report the messages that cannot be read, but for those that were set aside, which every run passes over."""
        assert isinstance(self._store, RecordStore)  # it has the journal that the block is from
        aside = self._store.journal(key).set_aside()
        for one in block.each():
            try:
                self._codec.decode_block(key, one)
            except Incompatible as error:
                if one.first not in aside:
                    field, _, _ = error.field.partition(" at position ")  # one finding for all that the same is true of
                    self._found("impossible", key, key, one.first, field, error.why, 1)

    def others(self) -> None:
        """Report what was not read: snapshots of another name, and journals that no snapshot of the program belongs to."""
        nothing_read = not self.keys
        today = self._schema.names[0]
        for key, name in self._unmatched.items():
            own = nothing_read or self._holds_messages(key)
            why = f"it is {name!r}, and the program's is {today!r}"
            mend = (
                ': keep the old one, with @gs.stored_as(..., was=("...",)) or Program(name=...)'
                if own
                else ", which is another program's"
            )
            self._found("impossible" if own else "other", "snapshots", key, None, "schema name", why + mend, 1)
        for key in sorted(self._journals.difference(self.keys)):
            if nothing_read:
                self.journal(key)
            elif key not in self._unmatched:
                self._orphan(key)

    def _orphan(self, key: str) -> None:
        """Read the messages of a journal without a snapshot if one of their classes is the program's, or report that they were not."""
        last = self._last_block(key)
        if last is None:
            return
        changed = self._compared(last.types, self._codec.types)
        if self._holds_messages(key) or any(each.verdict != "impossible" or each.field != WHOLE for each in changed):
            self.journal(key)
        else:
            why = "they seem to be another program's, and no snapshot of this one is beside them: they were not read"
            self._found("other", key, key, last.first, "messages", why, last.number)

    def _holds_messages(self, key: str) -> bool:
        """Return whether the journal under the key holds messages that were written with types like the program's."""
        last, today = self._last_block(key), self._codec.types
        if last is None:
            return False
        changed = self._compared(last.types, today)
        return last.types == today.digest or (bool(changed) and all(each.verdict != "impossible" for each in changed))

    def _last_block(self, key: str) -> Block | None:
        *_, last = [None, *self._blocks(key, last=True)]
        return last

    @cached_property
    def _journals(self) -> frozenset[str]:

        return frozenset(self._store.journal_names() if isinstance(self._store, RecordStore) else ())

    def _blocks(self, key: str, *, last: bool = False) -> Iterator[Block]:
        """Give the blocks of the journal under the key, or the last one."""
        if isinstance(self._store, RecordStore) and key in self._journals:
            journal = self._store.journal(key)
            for block, _, _ in journal.history.raw(journal.statistics().end - 1 if last else None):
                yield block

    @cached_property
    def _codec(self) -> MessageCodec[object]:

        program = self._program
        return message_codec(message_type(program), program.schema, migrations_of(program))

    def _compared(self, digest: str, today: Description) -> list[Change]:

        pair = digest, today.digest
        if pair not in self._changes:
            self._changes[pair] = changes(self._store, digest, today)
        return self._changes[pair]

    def _found(self, verdict: str, kind: str, key: str, position: int | None, field: str, why: str, records: int) -> None:
        """Add a finding, or count it with the first that says the same."""
        same = verdict, kind, field, why
        first = self.findings.get(same, StoreFinding(verdict, key, position, field, why, 0))
        self.findings[same] = first._replace(records=first.records + records)

    def _report_progress(self) -> None:
        if self._progress is not None:
            self._progress(self.read_snapshots + self.read_messages)
