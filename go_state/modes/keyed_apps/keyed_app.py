"""The handle of one key's program, whether that is running or at rest."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from go_state.core.errors import Closed, TimedOut, UsageError
from go_state.modes.app.app import App
from go_state.modes.app.pending_replies import PendingReply
from go_state.modes.keyed_apps.directory import Directory
from go_state.modes.keyed_apps.looking import KeyStatistics, key_statistics
from go_state.modes.keyed_apps.sent import Sent, has_failed
from go_state.runtime.flow.driver import refuse_running_loop
from go_state.waking.deadlines import deadline
from go_state.waking.waker import ThreadWaker
from go_state.watch.fields import ANY, Changes, Field
from go_state.watch.watcher import Watcher

if TYPE_CHECKING:
    from go_state.runtime.observing.running import RunningEffect

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class KeyedApp(Generic[Model, Msg]):
    """The program of one key, whether it is running or at rest: every use but `statistics` and `settle` starts it. Made by
    `KeyedApps[key]`. See `App` for what the methods do; each `timeout` is in seconds.
    """

    __slots__ = ("_directory", "key")

    def __init__(self, directory: Directory[Model, Msg], key: str) -> None:
        self._directory = directory
        self.key = key

    # ------------------------------------------------------------------ sending

    def send(self, *messages: Msg) -> None:
        """Put the messages into the program's queue, in order and together; never waits."""
        if messages:
            self._enter(Sent(messages))

    def _enter(self, sent: Sent[Msg]) -> None:
        if self._directory.carries:
            sent.context = copy_context()
        if self._directory.settling:
            self._directory.note_inside()
        while not self._directory.place(self.key).enter(sent):
            continue  # it has just ended: the key has another place now

    def apply(self, message: Msg, *, timeout: float | None = None) -> Model:
        """Send one message and return the model that its turn has made; `timeout` counts the time that the program needs to begin."""
        return self._wait_for(message, timeout, "apply")  # type: ignore[no-any-return]

    def ask(self, message: Msg, *, timeout: float | None = None) -> Any:
        """Send one message and return what its turn has answered."""
        return self._wait_for(message, timeout, "ask")

    async def apply_async(self, message: Msg, *, timeout: float | None = None) -> Model:
        """Send one message and wait for its model on the event loop."""
        return await self._wait_for_async(message, timeout, "apply_async")  # type: ignore[no-any-return]

    async def ask_async(self, message: Msg, *, timeout: float | None = None) -> Any:
        """Send one message and wait for its answer on the event loop."""
        return await self._wait_for_async(message, timeout, "ask_async")

    def _wait_for(self, message: Msg, timeout: float | None, called: str) -> Any:
        refuse_running_loop(called)
        waker, until = ThreadWaker(), deadline(timeout)
        waiting = PendingReply(waker, asks=called == "ask")
        sent = _sent(message, waiting, called)
        try:
            self._enter(sent)
            if not waker.sleep(until):
                raise _took_too_long(called, timeout)
        finally:
            sent.forget()
        return waiting.outcome()

    async def _wait_for_async(self, message: Msg, timeout: float | None, called: str) -> Any:
        from go_state.waking.loop_waker import LoopWaker

        waker, until = LoopWaker(), deadline(timeout)
        waiting = PendingReply(waker, asks=called == "ask_async")
        sent = _sent(message, waiting, called)
        try:
            self._enter(sent)
            if not await waker.sleep(until):
                raise _took_too_long(called, timeout)
        finally:
            sent.forget()
        return waiting.outcome()

    # ------------------------------------------------------------------ looking

    def live(self) -> App[Model, Msg]:
        """Return the key's app, started if it is not running; it may be about to end."""
        while (app := self._directory.place(self.key).live()) is None:
            continue  # it has just ended: the key has another place now
        return app

    def ready(self, timeout: float | None = None) -> None:
        """Wait until the program has its first model."""
        until = deadline(timeout)
        self.live().ready(left(until))

    async def ready_async(self, timeout: float | None = None) -> None:
        """Wait on the event loop until the program has its first model."""
        until = deadline(timeout)
        await self.live().ready_async(left(until))

    @property
    def model(self) -> Model:
        """The newest committed model; `Empty` before the first, which `ready` waits for."""
        return self.live().model

    @property
    def version(self) -> int:
        """How many models were committed since the program was last started."""
        return self.live().version

    def watch(self, *, since: int = 0, every: float = 0.0) -> Watcher[Model]:
        """Return a watcher of the models, one in `every` seconds at most; it ends when the program is put to rest, which it is not while
        somebody waits for its models.
        """
        return self.live().watch(since=since, every=every)

    def changes(self, field: Field[Model] = ANY, *, since: int | None = None, initial: bool = False) -> Changes[Model]:
        """Subscribe to changes, as `App.changes` does, until the program is put to rest; `ready` comes first."""
        return self.live().changes(field, since=since, initial=initial)

    def effects(self) -> list[RunningEffect]:
        """Return the commands that run, wait or are tried again; none while the program is at rest, and it is not started."""
        place = self._directory.places.get(self.key)
        app = None if place is None or place.is_over else place.present
        return [] if app is None else app.effects()

    def statistics(self) -> KeyStatistics:
        """Return what an operator wants to know of it; a program at rest stays there."""
        return key_statistics(self._directory, self.key)

    # ------------------------------------------------------------------ waiting until all is done

    def settle(self, timeout: float | None = None) -> None:
        """Wait until what was sent to the program is done, as `App.settle` does; one at rest has nothing to do, and stays there."""
        until = deadline(timeout)
        for app in self.to_settle():
            with suppress(Closed):
                app.settle(left(until))

    async def settle_async(self, timeout: float | None = None) -> None:
        """Wait as `settle` does, on the event loop."""
        until = deadline(timeout)
        for app in self.to_settle():
            with suppress(Closed):
                await app.settle_async(left(until))

    def to_settle(self) -> Iterator[App[Model, Msg]]:
        """Give the apps to wait for, one after the other: what is sent to one that ends is for the next."""
        while (place := self._directory.places.get(self.key)) is not None and not place.is_over:
            app = place.live()
            if app is None:
                continue
            yield app
            if app.life.error is not None:
                raise has_failed(self.key, app.life.error)
            if not (place.waiting or app.life.is_draining):
                return


def left(until: float | None) -> float | None:
    """Return how many seconds there are until then."""
    return None if until is None else max(until - time.monotonic(), 0.0)


def _sent(message: Msg, waiting: PendingReply, called: str) -> Sent[Msg]:
    if message is None:
        raise UsageError(f"None is not a message and has no turn: give {called} one")
    return Sent((message,), waiting)


def _took_too_long(called: str, timeout: float | None) -> TimedOut:
    return TimedOut(f"the message was not processed within {timeout} seconds of {called}; the message stays in the queue")
