"""Reading a source ahead, in a thread, for a batch in another thread or on an event loop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from queue import Empty
from typing import TYPE_CHECKING, Generic, TypeVar

from go_state.modes.batch.limits import Limits
from go_state.runtime.raised import as_failure
from go_state.system.own_thread import call_once

if TYPE_CHECKING:
    import janus

Item = TypeVar("Item")

_CHUNKS = 4  # of read-ahead items in the queue, so that reader and batch seldom wait for each other


class ReadAhead(Generic[Item]):
    """Takes items from an iterator in a thread, at most about `count` before they are asked for.

    Items are handed over in chunks through a janus queue, whose two faces let one class serve both drivers; an item that is
    waited for is handed over at once. An exception of the iterator is raised when its next item is asked for.
    """

    def __init__(self, items: Iterator[Item], count: int, limits: Limits) -> None:
        import janus

        self._items = items
        self._limits = limits
        self._chunk_size = max(count // _CHUNKS, 1)
        self._queue: janus.Queue[list[Item] | None] = janus.Queue(maxsize=max(min(count, _CHUNKS) - 1, 1))
        self._lock = threading.Lock()  # guards _partial and _starving
        self._partial: list[Item] = []
        self._starving = False
        self._closed = False
        self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="go_state-read-ahead", daemon=True)
        self._thread.start()

    # ------------------------------------------------------------------ in the reading thread

    def _read(self) -> None:
        import janus

        try:
            try:
                for item in self._items:
                    if self._closed:
                        return
                    chunk = self._add(item)
                    if chunk:
                        self._queue.sync_q.put(chunk)
            except janus.SyncQueueShutDown:
                raise
            except BaseException as error:  # whatever it is, it is raised in the batch
                self._error = as_failure(error, "the source")
            self._queue.sync_q.put(None)
        except janus.SyncQueueShutDown:
            pass  # the batch has ended

    def _add(self, item: Item) -> list[Item] | None:
        with self._lock:
            self._partial.append(item)
            if not self._starving and len(self._partial) < self._chunk_size:
                return None
            self._starving = False
            chunk, self._partial = self._partial, []
            return chunk

    # ------------------------------------------------------------------ in the batch

    def take(self) -> list[Item] | None:
        """Return what is read ahead, without waiting: None for nothing yet, an empty list for the end."""
        if self._ended:
            return self._end()
        with self._lock:
            # The thread fills the partial chunk only when the one before is in the queue: with an empty queue it is the next.
            if self._queue.sync_q.empty():
                chunk, self._partial = self._partial, []
                self._starving = not chunk
                return chunk or None
        return self._received(self._queue.sync_q.get_nowait())

    def in_thread(self) -> list[Item] | None:
        """Block until something is read, a limit is reached, or something ends the wait; return as `take`."""
        with self._limits.calling(self._wake):
            if self._limits.must_end_now():
                return None
            try:
                return self._received(self._queue.sync_q.get(timeout=self._limits.wait_seconds()))
            except Empty:
                return None

    async def on_loop(self) -> list[Item] | None:
        """Wait on the event loop, as `in_thread` does in a thread."""
        import asyncio

        with self._limits.calling(self._wake):
            if self._limits.must_end_now():
                return None
            try:
                async with asyncio.timeout(self._limits.wait_seconds()):
                    return self._received(await self._queue.async_q.get())
            except TimeoutError:
                return None

    def _wake(self) -> None:
        import janus

        with suppress(janus.SyncQueueFull, janus.SyncQueueShutDown, RuntimeError):  # then there is no wait to end
            self._queue.sync_q.put_nowait([])

    def _received(self, chunk: list[Item] | None) -> list[Item] | None:
        if chunk is None:
            # What is still in the partial chunk came before the end.
            self._ended = True
            with self._lock:
                chunk, self._partial = self._partial, []
            return chunk or self._end()
        return chunk or None

    def _end(self) -> list[Item]:
        error, self._error = self._error, None
        if error is not None:
            raise error
        return []

    # ------------------------------------------------------------------ closing

    def close(self) -> BaseException | None:
        """End the thread, waiting for the item that it is reading, and return an error that was not raised yet."""
        self._closed = True
        self._queue.close()
        self._thread.join()
        return self._error

    async def aclose(self) -> BaseException | None:
        """Close without blocking the event loop."""
        error = await call_once(self.close, "go_state end of reading ahead")
        await self._queue.wait_closed()
        return error
