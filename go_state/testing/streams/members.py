"""Members of a group that a test takes from poll to poll: aggregates whose every step is in the test's hands.

    member.step()      up to its next poll, with all that lies between: turns, saves, claims
    member.crash()     it is gone, as by kill -9: nothing of it is closed or saved
    member.close()     it ends as one that is asked to

Between two steps the test may tell the member's reading what the engine says, let others save, or make the store fail.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Generic, TypeVar, Unpack

from go_state.core.ports import Store
from go_state.core.program import Program
from go_state.modes.aggregate.partitions.faces import ThreadFace, describe, in_this_thread
from go_state.modes.aggregate.partitions.holder import Outcome, StreamHolder
from go_state.modes.aggregate.partitions.making import shares_of
from go_state.modes.options import KeyedAggregateOptions
from go_state.runtime.flow.waits import Wait
from go_state.testing.streams.log import LogReading, LogSource

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class _Stop:
    """A switch that the member is ended by."""

    def __init__(self) -> None:
        self.on = False

    def is_set(self) -> bool:
        return self.on


class Member(Generic[Model, Msg]):
    """One aggregate of a log, as another process would be."""

    def __init__(
        self,
        program: Program[Model, Msg],
        source: LogSource[Msg],
        *,
        store: Store,
        key: Callable[[Msg], str],
        **options: Unpack[KeyedAggregateOptions[Msg, Model]],
    ) -> None:
        self.sleeps = 0  #: how many steps a test leaves it out: a process that hangs
        self._stop = _Stop()
        options["stop"] = self._stop
        maker = shares_of(program, source, store, key, options, on_loop=False)
        maker.again = (0.0, 0.0)  # a test has no time to wait until a partition is claimed once more
        maker.poll_seconds = 0.0
        face: ThreadFace[Model, Msg] = ThreadFace(source, in_this_thread)
        self.reading: LogReading[Msg] = source.open_partitions()
        self.holder: StreamHolder[Model, Msg] = StreamHolder(maker, self.reading, face, partial(describe, source))
        face.holder = self.holder
        self._flow: Generator[Wait, object, None] = self.holder.run()
        self._wait: Wait | None = None
        self.has_ended = False

    def step(self, polls: int = 1) -> None:
        """Go on until it has polled so often, or has ended; raises what it raises."""
        until = self.reading.polls + polls
        while not self.has_ended and self.reading.polls < until:
            self._once()

    def _once(self) -> None:
        try:
            if self._wait is None:
                self._wait = next(self._flow)
                return
            try:
                answer = self._wait.in_thread()
            except Exception as error:
                self._wait = self._flow.throw(error)
            else:
                self._wait = self._flow.send(answer)
        except BaseException as error:
            self.has_ended = True
            if not isinstance(error, StopIteration):
                raise

    def close(self) -> Outcome[Msg]:
        """Ask it to end, and take it there."""
        self._stop.on = True
        while not self.has_ended:
            self._once()
        return self.holder.outcome()

    def crash(self) -> None:
        """Be gone."""
        self.has_ended = True
        self._flow.close()
