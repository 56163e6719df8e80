"""Who is told of what happens, and what becomes of one that raises."""

from __future__ import annotations

import math
import threading
import warnings
from traceback import extract_tb

from go_state.core.errors import ObserverFailed, UsageError
from go_state.observe.events import Event
from go_state.observe.observer import Observer, Tracer


class Observers:
    """The observers of one call, of whose runs there may be many. One that raises is left out of all of them from then on."""

    def __init__(self, observers: tuple[Observer, ...]) -> None:
        self.tracers = tuple(each for each in observers if isinstance(each, Tracer))  #: those that are tracers as well
        self._observers = observers
        self._lock = threading.Lock()  # guards both while one is left out

    def tell(self, event: Event) -> None:
        """Call each observer with the event."""
        for observer in self._observers:
            try:
                observer.on_event(event)
            except Exception as error:
                self.leave_out(observer, error)

    def turns_from(self) -> float:
        """Return how many seconds a turn takes at least that somebody is to be told of."""
        if self.tracers:
            return 0.0
        least = math.inf
        for observer in self._observers:
            try:
                least = min(least, getattr(observer, "turns_from", 0.0))
            except Exception as error:
                self.leave_out(observer, error)
        return least

    def leave_out(self, observer: Observer, error: Exception) -> None:
        """Call an observer no more, because it has raised, and warn of it once."""
        with self._lock:
            left = tuple(each for each in self._observers if each is not observer)
            if len(left) == len(self._observers):
                return
            self._observers = left
            self.tracers = tuple(each for each in self.tracers if each is not observer)
        at = extract_tb(error.__traceback__)[-1:]
        where = "".join(f", in {each.filename}:{each.lineno}" for each in at)
        warnings.warn(
            f"the observer {type(observer).__qualname__} has raised a {type(error).__qualname__}{where}: it is called no more, and "
            f"the run goes on without it",
            ObserverFailed,
            stacklevel=2,
        )


def checked_observers(observe: object) -> Observers | None:
    """Return the observers of `observe=`, one or a list of them; None if there are none. `UsageError` for anything else."""
    given = tuple(observe) if isinstance(observe, (list, tuple)) else () if observe is None else (observe,)
    observers = tuple(each for each in given if isinstance(each, Observer) and not isinstance(each, type))
    if len(observers) < len(given):
        wrong = next(each for each in given if isinstance(each, type) or not isinstance(each, Observer))
        found = f"the class {wrong.__qualname__} itself" if isinstance(wrong, type) else f"a {type(wrong).__qualname__}"
        raise UsageError(
            f"observe= is an observer, such as gs.observe.Log() or an object with on_event(event), or a list of them, not {found}"
        )
    return Observers(observers) if observers else None
