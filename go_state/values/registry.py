"""The values of one connection: one for each key, whoever asks for it, from any thread, until the connection ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from go_state.core.errors import UsageError, UsedAfterClose
from go_state.storage.types.annotations import Instance, TypeForm
from go_state.system.forks import at_fork, belongs_to_parent, reset_lock
from go_state.values.backend import Backend
from go_state.values.home import Home
from go_state.values.remote_value import RemoteValue

T = TypeVar("T")


class Registry:
    """Makes the values of a connection, and ends them with it."""

    def __init__(self, home: Home, backend: Callable[[str], Backend], look: float) -> None:
        self._home = home
        self._backend = backend  # makes that of a key, or raises `UsageError`
        self._look = look
        self._lock = threading.Lock()  # guards the two below
        self._values: dict[str, tuple[TypeForm, RemoteValue[Instance]]] = {}  # by key, with the types they were asked for
        self._ended = False
        at_fork(self)

    def value(self, key: str, of: type[T]) -> RemoteValue[T]:
        """Return the value under the key: the one that was made for it before, unless that has ended."""
        with self._lock:
            if self._ended:
                raise UsedAfterClose("the connection is closed: ask for values inside of its with block")
            kind, known = self._values.get(key, (of, None))
            if known is None or known.closed:
                known = RemoteValue(self._backend(key), self._home, of, self._look)
                self._home.call_soon(known.begin)
                self._values[key] = of, known
            elif kind is not of:
                raise UsageError(f"the value {key!r} was asked for as another type before: a key has one type")
            return known

    async def end(self) -> None:
        """End every value, in the client's event loop."""
        with self._lock:
            self._ended = True
            values, self._values = self._values, {}
        for _, value in values.values():
            await value.end()

    def after_fork_in_child(self) -> None:
        """In a forked child: make every use raise. The values are followed in the parent."""
        lock, self._lock = self._lock, belongs_to_parent("a connection to a server")
        reset_lock(lock)
