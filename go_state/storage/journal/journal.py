"""The journal: a buffer that outlives the process. What is put into it is on disk before any reader gets it.

Here is its face, and what it is made of, in the order in which a message meets it:

    Inlet ──▶ Log (its inbox, then its `Tail`) ──▶ Writer: a flush ──▶ disk ──▶ JournalCursor: a reader
                                                      ▲                 │
                             RunRecord: what a run notes                └──▶ History: reads of any kind
"""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from go_state.buffer.buffer import check_own, close_log, close_log_async
from go_state.buffer.consumer import Consumer
from go_state.buffer.cursor import Start
from go_state.buffer.log import NO_MESSAGE
from go_state.buffer.statistics import BufferStatistics
from go_state.core.errors import Lagged, UsageError
from go_state.storage.journal.commit.flush_rules import GROUP
from go_state.storage.journal.commit.upkeep import Upkeep
from go_state.storage.journal.commit.writer import Durability
from go_state.storage.journal.history import History, Recorded, Rewrite
from go_state.storage.journal.inlet import Inlet
from go_state.storage.journal.parts import Parts, assemble
from go_state.storage.journal.reader import JournalCursor, open_cursor
from go_state.storage.journal.tail import Entry
from go_state.storage.records.lease import IfHeld, Lease
from go_state.storage.records.records import SNAPSHOT, Records
from go_state.system.forks import belongs_to_parent

if TYPE_CHECKING:
    from go_state.storage.journal.erasing.rewriting import Refolding, Rewritten
    from go_state.storage.records.backend import JournalStore

Msg = TypeVar("Msg")


class Journal(Generic[Msg]):
    """An append-only log in a store with the face of a `Buffer`; made by `store.journal(name, of=Msg)`.

    A message is on disk before a reader gets it. With the durability "group" `put` returns at once, and a crash may take up to
    4,096 messages (`GROUP`), or those of one put, that nobody has read, and as many commits of named readers, who are given those
    messages again. With "put", `put` and `commit` return when they are on disk, and a crash takes nothing; putting threads share
    one sync. `flush` commits everything at any time, and so do `close` and the end of Python; `os._exit`, by which the children of
    `multiprocessing` end, is like a crash. In a coroutine these would keep the event loop waiting for the disk: `put_async`,
    `flush_async`, `close_async` and the async methods of readers use it in a thread of the journal's own, which ends when it is
    closed. Tasks that put share a sync as threads do.

    Messages are stored as `["Add", {"by": 1}]`. They stay until `truncate`; readers that are behind read them from disk.
    Raises `NotStorable` for a message that would not read back equal, `StoreFull`, `LeaseHeld`, and `Corrupt` with the position of what
    is damaged.
    """

    def __init__(
        self,
        records: Records,
        lease: Lease,
        durability: Durability,
        if_held: IfHeld,
        *,
        before: Callable[[], object] | None,
        let_go: Callable[[Journal[Msg]], object],
    ) -> None:
        if durability not in ("group", "put"):
            raise UsageError(f'durability is "group" or "put", not {durability!r}')
        parts: Parts[Msg] = assemble(
            records, lease, if_held, at_once=durability == "put", before=before, let_go=lambda: let_go(self)
        )
        writer = parts.writer
        self.parts = parts  #: what it is made of
        self.log = parts.log
        self.tail = parts.tail
        self.kind = parts.kind
        self.lease = parts.lease
        self.writer = writer
        self.run_record = parts.run_record
        self.thread = writer.thread  #: in which the async methods use the disk
        self.history: History[Msg] = History(records, self.log, parts.tail, self.kind, parts.in_hand, lambda: writer.knows_disk)
        self.inlet: Inlet[Msg] = Inlet(self.log, parts.tail, writer, self.kind, parts.stage, self.lease, parts.run_record)
        self._upkeep = Upkeep(records, self.log, parts.tail, self.lease, writer, self.run_record)

    @property
    def name(self) -> str:
        """The name that the store knows it by."""
        return self.parts.records.name

    @property
    def store(self) -> JournalStore:
        """The store that holds it."""
        return self.parts.records.store

    @property
    def journal_id(self) -> str:
        """What tells this journal from every other; empty before the first write."""
        return self.parts.records.journal_id

    @property
    def durability(self) -> Durability:
        """When messages are committed to disk."""
        return "put" if self.writer.rules.at_once else "group"

    # ------------------------------------------------------------------ putting

    def put(self, message: Msg = NO_MESSAGE, /, *more: Msg) -> None:
        """Append the messages in order, together; from any thread. With the durability "put" it returns when they are on disk.

        Raises `Closed`, `NotStorable`, `StoreFull` and `LeaseHeld`; then none of them has entered.
        """
        log, writer = self.log, self.writer
        if more or log.locked_put or message is NO_MESSAGE:
            self.inlet.put(() if message is NO_MESSAGE else (message, *more))
            return
        entry: Entry[Msg] = message, self.kind.encode_one(message), writer.time_ns()
        if len(log.inbox) + len(self.tail.pending) >= GROUP:  # as `FlushRules.is_full` says
            writer.flush()  # before this one enters: if the disk is full it has not
        log.append(entry)  # the fast path of every buffer, with entries in the place of messages
        if log.attention:
            log.attend((entry,))

    async def put_async(self, *messages: Msg) -> None:
        """Append the messages as `put` does, with the disk's part in a thread; what several tasks put shares one sync."""
        await self.inlet.put_async(*messages)

    def flush(self) -> int:
        """Commit to disk all that was put and every cursor that has moved; return the position up to which all is durable."""
        return self.writer.flush()

    async def flush_async(self) -> int:
        """Commit to disk as `flush` does, in a thread."""
        return await self.writer.flush_async()

    # ------------------------------------------------------------------ reading

    def consumer(self, start: Start = "oldest", *, name: str = "") -> Consumer[Msg]:
        """Open a reader, as of a buffer. One with a `name` goes on where the last of that name has committed, also after a crash.

        `start` is where a reader begins that has no stored position. Raises `ConcurrentGet` if the name is in use.
        """
        cursor = self.open(start, name=name)
        try:
            return Consumer(cursor, self, on_disk=cursor)
        except BaseException:  # Ctrl-C: nobody would have it, to close it
            self.log.cursors.remove(cursor)
            raise

    def open(self, start: Start = "oldest", *, name: str = "") -> JournalCursor[Msg]:
        """Open a reader as `consumer` does, and return its cursor: what a run works on."""
        return open_cursor(self.parts, start, name)

    def read(self, start: int | None = None, end: int | None = None) -> Iterator[Recorded[Msg]]:
        """Give what is on disk from the position `start` to before `end`, with positions and times of entry; see `History.read`."""
        return self.history.read(start, end)

    def slice(self) -> list[Msg]:
        """Return all messages, oldest first, those that are not on disk yet included."""
        return self.history.slice()

    def size(self) -> int:
        """Return how many messages there are."""
        return self.log.size()

    def diff(self, consumer: Consumer[Msg]) -> int:
        """Return how many messages the reader `consumer` has yet to read; `UsageError` for another journal's reader."""
        return check_own(self.log, "diff", consumer).diff()

    def range(self, consumer: Consumer[Msg], fn: Callable[[int, Msg], object]) -> None:
        """Call `fn(index, message)` for what the reader `consumer` has to read now, committing each; see `Buffer.range`."""
        check_own(self.log, "range", consumer).range(fn, wait=False)

    def statistics(self) -> BufferStatistics:
        """Return what an operator wants to know; see `BufferStatistics`."""
        return self.log.statistics(self._oldest_age)

    def _oldest_age(self, now: float) -> float:
        """Return how long ago the oldest block was written. Lock held."""
        tail = self.parts.tail
        try:
            block = self.parts.records.block(tail.start)
        except Lagged:  # another process has truncated
            tail.catch_up()
            return self._oldest_age(now) if tail.start < tail.end else 0.0
        at = tail.times[0].at if block is None else block.times()[0].at
        return max(time.time() - at / 1e6, 0.0)

    def cursors(self) -> dict[str, int]:
        """Return how far each named reader has come, on disk."""
        with self.log.lock:
            return {name: position for name, position in self.parts.positions.stored.items() if name != SNAPSHOT}

    def set_aside(self) -> dict[int, str]:
        """Return the positions that runs and replays pass over, and why."""
        return self.run_record.all_set_aside()

    def export_to(self, path: str | os.PathLike[str]) -> int:
        """Write the messages into the file at `path`, as JSON Lines that a person can read, and return how many they were.

        Each line holds a message with its position and its time of entry; `import_from` reads them.
        """
        from go_state.storage.journal.exchange import export_to

        return export_to(self.history, self.set_aside(), self.store.check_not_own, path)

    def import_from(self, path: str | os.PathLike[str], *, progress: Callable[[int], object] | None = None) -> int:
        """Append the messages of a file that `export_to` has written at `path`, and return how many they were.

        `progress` is called now and then with how many are read. Raises `BadRecord`, and no message, if a line is not one.
        """
        from go_state.storage.journal.exchange import import_from

        number = import_from(self.inlet.put_dated, self.kind.decode, path, progress=progress)
        self.flush()
        return number

    # ------------------------------------------------------------------ forgetting

    def skip(self, position: int) -> None:
        """Make runs and replays pass over a message that no reader has committed yet, such as one that the program fails on.

        Raises `UsageError` for one that is done: what it has changed would be in the model and not in a replay.
        """
        self._upkeep.skip(position)

    def remove_reader(self, name: str) -> None:
        """Forget how far a named reader has come; its messages need not be kept for it any more.

        Raises `UsageError` if there is none of that name, if it is open, and for the program whose snapshots the journal leads
        on from: they would be at positions that it has not come to.
        """
        self._upkeep.remove_reader(name)

    def rewrite(
        self,
        fn: Rewrite,
        *,
        refolding: Refolding[Msg] | None = None,
        dry_run: bool = False,
        progress: Callable[[int], object] | None = None,
    ) -> Rewritten:
        """Replace messages where they lie, or empty them, and return what was done; `gs.history.rewrite` does it for a program.

        `fn(entry)` returns `entry.message` as it is, another in its place, or None to empty it. Positions, times of entry, readers'
        positions and effect ids stay. Snapshots are made anew by `refolding`; without it they are deleted, if the journal
        begins at 0. With `dry_run` messages are only counted. `progress` is called now and then with how many were looked at.
        What changes counts all at once. Raises `LeaseHeld` and `UsageError` if its program runs, or a command of a message that
        changes has not ended.
        """
        from go_state.storage.journal.erasing.rewriting import rewrite

        return rewrite(self.parts, fn, refolding, dry_run=dry_run, progress=progress)

    def truncate(self, before: int) -> int:
        """Forget the messages before the position, and return where the journal begins now.

        Raises `UsageError` if a named reader has not committed them: they are still to be read.
        """
        return self._upkeep.truncate(before)

    # ------------------------------------------------------------------ ending

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self.log.closed

    @property
    def is_read(self) -> bool:
        """Whether a reader is open."""
        return bool(self.log.cursors)

    def close(self, *, timeout: float | None = None) -> None:
        """Refuse further puts, as a buffer does, and commit to disk what was put. In a forked child nothing is done."""
        if self.log.in_parent:
            return
        self.lease.queue.stop_puts()
        try:
            close_log(self.log, timeout)
        finally:
            self.writer.finish()
            self.thread.close()

    async def close_async(self, *, timeout: float | None = None) -> None:
        """Close as `close` does, waiting on the event loop."""
        if self.log.in_parent:
            return
        self.lease.queue.stop_puts()
        try:
            await close_log_async(self.log, timeout)
        finally:
            try:
                await self.thread.finish(self.writer.finish)
            finally:
                await self.thread.aclose()

    def end(self) -> None:
        """End with the store, which calls this when it is closed: nobody waits for the lease, and nothing is written, after it."""
        if self.log.in_parent:
            return
        self.lease.queue.stop_all()
        try:
            self.close()
        finally:
            self.writer.end()

    def leave_to_parent(self) -> None:
        """In a forked child: the store calls this, and every use but closing raises from then on."""
        lock: Any = belongs_to_parent(f"the journal {self.name!r}", self.store.check_usable)
        self.log.leave_to_parent(lock)
        self.parts.stage.leave_to_parent(lock)
        self.lease.leave_to_parent(lock)
        self.writer.end()

    def __enter__(self) -> Journal[Msg]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Journal[Msg]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close_async()


vars(Journal.put)["__signature__"] = inspect.signature(Journal.put_async)  # as of `Buffer.put`

SomeJournal: TypeAlias = Journal[Any]
"""A journal of which it does not matter here, or is not known, what its messages are."""
