r"""The records of one journal, as they lie in a store: blocks of messages, cursors, and the messages that were set aside.

    j/<name>\0b<position>   a block: the messages from that position on that were written together
    j/<name>\0c<reader>     how far a named reader has come
    j/<name>\0x<position>   a message that was set aside: the kind of its error
    j/<name>\0u             the names of the commands that are running
    j/<name>\0m             where the journal begins, and its journal_id
    j/<name>\0o             the token of the lease's holder, if a lease can be lost unnoticed
    g/restored              of the store: which restore it holds the records of; missing if it was never restored

Blocks are described in `layout.py`. Positions are numbered without gaps, and a gap is damage. One write is one transaction.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from functools import partial
from typing import TypeAlias

from go_state.core.errors import Conflict, Corrupt, InvalidKey, Lagged, LeaseHeld
from go_state.storage.records.backend import JournalStore, Transaction
from go_state.storage.records.keys import MAX_NAME_BYTES, key_bytes
from go_state.storage.records.layout import FRAME_BYTES, Block, pack, pack_blocks, unpack, unpack_block
from go_state.storage.records.models import keep_snapshot, model_name, remember_types, write_beside
from go_state.storage.records.parts import Parts
from go_state.storage.records.writes.entry import Entry
from go_state.storage.records.writes.together import Job
from go_state.storage.types.description import Description

SNAPSHOT = "@snapshot"  # the cursor of the newest snapshot: messages after it are needed, whoever has read them
RESTORED = b"g/restored"  # a lease that was taken beside a restore is of the records that were there before
PROGRAM = "program"  # the name of the reader that is the program of a durable run
_POSITION = struct.Struct(">Q")
_MAX_PREFIX = 450  # bytes; the rest is for positions and the names of readers
_HEAD = 64  # bytes of a block's record, in which the number of its messages is


Written: TypeAlias = tuple[int, str]
"""What a write has come to: the number of its transaction, and the journal's id."""


class Records:
    """One journal's records in a store. Reading opens a transaction for each call, and so does writing."""

    def __init__(self, store: JournalStore, name: str) -> None:
        if "\0" in name:
            raise InvalidKey("a journal's name holds no NUL character: choose another")
        self.name = name
        self.store = store
        self._backend = store.backend
        self.prefix = b"j/" + key_bytes(name) + b"\0"  #: how the names of its records begin
        if len(self.prefix) > _MAX_PREFIX:
            raise InvalidKey(f"a journal's name is up to {_MAX_PREFIX - 3} bytes long, not {len(self.prefix) - 3}: shorten it")
        self._own = [self.prefix + b"m"]
        self._after_all_blocks = self.prefix + b"b" + b"\xff" * (_POSITION.size + 1)
        self.start = 0  # the first position that is still there
        self.end = 0  # the position of the next message
        self.journal_id = ""
        self.reached: dict[str, int] = {}  # how far each named reader had come when it was looked at last
        self._is_founded = False  # whether the journal's id is on disk
        self.token = b""  # ours, once the lease is
        self._restored: bytes | None = None  # which restore the store held the records of when the lease was taken
        self._remembered: Description | None = None  # the types that the store has, since they were written last
        self._fitting: set[str] = set()  # digests of types that were found to write what can be read with those before

    def refresh(self) -> None:
        """Read the journal's beginning and end and its readers' positions; another process may have written it."""
        with self._backend.transaction() as transaction:
            self._look(transaction)

    def _look(self, transaction: Transaction) -> None:
        """Refresh in this transaction: a cursor that is read later than the end may be beyond it."""
        meta, end = self._get(transaction, b"m"), self._end(transaction)
        start, journal_id = self.start, self.journal_id
        if meta is not None:
            try:
                found = json.loads(meta)
                start, journal_id = int(found["start"]), str(found["salt"])
                self._is_founded = True
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise Corrupt(self.name, f"where it begins cannot be read: {type(error).__name__}") from None
            if start > (start if end is None else end) or start < 0:
                raise Corrupt(self.name, f"it is said to begin at {start}, and ends at {end or 0}")
        end = max(start, end or 0)
        cursors = self._cursors(transaction, end)
        self.start, self.end, self.journal_id, self.reached = start, end, journal_id, cursors

    def _get(self, transaction: Transaction, suffix: bytes) -> bytes | None:
        name = self.prefix + suffix
        record = transaction.get(name)
        return None if record is None else unpack(self.name, name, record).data

    def _put(self, transaction: Transaction, suffix: bytes, data: bytes) -> None:
        name = self.prefix + suffix
        if len(name) > MAX_NAME_BYTES:
            raise InvalidKey(
                f"the names of the journal and its reader are {len(name) - MAX_NAME_BYTES} bytes too long: shorten one"
            )
        transaction.put(name, pack(name, transaction.id(), data))

    # ------------------------------------------------------------------ reading

    def block(self, position: int) -> Block | None:
        """Return the block that holds the position, or None at the end of the journal; `Corrupt` if it is damaged or missing."""
        with self._backend.transaction() as transaction:
            block = self._block_of(transaction.at_or_before(self.prefix + b"b" + _POSITION.pack(position)))
            if block is not None and block.holds(position):
                return block
            self._look(transaction)  # another process may have truncated
        if position < self.start:
            raise Lagged(self.start - position, self.start)
        if position < self.end:
            raise Corrupt(self.name, f"the messages from position {position} on are missing")
        return None

    def _block_of(self, found: tuple[bytes, bytes] | None) -> Block | None:
        """Return the block of a name and record, None for those of something else."""
        name, record = found or (b"", b"")
        if not name.startswith(self.prefix + b"b"):
            return None
        first = self._position(name, b"b")
        try:
            return unpack_block(self.name, first, unpack(self.name, name, record).data)
        except (Corrupt, ValueError) as error:
            why = f"the messages from position {first} on: {error.what if isinstance(error, Corrupt) else error}"
            raise Corrupt(self.name, why, position=first) from error

    def last_block(self) -> Block | None:
        """Return the block that was written last."""
        with self._backend.transaction() as transaction:
            return self._last_block(transaction)

    def _last_block(self, transaction: Transaction) -> Block | None:
        return self._block_of(transaction.at_or_before(self._after_all_blocks))

    def _end(self, transaction: Transaction) -> int | None:
        """Return the position after the last message, None if there is none; only the first bytes of the last block are read."""
        name, record = transaction.at_or_before(self._after_all_blocks, _HEAD) or (b"", b"")
        if not name.startswith(self.prefix + b"b"):
            return None
        number = record[FRAME_BYTES:].partition(b" ")[0]
        if not number.isdigit():
            last = self._last_block(transaction)  # raises that it is damaged
            return None if last is None else last.end
        return self._position(name, b"b") + int(number)

    def blocks(self, position: int) -> Iterator[Block]:
        """Give the blocks, from the one that holds the position to the end of the journal, each read in a transaction of its own."""
        end, follows = self.end, False
        while position < end and (block := self.block(position)) is not None:
            if follows and block.first != position:
                raise block.damaged(f"they begin before position {position}, where those before them end")
            yield block
            position, follows = block.end, True

    def cursors(self) -> dict[str, int]:
        """Return how far each named reader has come."""
        self.refresh()
        return dict(self.reached)

    def _cursors(self, transaction: Transaction, end: int) -> dict[str, int]:
        """Return how far each named reader has come in a journal that ends at the position `end`."""
        try:
            found = {name.decode(): int(data) for name, data in self._all(transaction, b"c")}
        except ValueError as error:
            raise Corrupt(self.name, f"how far a reader has come cannot be read: {type(error).__name__}") from None
        for name, position in found.items():
            if not 0 <= position <= end:
                raise Corrupt(self.name, f"the reader {name!r} is said to be at {position}, and the journal ends at {end}")
        return found

    def running(self) -> list[str]:
        """Return the names of the commands that were running at the last write."""
        with self._backend.transaction() as transaction:
            found = self._get(transaction, b"u")
        try:
            return [str(name) for name in json.loads(found or b"[]")]
        except (ValueError, TypeError, RecursionError) as error:
            raise Corrupt(self.name, f"the names of the running commands cannot be read: {type(error).__name__}") from None

    def set_aside(self) -> dict[int, str]:
        """Return the positions of the messages that were set aside, and the kinds of their errors."""
        prefix = self.prefix + b"x"
        with self._backend.transaction() as transaction:
            found = self._all(transaction, b"x")
        return {self._position(prefix + suffix, b"x"): data.decode(errors="replace") for suffix, data in found}

    def _position(self, name: bytes, kind: bytes) -> int:
        """Return the position that a record of this kind has after the journal's name."""
        suffix = name.removeprefix(self.prefix + kind)
        if len(suffix) != _POSITION.size:
            raise Corrupt(self.name, "a record has a name without a position")
        (position,) = _POSITION.unpack(suffix)
        return int(position)

    def _all(self, transaction: Transaction, kind: bytes) -> list[tuple[bytes, bytes]]:
        """Return the records of this kind, each with what its name has after the kind."""
        prefix = self.prefix + kind
        return [(name[len(prefix) :], unpack(self.name, name, record).data) for name, record in transaction.items(prefix)]

    # ------------------------------------------------------------------ writing

    def write(self, entry: Entry) -> int:
        """Write the whole entry in one synced transaction and return its number, which is a snapshot's version; nothing if it fails.

        Raises `Conflict` if another process has written the journal or the snapshot meanwhile, and `StoreFull`.
        """
        job = self.job(entry)
        self.store.together.write(job)
        return self.written(entry, job.outcome())

    def job(self, entry: Entry) -> Job[Written]:
        """Return what writes the entry in a transaction, which others may share; `written` is called when that is committed."""
        if entry.messages and entry.types is not None and entry.types.digest not in self._fitting and self.end > self.start:
            self.check_shapes(entry.types, entry.schema)
        # Names to lock: where the journal begins stands for all its records, and a snapshot for its own.
        of = self._own if entry.snapshot is None else [*self._own, model_name(entry.snapshot.key)]
        return Job(partial(self._fill, entry), of=of)

    def written(self, entry: Entry, done: Written) -> int:
        """Count the entry as written, and return the number of its transaction."""
        number, self.journal_id = done
        self._is_founded = True
        self.end = max(self.end, entry.first + len(entry.messages))
        if entry.messages:
            self._remembered = entry.types
            if entry.types is not None:
                self._fitting.add(entry.types.digest)  # the last block is of these types now
        return number

    def _fill(self, entry: Entry, transaction: Transaction) -> Written:
        """Write the entry; nothing of ours changes, because the transaction may be undone for what others write in it."""
        self.check_token(transaction)
        journal_id = self.journal_id if self._is_founded else self._founded(transaction, self.start)
        if entry.messages:
            self._append(transaction, entry)
        for reader, position in entry.cursors.items():
            self._put(transaction, b"c" + key_bytes(reader), b"%d" % position)
        for position, kind in entry.set_aside.items():
            self._put(transaction, b"x" + _POSITION.pack(position), kind.encode())
        if entry.running is not None:
            self._put(transaction, b"u", json.dumps(entry.running).encode())
        if entry.wake is not None:
            entry.wake.write(transaction)
        for key, data in entry.beside.items():
            write_beside(transaction, key, data)
        if entry.snapshot is not None:
            keep_snapshot(transaction, entry.snapshot)
        return transaction.id(), journal_id

    def parts(self, key: str) -> Parts:
        """Return what a large snapshot of the program is written into bit by bit, before the entry that it belongs to."""
        return Parts(self._backend, key, self.check_token)

    def check_shapes(self, types: Description, schema: int) -> None:
        """Raise `Incompatible` if messages of these types could not be told from those of the same schema in the journal."""
        from go_state.storage.types.compatibility import check_shapes

        last = self.last_block()
        if last is not None and last.schema == schema:
            check_shapes(self.store, last.types, types, self.name)
        self._fitting.add(types.digest)

    def take_over(self, token: bytes) -> None:
        """Leave our token in the journal, and look at it as `refresh` does.

        A writer that has lost its lease without noticing finds the token at its next write. A transaction to write is begun also if
        there is no token: LMDB shows what a writer had committed when it was killed only after the next writer has begun.
        """
        with self._backend.transaction(write=True) as transaction:
            if token:
                self._put(transaction, b"o", token)
            restored = transaction.get(RESTORED)
            self._look(transaction)
        self._restored, self.token = restored, token

    def _founded(self, transaction: Transaction, start: int) -> str:
        """Begin the journal if it is new, or move its start, and return its journal_id."""
        journal_id = self.journal_id or os.urandom(16).hex()
        if not self._is_founded or start != self.start:
            self._put(transaction, b"m", b'{"start":%d,"salt":"%s"}' % (start, journal_id.encode()))
        return journal_id

    @property
    def is_new(self) -> bool:
        """Whether nothing of the journal was on disk when it was looked at last, nor written since."""
        return not self._is_founded

    def found(self) -> None:
        """Give a new journal its id, which is on disk with the first write."""
        self.journal_id = self.journal_id or os.urandom(16).hex()

    def check_token(self, transaction: Transaction) -> None:
        """Raise `LeaseHeld` if another writer has taken the journal over, or a restore has put others in the place of its records."""
        if (self.token and self._get(transaction, b"o") != self.token) or transaction.get(RESTORED) != self._restored:
            raise LeaseHeld(self.name)

    def check_ours(self) -> None:
        """Raise `LeaseHeld` if another writer has taken the journal over, and may have written what is at its end."""
        if self.token:
            with self._backend.transaction() as transaction:
                self.check_token(transaction)

    def _append(self, transaction: Transaction, entry: Entry) -> None:
        found = max(self.start, self._end(transaction) or 0)
        if found != entry.first:
            self._last_block(transaction)  # raises if it is damaged
            raise Conflict(self.name, entry.first, found, journal=True)
        if entry.types is not None and entry.types is not self._remembered:
            remember_types(transaction, entry.types)
        types = b"" if entry.types is None else entry.types.digest.encode()
        for position, data in pack_blocks(entry.first, entry.schema, types, entry.times, entry.messages):
            self._put(transaction, b"b" + _POSITION.pack(position), data)
        transaction.announce(self.name)

    def remove_reader(self, name: str) -> None:
        """Forget how far a named reader has come."""
        with self._backend.transaction(write=True) as transaction:
            self.check_token(transaction)
            journal_id = self._founded(transaction, self.start)
            transaction.delete(self.prefix + b"c" + key_bytes(name))
        self.journal_id, self._is_founded = journal_id, True

    def truncate(self, before: int) -> None:
        """Forget the messages before the position, and what was set aside of them."""
        start = min(max(before, self.start), self.end)
        with self._backend.transaction(write=True) as transaction:
            self.check_token(transaction)
            journal_id = self._founded(transaction, start)
            self._delete_before(transaction, start)
        self.start, self.journal_id, self._is_founded = start, journal_id, True

    def _delete_before(self, transaction: Transaction, start: int) -> None:
        """Delete the blocks that end there or before, and what was set aside of them."""
        last = transaction.at_or_before(self.prefix + b"b" + _POSITION.pack(start), _HEAD)
        first_kept = self._position(last[0], b"b") if last is not None and last[0].startswith(self.prefix + b"b") else 0
        block = self._block_of(None if last is None else transaction.at_or_before(last[0]))
        if block is not None and block.end <= start:
            first_kept = start
        for kind, before in ((b"b", first_kept), (b"x", start)):
            transaction.delete_range(self.prefix + kind, self.prefix + kind + _POSITION.pack(before))
