"""How messages enter a journal, whoever sends them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Generic, TypeVar

from go_state.buffer.log import Log
from go_state.core.errors import UsedAfterClose
from go_state.storage.journal.commit.group_commit import GroupCommit, Pending
from go_state.storage.journal.commit.lease_holder import LeaseHolder, Right
from go_state.storage.journal.commit.writer import REFUSED, Writer
from go_state.storage.journal.message_type import MessageType
from go_state.storage.journal.run_record import RunRecord
from go_state.storage.journal.tail import Tail
from go_state.storage.records.layout import EMPTIED, Times

Msg = TypeVar("Msg")


class Inlet(Generic[Msg]):
    """How messages enter a journal, whoever sends them.

    With the durability "group" they enter in memory. With "put" they are staged: the first of the threads and tasks that put writes
    for all (`group_commit.py`).
    """

    def __init__(
        self,
        log: Log[Msg],
        tail: Tail[Msg],
        writer: Writer[Msg],
        kind: MessageType[Msg],
        stage: GroupCommit[Msg],
        lease: LeaseHolder,
        run_record: RunRecord,
    ) -> None:
        self._log = log
        self._tail = tail
        self._writer = writer
        self._kind = kind
        self._stage = stage
        self._lease = lease
        self._run_record = run_record

    def put(
        self,
        messages: Sequence[Msg],
        times: Sequence[Times] | None = None,
        know: Callable[[int], object] | None = None,
        encoded: list[bytes] | None = None,
    ) -> None:
        """Append the messages; `know(position)` is called before any reader can have the first of them. Raises as `Journal.put`."""
        self.check_open()
        encoded, writer = self._kind.encode(messages) if encoded is None else encoded, self._writer
        times = writer.now(len(encoded)) if times is None else times
        self._lease.acquire()
        if writer.rules.at_once:
            self._put_at_once(Pending(messages, encoded, times, know))
            return
        if writer.rules.is_full:
            writer.flush()  # before these enter: if the disk is full they have not
        with self._log.lock:
            self.check_open()
            self._enter(messages, encoded, times, know)

    def put_known(self, message: Msg, know: Callable[[int], object], *others: Msg) -> None:
        """Put one message, the others together with it, and call `know(position)` before any reader can have it."""
        self.put((message, *others), know=know)

    def put_dated(self, messages: Sequence[Msg], at: Sequence[int], aside: Mapping[int, str] = MappingProxyType({})) -> None:
        """Put messages that have entered elsewhere, at the times given (microseconds since 1970); None for one that was emptied.

        `aside` says of some, by their index among `messages`, why runs and replays pass over them.
        """

        def know(first: int) -> None:
            for index, why in aside.items():
                self._run_record.set_aside_locked(first + index, why)

        encoded = [EMPTIED if each is None else self._kind.encode_one(each) for each in messages]
        self.put(messages, [Times(1, each) for each in at], know if aside else None, encoded)

    def put_later(self, *messages: Msg, know: Callable[[int], object] | None = None) -> None:
        """Put the messages without waiting, not even for the disk or the lease: the program that reads the journal writes them.

        This is how a running program is sent to. What cannot be written ends the program. Raises `Closed` and `NotStorable`; then
        none of them has entered.
        """
        log, writer = self._log, self._writer
        if not log.locked_put and len(messages) == 1 and know is None:
            entry = messages[0], self._kind.encode_one(messages[0]), writer.time_ns()
            log.append(entry)
            if log.attention:
                log.attend((entry,))
            return
        encoded, times = self._kind.encode(messages), writer.now(len(messages))
        with log.lock:
            if log.closed:
                raise UsedAfterClose(REFUSED)
            if self._lease.right is Right.HELD and not writer.rules.at_once:
                self._enter(messages, encoded, times, know)
            elif messages:
                self._stage.add(Pending(messages, encoded, times, know, waits=False))
                log.wake_sleepers()

    async def put_async(self, *messages: Msg) -> None:
        """Append the messages as `put` does, with the disk's part in a thread; what several tasks put shares one sync."""
        from go_state.waking.loop_waker import LoopWaker

        self.check_open()
        writer = self._writer
        await self._lease.acquire_async()
        if not writer.rules.at_once:
            while writer.rules.is_full:
                await writer.thread.call(writer.flush)  # before these enter: if the disk is full they have not
            self.put_later(*messages)
            return
        waker, encoded = LoopWaker(), self._kind.encode(messages)
        staged = Pending(messages, encoded, writer.now(len(encoded)), waker=waker)
        try:
            if await self._stage.enter_async(staged, waker):
                await writer.thread.finish(partial(writer.lead, staged))
        finally:
            self._stage.leave(staged)
        if staged.error is not None:
            raise staged.error

    def check_open(self) -> None:
        """Raise `Closed` after `close`."""
        if self._log.closed:
            raise UsedAfterClose(REFUSED)

    def _enter(
        self, messages: Sequence[Msg], encoded: list[bytes], times: Sequence[Times], know: Callable[[int], object] | None
    ) -> None:
        """Append messages behind all that has entered. Lock held."""
        log = self._log
        log.absorb()
        if know is not None:
            know(self._tail.end)
        if messages:
            log.note(log.clock())
            self._tail.enter(messages, encoded, times)
            if log.sleepers:
                log.wake_sleepers()
        log.locked_put = log.closed  # the lease is ours: from here on the fast path of `Journal.put` is open

    def _put_at_once(self, staged: Pending[Msg]) -> None:
        stage = self._stage
        try:
            if stage.enter(staged):
                self._writer.lead(staged)
        finally:
            try:
                stage.leave(staged)
            except BaseException:  # Ctrl-C, at any point of it
                stage.leave(staged)
                raise
        if staged.error is not None:
            raise staged.error
