"""The directory: which key has a place, which program has failed, and which is to be woken; what the places ask of all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import copy_context
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from go_state.core.errors import AppEnded
from go_state.modes.app.app import App
from go_state.modes.keyed_apps.alarm import Alarm
from go_state.modes.keyed_apps.place import Place
from go_state.modes.keyed_apps.sent import has_failed
from go_state.modes.keyed_apps.states import State, Told
from go_state.modes.options import OnFailed
from go_state.modes.settings import RunSettings
from go_state.runtime.inside import parts
from go_state.system.running import running_loop

if TYPE_CHECKING:
    import asyncio

    from go_state.storage.backends.record_store import RecordStore

Model = TypeVar("Model")
Msg = TypeVar("Msg")

Make: TypeAlias = Callable[[str, Told, Told, Told], App[Any, Any]]
"""Starts the app of a key; the callbacks are called when it is idle, when it has ended, and, before these, once it is made."""


class Wakes:
    """When the programs of one prefix in a store have something to do by themselves."""

    def __init__(self, store: RecordStore, prefix: str) -> None:
        self._backend = store.backend
        self._prefix = prefix

    def all(self) -> Mapping[str, float]:
        """Return it by key: one scan."""
        from go_state.storage.records.writes.wakes import read_all_wakes

        return read_all_wakes(self._backend, self._prefix)

    def name(self, key: str) -> bytes:
        """Return the name of the record that says so for one key."""
        from go_state.storage.records.writes.wakes import wake_name

        return wake_name(self._prefix, key)

    def of(self, key: str) -> float | None:
        """Return it for one key."""
        from go_state.storage.records.writes.wakes import read_wake

        return read_wake(self._backend, self.name(key)).due


class Directory(Generic[Model, Msg]):
    """The places of all keys. `loop` is where the programs run, None if each has a thread; `wakes` is None if they store nothing."""

    def __init__(
        self,
        make: Make,
        limit: int,
        loop: asyncio.AbstractEventLoop | None,
        settings: RunSettings,
        wakes: Wakes | None,
        on_failed: OnFailed | None,
    ) -> None:
        self.make_app = make
        self.alarm = None if wakes is None else Alarm(self, settings.resources.clock)  #: wakes those at rest
        self.places: dict[str, Place[Model, Msg]] = {}  #: by key, the least recently used first
        self.failed: dict[str, BaseException] = {}  #: by key
        self.errors: list[BaseException] = []  #: to be raised from the block
        self.is_closed = False
        #: whether what is sent brings along the context of its sender, for tracers
        self.carries = settings.observers is not None and bool(settings.observers.tracers)
        self.settling = 0  #: how many wait until what was sent to all of them is done
        self.sent_inside = 0  #: how often, while somebody does, a program has sent to one of them
        self._is_open = False  # whether programs at rest are woken
        self._restarts: set[str] = set()  # the keys of failed programs that are to be started again once they are over
        self._limit = limit
        self._loop = loop
        self._wakes = wakes
        self._on_failed = on_failed
        self._context = copy_context()  # in which programs begin, whoever is the first to use them
        self._lock = threading.Lock()  # guards the six that are public, and the restarts

    def open(self) -> None:
        """Begin to wake programs at rest."""
        if self.alarm is not None:
            self.alarm.begin()
        self._is_open = True

    def all(self) -> list[Place[Model, Msg]]:
        """Return the places that there are."""
        with self._lock:
            return list(self.places.values())

    def running(self) -> list[str]:
        """Return the keys whose apps are running."""
        with self._lock:
            return [key for key, place in self.places.items() if not place.is_over]

    def place(self, key: str) -> Place[Model, Msg]:
        """Return the key's place, and put the least recently used to rest if there are more than there may be."""
        if not self._is_open:
            self.open()
        places = self.places
        with self._lock:
            if not (self.is_closed or key in self.failed):
                found = places.pop(key, None)
                if found is not None and found.state is not State.STOPPED:
                    places[key] = found  # at the end: used just now
                    return found
            if self.is_closed:
                raise AppEnded("the programs were stopped: nothing more is taken")
            if key in self.failed:
                raise has_failed(key, self.failed[key])
            place, crowd = self._found(key)
        for each in crowd:
            each.ask_to_rest()
        return place

    def begin_settling(self, number: int = 1) -> None:
        """Note from now on what the programs send each other; the number -1 ends it, when nobody else needs it."""
        with self._lock:
            self.settling += number

    def note_inside(self) -> None:
        """Called before a message is sent while somebody waits for all: count it if one of the programs sends it."""
        if parts.get():
            apps = [place.present for place in self.all()]
            if any(app is not None and app.life.is_part() for app in apps):
                with self._lock:
                    self.sent_inside += 1

    def _found(self, key: str) -> tuple[Place[Model, Msg], list[Place[Model, Msg]]]:
        """Return the key's place, a new one if there is none, and those that are to rest in its stead. Lock held."""
        crowd: list[Place[Model, Msg]] = []
        place = self.places.pop(key, None)
        if place is None or place.state is State.STOPPED:
            crowd = list(islice(self.places.values(), max(len(self.places) + 1 - self._limit, 0)))
            place = Place(key, self)
        self.places[key] = place  # at the end: used just now
        return place, crowd

    def restart(self, key: str) -> bool:
        """Start a program that has failed, which can be used again then; False if it has not failed.

        One that has failed and is not over yet is waited for; on an event loop it is started when it is over.
        """
        with self._lock:
            place = None if self.is_closed or key in self.failed else self.places.get(key)
            life = None if place is None or place.present is None else place.present.life
            if life is None or life.error is None:
                place = None
            else:
                self._restarts.add(key)
        if place is None or life is None:
            return self._start_again(key)
        if running_loop() is None and not life.is_part():
            place.over.watch().get()
            self._start_again(key)
        return True

    def _start_again(self, key: str) -> bool:
        with self._lock:
            self._restarts.discard(key)
            if self.is_closed or key not in self.failed:
                return False
            error = self.failed.pop(key)
            self.errors = [each for each in self.errors if each is not error]
            self.places.pop(key, None)
        self.place(key).live()
        return True

    def close(self) -> list[Place[Model, Msg]]:
        """Refuse all further use, and return the places."""
        with self._lock:
            self.is_closed = True
            return list(self.places.values())

    def leave_to_parent(self) -> None:
        """In a forked child: be closed. The programs run in the parent."""
        self._lock = threading.Lock()  # a thread of the parent may have held the other one
        self.places, self.failed, self.errors, self.is_closed, self.alarm = {}, {}, [], True, None

    def next_of(self, key: str) -> float | None:
        """Return when the program of the key has something to do by itself, as far as it is known here."""
        return None if self.alarm is None else self.alarm.due_of(key)

    # ------------------------------------------------------------------ what the places call

    def make(self, key: str, idled: Told, ended: Told, begun: Told, /) -> App[Model, Msg]:
        """Begin an app of the key."""
        if self._loop is not None and self._loop.is_closed():
            raise AppEnded("the event loop in which the programs run is closed: nothing more is taken")
        return self._context.copy().run(self.make_app, key, idled, ended, begun)

    def is_here(self) -> bool:
        """Return whether an app can be begun in the calling thread."""
        return self._loop is None or self._loop.is_closed() or running_loop() is self._loop

    def call_there(self, begin: Callable[[], object], /) -> None:
        """Call `begin` on the event loop of the programs."""
        if self._loop is not None:
            with suppress(RuntimeError):  # closed at this moment: everything there is over
                self._loop.call_soon_threadsafe(begin)

    def forget(self, key: str, place: object, error: BaseException | None, due: float | None, /) -> None:
        """Called when the key's place is over, with the error of its program, and when that has something to do by itself."""
        with self._lock:
            if self.places.get(key) is place and not self.is_closed:  # whoever stops all waits for its thread as well
                del self.places[key]
            if error is not None:
                self.failed[key] = error
                if self._on_failed is None or not isinstance(error, Exception):
                    self.errors.append(error)
        if error is None and self.alarm is not None:
            self.alarm.set(key, due)

    def tell(self, key: str, error: BaseException, /) -> None:
        """Called when everything of a program that has failed is over."""
        if self._on_failed is not None and isinstance(error, Exception):
            try:
                self._on_failed(key, error)
            except Exception as raised:
                self.lost(raised)
        if key in self._restarts:
            self._start_again(key)

    def retry(self, key: str, /) -> None:
        """Called when a program that nobody but the alarm has used is run by another process: it is to be looked at again."""
        if self.alarm is not None:
            self.alarm.retry(key)

    def lost(self, error: Exception, /) -> None:
        """Called with the reason if a message has no turn and its sender cannot be told any more; it is raised from the block."""
        with self._lock:
            if error not in self.errors:
                self.errors.append(error)

    # ------------------------------------------------------------------ what the alarm calls

    def when_due(self) -> Mapping[str, float]:
        """Return when each program in the store that does not run here has something to do by itself."""
        found = {} if self._wakes is None else self._wakes.all()
        with self._lock:
            return {key: due for key, due in found.items() if key not in self.places and key not in self.failed}

    def due_of(self, key: str, /) -> float | None:
        """Return when the program of the key has, as the store knows it."""
        return None if self._wakes is None else self._wakes.of(key)

    def wake(self, key: str, done: Callable[[], object], /) -> None:
        """Start the program of the key, if it is at rest."""
        with self._lock:
            found = self.places.get(key)
            is_up = self.is_closed or key in self.failed or (found is not None and found.state is not State.STOPPED)
            place, crowd = (None, []) if is_up else self._found(key)
        for each in crowd:
            each.ask_to_rest()
        if place is None:
            done()
        else:
            place.wake(done)
