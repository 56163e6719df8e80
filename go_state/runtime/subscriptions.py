"""Subscriptions under way: after each turn that made another model, what is new is begun and what is gone is ended."""

from __future__ import annotations

import _thread
import inspect
import math
import signal
import threading
from collections.abc import Callable, Hashable, Iterable
from contextlib import aclosing
from contextvars import copy_context
from functools import partial
from types import FrameType
from typing import Any

from go_state.core.commands import name_of
from go_state.core.errors import ProgramError, UsageError
from go_state.core.subscriptions import At, Every, Signal, Stream, Sub, checked_subscriptions
from go_state.runtime.effects.effect import Origin, wrapped
from go_state.runtime.effects.executor import unasked
from go_state.runtime.effects.manager import AHEAD, EffectManager, Trouble
from go_state.runtime.effects.timers import Timer
from go_state.runtime.inside import Part, part_in
from go_state.runtime.raised import as_failure


class Running:
    """One subscription under way."""

    __slots__ = ("beat", "over", "room", "stop", "sub", "timer")

    def __init__(self, sub: Any) -> None:
        self.sub = sub  # as the newest model has it
        self.over = False
        self.beat = 0.0  # how many messages will have been taken when the last beat of an `every` has; endless while it arrives
        self.timer: Timer | None = None
        self.stop: Callable[[], object] | None = None  # what ends a stream's task, or gives a signal's old handler back
        self.room: Any = None  # an asyncio.Semaphore: how many more items of a stream may wait

    def end(self) -> None:
        """Let nothing more be heard of it."""
        self.over = True
        if self.timer is not None:
            self.timer.cancel()
        if self.stop is not None:
            self.stop()


class Subscribed:
    """The subscriptions of one run."""

    def __init__(self, subscriptions: Callable[[Any], Iterable[Sub[Any]] | None], manager: EffectManager) -> None:
        self._subscriptions = subscriptions
        self._manager = manager
        self._running: dict[Hashable, Running] = {}
        self._model: Any = self  # no model of anybody's
        self._ended = False
        self._signals: dict[int, tuple[dict[Running, None], Any]] = {}  # who listens, and the handler that was there before
        manager.end_subscriptions = self.end

    def committed(self, model: object) -> None:
        """Begin and end what another model than the last asks for."""
        if model is not self._model:
            self.follow(model)

    def follow(self, model: object) -> None:
        """Begin and end what the model asks for."""
        self._model = model
        if self._ended:
            return
        wanted: dict[Hashable, Any] = {}
        for sub in checked_subscriptions(self._subscriptions(model)):
            key: Hashable = (sub.scope, sub.key)
            if key in wanted:
                raise ProgramError(f"two subscriptions have the key {sub.key!r}: give each its own")
            wanted[key] = sub
        for key in [key for key in self._running if key not in wanted]:
            self._running.pop(key).end()
        for key, sub in wanted.items():
            running = self._running.get(key)
            if running is not None and _is_same(running.sub, sub):
                running.sub = sub
                continue
            if running is not None:
                running.end()
            self._running[key] = begun = Running(sub)
            self._begin(begun)
        self._manager.subscriptions = len(self._running)

    def under_way(self) -> tuple[Any, ...]:
        """Return those that are under way."""
        return tuple(running.sub for running in self._running.values())

    def listening(self, number: object) -> list[Running]:
        """Return those that listen for the signal."""
        return [running for running in self._running.values() if type(running.sub) is Signal and running.sub.number == number]

    def end(self) -> None:
        """End them all, for good."""
        self._ended = True
        for running in self._running.values():
            running.end()
        self._running.clear()
        self._manager.subscriptions = 0

    # ------------------------------------------------------------------ each kind

    def _begin(self, running: Running) -> None:
        match running.sub:
            case Every(seconds=seconds):
                self._tick_in(running, seconds, self._manager.timers.clock.monotonic() + seconds)
            case At(when=when):
                if when <= self._manager.timers.clock.time():
                    self._manager.news.append((self.arrive, running, None))
                elif when != math.inf:
                    running.timer = self._manager.timers.set_at(when, partial(self._at, running))
            case Stream():
                self._read(running)
            case Signal():
                self._listen(running)
        self._manager.stir()
        self._manager.wake()

    def _tick_in(self, running: Running, seconds: float, due: float) -> None:
        def tick() -> None:
            if running.beat <= self._manager.taken() or (running.beat != math.inf and not self._manager.backlog()):
                running.beat = math.inf
                self._manager.news.append((self.arrive, running, None))
            every, now = running.sub.seconds, self._manager.timers.clock.monotonic()
            late = max((now - due) // every, 0)  # whole ticks that are over already, and are left out
            following = min(due + (late + 1) * every, now + every)  # the first is endless where they are too many to count
            self._tick_in(running, following - now, following)

        running.timer = self._manager.timers.set(max(seconds, 0.0), tick)

    def _at(self, running: Running) -> None:
        if running.sub.when <= self._manager.timers.clock.time():
            self._manager.news.append((self.arrive, running, None))
        else:  # the clock was set back
            running.timer = self._manager.timers.set_at(running.sub.when, partial(self._at, running))

    def _read(self, running: Running) -> None:
        context = copy_context()
        part = part_in(context, self._manager.workers)
        self._manager.workers.spawn(running, lambda: self._give(running, part), context)

    async def _give(self, running: Running, part: Part) -> None:
        import asyncio

        sub = running.sub
        running.room = asyncio.Semaphore(AHEAD)
        try:
            items = sub.fn(*sub.args)
            if not hasattr(items, "__anext__"):
                if inspect.iscoroutine(items):
                    items.close()
                raise ProgramError(
                    f"{name_of(sub.fn)} of Sub.stream is no async generator function: make it an async def that yields"
                )
            if not hasattr(items, "aclose"):
                items = (item async for item in items)
            async with aclosing(items):
                async for item in items:
                    await running.room.acquire()
                    self._manager.tell(self.arrive, running, item)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                if running.over:
                    raise
                error = unasked(error, f"the stream {name_of(sub.fn)}", "the end of its subscription")
            # KeyboardInterrupt and SystemExit are told too: a task would raise them out of its event loop.
            self._manager.tell(self._fail, running, error)
        finally:
            part.over = True

    def _listen(self, running: Running) -> None:
        if not self._manager.hears_signals:
            return
        if threading.current_thread() is not threading.main_thread():
            raise UsageError(
                "Sub.signal is for a program that runs in the main thread, the only one in which Python handles signals: use run "
                "or run_async there, or gs.signals() and app.stop()"
            )

        number = running.sub.number
        running.stop = partial(self._stop_listening, running, number)
        if number in self._signals:
            self._signals[number][0][running] = None
        else:
            self._signals[number] = {running: None}, signal.getsignal(number)  # first: the signal may come at once
            signal.signal(number, self._handle)

    def _stop_listening(self, running: Running, number: int) -> None:
        listeners, before = self._signals[number]
        listeners.pop(running, None)
        # Where somebody else has taken the handler's place, it is theirs to give back; until then, and after, it passes signals on.
        if not listeners and signal.getsignal(number) == self._handle:
            signal.signal(number, signal.SIG_DFL if before is None else before)
            del self._signals[number]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        listeners, before = self._signals[number]
        for running in tuple(listeners):
            # From a thread of its own, and a bare one: what it takes the lock of, the interrupted code may hold.
            _thread.start_new_thread(self._manager.tell, (self.arrive, running, None))
        if listeners or before == signal.SIG_IGN:
            return
        if callable(before):
            before(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    # ------------------------------------------------------------------ what they bring

    def arrive(self, running: Running, item: Any, sent: list[Any]) -> Trouble | None:
        """Send what a subscription brings."""
        if running.room is not None:
            self._manager.credits.append(running.room.release)
        if running.over:
            return None
        sub = running.sub
        if type(sub) is Every:
            running.beat = self._manager.taken() + self._manager.backlog() + 1
        self._manager.say_of(self._origin(running))
        try:
            message = _message(sub, item)
            if message is not None:
                sent.append(wrapped(message, sub.scope))
        except BaseException as error:
            return Trouble(error, self._origin(running), _nothing_more)
        return None

    def _fail(self, running: Running, error: BaseException, sent: list[Any]) -> Trouble | None:
        failure = as_failure(error, f"the stream {name_of(running.sub.fn)}")
        if running.over and isinstance(failure, Exception):
            return None
        return Trouble(failure, self._origin(running), _nothing_more)

    @staticmethod
    def _origin(running: Running) -> Origin:
        return Origin(running.sub, None, "subscription")


def _message(sub: Any, item: Any) -> Any:
    """Return what a subscription sends."""
    if type(sub) is Stream:
        return item if sub.ok is None else sub.ok(item)
    return sub.message() if callable(sub.message) else sub.message


def _nothing_more(sent: list[Any]) -> None:
    """Leave it at that."""


def _is_same(one: Any, other: Any) -> bool:
    """Tell whether what is under way can go on: only the message it sends may be another."""
    if type(one) is not type(other):
        return False
    if type(one) is Every:
        return bool(one.seconds == other.seconds)
    if type(one) is At:
        return bool(one.when == other.when)
    if type(one) is Stream:
        return bool(one.args == other.args) and _code(one.fn) == _code(other.fn)
    return bool(one.number == other.number)


def _code(fn: Any) -> object:
    """Return what a function is known by: a lambda, or one made within `subscriptions`, is another object each time."""
    return getattr(fn, "__code__", fn)


def subscribed(subscriptions: Callable[[Any], Iterable[Sub[Any]] | None] | None, manager: EffectManager) -> Subscribed | None:
    """Return the subscriptions of a run; None for a program that has none."""
    return None if subscriptions is None else Subscribed(subscriptions, manager)
