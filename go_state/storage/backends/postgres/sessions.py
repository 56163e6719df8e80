"""What has a Postgres connection of its own: the leases of the journals that are written, and listening for those that others write."""

from __future__ import annotations

import logging
import os
import selectors
import socket
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from go_state.core.errors import GoStateError, LeaseHeld, StoreUnavailable
from go_state.storage.backends.postgres.connections import BoundedConnection, GivenUp, Server, Unanswered
from go_state.storage.backends.postgres.driver import psycopg
from go_state.storage.records.lease import IfHeld, LeaseWait, check_if_held

_log = logging.getLogger("go_state")
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0  # seconds between two tries to connect again
_QUESTION = 5.0  # seconds that nothing was heard for before the server is asked, and that it has to answer
_SLICE = 5.0  # seconds that the server is let wait for a lease, before it is asked again: so that one that is frozen is noticed


class Leases:
    """The leases of a store: advisory locks of one session for all of them, as long as there are any.

    The server takes them back when the connection ends, also that of a machine that is gone. Their holders may learn of that last
    of all, so each leaves a token in its journal, and a writer that finds another's writes nothing.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lock = threading.Lock()  # guards all below, and is held while the server is asked
        self._connection: BoundedConnection | None = None
        self._held: dict[str, int] = {}  # the locks of the session, by journal

    def take(self, name: str, number: int) -> bool:
        """Take a lease, and tell whether it was nobody's."""
        with self._lock, self._server.errors("reached"):
            try:
                if name in self._held or not self._asked("SELECT pg_try_advisory_lock(%s)", number):
                    return False
                self._held[name] = number
                return True
            finally:
                self._end_if_unused()

    def give_back(self, name: str, number: int) -> None:
        """Give a lease back. A session that cannot say so is closed, which says it."""
        with self._lock:
            if self._held.pop(name, None) is not None and self._held and self._is_connected():
                with suppress(GoStateError), self._server.errors("reached"):
                    self._asked("SELECT pg_advisory_unlock(%s)", number)
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
                    raise  # otherwise it was lost while nobody asked it anything
        raise AssertionError("one of the tries returns or raises")

    def _connect(self) -> BoundedConnection:
        """Begin a session, with the leases of one that was lost which nobody else has taken since."""
        connection = self._connection = self._server.connect()
        again = "SELECT number, pg_try_advisory_lock(number) FROM unnest(%s::bigint[]) AS number"
        if self._held:
            taken = dict(connection.execute(again, [list(self._held.values())]).fetchall())
            self._held = {name: number for name, number in self._held.items() if taken.get(number)}
        return connection

    def _end_if_unused(self) -> None:
        if not self._held and self._connection is not None:
            self._connection.close()
            self._connection = None

    def wait(self, number: int, given_up: LeaseWait | None) -> BoundedConnection | None:
        """Wait until a lease is nobody's, on a connection of its own, which then has it; None when the wait was given up."""
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
                return None
            except BaseException:
                connection.close()
                raise


class PostgresLease:
    """One of the `Leases`."""

    def __init__(self, leases: Leases, name: str, number: int) -> None:
        self._leases = leases
        self._name = name
        self._number = number
        self._held: BoundedConnection | bool = False  # or the connection on which it was waited for
        self._pid = os.getpid()
        self.token = b""  #: what the holder leaves in the journal

    def acquire(self, if_held: IfHeld = "fail", given_up: LeaseWait | None = None) -> bool:
        """Take the lease, unless it is held already; `LeaseHeld` when somebody else holds it, or, with "wait", block until nobody does.

        False, and nothing is taken, when `given_up` was set while it blocked.
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
        held, self._held = self._held, False
        if os.getpid() != self._pid or held is False:
            return
        if held is True:
            self._leases.give_back(self._name, self._number)
        else:
            held.close()


class Listening:
    """A thread that hears which journals have grown, on a connection that it makes again whenever it is lost.

    When it hears nothing for a while it asks the server whether it is still there. A standby cannot notify: there it has the
    journals looked at instead.
    """

    def __init__(self, server: Server, schema: str) -> None:
        self._server = server
        self._schema = schema
        self._lock = threading.Lock()  # guards the one below
        self._followers: dict[str, list[Callable[[], object]]] = {}
        self._closed = False
        self._waker, self._ring = socket.socketpair()  # wakes the thread to end
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
        self._waker.close()
        self._ring.close()

    def _listen(self) -> None:
        wait = _FIRST_WAIT
        while not self._closed:
            try:
                limit = min(_QUESTION, self._server.timeout)
                with self._server.connect(monotonic() + limit, patient=False) as connection:
                    connection.limit = limit
                    notified = self._ask_for_notices(connection)
                    wait = _FIRST_WAIT
                    self._tell_all()  # of what was said while nobody listened
                    self._ready.set()
                    self._hear(connection, notified)
            except Exception as error:  # whatever it is, it is over once there is a connection again
                if wait == _FIRST_WAIT and not self._closed:  # once for each loss, by its kind: its words may hold a password
                    kind = type(error).__name__
                    _log.warning("%s is not heard, connecting again: readers wait until then (%s)", self._server.where, kind)
                self._server.forget()  # if this one was lost, others were: who is woken would wait for their answers
                self._ready.set()
                self._heard([self._waker], wait)
                wait = min(wait * 2, _LONGEST_WAIT)

    def _ask_for_notices(self, connection: BoundedConnection) -> bool:
        try:
            connection.execute(f"LISTEN {channel_of(self._schema)}".encode())
        except psycopg.errors.ReadOnlySqlTransaction:
            return False
        return True

    def _hear(self, connection: BoundedConnection, notified: bool) -> None:
        while not self._closed:
            if not self._heard([connection, self._waker], _QUESTION):
                connection.execute("SELECT 1")
                if not notified:
                    self._tell_all()
            for journal in {said.payload for said in connection.notifies(timeout=0)}:
                self._tell(_journal_of(journal))
            if connection.closed or connection.broken:
                raise StoreUnavailable(f"{self._server.where} has hung up")

    @staticmethod
    def _heard(files: list[BoundedConnection | socket.socket], seconds: float) -> bool:
        """Wait until one of them has something to say, and tell whether it did in that time."""
        with selectors.DefaultSelector() as selector:
            for file in files:
                selector.register(file, selectors.EVENT_READ)
            return bool(selector.select(seconds))

    def _tell_all(self) -> None:
        for journal in tuple(self._followers):
            self._tell(journal)

    def _tell(self, journal: str) -> None:
        with self._lock:
            followers = list(self._followers.get(journal, ()))
        for grown in followers:
            try:
                grown()
            except StoreUnavailable:
                raise  # it is told again once there is a connection: nobody else would wake the reader
            except GoStateError:
                pass  # a reader finds out by itself


def channel_of(schema: str) -> str:
    """Return the channel on which is said which journal has grown."""
    return f"go_state_{schema}"


def payload_of(journal: str) -> str:
    """Return what is said of a journal: letters that a database in every encoding can send."""
    return journal.encode().hex()


def _journal_of(payload: str) -> str:
    try:
        return bytes.fromhex(payload).decode()
    except ValueError:
        return ""  # somebody else has said it
