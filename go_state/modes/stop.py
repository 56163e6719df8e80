"""Asking batches to end: a switch that is set once, and the signals that set it."""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeAlias

from go_state.core.errors import UsageError

_Handler: TypeAlias = "Callable[[int, FrameType | None], object] | int | None"


class StopSwitch:
    """A flag that asks batches to end between two messages; set once, from any thread. See `signals`."""

    def __init__(self) -> None:
        self._set = False
        self._callbacks: list[Callable[[], object]] = []

    def set(self) -> None:
        """Ask for the end, and call those who wait for it."""
        self._set = True
        for callback in tuple(self._callbacks):
            callback()

    def ask(self) -> None:
        """Ask for the end without calling anyone: all that a signal handler may do, which can interrupt any code that holds a lock."""
        self._set = True

    def is_set(self) -> bool:
        """Return whether the end was asked for."""
        return self._set

    @contextmanager
    def calling(self, callback: Callable[[], object]) -> Iterator[None]:
        """Call `callback` when the switch is set, from the thread that sets it, for the length of the block."""
        self._callbacks.append(callback)
        try:
            yield
        finally:
            self._callbacks.remove(callback)


@contextmanager
def signals(*numbers: int) -> Iterator[StopSwitch]:
    """Turn SIGTERM and SIGINT, or the signals of these `numbers`, into a graceful stop.

    `with gs.signals() as stop: gs.batch(..., stop=stop)`.

    The first one sets the switch and puts the old handlers back, so that a second Ctrl-C interrupts as usual. Raises
    `UsageError` outside the main thread, the only one in which Python handles signals.
    """
    if threading.current_thread() is not threading.main_thread():
        raise UsageError("gs.signals() works in the main thread only: make the switch there and hand it to this thread")
    switch = StopSwitch()
    before: dict[int, _Handler] = {}

    def restore() -> None:
        for number, handler in before.items():
            # None: installed by something that is not Python.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def ask(number: int, frame: object) -> None:
        restore()
        switch.ask()
        # The callbacks take locks, which the interrupted code of this very thread may hold: they need a thread of their own,
        # and a bare one, because starting a threading.Thread takes locks too.
        _thread.start_new_thread(switch.set, ())

    try:
        for number in numbers or (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, ask)
        yield switch
    finally:
        restore()
