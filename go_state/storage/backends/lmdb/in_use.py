"""Which transactions of this process are open, so that the file under them can be exchanged when there are none."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from go_state.core.errors import StoreUnavailable

_PATIENCE = 60.0  # seconds for the transactions that are open to end: none takes long, but one of a stopped thread never ends


class InUse:
    """Counts transactions. Used in a `with` block by each of them, which waits while the file is being exchanged."""

    def __init__(self) -> None:
        self._changed = threading.Condition()  # guards the two below
        self._open = 0
        self._exchanging = False

    def __enter__(self) -> None:
        with self._changed:
            while self._exchanging:
                self._changed.wait()
            self._open += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._open -= 1
            if not self._open:
                self._changed.notify_all()

    @contextmanager
    def by_none(self, where: str) -> Iterator[None]:
        """Keep others from beginning a transaction for the block, which starts once none is open.

        Raises `StoreUnavailable` if one does not end within a minute.
        """
        until = time.monotonic() + _PATIENCE
        with self._changed:
            while self._exchanging or self._open:
                if not self._changed.wait(max(until - time.monotonic(), 0)) and time.monotonic() >= until:
                    raise StoreUnavailable(
                        f"{where} is in use: a transaction of this process has not ended within {_PATIENCE:g} s"
                    )
            self._exchanging = True
        try:
            yield
        finally:
            with self._changed:
                self._exchanging = False
                self._changed.notify_all()
