"""The subscriptions that listen for signals of the process: `Sub.signal`."""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TypeAlias

from go_state.core.errors import UsageError
from go_state.core.subscriptions import Signal
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.subscriptions.running import Produced, Running

Handler: TypeAlias = Callable[[int, FrameType | None], object] | int | None  # what `signal.getsignal` returns


class Signals:
    """Listens for the signals of one run, in the place of the handlers that there were before."""

    def __init__(self, manager: EffectManager) -> None:
        self._manager = manager
        self._heard: dict[
            int, tuple[dict[Running, None], Handler]
        ] = {}  # the subscriptions that listen, and the handler before them

    def begin(self, running: Running) -> None:
        """Begin to listen for one's signal."""
        if not self._manager.handles_signals:
            return
        if threading.current_thread() is not threading.main_thread():
            raise UsageError(
                "Sub.signal is for a program that runs in the main thread, the only one in which Python handles signals: use run "
                "or run_async there, or gs.signals() and app.stop()"
            )

        assert isinstance(running.sub, Signal)
        number = running.sub.number
        running.signal = number
        if number in self._heard:
            self._heard[number][0][running] = None
        else:
            self._heard[number] = {running: None}, signal.getsignal(number)  # first: the signal may come at once
            signal.signal(number, self._handle)

    def end(self, running: Running) -> None:
        """Listen for it no longer."""
        number = running.signal
        if number is None:
            return
        listeners, before = self._heard[number]
        listeners.pop(running, None)
        # Where somebody else has taken the handler's place, it is theirs to give back; until then, and after, it passes signals on.
        if not listeners and signal.getsignal(number) == self._handle:
            signal.signal(number, signal.SIG_DFL if before is None else before)
            del self._heard[number]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        listeners, before = self._heard[number]
        for running in tuple(listeners):
            # From a thread of its own, and a bare one: what it takes the lock of, the interrupted code may hold.
            _thread.start_new_thread(self._manager.inbox.post, (Produced(running),))
        if listeners or before == signal.SIG_IGN:
            return
        if callable(before):
            before(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
