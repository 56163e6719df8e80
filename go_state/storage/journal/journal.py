"""The journal: a buffer that outlives the process. What is put into it is on disk before any reader gets it.

`history.py` reads it, `writer.py` writes it, `reader.py` is its reader; here is its face.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Literal, TypeVar

from go_state.buffer.statistics import Backlog
from go_state.core.errors import ConcurrentGet, Lagged, LeaseHeld, UsageError
from go_state.core.turn import Turn
from go_state.storage.journal.group_commit import Pending
from go_state.storage.journal.reader import GROUP, JournalConsumer
from go_state.storage.journal.writer import Durability, Writing
from go_state.storage.records.lease import IfHeld
from go_state.storage.records.records import PROGRAM, SNAPSHOT
from go_state.storage.records.times import Times
from go_state.system.crash_points import reach

Msg = TypeVar("Msg")


class Journal(Writing[Msg]):
    """An append-only log in an LMDB store with the face of a `Buffer`; made by `store.journal(name, of=Msg)`.

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

    # ------------------------------------------------------------------ putting

    def put(self, *messages: Msg) -> None:
        """Append the messages in order, together; from any thread. With the durability "put" it returns when they are on disk.

        Raises `Closed`, `NotStorable`, `StoreFull` and `LeaseHeld`; then none of them has entered.
        """
        if self._locked_put or len(messages) != 1:
            self._put_carefully(messages)
            return
        entry = messages[0], self._encode_one(messages[0]), self._time_ns()
        if len(self._entries) + len(self._tail.pending) >= GROUP:
            self.flush()  # before this one enters: where the disk is full it has not
        self._entries.append(entry)  # the fast path of every buffer, with entries in the place of messages
        if self._attention:
            self._attend((entry,))  # type: ignore[arg-type]

    async def put_async(self, *messages: Msg) -> None:
        """Append the messages as `put` does, with the disk's part in a thread; what several tasks put shares one sync."""
        from go_state.waking.loop_waker import LoopWaker

        self._check_open()
        await self.acquire_async()
        if not self._at_once:
            while len(self._entries) + len(self._tail.pending) >= GROUP:
                await self.thread.call(self.flush)  # before these enter: where the disk is full they have not
            self.enqueue(*messages)
            return
        waker, encoded = LoopWaker(), self._encode(messages)
        staged = Pending(messages, encoded, self._now(len(encoded)), waker=waker)
        try:
            if await self._stage.enter_async(staged, waker):
                await self.thread.finish(partial(self._lead, staged))
        finally:
            self._stage.leave(staged)
        if staged.error is not None:
            raise staged.error

    async def flush_async(self) -> int:
        """Commit to disk as `flush` does, in a thread."""
        if not (self._has_lease or self._closed) and self._has_news():
            await self.acquire_async()
        return await self.thread.call(self.flush)

    def put_known(self, message: Msg, know: Callable[[int], object]) -> None:
        """Put one message, and call `know(position)` before any reader can have it."""
        self._put_carefully((message,), know=know)

    def put_dated(self, messages: Sequence[Msg], at: Sequence[int], aside: Mapping[int, str] = MappingProxyType({})) -> None:
        """Put messages that have entered elsewhere, at the times given (microseconds since 1970).

        `aside` says of some, by their index among `messages`, why runs and replays pass over them.
        """

        def know(first: int) -> None:
            self._aside.update({first + index: why for index, why in aside.items()})

        self._put_carefully(messages, [Times(1, each) for each in at], know if aside else None)

    def enqueue(self, *messages: Msg, know: Callable[[int], object] | None = None) -> None:
        """Put the messages without waiting, not even for the disk or the lease: the program that reads the journal writes them.

        This is how a running program is sent to. What cannot be written ends the program. Raises `Closed` and `NotStorable`; then
        none of them has entered.
        """
        if not self._locked_put and len(messages) == 1 and know is None:
            entry = messages[0], self._encode_one(messages[0]), self._time_ns()
            self._entries.append(entry)
            if self._attention:
                self._attend((entry,))  # type: ignore[arg-type]
            return
        encoded, times = self._encode(messages), self._now(len(messages))
        with self._lock:
            self._check_open()
            if self._has_lease and not self._at_once:
                self._place(messages, encoded, times, know)
            elif messages:
                self._stage.add(Pending(messages, encoded, times, know, waits=False))
                self._wake_all(self._wakers)

    def _put_carefully(
        self,
        messages: Sequence[Msg],
        times: Sequence[Times] | None = None,
        know: Callable[[int], object] | None = None,
    ) -> None:
        self._check_open()
        encoded = self._encode(messages)
        times = self._now(len(encoded)) if times is None else times
        self.acquire()
        if self._at_once:
            self._put_at_once(Pending(messages, encoded, times, know))
            return
        if len(self._entries) + len(self._tail.pending) >= GROUP:
            self.flush()
        with self._lock:
            self._check_open()
            self._place(messages, encoded, times, know)

    def _place(
        self, messages: Sequence[Msg], encoded: list[bytes], times: Sequence[Times], know: Callable[[int], object] | None
    ) -> None:
        """Append messages behind all that has entered. Lock held."""
        self._absorb()
        if know is not None:
            know(self._tail.end)
        if messages:
            self._enter_encoded(messages, encoded, times)
        self._locked_put = self._closed

    def _put_at_once(self, staged: Pending[Msg]) -> None:
        try:
            if self._stage.enter(staged):
                self._lead(staged)
        finally:
            try:
                self._stage.leave(staged)
            except BaseException:  # Ctrl-C, at any point of it
                self._stage.leave(staged)
                raise
        if staged.error is not None:
            raise staged.error

    def _lead(self, staged: Pending[Msg]) -> None:
        """Write what is staged, unless another has written it meanwhile."""
        with self._flushing:
            if not staged.done:
                self._flush()

    # ------------------------------------------------------------------ reading

    def consumer(self, start: Literal["oldest", "newest"] | int = "oldest", *, name: str = "") -> JournalConsumer[Msg]:
        """Open a reader, as of a buffer. One with a `name` goes on where the last of that name has committed, also after a crash.

        `start` is where a reader begins that has no stored position. Raises `ConcurrentGet` when the name is in use.
        """
        if name:
            self._records.check_reader(name)
            self.acquire()  # its commits are writes, and what another process has committed under the name is to be known
        consumer: JournalConsumer[Msg] | None = None
        try:
            with self._lock:
                if name and any(isinstance(r, JournalConsumer) and r.name == name for r in self._readers):
                    raise ConcurrentGet(
                        f"the reader {name!r} of the journal {self.name!r} is open already: end the run that it belongs to, or "
                        f"give another reader a name of its own"
                    )
                consumer = JournalConsumer(self, self._look(), self._lock, (self._cursors | self._left).get(name, start), name)
                self._readers.append(consumer)
            if not self._has_lease:
                self._follow()
        except BaseException:  # Ctrl-C: nobody would have it, to close it
            self._readers[:] = [reader for reader in self._readers if reader is not consumer]
            raise
        return consumer

    def export_to(self, path: str | os.PathLike[str]) -> int:
        """Write the messages as JSON Lines that a person can read, and return how many they were; see `exchange.py`."""
        from go_state.storage.journal.exchange import export_to

        return export_to(self, path)

    def import_from(self, path: str | os.PathLike[str], *, progress: Callable[[int], object] | None = None) -> int:
        """Append the messages of such a file, and return how many they were; `BadRecord`, and none, for a line that is none."""
        from go_state.storage.journal.exchange import import_from

        return import_from(self, path, progress=progress)

    def slice(self) -> list[Msg]:
        """Return all messages, oldest first."""
        self.flush()
        return [recorded.message for recorded in self.read()]

    def turn(self, position: int) -> Turn:
        """Return the turn of the message at the position, the same in every replay."""
        with self._lock:
            return Turn(self._tail.entered(position), position, f"{self._records.journal_id}/{position}")

    def set_aside(self) -> dict[int, str]:
        """Return the positions that runs and replays pass over, and why."""
        with self._lock:
            aside = dict(self._aside)  # first: what is written meanwhile is found on disk
        return self._records.set_aside() | aside

    def skip(self, position: int) -> None:
        """Have runs and replays pass over a message that no reader has committed yet, such as one that the program fails on.

        Raises `UsageError` for one that is done: what it has changed would be in the model and not in a replay.
        """
        self.acquire()
        with self._lock:
            start, end, done = self._tail.start, self._tail.end, max(self._cursors.values(), default=0)
            if any(isinstance(reader, JournalConsumer) and reader.name for reader in self._readers):
                raise UsageError(f"the journal {self.name!r} is being read: end its program first")
            if not isinstance(position, int) or not max(start, done) <= position < end:
                raise UsageError(f"a message from position {max(start, done)} to {end - 1} can be skipped, not {position!r}")
            self._aside[position] = "skipped"
            self._tail.forget(position)
        self.flush()

    def remember_aside(self, position: int, kind: str) -> None:
        """Have replays pass over a message that a run has set aside; it is written with the cursor that passes it."""
        with self._lock:
            self._aside[position] = kind
            self._tail.forget(position)

    def under_way(self) -> list[str]:
        """Return the names of the commands that are under way, or were when the last run ended."""
        with self._lock:
            if self._under_way or self._under_way_changed:
                return list(self._under_way)
        return self._records.under_way()

    def opened(self, name: str) -> None:
        """Note a command that is under way; it is written with what its turn commits, or before."""
        with self._lock:
            self._under_way[name] = None
            self._under_way_changed = True

    def ended(self, names: Sequence[str]) -> None:
        """Note that commands are under way no more; it is written with what they have sent, or after."""
        with self._lock:
            for name in names:
                self._under_way.pop(name, None)
            self._under_way_changed = True

    def backlog(self, position: int | None) -> Backlog:
        """Return what waits from the position on, or else is not on disk, also where it waits for the lease; it asks no disk."""
        with self._lock:
            self._absorb()
            position = self._tail.durable if position is None else position
            size = max(self._tail.end - position, 0)
            at = self._tail.entered_in_memory(position) if size else self._stage.oldest
            age = None if at is None else max(time.time() - at, 0.0)
            return Backlog(size + self._stage.size, age, self._rate(self._clock()))

    def _oldest_age(self, now: float) -> float:
        try:
            block = self._records.block(self._tail.start)
        except Lagged:  # another process has truncated
            self._tail.catch_up()
            return self._oldest_age(now) if self._tail.start < self._tail.end else 0.0
        at = self._tail.times[0].at if block is None else block.times()[0].at  # of the oldest block, not message
        return max(time.time() - at / 1e6, 0.0)

    # ------------------------------------------------------------------ forgetting and ending

    @property
    def durability(self) -> Durability:
        """When messages are committed to disk."""
        return "put" if self._at_once else "group"

    @property
    def if_held(self) -> IfHeld:
        """Whether the first write fails or waits while another process has the lease."""
        return self._if_held

    def cursors(self) -> dict[str, int]:
        """Return how far each named reader has come, on disk."""
        with self._lock:
            return {name: position for name, position in self._cursors.items() if name != SNAPSHOT}

    def slowest(self) -> int | None:
        """Return how far the named reader that is furthest behind has come, on disk; None when there is none."""
        with self._lock:
            return min(self._cursors.values(), default=None)

    def remove_reader(self, name: str) -> None:
        """Forget how far a named reader has come, by which its messages need not be kept for it any more.

        Raises `UsageError` when there is none of that name, when it is open, and for the program whose snapshots the journal leads
        on from: they would be at positions that it has not come to.
        """
        with self._flushing:
            self._flush()
            self._acquire()
            with self._lock:
                if any(isinstance(reader, JournalConsumer) and reader.name == name for reader in self._readers):
                    raise UsageError(f"the reader {name!r} of the journal {self.name!r} is open: close it first")
                if name not in self._cursors or name == SNAPSHOT:
                    there = ", ".join(repr(each) for each in self._cursors if each != SNAPSHOT) or "none"
                    raise UsageError(f"the journal {self.name!r} has no reader {name!r}: there are {there}")
                if name == PROGRAM and SNAPSHOT in self._cursors:
                    raise UsageError(
                        f"the reader {name!r} is the program's, which goes on from it: it stays with its snapshots"
                    )
                self._records.remove_reader(name)
                del self._cursors[name]

    def truncate(self, before: int) -> int:
        """Forget the messages before the position, and return where the journal begins now.

        Raises `UsageError` where a named reader has not committed them: they are still to be read.
        """
        with self._flushing:
            self._flush()
            self._acquire()
            with self._lock:
                slowest = min(self._cursors.items(), key=lambda item: item[1], default=("", before))
                if slowest[1] < before:
                    who = (
                        "the newest snapshot stands at"
                        if slowest[0] == SNAPSHOT
                        else f"the reader {slowest[0]!r} has only come to"
                    )
                    raise UsageError(f"{who} {slowest[1]}: truncate before that at most")
            reach("before-truncate")
            self._records.truncate(before)
            reach("after-truncate")
            with self._lock:
                self._tail.catch_up()
                return self._records.start

    def close(self, *, timeout: float | None = None) -> None:
        """Refuse further puts, as a buffer does, and commit to disk what was put. In a forked child nothing is done."""
        if self._in_parent:
            return
        self._give_up()
        try:
            super().close(timeout=timeout)
        finally:
            self.finish()
            self.thread.close()

    async def close_async(self, *, timeout: float | None = None) -> None:
        """Close as `close` does, waiting on the event loop."""
        if self._in_parent:
            return
        self._give_up()
        try:
            await super().close_async(timeout=timeout)
        finally:
            try:
                await self.thread.finish(self.finish)
            finally:
                await self.thread.aclose()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close_async()

    def finish(self) -> None:
        """Write what was put before the journal was closed, and let go of it."""
        try:
            if not self._lost:
                self.flush()
        except LeaseHeld as error:
            with self._lock:
                for each in self._stage.to_write():  # sent while the lease was waited for, and never to be written
                    each.finish(error)
            raise
        with self._lock:
            self._finished = True  # what is staged from here on is refused
            self._let_go()

    @property
    def is_read(self) -> bool:
        """Whether a reader is open."""
        return bool(self._readers)

    @property
    def is_inherited(self) -> bool:
        """Whether another process has opened it, which has forked this one: it is of no use here."""
        return self._in_parent

    def end(self) -> None:
        """End with the store."""
        for given_up in tuple(self._lease_waits):
            given_up.set()
        try:
            self.close()
        finally:
            self._ended = True
            self._release()
