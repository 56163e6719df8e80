"""Which transactions of this process are open, so that the file under them can be exchanged when there are none."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from go_state.core.errors import StoreUnavailable

_PATIENCE = 60.0  # seconds for the transactions that are open to end: none takes long, but one of a stopped thread never ends


class InUse:
    """Knows which transactions are open. Each waits while the file is being exchanged, or is about to be.

    A transaction that a thread opens beside another of its own does not wait: who is about to exchange the file waits for that one.
    What ends is ended a second time if Ctrl-C may have cut the first short: nobody would ever be alone with the file otherwise.
    """

    def __init__(self) -> None:
        # Guards the two below. Entered itself, not through the condition, whose `with` Ctrl-C can leave locked.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._open: dict[object, int] = {}  # the threads of the transactions
        self._exchanging: object = None  # who exchanges the file, or is about to

    @contextmanager
    def by_one(self) -> Iterator[None]:
        """Count a transaction as open for the block."""
        token = object()
        try:
            self.begin(token)
            yield
        finally:
            try:
                self.end(token)
            except BaseException:
                self.end(token)
                raise

    def begin(self, token: object) -> None:
        """Count a transaction as open; `end` is called in any case."""
        thread = threading.get_ident()
        with self._lock:
            while self._exchanging is not None and thread not in self._open.values():
                self._changed.wait()
            self._open[token] = thread

    def end(self, token: object) -> None:
        """Count it as open no longer; done once more if Ctrl-C may have cut it short."""
        with self._lock:
            self._open.pop(token, None)
            if self._exchanging is token:
                self._exchanging = None
                self._changed.notify_all()
            elif not self._open and self._exchanging is not None:  # who waits for the others to end
                self._changed.notify_all()

    @contextmanager
    def by_none(self, where: str) -> Iterator[None]:
        """Keep others from beginning a transaction for the block, which starts once none is open.

        Raises `StoreUnavailable` if one does not end within a minute.
        """
        token = object()
        try:
            self._wait(token, where)
            yield
        finally:
            try:
                self.end(token)
            except BaseException:
                self.end(token)
                raise

    def _wait(self, token: object, where: str) -> None:
        until = time.monotonic() + _PATIENCE
        with self._lock:
            while self._exchanging is not None:
                self._changed.wait()
            self._exchanging = token
            while self._open:
                self._changed.wait(max(until - time.monotonic(), 0))
                if self._open and time.monotonic() >= until:
                    raise StoreUnavailable(
                        f"{where} is in use: a transaction of this process has not ended within {_PATIENCE:g} s"
                    )
