"""The leases of the journals that are written, as advisory locks of one Postgres session."""

from __future__ import annotations

import threading
import uuid
from contextlib import suppress
from time import monotonic

from go_state.core.errors import GoStateError, LeaseHeld
from go_state.storage.backends.postgres.connections import PARTING, BoundedConnection, GivenUp, Server, Unanswered
from go_state.storage.backends.postgres.driver import psycopg
from go_state.storage.records.lease import IfHeld, LeaseWait, check_if_held

_SLICE = 5.0  # seconds for which the server waits for a lease before it is asked again, so that a frozen server is noticed


class Leases:
    """The leases of a store: advisory locks of one session for all of them, as long as there are any.

    The server takes them back when the connection ends, also if the machine is gone. A holder may be the last to learn of it, so
    each leaves a token in its journal, and a writer that finds another's token writes nothing.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lock = threading.Lock()  # guards all below, and is held while the server is asked
        self._connection: BoundedConnection | None = None
        self._held: dict[str, int] = {}  # the locks of the session, by journal
        self.in_parent = False  #: whether the session is that of the process that has forked this one

    def take(self, name: str, number: int) -> bool:
        """Take a lease if no session holds it, and return whether it was taken."""
        with self._lock, self._server.errors("reached"):
            try:
                if name in self._held or not self._asked("SELECT pg_try_advisory_lock(%s)", number):
                    return False
                self._held[name] = number
                return True
            finally:
                self._end_if_unused()

    def give_back(self, name: str, number: int) -> None:
        """Give a lease back: it is free when this returns. A session that cannot unlock it is closed, which unlocks it later.

        If Ctrl-C cuts it short it is done again.
        """
        with self._lock:
            try:
                if self._connection is not None and self._held.keys() == {name}:
                    _unlock_and_close(self._connection, number)
                elif name in self._held and self._is_connected():
                    with suppress(GoStateError), self._server.errors("reached"):
                        self._asked("SELECT pg_advisory_unlock(%s)", number)
                self._held.pop(name, None)
            finally:
                self._end_if_unused()

    def _is_connected(self) -> bool:
        return self._connection is not None and not self._connection.closed

    def _asked(self, query: str, number: int) -> bool:
        for last_try in (False, True):
            connection = self._connection
            if connection is None or connection.closed:
                connection = self._connect()
            try:
                row = connection.execute(query.encode(), [number]).fetchone()
                return row is not None and bool(row[0])
            except psycopg.OperationalError as error:
                if last_try or not connection.closed or isinstance(error, Unanswered):
                    raise  # otherwise it was lost before it was asked
        raise AssertionError("one of the tries returns or raises")

    def _connect(self) -> BoundedConnection:
        """Begin a session and take again those leases of a lost session that no other has taken since."""
        connection = self._connection = self._server.connect()
        again = "SELECT number, pg_try_advisory_lock(number) FROM unnest(%s::bigint[]) AS number"
        if self._held:
            rows = connection.execute(again, [list(self._held.values())]).fetchall()
            taken = {number for number, is_taken in rows if is_taken}
            self._held = {name: number for name, number in self._held.items() if number in taken}
        return connection

    def _end_if_unused(self) -> None:
        if not self._held and self._connection is not None:
            self._connection.close()
            self._connection = None

    def after_fork_in_child(self) -> None:
        """Called in a forked child: the session is the parent's, and nothing is sent on it from here."""
        self.in_parent = True

    def wait(self, number: int, given_up: LeaseWait | None) -> BoundedConnection | None:
        """Wait for a lease on a connection of its own, and return the connection, which holds it; None if the wait was given up."""
        with self._server.errors("reached"):
            connection = self._server.connect()
            try:
                connection.execute(f"SET statement_timeout = 0; SET lock_timeout = {int(_SLICE * 1000)}".encode())
                connection.limit = _SLICE + self._server.timeout
                connection.given_up = given_up
                while True:
                    with suppress(psycopg.errors.LockNotAvailable):
                        connection.execute("SELECT pg_advisory_lock(%s)", [number])
                        connection.given_up = None
                        return connection
            except GivenUp:
                _unlock_and_close(connection, number)  # it may have been granted at the last moment
                return None
            except BaseException:
                _unlock_and_close(connection, number)
                raise


def _unlock_and_close(connection: BoundedConnection, number: int) -> None:
    """Close a session so that its lock is free at once, and not only when the server has noticed that the session is closed."""
    try:
        if not connection.closed:
            connection.given_up, connection.until = None, monotonic() + PARTING
            connection.execute("SELECT pg_advisory_unlock(%s)", [number])
    except psycopg.Error:
        pass  # a server that is frozen or away, which frees the lock when it notices that the session is closed
    finally:
        connection.close()


class PostgresLease:
    """One of the `Leases`."""

    def __init__(self, leases: Leases, name: str, number: int) -> None:
        self._leases = leases
        self._name = name
        self._number = number
        self._held: BoundedConnection | bool = False  # or the connection that waited for it, and holds it
        self.token = b""  #: what the holder leaves in the journal

    def acquire(self, if_held: IfHeld = "fail", given_up: LeaseWait | None = None) -> bool:
        """Take the lease, unless it is held already. Raises `LeaseHeld` if another holds it, or blocks until it is free with "wait".

        False, and nothing is taken, if `given_up` was set while it blocked.
        """
        check_if_held(if_held)
        if not self._held:
            self._held = self._leases.take(self._name, self._number)
            if not self._held and if_held == "fail":
                raise LeaseHeld(self._name)
            self._held = self._held or self._leases.wait(self._number, given_up) or False
            self.token = uuid.uuid4().bytes
        return bool(self._held)

    def release(self) -> None:
        """Give the lease back; a second time is harmless, and in a forked child nothing is done."""
        held = self._held
        if not self._leases.in_parent and held is not False:
            if held is True:
                self._leases.give_back(self._name, self._number)
            else:
                _unlock_and_close(held, self._number)
        self._held = False  # not before: if Ctrl-C comes, it is done again
