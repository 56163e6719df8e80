"""Stores whose calls fail on an event loop's thread, and a loop whose default executor takes nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import go_state as gs
from go_state.storage.records.backend import Transaction
from go_state.storage.records.lease import Lease


class Seen(list[str]):
    """What was done on the thread of an event loop."""

    def check(self, what: str) -> None:
        """Note it where this thread is running an event loop, and raise."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        self.append(what)
        raise AssertionError(f"{what} on the thread of an event loop")


class WatchedLease:
    """A lease that may not be taken or given back on a loop's thread."""

    def __init__(self, inner: Lease, seen: Seen) -> None:
        self._inner = inner
        self._seen = seen

    @property
    def token(self) -> bytes:
        return self._inner.token

    def acquire(self, *how: Any) -> bool:
        self._seen.check("a lease was taken")
        return self._inner.acquire(*how)

    def release(self) -> None:
        self._seen.check("a lease was given back")
        self._inner.release()


def watch(backend: Any, seen: Seen) -> None:
    """Note every transaction and lease of the backend that is used on a loop's thread."""
    real_transaction, real_lease = backend.transaction, backend.lease

    def transaction(*, write: bool = False, of: Collection[bytes] | None = None) -> AbstractContextManager[Transaction]:
        @contextmanager
        def watched() -> Iterator[Transaction]:
            seen.check("a transaction")
            with real_transaction(write=write, of=of) as opened:
                yield opened

        return watched()

    backend.transaction = transaction
    backend.lease = lambda journal: WatchedLease(real_lease(journal), seen)


class WatchedLMDBStore(gs.LMDBStore):
    """A file that is not used on a loop's thread."""

    def __init__(self, path: Any) -> None:
        super().__init__(path)
        self.seen = Seen()
        watch(self.backend, self.seen)


class WatchedPostgresStore(gs.PostgresStore):
    """A database that is not used on a loop's thread."""

    def __init__(self, dsn: str, *, schema: str) -> None:
        super().__init__(dsn, schema=schema)
        self.seen = Seen()
        watch(self.backend, self.seen)


class WatchedMemoryStore(gs.MemoryStore):
    """A store in memory whose calls count as a disk's."""

    def __init__(self) -> None:
        self.seen = Seen()
        super().__init__()

    def load(self, key: str) -> gs.abc.Stored | None:
        self.seen.check("load")
        return super().load(key)

    def store(self, writes: Mapping[str, gs.abc.Write]) -> Mapping[str, int]:
        self.seen.check("store")
        return super().store(writes)

    def keys(self, prefix: str = "") -> Iterator[str]:
        self.seen.check("keys")
        return super().keys(prefix)


class NoExecutor(ThreadPoolExecutor):
    """The default executor of a loop, which belongs to the user."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError(f"{fn} was given to the loop's default executor")


def run_watched(main: Coroutine[Any, Any, Any], seen: Seen) -> Any:
    """Run it; nothing is done on the loop's thread or in its executor, and no thread is left."""
    before = set(threading.enumerate())

    async def watched() -> Any:
        asyncio.get_running_loop().set_default_executor(NoExecutor())
        async with asyncio.timeout(60):
            result = await main
        assert not set(threading.enumerate()) - before
        return result

    result = asyncio.run(watched())
    assert not seen, seen
    return result
