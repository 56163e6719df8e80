"""A view that is called no more often than it can bear, and always with the newest model in the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from go_state.core.errors import UsageError
from go_state.system.forks import at_fork, reset_lock
from go_state.waking.deadlines import is_number

Model = TypeVar("Model")

_NOTHING: Any = object()  # of any type, as it stands in the place of a model


class throttle(Generic[Model]):
    """A view that shows the newest model at most `hz` times a second, and the last one for certain.

    A model that comes too soon is shown a little later, by a thread that lives until then. The view is never called twice at the same
    time. At the end of its `with` block, or by `close`, what is pending is shown at once. An exception of the view is raised where the
    model is shown, in the program; or, if the thread showed it, by the next call or `close`.
    """

    def __init__(self, view: Callable[[Model], object], *, hz: float) -> None:
        if not (is_number(hz) and hz > 0):
            raise UsageError(f"hz= is how many times a second to show a model at most, not {hz!r}")
        self._view = view
        self._interval = 1 / hz
        self._showing = threading.Lock()  # held while the view runs
        self._lock = threading.Lock()  # guards all below
        self._pending: Model = _NOTHING
        self._next = 0.0  # when the next model may be shown
        self._timer: threading.Timer | None = None
        self._error: BaseException | None = None
        at_fork(self)

    def __call__(self, model: Model) -> None:
        """Show the model, or keep it to be shown as soon as it may be."""
        self._raise_what_was_left()
        now = time.monotonic()
        with self._lock:
            self._pending = model
            if self._timer is not None:
                return
            if now < self._next:
                self._timer = threading.Timer(self._next - now, self._show_later)
                self._timer.start()
                return
        self._show()

    def _show_later(self) -> None:
        with self._lock:
            self._timer = None
        try:
            self._show()
        except BaseException as error:
            self._error = error

    def _show(self) -> None:
        with self._showing:
            with self._lock:
                model, self._pending = self._pending, _NOTHING
                self._next = time.monotonic() + self._interval
            if model is not _NOTHING:
                self._view(model)

    def _raise_what_was_left(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def after_fork_in_child(self) -> None:
        """In a forked child: start anew. What is pending is shown by the parent."""
        reset_lock(self._showing)
        reset_lock(self._lock)
        self._pending, self._timer = _NOTHING, None

    def close(self) -> None:
        """Show what is pending now; a second call is harmless."""
        with self._lock:
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            timer.join()
        self._show()
        self._raise_what_was_left()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
