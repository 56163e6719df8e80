"""Pausing: the reading gives nothing of partitions of which enough waits, and gives it again when there is room."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from go_state.modes.aggregate.partitions.shares.share import Share

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class Pauses(Protocol):
    """What a reading is asked for here; see `PartitionedReading`."""

    def pause(self, partition: str, /) -> None:
        """Give nothing of the partition."""
        ...

    def resume(self, partition: str, /) -> None:
        """Give the partition again."""
        ...


class Pausing(Generic[Model, Msg]):
    """The shares of which enough waits."""

    def __init__(self, reading: Pauses) -> None:
        self._reading = reading
        self._full: set[Share[Model, Msg]] = set()  # of which no more should be given
        self._paused: set[Share[Model, Msg]] = set()  # of which no more is given

    def given(self, share: Share[Model, Msg]) -> None:
        """Called when a share was given records."""
        if share.reader.is_full and not share.reader.is_paused:
            self._full.add(share)

    def pause_and_resume(self) -> None:
        """Ask the reading to give nothing more of what is full, and to go on with what has room."""
        for share in [share for share in self._full if not share.is_done]:  # or its partition may be another share's by now
            share.reader.is_paused = True
            self._reading.pause(share.partition)
            self._paused.add(share)
        self._full.clear()
        for share in [share for share in self._paused if share.is_done or share.reader.has_room]:
            share.reader.is_paused = False
            self._paused.remove(share)
            if not share.is_done:
                self._reading.resume(share.partition)
