"""Following what comes of messages: for those who wait until what they have sent is done, see `consequences.py`, and for tracers, to whom
a turn belongs to whoever has sent its message. Both need the positions of what a run sends itself, and so its log is not lent to it.

feed.take ──look──▶ mark the messages that were sent before somebody came ──▶ note what comes of them ──▶ all done: commit, wake
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from typing import Generic, Protocol, TypeAlias, TypeVar

from go_state.buffer.log import Log
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.feeds.consequences import Awaited
from go_state.runtime.flow.waits import Flow

Msg = TypeVar("Msg")

Settle: TypeAlias = Callable[[int, Sequence[Msg], bool], Sequence[Msg]]
"""Commit so many messages, append these and, if asked to, read them; see `Reader.settle`."""


class Traced(Protocol):
    """Who is told at which positions a run's own messages are, so that their turns belong to those that have sent them."""

    def turn_sends(self, count: int, first: int, /) -> None:
        """Called when the turn that is being taken has sent as many messages, the first of them at this position."""
        ...

    def commands_send(self, messages: Sequence[object], first: int, /) -> None:
        """Called when these, which no turn has sent, are in the queue, the first of them at this position."""
        ...


def _at_once() -> tuple[()]:
    """Do nothing: of a queue in memory every message has its place, and what is processed is committed and shown."""
    return ()


class Following(Generic[Msg]):
    """What one feed does for those who wait; nothing while nobody does.

    `place` gives a position to all that was sent, and `commit` makes what is processed so that a crash does not undo it, and shows it.
    """

    def __init__(self, log: Log[Msg] | None) -> None:
        self.waiting: Sized = ()  #: those who wait
        self.place: Callable[[], Flow[None] | tuple[()]] = _at_once
        self.commit: Callable[[], Flow[None] | tuple[()]] = _at_once
        self.is_on = False  #: whether it is noted whose messages are
        self._is_awaited = False  # whether it is for those who wait
        self._by: object = None  # meanwhile, the position of the message whose call is being delivered
        self._log = log
        self._settling: Awaited | None = None
        self._traced: Traced | None = None
        self._manager: EffectManager | None = None
        self._backlog: Callable[[], int] = int

    def wake(self, settling: Awaited) -> None:
        """Wake these when what they wait for is done."""
        self._settling, self.waiting = settling, settling.waiting

    def connect(self, manager: EffectManager, backlog: Callable[[], int]) -> None:
        """Ask these for the calls that run, and for how many messages wait; tell tracers, if there are any, of all that is sent."""
        self._manager, self._backlog = manager, backlog
        observation, log = manager.observation, self._log
        if observation is not None and observation.carries and log is not None:
            self._traced, self.is_on = observation.turns, True
            log.lend(to_owner=False)

    @property
    def is_idle(self) -> bool:
        """Whether somebody waits, and there is nothing to do: no message, call or arrival, but perhaps timers."""
        manager = self._manager
        return bool(self.waiting) and not self._backlog() and (manager is None or manager.is_through)

    def tell_if_idle(self) -> None:
        """Wake those who wait, if there is nothing to do."""
        if self._settling is not None and self.is_idle:
            self._settling.reached()

    def look(self, processed: int) -> Flow[None]:
        """Wake those who wait for what was sent before they came, if it is done and committed, however much is sent meanwhile."""
        log, settling, manager = self._log, self._settling, self._manager
        if log is None or settling is None or manager is None:
            return
        if self._is_awaited is not (is_awaited := bool(self.waiting)):
            self._is_awaited = is_awaited
            manager.follow_deliveries(self._delivers if is_awaited else None)
            self.is_on = is_awaited or self._traced is not None
            log.lend(to_owner=not self.is_on)  # what an owner appends has no position that is known at once
        if settling.see():
            yield from self.place()
            with log.lock:
                log.absorb()
                settling.begin(log.retained.end)
        if settling.done(processed, manager.calls()):
            yield from self.commit()
            settling.wake_done()

    def _delivers(self, position: object) -> None:
        self._by = position

    def settle(self, settle: Settle[Msg], count: int, messages: Sequence[Msg], follow: bool, turn: int | None) -> Sequence[Msg]:
        """Settle, and note whose the messages are: of the turn at the position, or, without one, of the call that is delivered."""
        log, traced = self._log, self._traced
        if log is None:
            return settle(count, messages, follow)
        with log.lock:
            following = settle(count, messages, follow)
            end = log.retained.end
        first = end - len(messages)
        if traced is not None:
            traced.commands_send(messages, first) if turn is None else traced.turn_sends(len(messages), first)
        if self._settling is not None and self._is_awaited:
            self._settling.note(self._by if turn is None else turn, first, end)
        return following
