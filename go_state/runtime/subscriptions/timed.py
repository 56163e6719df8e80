"""The subscriptions that a clock triggers: `Sub.every` and `Sub.at`.

A program that is put to rest keeps its times: from then on what comes due is not sent but noted as missed, and the next life, which
is begun because of that, sends it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from go_state.core.subscriptions import At, Every
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.subscriptions.running import Produced, Running


class Timed:
    """The timers of the subscriptions of one run."""

    def __init__(self, manager: EffectManager) -> None:
        self.is_resting = False  #: whether the run is put to rest, so that what comes due is for the next one
        self.has_missed = False  #: whether something has come due since
        self._manager = manager
        self._inbox = manager.inbox
        self._timers = manager.timers
        self._beating: dict[Running, None] = {}
        self._resumed: Mapping[float, float] = {}  # when the next beat is of what beats each so many seconds, since 1970

    def resume(self, beats: Mapping[float, float]) -> None:
        """Go on with the beats that the run before has left: what beats each so many seconds does so next at that time."""
        self._resumed = beats

    def begin(self, running: Running) -> None:
        """Begin a subscription of one of the two kinds."""
        sub, clock = running.sub, self._timers.clock
        if isinstance(sub, Every):
            left = max(self._resumed[sub.seconds] - clock.time(), 0.0) if sub.seconds in self._resumed else sub.seconds
            self._beating[running] = None
            running.due = clock.monotonic() + min(left, sub.seconds)
            running.timer = self._timers.set(min(left, sub.seconds), self._tick, running)
        elif isinstance(sub, At):
            if sub.when <= clock.time():
                self._produce(running)
            elif sub.when != math.inf:
                running.timer = self._timers.set_at(sub.when, self._at, running)

    def end(self, running: Running) -> None:
        """End one of them."""
        self._beating.pop(running, None)
        if running.timer is not None:
            running.timer.cancel()

    def beats(self) -> dict[float, float]:
        """Return, for each length of a beat, when the next one is, in seconds since 1970."""
        beats: dict[float, float] = {}
        offset = self._timers.clock.time() - self._timers.clock.monotonic()
        for running in self._beating:
            assert isinstance(running.sub, Every)
            due = running.due + offset
            beats[running.sub.seconds] = min(due, beats.get(running.sub.seconds, due))
        return beats

    def _produce(self, running: Running) -> None:
        if self.is_resting:
            self.has_missed = True
        else:
            self._inbox.add(Produced(running))

    def _tick(self, running: Running) -> None:
        assert isinstance(running.sub, Every)
        if self.is_resting:
            self.has_missed = True
            return
        if running.beat <= self._manager.taken() or (running.beat != math.inf and not self._manager.backlog()):
            running.beat = math.inf
            self._inbox.add(Produced(running))
        every, now = running.sub.seconds, self._timers.clock.monotonic()
        late = max((now - running.due) // every, 0)  # whole ticks that are over already, and are left out
        running.due = min(running.due + (late + 1) * every, now + every)  # the first is endless if they are too many to count
        running.timer = self._timers.set(max(running.due - now, 0.0), self._tick, running)

    def _at(self, running: Running) -> None:
        assert isinstance(running.sub, At)
        if running.sub.when <= self._timers.clock.time():
            self._produce(running)
        else:  # the clock was set back
            running.timer = self._timers.set_at(running.sub.when, self._at, running)
