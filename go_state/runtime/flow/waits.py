"""Everything that a flow waits for. Each wait is fulfilled in two ways: by blocking a thread, or by awaiting on an event loop.

    Messages    a reader has something to take
    Answer      what a call to somebody's own port returned
    Checkpoint  the other tasks of the event loop have had their turn
    Blocking    a function that blocks has returned, such as a transaction
    Seldom      the same for one that is called so seldom that it gets a thread of its own

The feed of a log that is read in a thread does not yield its wait but fulfils it where it stands: the flows above it would be left
and entered again at every message.

More lie beside what they belong to: `Getting` (`feeds/getting.py`), the get of somebody's own consumer, and in `effects/inbox.py` the
wait for a command's arrival, and that for an arrival or a put, whichever comes first.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Protocol, TypeAlias, TypeVar, cast

from go_state.core.errors import UsageError
from go_state.core.ports import Reader
from go_state.system.own_thread import OwnThread, call_once

T = TypeVar("T")


class Wait(Protocol):
    """Something a flow waits for."""

    def in_thread(self) -> object:
        """Block until it has happened and return its result."""
        ...

    async def on_loop(self) -> object:
        """Await it and return its result."""
        ...


Flow: TypeAlias = Generator[Wait, Any, T]  # Any: each wait has a result of its own, of which only the flow knows the type
"""A generator that yields waits, is sent their results, and returns a `T`."""


class Messages:
    """Wait until the reader has something to take; raises `TimedOut` after `timeout` seconds."""

    __slots__ = ("_reader", "_timeout")

    def __init__(self, reader: Reader[Any], timeout: float | None = None) -> None:
        self._reader = reader
        self._timeout = timeout

    def in_thread(self) -> None:
        self._reader.wait(self._timeout)

    async def on_loop(self) -> None:
        await self._reader.wait_async(self._timeout)


class Answer:
    """Wait for what a call to somebody's port returned, if it is an awaitable; otherwise the wait is over at once."""

    __slots__ = ("_called", "_returned")

    def __init__(self, returned: object, called: str) -> None:
        self._returned = returned
        self._called = called

    @property
    def waits(self) -> bool:
        """Whether there is something to await."""
        return inspect.isawaitable(self._returned)

    def in_thread(self) -> object:
        if inspect.isawaitable(self._returned):
            close = getattr(self._returned, "close", None)
            if close is not None:  # a coroutine: nobody will await it
                close()
            raise UsageError(
                f"{self._called} returned an awaitable, which needs an event loop: use the `_async` twin of this mode"
            )
        return self._returned

    async def on_loop(self) -> object:
        return await cast("Awaitable[object]", self._returned) if inspect.isawaitable(self._returned) else self._returned


CHECKPOINT_SECONDS = 0.002  # how long an event loop may be kept from its other tasks, plus the one turn that is being taken


class Checkpoint:
    """Give other tasks of the event loop their turn."""

    __slots__ = ()

    def in_thread(self) -> None:
        """Do nothing: other threads run by themselves."""

    async def on_loop(self) -> None:
        import asyncio

        await asyncio.sleep(0)


class Blocking:
    """Wait for a function that blocks, such as a transaction: on an event loop it is called in a thread of our own.

    When it is cancelled meanwhile, the wait ends only when the function has returned: a transaction is done or not done, never
    abandoned. `cancel` is called then, so that a function that itself waits ends soon. A wait that is `certain` calls the function
    even if a cancellation was requested before: something has to be ended.
    """

    __slots__ = ("_cancel", "_certain", "_fn", "_thread")

    def __init__(
        self, fn: Callable[[], object], thread: OwnThread, *, certain: bool = False, cancel: Callable[[], object] | None = None
    ) -> None:
        self._fn = fn
        self._thread = thread
        self._certain = certain
        self._cancel = cancel

    def in_thread(self) -> object:
        return self._fn()

    async def on_loop(self) -> object:
        if self._certain:
            return await self._thread.finish(self._fn, self._cancel)
        return await self._thread.call(self._fn, self._cancel)


class Seldom:
    """Wait for a function that blocks and is seldom called: on an event loop it has a thread of its own, which ends by itself."""

    __slots__ = ("_fn",)

    def __init__(self, fn: Callable[[], object]) -> None:
        self._fn = fn

    def in_thread(self) -> object:
        return self._fn()

    async def on_loop(self) -> object:
        return await call_once(self._fn, "go_state seldom")
