"""The running programs of many keys, and the handle of one of them; `place.py` is what becomes of each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from contextvars import copy_context
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeAlias, TypeVar

from go_state.core.errors import AppEnded, Empty, TimedOut, UsageError
from go_state.modes.app.app import App
from go_state.modes.app.pending_replies import PendingReply
from go_state.modes.keyed_apps.place import Place
from go_state.modes.keyed_apps.sent import Sent, has_failed
from go_state.modes.keyed_apps.states import KeptAs, Told
from go_state.runtime.flow.driver import refuse_running_loop
from go_state.system.forks import at_fork
from go_state.system.own_thread import OwnThread
from go_state.system.running import running_loop
from go_state.waking.deadlines import deadline
from go_state.waking.thread_waker import ThreadWaker
from go_state.watch.fields import ANY, Changes, Field
from go_state.watch.watcher import Watcher

if TYPE_CHECKING:
    import asyncio

    from go_state.runtime.observing.running import RunningEffect
    from go_state.waking.loop_waker import LoopWaker

Model = TypeVar("Model")
Msg = TypeVar("Msg")


Make: TypeAlias = Callable[[str, Told, Told, Told], App[Any, Any]]
"""Starts the app of a key; the callbacks are called when it is idle, when it has ended, and, before these, once it is made."""


class KeyedApps(Generic[Model, Msg]):
    """The running programs of many keys; made by `start_keyed` or `start_keyed_async`. `apps[key]` is what to hold of one.

    A context manager, of both kinds: left, every app drains, or ends after the running turn if the block raises. What programs
    have failed with is raised from the block, as an `ExceptionGroup`, or, of `SystemExit` and its like, as it is; a key whose program
    has failed refuses further use. What is sent to a program that is being put to rest goes to its next life, once and in order.
    """

    def __init__(
        self, make: Make, limit: int, thread: OwnThread, loop: asyncio.AbstractEventLoop | None, kept: KeptAs[Model, Msg]
    ) -> None:
        self.kept = kept  #: the program, and where its models and messages are kept
        self._make = make
        self._thread = thread  # in which programs on an event loop use the store: one for each would be too many
        self._limit = limit
        self._carries = kept.carries  # whether what is sent brings along the context of its sender, for tracers
        self._loop = loop  # in which the programs run; None where each has a thread
        self._context = copy_context()  # in which they begin, whoever is the first to use them
        self._lock = threading.Lock()  # guards all below
        self._places: dict[str, Place[Model, Msg]] = {}  # by key, the least recently used first
        self._failed: dict[str, BaseException] = {}
        self._errors: list[BaseException] = []
        self._closed = False
        at_fork(self)

    def __getitem__(self, key: str) -> KeyedApp[Model, Msg]:
        return KeyedApp(self, _checked_key(key))

    def __len__(self) -> int:
        """Return how many apps are running."""
        return len(self._running())

    def __iter__(self) -> Iterator[str]:
        """Give the keys whose apps are running."""
        return iter(self._running())

    def __contains__(self, key: object) -> bool:
        """Return whether the key's app is running."""
        place = self._places.get(key) if isinstance(key, str) else None
        return place is not None and not place.is_over

    def _running(self) -> list[str]:
        with self._lock:
            return [key for key, place in self._places.items() if not place.is_over]

    # ------------------------------------------------------------------ what the handles call

    def send(self, key: str, *messages: Msg) -> None:
        """Put the messages, one or more, into the queue of the key's program, in order and together; never waits.

        Raises `Closed` once the programs were stopped, and when this one has failed, with its error as the cause.
        """
        if messages:
            self._enter(_checked_key(key), Sent(messages))

    def wait_for(self, key: str, message: Msg, *, timeout: float | None, called: str) -> Any:
        """Send one message and return what `apply` or `ask`, as which it is called, has to return."""
        refuse_running_loop(called)
        waker, until = ThreadWaker(), deadline(timeout)
        sent, waiting = _waited_for(message, called, waker)
        try:
            self._enter(key, sent)
            if not waker.sleep(until):
                raise _took_too_long(called, timeout)
        finally:
            sent.forget()
        return waiting.outcome()

    async def wait_for_async(self, key: str, message: Msg, *, timeout: float | None, called: str) -> Any:
        """Send one message and wait as `wait_for` does, on the event loop."""
        from go_state.waking.loop_waker import LoopWaker

        waker, until = LoopWaker(), deadline(timeout)
        sent, waiting = _waited_for(message, called, waker)
        try:
            self._enter(key, sent)
            if not await waker.sleep(until):
                raise _took_too_long(called, timeout)
        finally:
            sent.forget()
        return waiting.outcome()

    def live(self, key: str) -> App[Model, Msg]:
        """Return the app of the key, started if it is not running; it may be about to end."""
        while (app := self._place(key).live()) is None:
            continue  # it has just ended: the key has another place now
        return app

    def effects(self, key: str) -> list[RunningEffect]:
        """Return what the program of the key waits for; nothing if it is at rest, which it stays."""
        app = self.running(key)
        return [] if app is None else app.effects()

    def running(self, key: str) -> App[Model, Msg] | None:
        """Return the app of the key if it is running; None if it is at rest, which it stays."""
        place = self._places.get(key)
        with suppress(Empty):  # it is being begun
            return None if place is None or place.is_over else place.app
        return None

    def failed(self) -> dict[str, BaseException]:
        """Return the keys whose programs have failed, and with what."""
        with self._lock:
            return dict(self._failed)

    def _enter(self, key: str, sent: Sent[Msg]) -> None:
        if self._carries:
            sent.context = copy_context()
        while not self._place(key).enter(sent):
            continue  # it has just ended: the key has another place now

    def _place(self, key: str) -> Place[Model, Msg]:
        """Return the key's place, and put the least recently used to rest if there are more than there may be."""
        with self._lock:
            if self._closed:
                raise AppEnded("the programs were stopped: nothing more is taken")
            if key in self._failed:
                raise has_failed(key, self._failed[key])
            crowd: list[Place[Model, Msg]] = []
            place = self._places.pop(key, None)
            if place is None or place.is_stopped:
                crowd = list(self._places.values())[: max(len(self._places) + 1 - self._limit, 0)]
                place = Place(key, self)
            self._places[key] = place  # at the end: used just now
        for each in crowd:
            each.ask_to_rest()
        return place

    # ------------------------------------------------------------------ what the places call

    def make(self, key: str, idled: Told, ended: Told, begun: Told, /) -> App[Model, Msg]:
        """Begin an app of the key."""
        if self._loop is not None and self._loop.is_closed():
            raise AppEnded("the event loop in which the programs run is closed: nothing more is taken")
        return self._context.copy().run(self._make, key, idled, ended, begun)

    def is_here(self) -> bool:
        """Return whether an app can be begun in the calling thread."""
        return self._loop is None or self._loop.is_closed() or running_loop() is self._loop

    def call_there(self, begin: Callable[[], object], /) -> None:
        """Call `begin` on the event loop of the programs."""
        if self._loop is not None:
            with suppress(RuntimeError):  # closed at this moment: everything there is over
                self._loop.call_soon_threadsafe(begin)

    def forget(self, key: str, place: object, error: BaseException | None, /) -> None:
        """Called when the key's place is over, with the error that its program has failed with."""
        with self._lock:
            if self._places.get(key) is place and not self._closed:  # whoever stops all waits for its thread as well
                del self._places[key]
            if error is not None:
                self._failed[key] = error
                self._errors.append(error)

    def lost(self, error: Exception, /) -> None:
        """Called with the reason if a message has no turn and its sender cannot be told any more; it is raised from the block."""
        with self._lock:
            if error not in self._errors:
                self._errors.append(error)

    # ------------------------------------------------------------------ ending

    def after_fork_in_child(self) -> None:
        """In a forked child: be stopped. The programs run in the parent."""
        self._lock = threading.Lock()  # a thread of the parent may have held the other one
        self._places, self._failed, self._errors, self._closed = {}, {}, [], True

    def stop(self, *, drain: bool = True, timeout: float | None = None) -> None:
        """End every app, as `App.stop` does, all of them at once, within `timeout` seconds for all of them together.

        Called in a turn of one of them, or by one of its commands, it asks for the end and does not wait for it.
        """
        until, inside = deadline(timeout), self._holds_caller()
        if not inside:
            refuse_running_loop("stop")
        places = self._ask_all(drain)
        if inside:
            return
        try:
            for place in places:
                place.over.watch().get(_left(until))
        except TimedOut:
            raise self._out_of_time(timeout) from None
        for place in places:
            place.join()
        self._thread.close()

    async def stop_async(self, *, drain: bool = True, timeout: float | None = None) -> None:
        """End every app as `stop` does, waiting on the event loop."""
        until, inside = deadline(timeout), self._holds_caller()
        places = self._ask_all(drain)
        if inside:
            return
        try:
            for place in places:
                await place.over.watch().get_async(_left(until))
        except TimedOut:
            raise self._out_of_time(timeout) from None
        await self._thread.aclose()

    def _holds_caller(self) -> bool:
        with self._lock:
            places = list(self._places.values())
        return any(place.holds_caller() for place in places)

    def _ask_all(self, drain: bool) -> list[Place[Model, Msg]]:
        with self._lock:
            self._closed = True
            places = list(self._places.values())
        for place in places:
            place.ask_to_rest(drain=drain, for_good=True)
        return places

    def _out_of_time(self, timeout: float | None) -> TimedOut:
        left = sum(not place.is_over for place in self._ask_all(False))
        return TimedOut(f"{left} programs were not drained within {timeout} seconds: they end, each after the running turn")

    def _raise_errors(self, error: BaseException | None) -> None:
        with self._lock:
            errors = [each for each in self._errors if each is not error]
        fatal = [each for each in errors if not isinstance(each, Exception)]
        raised = error or (fatal[0] if fatal else None)
        if raised is None:
            _raise_group(errors)
            return
        for each in errors:
            if each is not raised:
                raised.add_note(f"a program had failed as well: {type(each).__qualname__}: {each}")
        if error is None:
            raise raised

    def __enter__(self) -> Self:
        refuse_running_loop("start_keyed")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        drain, interruption = error is None, None
        while True:
            try:
                self.stop(drain=drain)
                break
            except (Exception, GeneratorExit):
                raise
            except BaseException as each:  # Ctrl-C, say: no app outlives the block, but each ends after the running turn
                drain, interruption = False, interruption or each
        self._raise_after(error, interruption)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        drain, interruption = error is None, None
        while True:
            try:
                await self.stop_async(drain=drain)
                break
            except (Exception, GeneratorExit):
                raise
            except BaseException as each:  # a cancellation, say
                drain, interruption = False, interruption or each
        self._raise_after(error, interruption)

    def _raise_after(self, error: BaseException | None, interruption: BaseException | None) -> None:
        self._raise_errors(interruption or error)
        if interruption is not None:
            raise interruption


def _raise_group(errors: Iterable[BaseException]) -> None:
    ordinary = [each for each in errors if isinstance(each, Exception)]
    if ordinary:
        raise ExceptionGroup("programs have failed", ordinary)


def _checked_key(key: object) -> str:
    if not isinstance(key, str):
        raise UsageError(f"the key of a program is a string, not a {type(key).__qualname__}")
    return key


def _waited_for(message: Msg, called: str, waker: ThreadWaker | LoopWaker) -> tuple[Sent[Msg], PendingReply]:
    if message is None:
        raise UsageError(f"None is not a message and has no turn: give {called} one")
    waiting = PendingReply(waker, asks=called.startswith("ask"))
    return Sent((message,), waiting), waiting


def _left(until: float | None) -> float | None:
    return None if until is None else max(until - time.monotonic(), 0.0)


def _took_too_long(called: str, timeout: float | None) -> TimedOut:
    return TimedOut(f"the message was not processed within {timeout} seconds of {called}; the message stays in the queue")


class KeyedApp(Generic[Model, Msg]):
    """The program of one key, whether it is running or at rest: every use starts it. See `App` for what the methods do."""

    __slots__ = ("_apps", "key")

    def __init__(self, apps: KeyedApps[Model, Msg], key: str) -> None:
        self._apps = apps
        self.key = key

    def send(self, *messages: Msg) -> None:
        """Put the messages into the program's queue, in order and together; never waits."""
        self._apps.send(self.key, *messages)

    def apply(self, message: Msg, *, timeout: float | None = None) -> Model:
        """Send one message and return the model that its turn has made; `timeout` counts the time that the program needs to begin."""
        return self._apps.wait_for(self.key, message, timeout=timeout, called="apply")  # type: ignore[no-any-return]

    def ask(self, message: Msg, *, timeout: float | None = None) -> Any:
        """Send one message and return what its turn has answered."""
        return self._apps.wait_for(self.key, message, timeout=timeout, called="ask")

    async def apply_async(self, message: Msg, *, timeout: float | None = None) -> Model:
        """Send one message and wait for its model on the event loop."""
        return await self._apps.wait_for_async(self.key, message, timeout=timeout, called="apply_async")  # type: ignore[no-any-return]

    async def ask_async(self, message: Msg, *, timeout: float | None = None) -> Any:
        """Send one message and wait for its answer on the event loop."""
        return await self._apps.wait_for_async(self.key, message, timeout=timeout, called="ask_async")

    def ready(self, timeout: float | None = None) -> None:
        """Wait until the program has its first model."""
        until = deadline(timeout)
        self._apps.live(self.key).ready(_left(until))

    async def ready_async(self, timeout: float | None = None) -> None:
        """Wait on the event loop until the program has its first model."""
        until = deadline(timeout)
        await self._apps.live(self.key).ready_async(_left(until))

    @property
    def model(self) -> Model:
        """The newest committed model; `Empty` before the first, which `ready` waits for."""
        return self._apps.live(self.key).model

    @property
    def version(self) -> int:
        """How many models were committed since the program was last started."""
        return self._apps.live(self.key).version

    def effects(self) -> list[RunningEffect]:
        """Return the commands that run, wait or are tried again; none while the program is at rest, and it is not started."""
        return self._apps.effects(self.key)

    def watch(self, *, since: int = 0, every: float = 0.0) -> Watcher[Model]:
        """Return a watcher, which ends when the program is put to rest; it is not while somebody waits for its models."""
        return self._apps.live(self.key).watch(since=since, every=every)

    def changes(self, field: Field[Model] = ANY, *, since: int | None = None, initial: bool = False) -> Changes[Model]:
        """Subscribe to changes, until the program is put to rest; `ready` comes first."""
        return self._apps.live(self.key).changes(field, since=since, initial=initial)
