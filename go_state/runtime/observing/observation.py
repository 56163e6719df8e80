"""What one run tells its observers: of itself, its store and its subscriptions; turns and commands have files of their own."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from go_state.core.commands import name_of
from go_state.core.subscriptions import Stream
from go_state.observe.events import (
    Event,
    Flush,
    LeaseLost,
    LeaseReleased,
    LeaseTaken,
    MessageSetAside,
    PartitionEvent,
    Restored,
    RunEnded,
    RunStarted,
    SnapshotSaved,
    SubscriptionEnded,
    SubscriptionStarted,
)
from go_state.runtime.observing.commands import Commands
from go_state.runtime.observing.observers import Observers
from go_state.runtime.observing.turns import Turns
from go_state.system.timers import Clock, SystemClock


class Observation:
    """One run as its observers see it. All of it is called in the run's own thread or task, but for what uses the disk."""

    def __init__(self, observers: Observers, clock: Clock, program: str, key: str | None) -> None:
        self.now: Callable[[], float] = time.monotonic if isinstance(clock, SystemClock) else clock.monotonic  #: seconds
        self.turns: Turns[Any] = Turns(observers, program, key, self.now)
        self.commands = Commands(observers, self.turns, program, self.now)
        self.carries = bool(observers.tracers)  #: whether senders have something to bring along
        self._tell = observers.tell
        self.program = program
        self._who = program, key
        self._from_disk: deque[Event] = deque()  # what the disk's thread, or that of a sender, has to tell
        self._begun = self.now()
        self._is_over = True
        self.is_part = False  #: whether it is one of several that are one run, which tells of its own beginning and end

    # ------------------------------------------------------------------ the run

    def started(self) -> None:
        """Called when the run begins."""
        if self.is_part:
            return
        self._begun, self._is_over = self.now(), False
        self._tell(RunStarted(*self._who))

    def ended(self, error: BaseException | None) -> None:
        """Called when nothing of the run goes on any more."""
        if not self._is_over:
            self._is_over = True
            self.tell_of_disk()
            self._tell(RunEnded(*self._who, self.now() - self._begun, None if error is None else type(error).__qualname__))

    def set_aside(self, message: object, position: object, error: Exception) -> None:
        """Called when a message was set aside."""
        program, key = self._who[0], self.turns.key_of_message(message)
        self._tell(MessageSetAside(program, key, type(message).__qualname__, position, type(error).__qualname__))

    def subscription_started(self, sub: object) -> None:
        """Called when a subscription has begun."""
        self._tell(SubscriptionStarted(*self._who, *_kind_of(sub)))

    def subscription_ended(self, sub: object) -> None:
        """Called when a subscription has ended."""
        self._tell(SubscriptionEnded(*self._who, *_kind_of(sub)))

    def partition(self, event: PartitionEvent) -> None:
        """Called with what has happened to a partition of the source."""
        self._tell(event)

    # ------------------------------------------------------------------ what is stored

    def restored(self, position: object, messages: int, begun: float) -> None:
        """Called when the run goes on from what was stored, after a restoring that began at `begun`."""
        self._tell(Restored(*self._who, position, messages, self.now() - begun))

    def saved(self, position: object, models: int, begun: float) -> None:
        """Called when models were saved, by a save that began at `begun`."""
        self._tell(SnapshotSaved(*self._who, position, models, self.now() - begun))

    def flushed(self, messages: int, begun: float) -> None:
        """Called when a journal's messages are written, in the thread that has done it, by a write that began then."""
        self._from_disk.append(Flush(*self._who, messages, self.now() - begun))

    def saved_on_disk(self, position: int, begun: float) -> None:
        """Called in the disk's thread when a snapshot was written."""
        self._from_disk.append(SnapshotSaved(*self._who, position, 1, self.now() - begun))

    def tell_of_disk(self) -> None:
        """Tell, in the run's own thread, what the disk's has noted."""
        while self._from_disk:
            self._tell(self._from_disk.popleft())

    def lease_taken(self, begun: float) -> None:
        """Called when the journal is the run's own."""
        self._tell(LeaseTaken(*self._who, self.now() - begun))

    def lease_over(self, *, is_lost: bool) -> None:
        """Called when the journal is not the run's own any more."""
        self.tell_of_disk()
        self._tell(LeaseLost(*self._who) if is_lost else LeaseReleased(*self._who))


def _kind_of(sub: object) -> tuple[str, str]:
    return type(sub).__name__.lower(), name_of(sub.fn) if isinstance(sub, Stream) else ""
