"""Partitions whose holder was fenced: when the engine is asked whether they are still this reading's, so that it claims them again."""

from __future__ import annotations

import time


class Fenced:
    """The partitions that are to be claimed again, each at a time; the more often that was in a row, the later."""

    def __init__(self) -> None:
        self.due_at: dict[str, float] = {}  #: when each is to be claimed, in monotonic seconds
        self._times: dict[str, int] = {}  # how often in a row, of those that have saved nothing since

    def add(self, partition: str, again: tuple[float, float]) -> None:
        """Plan to claim a partition: at once, and after the second time in a row within the seconds of `again`, the first and the most."""
        times = self._times[partition] = self._times.get(partition, 0) + 1
        first, most = again
        wait = 0.0 if times == 1 else min(first * 2 ** min(times - 2, 20), most)
        self.due_at[partition] = time.monotonic() + wait

    def due(self) -> list[str]:
        """Return those that are to be claimed now."""
        now = time.monotonic()
        return [partition for partition, at in self.due_at.items() if at <= now]

    def take(self, partition: str) -> bool:
        """Return whether it is still to be claimed: it may have been assigned, revoked or lost meanwhile. It no longer is after that."""
        return self.due_at.pop(partition, None) is not None

    def saved(self, partition: str) -> None:
        """Called when the partition was saved: the next time is a first one."""
        self._times.pop(partition, None)

    def forget(self, partition: str) -> None:
        """Claim it no more: it was revoked or lost."""
        self.due_at.pop(partition, None)
        self._times.pop(partition, None)
