"""What has a Postgres connection of its own: the lease of a journal, and listening for journals that others write."""

from __future__ import annotations

import os
import select
import socket
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from go_state.core.errors import GoStateError, StoreUnavailable
from go_state.storage.lease import Owner, check_owner, wait_for_lock
from go_state.storage.postgres import channel_of, key_of

if TYPE_CHECKING:
    import psycopg

    from go_state.storage.postgres import PostgresStore

_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0  # seconds between two tries to connect again


class PostgresLease:
    """An advisory lock of a session, which the server takes back when the connection ends, also that of a machine that is gone.

    Its holder may learn of that last of all, so each leaves a token in the journal, and a writer that finds another's writes nothing.
    """

    def __init__(self, store: PostgresStore, name: str) -> None:
        self._store = store
        self._name = name
        self._lock = key_of("go_state", store.schema, name)
        self._connection: psycopg.Connection[Any] | None = None
        self._pid = os.getpid()
        self.token = b""  #: what the holder leaves in the journal

    def acquire(self, owner: Owner = "fail", given_up: threading.Event | None = None) -> bool:
        """Take the lease, unless it is held already; `Owned` when somebody else holds it, or, with "wait", block until nobody does.

        False, and nothing is taken, when `given_up` was set while it blocked.
        """
        check_owner(owner)
        if self._connection is not None:
            return True
        connection = self._store.connect()
        try:
            with self._store.errors("reached"):
                if taken := wait_for_lock(lambda: self._locked(connection), self._name, owner, given_up):
                    self._connection, self.token = connection, uuid.uuid4().bytes
        finally:
            if self._connection is not connection:
                connection.close()
        return taken

    def _locked(self, connection: psycopg.Connection[Any]) -> bool:
        found = connection.execute("SELECT pg_try_advisory_lock(%s)", [self._lock]).fetchone()
        return bool(found and found[0])

    def release(self) -> None:
        """Give the lease back; a second time is harmless, and in a forked child nothing is done."""
        connection, self._connection = self._connection, None
        if connection is not None and os.getpid() == self._pid:
            connection.close()


class Listening:
    """A thread that hears which journals have grown, on a connection that it makes again whenever it is lost."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        self._lock = threading.Lock()  # guards the two below
        self._followers: dict[str, list[Callable[[], object]]] = {}
        self._closed = False
        self._bell, self._ring = socket.socketpair()  # wakes the thread to end
        self._thread = threading.Thread(target=self._listen, name="go_state listen", daemon=True)
        self._ready = threading.Event()
        self._thread.start()
        self._ready.wait()

    def follow(self, journal: str, grown: Callable[[], object]) -> Callable[[], object]:
        """Have `grown` called when the journal may have grown; return what ends that."""
        with self._lock:
            self._followers.setdefault(journal, []).append(grown)

        def end() -> None:
            with self._lock, suppress(ValueError):
                self._followers.get(journal, []).remove(grown)

        return end

    def close(self) -> None:
        """End the thread and its connection."""
        self._closed = True
        self._ring.send(b"!")
        if self._thread is not threading.current_thread():
            self._thread.join()
        self._bell.close()
        self._ring.close()

    def _listen(self) -> None:
        wait = _FIRST_WAIT
        while not self._closed:
            try:
                with self._store.connect() as connection:
                    connection.execute(f"LISTEN {channel_of(self._store.schema)}".encode())
                    wait = _FIRST_WAIT
                    self._tell_all()  # of what was said while nobody listened
                    self._ready.set()
                    self._hear(connection)
            except Exception:  # whatever it is, it is over once there is a connection again
                self._ready.set()
                select.select([self._bell], [], [], wait)
                wait = min(wait * 2, _LONGEST_WAIT)

    def _hear(self, connection: psycopg.Connection[Any]) -> None:
        while not self._closed:
            select.select([connection.fileno(), self._bell.fileno()], [], [])
            for journal in {said.payload for said in connection.notifies(timeout=0)}:
                self._tell(journal)
            if connection.closed or connection.broken:
                raise StoreUnavailable(f"{self._store.where} has hung up")

    def _tell_all(self) -> None:
        for journal in tuple(self._followers):
            self._tell(journal)

    def _tell(self, journal: str) -> None:
        with self._lock:
            followers = list(self._followers.get(journal, ()))
        for grown in followers:
            with suppress(GoStateError):  # a reader finds out by itself
                grown()
