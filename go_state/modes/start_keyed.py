"""One program for each key: started when the key is first used, put to rest when nobody uses it, one at a time.

A key's app ends by itself when it has been idle. What is sent while it ends is kept, and goes to the next app of the key, which
begins when the one before has let go of everything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from go_state.core.errors import Closed, UsageError
from go_state.core.own_thread import OwnThread
from go_state.core.ports import Store
from go_state.core.program import Program, takes_key
from go_state.loop.driver import refuse_running_loop
from go_state.loop.outside import Effects, Outside, outside_of
from go_state.loop.policies import OnError, Stop
from go_state.loop.timers import Clock
from go_state.modes.app import App
from go_state.modes.audience import OnDenied
from go_state.modes.pace import Retain, Snapshots
from go_state.modes.run import checked
from go_state.modes.start import make_app
from go_state.watch.fields import ANY, Changes
from go_state.watch.watcher import Watcher

if TYPE_CHECKING:
    from go_state.storage.journal_writing import Durability

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_IDLE = 300.0  # seconds; an app costs a thread or a task, and its model
_LIMIT = 10_000  # apps; threads are what runs out first


class _Place(Generic[Model, Msg]):
    """One key: its app, and what was sent since that began to end."""

    __slots__ = ("app", "backlog")

    def __init__(self, app: App[Model, Msg]) -> None:
        self.app = app
        self.backlog: list[Msg] = []


class KeyedApps(Generic[Model, Msg]):
    """The running programs of many keys; made by `start_keyed` or `start_keyed_async`. `apps[key]` is what to hold of one.

    A context manager, of both kinds: left, every app drains, or ends after the turn under way when the block raises. What programs
    have failed with is raised from the block, as an `ExceptionGroup`; a key whose program has failed refuses further use.
    """

    def __init__(
        self,
        make: Callable[[str, Sequence[Msg], Callable[[App[Model, Msg]], object]], App[Model, Msg]],
        limit: int,
        thread: OwnThread,
    ) -> None:
        self._make = make
        self._thread = (
            thread  # in which programs on an event loop use the store, all of them: a thread for each would be too many
        )
        self._limit = limit
        self._lock = threading.RLock()  # guards all below; an app may end while it is being looked at
        self._places: dict[str, _Place[Model, Msg]] = {}  # by key, the least recently used first
        self._errors: list[Exception] = []
        self._closed = False

    def __getitem__(self, key: str) -> KeyedApp[Model, Msg]:
        if not isinstance(key, str):
            raise UsageError(f"the key of a program is a string, not a {type(key).__qualname__}")
        return KeyedApp(self, key)

    def __len__(self) -> int:
        """Return how many apps are running."""
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        """Give the keys whose apps are running."""
        with self._lock:
            return iter(list(self._places))

    def __contains__(self, key: object) -> bool:
        """Tell whether the key's app is running."""
        return key in self._places

    # ------------------------------------------------------------------ what the handles call

    def live(self, key: str) -> App[Model, Msg]:
        """Return the app of the key, started if it is not running; it may be about to end."""
        with self._lock:
            if self._closed:
                raise Closed("the programs were stopped: nothing more is taken")
            place = self._places.pop(key, None)
            if place is None:
                self._make_room()
                place = _Place(self._start(key))
            self._places[key] = place  # at the end: used just now
            return place.app

    def _start(self, key: str, first: Sequence[Msg] = ()) -> App[Model, Msg]:
        return self._make(key, first, lambda app: self._ended(key, app))

    def _make_room(self) -> None:
        """Put the least recently used to rest where there are as many as there may be."""
        for place in list(self._places.values())[: max(len(self._places) + 1 - self._limit, 0)]:
            place.app.rest()

    def send(self, key: str, messages: tuple[Msg, ...]) -> None:
        """Send to the app of the key, or keep for the next one where that is ending."""
        with self._lock:
            app = self.live(key)
            place = self._places[key]
            if not place.backlog:
                try:
                    app.send(*messages)
                except Closed:
                    self._refuse_if_failed(key, app)
                else:
                    return
            place.backlog.extend(messages)

    def _refuse_if_failed(self, key: str, app: App[Model, Msg]) -> None:
        if app.error is not None:
            raise Closed(f"the program of {key!r} has failed") from app.error

    def _ended(self, key: str, app: App[Model, Msg]) -> None:
        """Hear that an app has ended, and start the next one if something was sent since."""
        with self._lock:
            place = self._places.get(key)
            if place is None or place.app is not app:
                return
            if isinstance(app.error, Exception):
                self._errors.append(app.error)
                return
            backlog, place.backlog = place.backlog, []
            if not backlog:
                del self._places[key]
                return
            try:
                place.app = self._start(key, backlog)  # with it, for the app may find itself idle at once
            except Exception as error:  # of a journal that cannot be written
                self._errors.append(error)
                del self._places[key]
                return
            if self._closed:
                place.app.rest()

    # ------------------------------------------------------------------ ending

    def stop(self, *, drain: bool = True, timeout: float | None = None) -> None:
        """End every app, as `App.stop` does, all of them at once."""
        refuse_running_loop("stop")
        for app in self._end_all(drain):
            app.stop(drain=drain, timeout=timeout)
        while drain and (left := self._left()):
            left[0].stop(timeout=timeout)

    async def stop_async(self, *, drain: bool = True, timeout: float | None = None) -> None:
        """End every app, waiting on the event loop."""
        for app in self._end_all(drain):
            await app.stop_async(drain=drain, timeout=timeout)
        while drain and (left := self._left()):
            await left[0].stop_async(timeout=timeout)
        await self._thread.aclose()

    def _end_all(self, drain: bool) -> list[App[Model, Msg]]:
        with self._lock:
            self._closed = True
            apps = [place.app for place in self._places.values()]
        for app in apps:
            app.rest(drain=drain)
        return apps

    def _left(self) -> list[App[Model, Msg]]:
        with self._lock:
            return [place.app for place in self._places.values() if place.app.error is None]

    def _raise_errors(self, error: BaseException | None) -> None:
        errors = [each for each in self._errors if each is not error]
        if error is not None:
            for each in errors:
                error.add_note(f"a program had failed as well: {type(each).__qualname__}: {each}")
        elif errors:
            raise ExceptionGroup("programs have failed", errors)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop(drain=error is None)
        self._raise_errors(error)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop_async(drain=error is None)
        self._raise_errors(error)


class KeyedApp(Generic[Model, Msg]):
    """The program of one key, whether it is running or at rest: every use starts it. See `App` for what the methods do."""

    __slots__ = ("_apps", "key")

    def __init__(self, apps: KeyedApps[Model, Msg], key: str) -> None:
        self._apps = apps
        self.key = key

    def send(self, *messages: Msg) -> None:
        """Put the messages into the program's queue, in order and together; never waits."""
        self._apps.send(self.key, messages)

    def apply(self, message: Msg, *, timeout: float | None = None) -> Model:
        """Send one message and return the model that its turn has made."""
        return self._once_live(lambda app: app.apply(message, timeout=timeout))  # type: ignore[no-any-return]

    def ask(self, message: Msg, *, timeout: float | None = None) -> Any:
        """Send one message and return what its turn has answered."""
        return self._once_live(lambda app: app.ask(message, timeout=timeout))

    async def apply_async(self, message: Msg, *, timeout: float | None = None) -> Model:
        """Send one message and wait for its model on the event loop."""
        return await self._once_live_async(lambda app: app.apply_async(message, timeout=timeout))  # type: ignore[no-any-return]

    async def ask_async(self, message: Msg, *, timeout: float | None = None) -> Any:
        """Send one message and wait for its answer on the event loop."""
        return await self._once_live_async(lambda app: app.ask_async(message, timeout=timeout))

    def ready(self, timeout: float | None = None) -> None:
        """Wait until the program has its first model."""
        self._once_live(lambda app: app.ready(timeout))

    async def ready_async(self, timeout: float | None = None) -> None:
        """Wait on the event loop until the program has its first model."""
        await self._once_live_async(lambda app: app.ready_async(timeout))

    @property
    def model(self) -> Model:
        """The newest committed model; `Empty` before the first, which `ready` waits for."""
        return self._apps.live(self.key).model

    @property
    def version(self) -> int:
        """How many models were committed since the program was last started."""
        return self._apps.live(self.key).version

    def watch(self, *, since: int = 0, every: float = 0.0) -> Watcher[Model]:
        """Return a watcher, which ends when the program is put to rest; it is not while somebody waits for its models."""
        return self._apps.live(self.key).watch(since=since, every=every)

    def changes(self, field: Any = ANY, *, since: int | None = None, initial: bool = False) -> Changes[Model]:
        """Subscribe to changes, until the program is put to rest; `ready` comes first."""
        return self._apps.live(self.key).changes(field, since=since, initial=initial)

    def _once_live(self, use: Callable[[App[Model, Msg]], Any]) -> Any:
        while True:
            app = self._apps.live(self.key)
            try:
                return use(app)
            except Closed:
                self._apps._refuse_if_failed(self.key, app)
                if not app.is_ending:
                    raise
            app.wait()  # it was put to rest meanwhile: the next one takes it

    async def _once_live_async(self, use: Callable[[App[Model, Msg]], Any]) -> Any:
        while True:
            app = self._apps.live(self.key)
            try:
                return await use(app)
            except Closed:
                self._apps._refuse_if_failed(self.key, app)
                if not app.is_ending:
                    raise
            await app.wait_async()


def start_keyed(
    program: Program[Model, Msg],
    *,
    store: Store | None = None,
    prefix: str = "",
    idle: float = _IDLE,
    limit: int = _LIMIT,
    on_error: OnError = Stop(),
    on_denied: OnDenied | None = None,
    snapshots: Snapshots | None = None,
    durability: Durability | None = None,
    retention: Retain | None = None,
    env: object = None,
    effects: Effects | None = None,
    clock: Clock | None = None,
) -> KeyedApps[Model, Msg]:
    """Return the running programs of many keys, each in a thread of its own: rooms, guilds, tenants.

    A key's program is started when it is first used; `init` may take the key. After `idle` seconds in which nothing came and
    nobody waited for its models it is put to rest, and so are the least recently used beyond `limit`. With a `store` each is
    durable under `prefix` and its key, and goes on where it was; without one its model is forgotten.
    """
    how, outside = (store, snapshots, durability, retention), outside_of(env, effects, clock)
    return _keyed(program, prefix, idle, limit, on_error, on_denied, how, outside, on_loop=False)


def start_keyed_async(
    program: Program[Model, Msg],
    *,
    store: Store | None = None,
    prefix: str = "",
    idle: float = _IDLE,
    limit: int = _LIMIT,
    on_error: OnError = Stop(),
    on_denied: OnDenied | None = None,
    snapshots: Snapshots | None = None,
    durability: Durability | None = None,
    retention: Retain | None = None,
    env: object = None,
    effects: Effects | None = None,
    clock: Clock | None = None,
) -> KeyedApps[Model, Msg]:
    """Return the running programs of many keys, each in a task of the running event loop; see `start_keyed`."""
    how, outside = (store, snapshots, durability, retention), outside_of(env, effects, clock)
    return _keyed(program, prefix, idle, limit, on_error, on_denied, how, outside, on_loop=True)


def _keyed(
    program: Program[Model, Msg],
    prefix: str,
    idle: float,
    limit: int,
    on_error: OnError,
    on_denied: OnDenied | None,
    how: tuple[Any, ...],
    outside: Outside,
    *,
    on_loop: bool,
) -> KeyedApps[Model, Msg]:
    if not idle > 0 or limit < 1:
        raise UsageError(f"idle= is a number of seconds above 0 and limit= a number of apps from 1, not {idle!r} and {limit!r}")
    store, snapshots, durability, retention = how
    if store is None and any(argument is not None for argument in how):
        raise UsageError(
            "snapshots=, durability= and retention= say how programs are kept in a store=: give one, or leave them out"
        )
    asks_key = takes_key(checked(program))
    thread = OwnThread("go_state disk of many keys")

    def make(key: str, first: Sequence[Msg], ended: Callable[[App[Model, Msg]], object]) -> App[Model, Msg]:
        own = replace(program, init=partial(program.init, key)) if asks_key else program
        kept = (store, prefix + key, snapshots, durability, None, None, retention, thread)
        durable = (None,) * 7 if store is None else kept
        given = own, None, on_error, durable, outside
        return make_app(*given, on_denied=on_denied, on_loop=on_loop, idle=idle, ended=ended, first=first)

    return KeyedApps(make, limit, thread)
