"""A share: one partition that this process holds, as a batch of its own that is run whenever it has something to do.

    records ──▶ ready ──run──▶ parked: it has nothing, or has had its slice
                              ├ waiting for a command: woken when one has returned, or at the time of a timer
                              ├ saving: its models and position are to be written, together with those of others
                              └ done: saved, and over

Each runs in a context of its own, in which its commands find their effect id and environment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextvars import copy_context
from typing import Any, Generic, NamedTuple, TypeVar

from go_state.core.ports import Position
from go_state.modes.aggregate.keyed import Change
from go_state.modes.aggregate.model_store import KeptModels
from go_state.modes.aggregate.partitions.shares.reader import PARKED, ShareReader
from go_state.modes.batch.batch import Batch
from go_state.runtime.effects.inbox import NextArrival
from go_state.runtime.flow.waits import Flow, Wait

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class Save(Generic[Model]):
    """A wait for whoever saves several shares together: the model and the position of this one are to be written."""

    __slots__ = ("model", "position")

    def __init__(self, model: Change[Model] | None, position: Position) -> None:
        self.model = model
        self.position = position

    def in_thread(self) -> None:
        raise AssertionError("a partition is saved by its holder, together with others")

    async def on_loop(self) -> None:
        self.in_thread()

    @classmethod
    def flow(cls, model: Change[Model] | None, position: Position) -> Flow[None]:
        """Wait until it is written."""
        yield cls(model, position)


class Counted(NamedTuple):
    """What came of a share by its last save."""

    turns: int
    set_aside: int
    letters: int


class Share(Generic[Model, Msg]):
    """One partition: its batch, its models, and what it waits for."""

    def __init__(
        self,
        partition: str,
        kept: KeptModels[Model, Msg],
        reader: ShareReader[Msg],
        batch: Batch[Change[Model] | None, Msg],
        position: Position,
    ) -> None:
        self.partition = partition
        self.kept = kept
        self.reader = reader
        self.batch = batch
        self.position = position  #: in the store
        self.saved = Counted(0, 0, 0)  #: what came of it by then
        self.save_due = False
        self.is_changed = False  #: whether it has run since its last save
        self.is_done = False  #: whether it is over; it is saved if its flow has come to its end
        self.ends = False  #: whether the partition does, so that its end is saved with it
        self.wait: Wait | None = None  #: what it waits for
        self._flow: Generator[Wait, Any, None] = batch.flow()
        self._context = copy_context()
        self._is_open = False

    def open(self, wake: Callable[[], object]) -> Flow[None]:
        """Begin: turn 0, and whatever it leads to; `wake` is called from any thread when a command has returned."""
        self._context.run(self.batch.__enter__)
        self._is_open = True
        yield from self.run()
        self.batch.loop.manager.inbox.connect(wake, looks_up=False)

    def run(self) -> Flow[None]:
        """Go on until there is nothing to do, or something that only the holder does: then `wait` says what it is."""
        self.is_changed = True
        wait = self._go(self._flow.__next__ if self.wait is None else self._flow.send, *(() if self.wait is None else (None,)))
        while wait is not None and wait is not PARKED and not isinstance(wait, (NextArrival, Save)):
            try:
                answer = yield wait
            except BaseException as error:
                wait = self._go(self._flow.throw, error)
            else:
                wait = self._go(self._flow.send, answer)
        self.wait = wait

    def _go(self, step: Callable[..., Wait], *sent: object) -> Wait | None:
        """Take the flow to its next wait; None at its end."""
        try:
            return self._context.run(step, *sent)
        except StopIteration:
            self.is_done = True
            return None

    @property
    def has_failed(self) -> bool:
        """Whether it has halted at a message."""
        return self.batch.has_halted

    @property
    def can_run(self) -> bool:
        """Whether there is something to do at once."""
        if self.wait is PARKED:
            return self.reader.waiting > 0 or self.reader.is_over or self.save_due or self.has_arrivals
        return self.has_arrivals

    @property
    def has_arrivals(self) -> bool:
        """Whether a command has returned."""
        return self.batch.loop.manager.has_arrivals

    def rest(self) -> float | None:
        """Note that it waits: from here on `wake` is called. Return when it has to be run in any case, in monotonic seconds."""
        manager = self.batch.loop.manager
        if not manager.active and not manager.timers.heap:
            return None
        left = manager.left(_resting)
        return None if left is None else time.monotonic() + left

    def counted(self) -> Counted:
        """Return what has come of it so far."""
        result, failures = self.batch.result(), self.batch.loop.failures
        return Counted(result.processed, len(failures.set_aside), failures.letters)

    def close_flow(self) -> None:
        """Give up what is not saved; nothing is awaited."""
        self._context.run(self._flow.close)

    def leave(self) -> Flow[None]:
        """End its commands, and the batch."""
        self.close_flow()
        if self._is_open:
            self._is_open = False
            yield _Leaving(self)

    def exit(self) -> None:
        """Leave the batch's block, in a thread."""
        self._context.run(self.batch.__exit__, None, None, None)

    async def aexit(self) -> None:
        """Leave the batch's block, on an event loop."""
        import asyncio

        task = asyncio.get_running_loop().create_task(self.batch.__aexit__(None, None, None), context=self._context)
        await asyncio.shield(task)


class _Leaving(Generic[Model, Msg]):
    """The wait for a share's commands to end."""

    __slots__ = ("_share",)

    def __init__(self, share: Share[Model, Msg]) -> None:
        self._share = share

    def in_thread(self) -> None:
        self._share.exit()

    async def on_loop(self) -> None:
        await self._share.aexit()


def _resting() -> bool:
    return True
