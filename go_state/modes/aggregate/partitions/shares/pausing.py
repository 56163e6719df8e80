"""Which partitions are paused: those of which enough waits, so that what a reading fetches does not pile up here."""

from __future__ import annotations

from typing import Any, Protocol

from go_state.modes.aggregate.partitions.shares.share import Share


class Pausable(Protocol):
    """A reading, as far as it is asked to give less."""

    def pause(self, partition: str, /) -> None:
        """Give nothing of the partition."""
        ...

    def resume(self, partition: str, /) -> None:
        """Give it again."""
        ...


class Pausing:
    """Notes which shares are full, and tells the reading between two polls."""

    def __init__(self, reading: Pausable) -> None:
        self._reading = reading
        self._full: set[Share[Any, Any]] = set()  # of which no more should be given
        self._paused: set[Share[Any, Any]] = set()  # of which no more is given

    def given(self, share: Share[Any, Any]) -> None:
        """Note that a share was given records."""
        if share.reader.is_full and not share.reader.is_paused:
            self._full.add(share)

    def tell(self) -> None:
        """Ask the reading to give nothing of partitions of which enough waits, and to give it again when there is room."""
        for share in self._full:
            share.reader.is_paused = True
            self._reading.pause(share.partition)
            self._paused.add(share)
        self._full.clear()
        for share in [share for share in self._paused if share.reader.has_room]:
            share.reader.is_paused = False
            self._paused.remove(share)
            if not share.is_done:
                self._reading.resume(share.partition)
