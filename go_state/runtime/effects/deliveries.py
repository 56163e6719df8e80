"""Deliveries: what has arrived on its way into the queue, between two turns.

    inbox ──▶ messages ──▶ put ──▶ the effect has ended, what follows it in a `seq` begins ──▶ its messages ──▶ put

Most arrivals are of effects that are a part of nothing: their messages enter together, up to the next arrival that is more than that.
Whatever follows an effect begins when its message is in the queue, and so each of the others is delivered by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeAlias

from go_state.core.errors import NotStorable
from go_state.runtime.effects.effect import Messages
from go_state.runtime.effects.inbox import Arrival, Done, Failed, Inbox, Input, Look, Parked
from go_state.runtime.effects.lifecycle import Delivery, Lifecycle, Trouble
from go_state.runtime.flow.waits import CHECKPOINT_SECONDS, Checkpoint, Flow
from go_state.system.timers import Timers

# That enter the queue together: a fraction of a millisecond, and a number, so that a simulated clock repeats itself.
ARRIVALS = 64


_NOBODY = -1  # of what a subscription brings, which comes of no message: a position that none has

Put: TypeAlias = Callable[[Messages], Flow[None] | tuple[()]]
Decide: TypeAlias = Callable[[Trouble], Flow[None]]


class Inputs(Protocol):
    """The running subscriptions of a run."""

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    @property
    def may_rest(self) -> bool:
        """Whether all of them are timers."""
        ...

    def deliver(self, arrival: Input, /) -> Delivery:
        """Return what an arrival of a subscription sends."""
        ...

    def rest(self) -> None:
        """Stop them: nothing more is sent, and what the clock brings from now on is for the next run."""
        ...

    def end(self) -> None:
        """End them all, for good."""
        ...


class Deliveries:
    """Delivers the arrivals of one run, in the run's own thread or task."""

    def __init__(self, lifecycle: Lifecycle, inbox: Inbox, timers: Timers) -> None:
        self.inputs: Inputs | None = None  # the run's subscriptions
        self.begins: Callable[[object], object] | None = None  # told whose messages are put next, if anybody follows that
        self.seconds = 0.0  # spent on arrivals since somebody has set it to zero
        self._lifecycle = lifecycle
        self._arrivals = inbox.arrivals
        self._timers = timers

    def deliver(self, put: Put, decide: Decide) -> Flow[None]:
        """Put into the queue what effects and subscriptions have produced so far, in order, up to `ARRIVALS`; the rest comes when some
        messages have had their turns, however fast more arrives. `decide` raises a failure, or sets it aside.
        """
        begun = checkpoint = time.monotonic()
        together: list[tuple[Done, Messages]] = []
        arrivals, messages_of = self._arrivals, self._lifecycle.messages_of
        if self._timers.heap:
            self._timers.fire(ARRIVALS)
        for number in range(min(len(arrivals), ARRIVALS)):
            if number and time.monotonic() - checkpoint >= CHECKPOINT_SECONDS:
                yield from self._enter_together(together, put, decide)
                yield Checkpoint()
                checkpoint = time.monotonic()
            arrival = arrivals.popleft()
            if type(arrival) is Done and (effect := arrival.effect).group is None and self.begins is None:
                if not effect.over:
                    try:
                        together.append((arrival, messages_of(arrival)))
                    except BaseException as error:
                        yield from self._enter_together(together, put, decide)
                        yield from self._decide(self._lifecycle.trouble(effect, error), decide)
            elif type(arrival) is not Look:
                yield from self._enter_together(together, put, decide)
                yield from self._deliver_one(arrival, put, decide)
        if together:
            yield from self._enter_together(together, put, decide)
        self.seconds += time.monotonic() - begun

    def _enter_together(self, together: list[tuple[Done, Messages]], put: Put, decide: Decide) -> Flow[None]:
        if not together:
            return
        arrived = together.copy()
        together.clear()
        try:
            yield from put(arrived[0][1] if len(arrived) == 1 else [each for _, messages in arrived for each in messages])
        except NotStorable:  # nothing has moved: find out which it is
            for done, messages in arrived:
                self._lifecycle.deliver_as(done)
                yield from self._enter(Delivery(messages), done, put, decide)
            return
        for done, _ in arrived:
            self._lifecycle.end(done.effect)
        if self._lifecycle.ended:
            self._lifecycle.delivered()

    def _deliver_one(self, arrival: Arrival, put: Put, decide: Decide) -> Flow[None]:
        if self.begins is not None:
            self.begins(arrival.origin.position if isinstance(arrival, (Done, Failed, Parked)) else _NOBODY)
        if isinstance(arrival, (Done, Failed, Parked)):
            yield from self._enter(self._lifecycle.deliver(arrival), arrival, put, decide)
        elif self.inputs is not None and not isinstance(arrival, Look):
            yield from self._enter(self.inputs.deliver(arrival), arrival, put, decide)

    def _enter(self, delivery: Delivery, arrival: Arrival, put: Put, decide: Decide) -> Flow[None]:
        """Put the messages of a delivery, and when they are in the queue, what follows them."""
        trouble = yield from self._put(delivery, arrival, put)
        if trouble is None:
            trouble = yield from self._put(self._lifecycle.entered(), arrival, put)
        if trouble is not None:
            yield from self._decide(trouble, decide)
        self._lifecycle.delivered()

    def _put(self, delivery: Delivery, arrival: Arrival, put: Put) -> Flow[Trouble | None]:
        """Put the messages of a delivery; return its trouble, or that with a message that cannot be stored."""
        if delivery.messages:
            try:
                yield from put(delivery.messages)
            except NotStorable as error:
                return self._lifecycle.refuse(arrival, error)
        return delivery.trouble

    def _decide(self, trouble: Trouble, decide: Decide) -> Flow[None]:
        yield from decide(trouble)
        self.give_up()

    def give_up(self) -> None:
        """Called when the last failure was set aside: its effect is over, and what follows it is left out."""
        self._lifecycle.give_up()
        self._lifecycle.delivered()
