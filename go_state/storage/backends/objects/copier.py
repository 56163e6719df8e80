"""The thread that copies the files that are held, each every so many seconds after the last time."""

from __future__ import annotations

import threading
import time

from go_state.storage.backends.objects.copies import log
from go_state.storage.backends.objects.held_file import HeldFile


class Copier:
    """Copies files every `every` seconds, from a thread that begins with the first of them and ends with `close`."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._changed = threading.Condition()  # guards the two below
        self._due: dict[HeldFile, float] = {}
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def add(self, file: HeldFile) -> None:
        """Copy the file from now on."""
        with self._changed:
            self._due[file] = time.monotonic() + self._every
            if self._thread is None:
                self._thread = threading.Thread(target=self._copy_all, name="go_state copies", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def remove(self, file: HeldFile) -> None:
        """Copy it no more; a copy that has begun goes on."""
        with self._changed:
            self._due.pop(file, None)

    def close(self) -> None:
        """End the thread, and wait for a copy that has begun; a second call is harmless."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _copy_all(self) -> None:
        while (file := self._next()) is not None:
            try:
                file.copy()
            except Exception as error:
                log.warning("%s could not be copied, and will be in %g s: %s", file.path, self._every, error)

    def _next(self) -> HeldFile | None:
        """Wait until a file is due, and return it; None at the end."""
        with self._changed:
            while not self._is_closed:
                file = min(self._due, key=self._due.__getitem__, default=None)
                wait = None if file is None else self._due[file] - time.monotonic()
                if file is not None and wait is not None and wait <= 0:
                    self._due[file] = time.monotonic() + self._every
                    return file
                self._changed.wait(wait)
            return None
