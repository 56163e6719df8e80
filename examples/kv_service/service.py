"""The service without its protocol: the program kept running over a store that may go away, and the keys that are watched."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any

import go_state as gs

from .program import Delete, Done, Entries, Entry, Msg, Put, Refused, make_program

KEY = "kv-service"  # of the program in its store
SNAPSHOTS = gs.Snapshots(every=10_000, seconds=300, keep=2)
FIRST_WAIT, LONGEST_WAIT = 0.1, 2.0  # seconds between two tries to go on
PASSING = gs.errors.StoreUnavailable, gs.errors.StoreFull, gs.errors.LeaseHeld, gs.Conflict  # what may be over by the next try

log = logging.getLogger("kv_service")


class Unavailable(Exception):
    """The service cannot do it now; it says why."""


class Service:
    """A key-value map behind a store, or in memory alone where there is none. `open_store` is called at the start, and again after
    every failure of the store, until it works; meanwhile every use raises `Unavailable`. A failure that waiting does not mend, such as
    `Corrupt`, ends it: `failed` is called, and leaving its block raises the error.
    """

    def __init__(
        self, open_store: Callable[[], gs.LMDBStore | gs.PostgresStore] | None, *, failed: Callable[[], object] = lambda: None
    ) -> None:
        self._open_store = open_store
        self._failed = failed
        self.failure: Exception | None = None  # what has ended it
        self._program = make_program(self._published)
        self._app: gs.App[Entries, Msg] | None = None
        self._why = "it is starting"
        self._running: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._watched: dict[str, gs.Value[Entry | None]] = {}  # by key, while somebody watches it
        self._watchers: Counter[str] = Counter()
        self._watches_ended = False

    # ------------------------------------------------------------------ running

    async def __aenter__(self) -> Service:
        """Start, and wait until the map is there, or its store is away; raises what waiting does not mend, such as `Corrupt`."""
        started = asyncio.Event()
        self._running = asyncio.create_task(self._run(started), name="kv_service")
        await started.wait()
        await asyncio.sleep(0)  # where it has failed for good the task has ended by now
        if self._running.done():
            self._running.result()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self.end_watches()
        if self._running is not None:
            await self._running

    async def _run(self, started: asyncio.Event) -> None:
        wait = FIRST_WAIT
        while not self._stopping.is_set():
            try:
                async with self._opened() as store, self._start(store) as app:
                    self._app, wait = app, FIRST_WAIT
                    started.set()
                    self._tell_all(app.model)
                    await self._until_over(app)
            except PASSING as error:
                if self._why != str(error):
                    log.warning("not available: %s", error)
                self._why = str(error)
            except Exception as error:
                self._why, self.failure = str(error), error
                log.error("ended: %s", error)
                self._failed()
                raise
            finally:
                self._app = None
                started.set()
            if not self._stopping.is_set():
                await _wait_for(self._stopping, wait)
                wait = min(wait * 2, LONGEST_WAIT)

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[gs.LMDBStore | gs.PostgresStore | None]:
        if self._open_store is None:
            yield None
            return
        store = await asyncio.to_thread(self._open_store)
        try:
            yield store
        finally:
            await asyncio.to_thread(store.close)

    def _start(self, store: gs.LMDBStore | gs.PostgresStore | None) -> gs.App[Entries, Msg]:
        if store is None:
            return gs.start_async(self._program)
        return gs.start_async(self._program, store=store, key=KEY, snapshots=SNAPSHOTS, retention=gs.Retain())

    async def _until_over(self, app: gs.App[Entries, Msg]) -> None:
        over = asyncio.ensure_future(app.wait_async())
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({over, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            if not over.done():
                over.cancel()
        if over.done() and not over.cancelled():
            over.result()

    # ------------------------------------------------------------------ using it

    @property
    def app(self) -> gs.App[Entries, Msg]:
        """The running program; `Unavailable` while there is none."""
        if self._app is None:
            raise Unavailable(self._why)
        return self._app

    @property
    def entries(self) -> Entries:
        """The map as it is on disk now. It never changes: it is one moment of it."""
        return self.app.model

    async def change(self, msg: Put | Delete) -> Done | Refused:
        """Make the change, and return once it is on disk; `Unavailable` when nobody knows whether it is."""
        try:
            answer: Done | Refused = await self.app.ask_async(msg)
        except gs.GoStateError as error:
            raise Unavailable(str(error)) from error
        return answer

    @contextmanager
    def watch(self, key: str) -> Iterator[gs.watch.Watcher[Entry | None]]:
        """Give a watcher of the key's entry, `None` where there is none: what it is now, and then the newest."""
        if self._watches_ended:
            raise Unavailable("it is ending")
        if key not in self._watched:
            self._watched[key] = gs.Value(self.entries.by_key.get(key))
        self._watchers[key] += 1
        try:
            with self._watched[key].watch() as watcher:
                yield watcher
        finally:
            self._watchers[key] -= 1
            if not self._watchers[key]:
                del self._watchers[key], self._watched[key]

    def end_watches(self) -> None:
        """End every watch, and refuse new ones."""
        self._watches_ended = True
        for value in self._watched.values():
            value.close()

    @property
    def watchers(self) -> int:
        """How many watch a key."""
        return self._watchers.total()

    def _published(self, proposal: gs.middleware.Proposal[Entries, Msg]) -> Any:
        """Tell those who watch the key, once the change is on disk."""
        outcome = yield
        if isinstance(outcome, Entries):
            self._tell(proposal.message.key, outcome)

    def _tell(self, key: str, model: Entries) -> None:
        value, entry = self._watched.get(key), model.by_key.get(key)
        if value is not None and value.peek() is not entry:
            value.set(entry)

    def _tell_all(self, model: Entries) -> None:
        for key in self._watched:
            self._tell(key, model)


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
