"""When a durable program has something to do by itself, noted in its store for whoever starts it when it is at rest.

What is noted is written with what the run writes anyway. A program with messages, calls or arrivals that are not done yet has something
to do at once; otherwise it is its next timer that counts: of `Sub.at`, of `Sub.every`, or of `Cmd.after`.
"""

from __future__ import annotations

from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.effects.scheduler import Effect
from go_state.runtime.subscriptions.subscribed import Subscribed
from go_state.storage.journal.run_record import RunRecord
from go_state.storage.records.writes.wakes import NOW, WakeTimes

_NOTHING = WakeTimes()


class Waking:
    """Notes, for one run, when its program is to be woken."""

    def __init__(self, name: bytes, record: RunRecord, manager: EffectManager) -> None:
        self._name = name
        self._record = record
        self._manager = manager

    def resume(self) -> WakeTimes:
        """Read what the last run has left, and keep it from now on. Uses the disk."""
        return self._record.keep_wake(self._name)

    def go_on(self, times: WakeTimes) -> None:
        """Go on with the timers and beats that the last run has left."""
        self._manager.keeps_timers = True
        self._manager.lifecycle.resumed = times.timers
        if isinstance(inputs := self._manager.inputs, Subscribed):
            inputs.timed.resume(times.beats)

    def note(self, position: int) -> None:
        """Note how it stands now, before the message at the position. Called in the run's own thread or task."""
        manager, inputs = self._manager, self._manager.inputs
        has_commands = bool(manager.count or manager.inbox.arrivals or manager.held)
        if inputs is None and not has_commands:  # as of most programs, most of the time
            self._record.wake_at(_NOTHING, position)
            return
        timers = self._timers(manager.pending_timers())
        beats: dict[float, float] = {}
        is_busy = manager.count > len(timers) or bool(manager.inbox.arrivals or manager.held)
        if isinstance(inputs, Subscribed):
            beats = inputs.timed.beats()
            is_busy = is_busy or inputs.timed.has_missed or inputs.is_waiting
        due = NOW if is_busy else manager.timers.due_at()
        self._record.wake_at(WakeTimes(due, beats, timers), position)

    def _timers(self, pending: list[Effect]) -> dict[str, float]:
        clock = self._manager.timers.clock
        offset = clock.time() - clock.monotonic()
        return {effect.name: due + offset for effect in pending if (due := effect.next_due) is not None}


class NeverWoken:
    """Notes nothing: nobody wakes the program."""

    def resume(self) -> WakeTimes:
        """Return that there is nothing to go on with."""
        return WakeTimes()

    def go_on(self, times: WakeTimes) -> None:
        """Do nothing: timers begin anew."""

    def note(self, position: int) -> None:
        """Do nothing."""
