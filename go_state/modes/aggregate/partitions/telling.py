"""What observers are told of partitions."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from go_state.core.errors import Conflict, TakenOver
from go_state.core.ports import Position

if TYPE_CHECKING:
    from go_state.modes.aggregate.partitions.shares.share import Share
    from go_state.observe import events
    from go_state.runtime.observing.observation import Observation

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class Telling:
    """Tells the observers of one aggregate, if it has any, what happens to the partitions of its source."""

    def __init__(self, observation: Observation | None, source: str) -> None:
        self._observation = observation
        self._source = source

    def started(self) -> None:
        """Called when the aggregate begins."""
        if self._observation is not None:
            self._observation.started()

    def over(self, error: BaseException | None) -> None:
        """Called when it is over."""
        if self._observation is not None:
            self._observation.ended(error)

    def _tell(self, kind: Callable[..., events.PartitionEvent], partition: str, *what: object) -> None:
        if self._observation is not None:
            self._observation.partition(kind(self._observation.program, None, self._source, partition, *what))

    def assigned(self, partition: str, position: Position | None, epoch: int) -> None:
        """Called when a partition was claimed."""
        if self._observation is not None:
            self._tell(_events().PartitionAssigned, partition, position, epoch)

    def revoked(self, partition: str, position: Position | None) -> None:
        """Called when a partition was handed over, saved up to the position."""
        if self._observation is not None:
            self._tell(_events().PartitionRevoked, partition, position)

    def lost(self, partition: str) -> None:
        """Called when a partition is somebody else's already."""
        if self._observation is not None:
            self._tell(_events().PartitionLost, partition)

    def fenced(self, partition: str, conflict: Conflict) -> None:
        """Called when a partition could not be saved, because somebody else has claimed it, or has changed a model."""
        if self._observation is not None:
            self._tell(_events().PartitionFenced, partition, conflict.holder if isinstance(conflict, TakenOver) else "")

    def gap(self, partition: str, position: Position | None) -> None:
        """Called when the position of a partition is not one of the stream as it is now."""
        if self._observation is not None:
            self._tell(_events().PartitionGap, partition, position)

    def saved(self, share: Share[Model, Msg], lag: int | None, models: int, began: float) -> None:
        """Called when a share was saved, with how many records of it were not given yet."""
        if self._observation is None:
            return
        written = share.reader.time()
        age = None if written is None else max(time.time() - written, 0.0)
        behind = None if lag is None else lag + share.reader.waiting
        seconds = time.monotonic() - began
        self._tell(_events().PartitionSaved, share.partition, share.position, models, behind, age, seconds)


def _events() -> Any:  # Any: the module, which a run without observers need not wait for
    from go_state.observe import events

    return events
