"""A value on a server, and its copy here, which everybody in this process reads and watches.

    set, update ──▶ server ──▶ follower ──▶ slot ──▶ watchers
                       │                     ▲
                       └── its own answer ───┘     (so that who has set a value reads it, or a newer one)

The slot holds the revision of the server as its version, and takes no older one: whichever way a value comes, and however
late, nobody is shown an older one after a newer one.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NoReturn, TypeVar

from go_state.core.errors import Empty, GoStateError, Incompatible, SourceChanged, StoreUnavailable, UsedAfterClose
from go_state.storage.codec.codecs import json_codec
from go_state.storage.codec.error_texts import without_contents
from go_state.storage.types.annotations import TypeForm
from go_state.values.backend import Backend, Entry, MadeAnew, Unreachable
from go_state.values.follower import Follower
from go_state.values.home import Home, end_task
from go_state.watch.slot import UNSET, Slot, Versioned
from go_state.watch.value import Value, Watchable
from go_state.watch.watcher import Watcher

T = TypeVar("T")
Got = TypeVar("Got")


class _Unreadable:
    """In the place of a value that cannot be read: its error is raised to each who reads it, until another value is set."""

    def __init__(self, error: GoStateError) -> None:
        self._error = error

    def raise_error(self) -> NoReturn:
        raise copy.copy(self._error)


def _read_one(held: tuple[Versioned[T | _Unreadable], ...]) -> T:
    value = held[0][1]
    if isinstance(value, _Unreadable):
        value.raise_error()
    return value


class RemoteValue(Watchable[T]):
    """A value on a server; made by `Etcd.value` or `NatsKV.value`. Thread-safe; a `gs.abc.Value`.

    `peek`, `watch`, `map` and `gs.watch.select` are those of `gs.Value`, and cost no round trip. `set`, `update` and `delete` are for
    threads, and their twins `set_async`, `update_async` and `delete_async` for event loops. A key that is deleted is unset: `peek`
    raises `Empty`, and watchers wait for the next value. A value that does not fit the type is raised as `Incompatible` to who
    reads it, until a better one is set. If the server has lost its data, or another has come in its place, the value ends, and
    `SourceChanged` is raised to whoever reads.
    """

    def __init__(self, backend: Backend, home: Home, of: TypeForm, look: float) -> None:
        self.slot: Slot[T | _Unreadable] = Slot()  #: what it shares with its watchers
        super().__init__((self.slot,), _read_one)
        self.connected: Value[bool] = Value(False)  #: whether the copy follows the server at this moment; can be watched
        self._backend = backend
        self._home = home
        self._codec = json_codec(of)
        self._look = look
        self._follow: asyncio.Task[None] | None = None

    # ------------------------------------------------------------------ reading

    def watch(self, *, since: int = 0, every: float = 0.0) -> Watcher[T]:
        """Return a watcher, which is given no revision up to `since`, and values at least `every` seconds apart; see `gs.Value.watch`."""
        return Watcher((self.slot,), _read_one, seen=(since,), every=every)

    @property
    def version(self) -> int:
        """The server's revision of the value that the copy holds; 0 while it holds none."""
        return self.slot.now[0]

    def versioned(self) -> tuple[int, T]:
        """Return the revision and the value of one moment, without waiting. Raises `Empty` when there is none."""
        held = self.slot.now
        if not held[0]:
            raise Empty("the value is not set, or was not received yet: wait for it with watch()")
        return held[0], _read_one((held,))

    # ------------------------------------------------------------------ writing

    def set(self, value: T) -> int:
        """Set the value on the server, and return its revision.

        Raises `NotStorable`; `UsageError` and `StoreFull` if the server refuses it; `StoreUnavailable` if the server does not answer:
        its text says whether the value may be set all the same; `UsedAfterClose`; `SourceChanged` if it is not the server it was.
        """
        data = self._codec.encode(value)
        return self._home.run(partial(self._write, data, value), "set")

    async def set_async(self, value: T) -> int:
        """Set the value as `set` does, waiting on the event loop."""
        data = self._codec.encode(value)
        return await self._home.run_async(partial(self._write, data, value))

    def delete(self) -> int:
        """Delete the key, so that the value is unset; return the revision of that. Raises as `set` does."""
        return self._home.run(partial(self._write, None, UNSET), "delete")

    async def delete_async(self) -> int:
        """Delete the key as `delete` does, waiting on the event loop."""
        return await self._home.run_async(partial(self._write, None, UNSET))

    def update(self, fn: Callable[[T], T]) -> T:
        """Set the value to `fn` of the newest and return it. If somebody else sets it first, `fn` is called again.

        Raises `Empty` when the value is not set, `Incompatible` when it cannot be read, what `fn` raises, and what `set` raises.
        """
        entry = self._home.run(self._newest, "update")
        while True:
            new, data = self._changed(fn, entry)
            won, entry = self._home.run(partial(self._compare_and_set, entry, data, new), "update")
            if won:
                return new

    async def update_async(self, fn: Callable[[T], T]) -> T:
        """Set the value to `fn` of the newest as `update` does, waiting on the event loop, in which `fn` is called."""
        entry = await self._home.run_async(self._newest)
        while True:
            new, data = self._changed(fn, entry)
            won, entry = await self._home.run_async(partial(self._compare_and_set, entry, data, new))
            if won:
                return new

    def _changed(self, fn: Callable[[T], T], entry: Entry) -> tuple[T, bytes]:
        if entry.data is None:
            raise Empty("the value is not set: set it before it is updated")
        held = self._decoded(entry.data)
        if isinstance(held, _Unreadable):
            held.raise_error()
        new = fn(held)
        return new, self._codec.encode(new)

    # ------------------------------------------------------------------ in the client's event loop

    async def _newest(self) -> Entry:
        return await self._asked(self._backend.read, reads=True)

    async def _write(self, data: bytes | None, value: T) -> int:
        revision = await self._asked(partial(self._backend.write, data))
        self.slot.set_at(revision, value)
        return revision

    async def _compare_and_set(self, before: Entry, data: bytes, new: T) -> tuple[bool, Entry]:
        won, entry = await self._asked(partial(self._backend.replace, before, data))
        if won:
            self.slot.set_at(entry.revision, new)
        return won, entry

    async def _asked(self, ask: Callable[[], Awaitable[Got]], *, reads: bool = False) -> Got:
        """Return what the server answers, or raise for its users what the backend raises."""
        if self.slot.closed:
            raise UsedAfterClose(f"{self._backend.where} is followed no longer: ask its connection for the value again") from (
                self.slot.error
            )
        try:
            return await ask()
        except Unreachable as error:
            outcome = "nothing was written" if reads or error.unsent else "it is not known whether the value was written"
            raise StoreUnavailable(
                f"{self._backend.where} does not answer ({error}): {outcome}; watch `connected` and try again"
            ) from error
        except MadeAnew as error:
            raise self._end_made_anew(error) from error

    def _seen(self, entry: Entry) -> None:
        if entry.data is None:
            self.slot.set_at(entry.revision, UNSET)
        elif entry.revision > self.slot.newest:  # or it was decoded before
            self.slot.set_at(entry.revision, self._decoded(entry.data))

    def _decoded(self, data: bytes) -> T | _Unreadable:
        try:
            value: T = self._codec.decode(data)
            return value
        except (ValueError, RecursionError) as error:
            return _Unreadable(Incompatible(self._backend.where, "value", without_contents(error)))
        except Exception as error:  # of a class that checks its own fields: its words are not ours to repeat
            return _Unreadable(Incompatible(self._backend.where, "value", f"its class raised {type(error).__qualname__}"))

    # ------------------------------------------------------------------ beginning and ending, by the connection

    def begin(self) -> None:
        """Begin to follow the key, in the client's event loop; not if the connection has ended before this was called."""
        if not self.slot.closed:
            follower = Follower(self._backend, self._seen, self._set_connected, self._look)
            self._follow = asyncio.create_task(self._until_ended(follower))

    async def _until_ended(self, follower: Follower) -> None:
        try:
            await follower.follow()
        except MadeAnew as error:
            self._end_made_anew(error)
        except Exception as error:  # nothing we know of: whoever reads is told, and waits for nothing
            self._end(error)
        finally:
            self._end(None)  # cancelled, by the end of the connection or of the event loop

    def _set_connected(self, connected: bool) -> None:
        if not self.slot.closed and self.connected.peek() is not connected:
            self.connected.set(connected)

    def _end_made_anew(self, error: MadeAnew) -> SourceChanged:
        """End, and show nobody what was there before: it is raised to whoever reads."""
        changed = SourceChanged(
            self._backend.where, str(error), "ask the connection for the value again, to follow what is there now"
        )
        self.slot.set_at(self.slot.newest + 1, _Unreadable(changed))
        self._end(changed)
        if self._follow is not None:
            self._follow.cancel()
        return changed

    def _end(self, error: BaseException | None) -> None:
        if not self.slot.closed:
            self._set_connected(False)
            self.connected.close()
            self.slot.close(error)

    async def end(self) -> None:
        """End the copy, in the client's event loop: watchers get what they have not seen, and then `Ended`."""
        if self._follow is not None:
            await end_task(self._follow)
        self._end(None)

    @property
    def closed(self) -> bool:
        """Whether the copy has ended."""
        return self.slot.closed

    def __repr__(self) -> str:
        if self.slot.in_parent:
            return "<RemoteValue of another process>"
        return f"<RemoteValue {self._backend.where} revision {self.version}{', closed' if self.closed else ''}>"
