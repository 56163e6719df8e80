"""The file of a partition that this process holds: the store of its models and position, copied while it is written to."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from go_state.core.errors import TakenOver
from go_state.core.ports import Stored, Write
from go_state.storage.backends.lmdb.store import LMDBStore
from go_state.storage.backends.objects.copies import Copies
from go_state.storage.records.keys import RESERVED

_POSITIONS = f"{RESERVED}positions/"


class HeldFile:
    """An LMDB file that is copied under the epoch of its holder; a store, until another holder is seen.

    Nothing that a later holder does is seen when a model is saved: that it exists is noticed at the next copy, and from then on
    nothing is saved here. What this one has saved by then is of no consequence, because nobody takes it over.
    """

    def __init__(self, inner: LMDBStore, copies: Copies, epoch: int, *, is_copied: bool) -> None:
        self._inner = inner
        self._copies = copies
        self._epoch = epoch
        self._later = 0  # the epoch of a later holder
        self._number = 0  # of the last copy
        self._is_changed = True  # since the last copy
        self._waits = (
            0 if is_copied else 2
        )  # for a copy: the claim of what has none need not, and the save that follows it does
        self._copying = threading.Lock()  # held while the file is copied, or closed

    @property
    def path(self) -> str:
        """Where the file lies."""
        return self._inner.path

    # ------------------------------------------------------------------ a store

    def load(self, key: str) -> Stored | None:
        """Return what the key holds."""
        return self._inner.load(key)

    def load_many(self, keys: Iterable[str]) -> Mapping[str, Stored]:
        """Return what the keys hold, as it was at one moment."""
        return self._inner.load_many(keys)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Give the keys with this prefix."""
        return self._inner.keys(prefix)

    def store(self, writes: Mapping[str, Write]) -> Mapping[str, int]:
        """Make all writes or none; `TakenOver` once another holder was seen.

        The first save of a partition that has no copy waits for its copy: whatever was told to anybody can be read on from then.
        """
        position = next((key for key in writes if key.startswith(_POSITIONS)), None)
        if self._later:
            raise self._taken_over(position or next(iter(writes)))
        versions = self._inner.store(writes)
        self._is_changed = True
        if self._waits and position is not None:
            self._waits -= 1
            if not self._waits:
                self._waits = 1  # until it is copied
                self.copy()
                self._waits = 0
        return versions

    def check(self) -> None:
        """Raise `TakenOver` if another holder has claimed the partition, which is asked."""
        self._look()
        if self._later:
            raise self._taken_over(self.path)

    def _look(self) -> None:
        newest = self._copies.look().epoch
        if newest > self._epoch:
            self._later = newest

    def _taken_over(self, key: str) -> TakenOver:
        return TakenOver(key, self._epoch, self._later, holder=self._copies.holder(self._later), epoch=self._later)

    def close(self) -> None:
        """Close the file; a second call is harmless."""
        with self._copying:
            self._inner.close()
            self._is_changed = False

    # ------------------------------------------------------------------ copies

    def copy(self) -> None:
        """Copy what is saved by now, if it is not copied and nobody else has claimed the partition; raises `StoreError`."""
        with self._copying:
            if not self._is_changed or self._later:
                return
            self._look()
            if self._later:
                return
            self._is_changed = False
            try:
                self._copy()
            except BaseException:
                self._is_changed = True
                raise

    def _copy(self) -> None:
        path = f"{self._inner.path}.copy"
        with suppress(FileNotFoundError):
            os.remove(path)
        self._inner.backup(path)
        try:
            self._number += 1
            self._copies.add(self._epoch, self._number, path)
        finally:
            os.remove(path)
