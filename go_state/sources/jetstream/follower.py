"""One subject, followed from a position on by a task: it fetches, waits until what it has was given, and fetches again.

A consumer that is gone, as after a restart of the server, is made anew behind the message that was fetched last; so is one of which a
message did not arrive. Nothing is ever delivered again, so there is no other order than that of the stream.

Messages that the stream has removed unread show when its first message is behind the next one to be read. That is looked at whenever
it may have happened: at the beginning, and as long as there is more to read than was read.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from go_state.core.errors import SourceChanged, SourceError
from go_state.sources.jetstream.client import Calls, Consumer, Message, TryAgainError

_MOST = 500  # messages of a fetch
_FETCH = 3.0  # seconds; a server that was started again has no consumers, which shows after so long
_LOOK = 1.0  # seconds
_LOST = 0.1  # seconds; the wait_for of Python 3.11, which nats-py uses, may lose a cancellation when what it waits for comes
_LONG = 1.0  # seconds without a fetch, in which messages may come and be removed
_AGAIN = 0.1, 5.0  # seconds until a call is made again that failed, at first and at most
_log = logging.getLogger("go_state")


class Follower:
    """One subject of a stream. `changed` is called when there is something to give, or when it has failed."""

    def __init__(
        self,
        calls: Calls,
        name: str,
        created: str,
        subject: str,
        after: int,
        looked_at: int | None,
        changed: Callable[[], object],
    ) -> None:
        self.subject = subject
        self.after = after  #: number of the message that was fetched last, or before the first
        self.lag: int | None = None
        self.saved = after  #: up to which message everything is in the store
        self.fetched: Sequence[Message] = ()  #: what was not given yet
        self.is_paused = False
        self._calls, self._name, self._created, self._changed = calls, name, created, changed
        self._looked_at = looked_at  # up to where nothing of the subject can be missing; None: nothing was read yet
        self._last = 0  # number of the stream's last message when it was looked at
        self._consumer: Consumer | None = None
        self._failures = 0
        self._may_go = asyncio.Event()
        self._may_go.set()
        self._task = asyncio.create_task(self._follow(), name=f"go_state jetstream {subject}")

    # ------------------------------------------------------------------ what the reading calls

    @property
    def idle_at(self) -> int | None:
        """Up to which message of the stream there is nothing of the subject that is not in the store; None if there may be."""
        return self._looked_at if self.lag == 0 and not self.fetched and self.saved == self.after else None

    def check(self) -> None:
        """Raise what the task has failed with."""
        if self._task.done() and not self._task.cancelled() and (error := self._task.exception()) is not None:
            raise error

    def take(self) -> Sequence[Message]:
        """Return what was fetched, and fetch on."""
        fetched, self.fetched = self.fetched, ()
        self._go()
        return fetched

    def pause(self, is_paused: bool) -> None:
        """Fetch no more until it is told to."""
        self.is_paused = is_paused
        self._go()

    def _go(self) -> None:
        if self.is_paused or self.fetched:
            self._may_go.clear()
        else:
            self._may_go.set()

    async def look(self) -> None:
        """Look once more up to where there is nothing new, if the server answers at once: for whoever follows the subject next."""
        consumer = self._consumer
        if consumer is None or self.lag != 0 or self.fetched:
            return
        with suppress(TryAgainError, SourceError, TimeoutError):
            async with asyncio.timeout(_LOOK):
                last = (await self._calls.describe()).last
                if await consumer.is_at_end() and not self.fetched:
                    self._looked_at = max(self._looked_at or 0, last)

    async def close(self) -> None:
        """End the task, and its consumer with it."""
        while not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=_LOST)

    # ------------------------------------------------------------------ the task

    async def _follow(self) -> None:
        try:
            while True:
                try:
                    await self._with_consumer()
                except TryAgainError as error:
                    if not self._failures:
                        _log.info("%s of %s is read by a new consumer: %s", self.subject, self._name, error)
                    first, most = _AGAIN
                    await asyncio.sleep(min(first * 2 ** min(self._failures, 20), most) * random.uniform(0.5, 1.0))
                    self._failures += 1
        finally:
            self._changed()

    async def _with_consumer(self) -> None:
        """Fetch with one consumer, until it is of no use."""
        await self._check_stream()
        consumer = self._consumer = await self._calls.consumer(self.subject, self.after)
        try:
            await self._fetch_all(consumer)
        finally:
            self._consumer = None
            await consumer.close()

    async def _fetch_all(self, consumer: Consumer) -> None:
        is_sure = False  # whether nothing can have been removed before it was fetched
        while True:
            began = time.monotonic()
            await self._may_go.wait()
            waited = time.monotonic() - began
            messages = await consumer.fetch(_MOST, _FETCH)
            self._failures = 0
            if not messages:
                self._looked_at = max(self._looked_at or 0, self._last)
                self.lag = 0
            if not is_sure or not messages or waited > _LONG:
                await self._check_stream()
            is_sure = not messages or messages[-1].pending == 0
            if messages:
                self.after, self.lag, self.fetched = messages[-1].number, messages[-1].pending, messages
                self._looked_at = max(self._looked_at or 0, self.after)
                self._go()
            self._changed()

    async def _check_stream(self) -> None:
        """Raise `SourceChanged` if the stream is another, or may have removed messages that were not fetched."""
        stream = await self._calls.describe()
        if stream.created != self._created:
            raise SourceChanged(self._name, "the stream was deleted and made again")
        if self._looked_at is not None and stream.first > self._looked_at + 1:
            raise SourceChanged(
                self._name,
                f"it was read up to message {self._looked_at} of {self.subject}, begins at {stream.first} by now, and may have removed "
                f"others that were not read",
                "what is lost is lost: set the position of the subject if you go on with what is there",
            )
        self._last = stream.last
