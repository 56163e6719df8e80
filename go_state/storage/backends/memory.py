"""A store in memory, for tests and for programs that need no disk. It keeps the same promises while the process lives."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType

from go_state.core.errors import Conflict, StoreUnavailable
from go_state.core.ports import Stored, Write
from go_state.storage.records.keys import key_bytes
from go_state.system.forks import at_fork


class MemoryStore:
    """Keeps what it is given in a dict; thread-safe.

    >>> with MemoryStore() as store:
    ...     versions = store.store({"greeting": Write(b"hello", version=0)})
    ...     store.load("greeting").data
    b'hello'
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the two below
        self._data: dict[bytes, Stored] = {}
        self._transactions = 0  # every version is the number of the transaction that wrote it, so none comes back
        self._closed = self._in_parent = False
        at_fork(self)

    def load(self, key: str) -> Stored | None:
        """Return what the key holds, or None."""
        self._check_open()
        with self._lock:
            return self._data.get(key_bytes(key))

    def load_many(self, keys: Iterable[str]) -> Mapping[str, Stored]:
        """Return what the keys hold, as it was at one moment; keys that hold nothing are left out."""
        self._check_open()
        names = {key: key_bytes(key) for key in keys}
        with self._lock:
            return {key: self._data[name] for key, name in names.items() if name in self._data}

    def store(self, writes: Mapping[str, Write]) -> Mapping[str, int]:
        """Make all writes or none and return the new versions (0 for a deleted key); `Conflict` if a key has moved on."""
        self._check_open()
        keys = {key: key_bytes(key) for key in writes}
        with self._lock:
            for key, write in writes.items():
                stored = self._data.get(keys[key])
                found = 0 if stored is None else stored.version
                if found != write.version:
                    raise Conflict(key, write.version, found)
            self._transactions += 1
            for key, write in writes.items():
                if write.data is None:
                    self._data.pop(keys[key], None)
                else:
                    self._data[keys[key]] = Stored(write.data, self._transactions)
            return {key: 0 if write.data is None else self._transactions for key, write in writes.items()}

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Give the keys with this prefix, in the order of their bytes."""
        self._check_open()
        start = key_bytes(prefix)
        with self._lock:
            keys = sorted(key for key in self._data if key.startswith(start))
        return iter([key.decode() for key in keys])

    def close(self) -> None:
        """Refuse further use; a second call is harmless."""
        self._closed = True

    def after_fork_in_child(self) -> None:
        """Called in a forked child: a thread of the parent may hold the lock, and the parent would not see what is stored here."""
        self._in_parent = True

    def _check_open(self) -> None:
        if self._in_parent:
            raise StoreUnavailable("the store was made before this process was forked: make a MemoryStore in the child")
        if self._closed:
            raise StoreUnavailable("the store is closed: use it inside its `with` block")

    def __enter__(self) -> MemoryStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
