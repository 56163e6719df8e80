"""How a store reaches its Postgres server: connections on which every wait ends, a few of which are kept, and its errors in our words.

A server that is frozen, or whose machine is gone, neither answers nor closes the connection. So the client gives up waiting by itself
and closes the connection, and asks the server to do the same with a client that leaves a transaction open.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TypeVar

from go_state.core.errors import GoStateError, StoreFull, StoreUnavailable
from go_state.storage.backends.postgres.driver import PQGen, TupleRow, psycopg
from go_state.storage.backends.postgres.dsn import Dsn
from go_state.storage.records.lease import LeaseWait

T = TypeVar("T")

_FIRST_WAIT, _LONGEST_WAIT = 0.05, 1.0  # seconds between two tries to connect
_AGAIN = 2.0  # seconds for a try to reach a server that was away
_IDLE = 5.0  # seconds after which a kept connection may have been forgotten by a pooler or a firewall in between
# Seconds for the last statement on a connection; if it is closed instead, that has the same effect a little later.
PARTING = 2.0
_LOOK = 0.1  # seconds after which psycopg looks whether a wait is over


class Unanswered(psycopg.OperationalError):
    """The server did not answer in time, and the connection was closed."""


class GivenUp(psycopg.OperationalError):
    """The caller has given up waiting for an answer, and the server has been asked to end the query."""


class BoundedConnection(psycopg.Connection[TupleRow]):
    """A connection on which the server has `limit` seconds for each answer, or until the moment `until` if that is set.

    When the event `given_up` is set a wait ends before.
    """

    limit = float("inf")
    until: float | None = None
    given_up: LeaseWait | None = None
    kept_since = 0.0  # when it was given back

    def wait(self, gen: PQGen[T], interval: float = _LOOK, timeout: float | None = None) -> T:
        """Wait for an answer; `Unanswered` when it does not come in time."""
        until = monotonic() + self.limit if self.until is None else self.until
        how = {} if timeout is None else {"timeout": timeout}
        try:
            return super().wait(_ending(gen, until, self.given_up), interval, **how)
        except GivenUp:
            self._end_query(gen, interval)
            raise
        except Unanswered:
            self.close()  # what it would say next is the answer to something else
            raise

    def _end_query(self, gen: PQGen[T], interval: float) -> None:
        """Ask the server to end the query, which it would go on with for somebody who is gone; if it does not, close the connection."""
        try:
            self.cancel_safe(timeout=PARTING)
            super().wait(_ending(gen, monotonic() + PARTING, None), interval)
        except psycopg.errors.QueryCanceled:
            pass
        except BaseException as error:
            self.close()
            if not isinstance(error, psycopg.Error):
                raise


def _ending(gen: PQGen[T], until: float, given_up: LeaseWait | None) -> PQGen[T]:
    """Do what psycopg's generator does, and raise once the time is over."""
    try:
        wanted = next(gen)
        while True:
            wanted = gen.send((yield wanted))
            if given_up is not None and given_up.is_set():
                raise GivenUp
            if monotonic() >= until:
                raise Unanswered("the server did not answer in time")
    except StopIteration as ended:
        value: T = ended.value
        return value


class Server:
    """The server as a store reaches it. `connections` is how many may be lent at once; those given back are kept for the next."""

    def __init__(self, dsn: Dsn, where: str, *, timeout: float, connections: int) -> None:
        self.where = where
        self.timeout = timeout
        self._dsn = dsn
        self._connections = connections
        self._places = threading.Semaphore(connections)
        self._closing = threading.Event()
        self._away = False  # since a caller has waited for it in vain: those that follow do not wait as long again
        self._lock = threading.Lock()  # guards the one below
        self._idle: list[BoundedConnection] = []

    # ------------------------------------------------------------------ connections

    def connect(self, until: float | None = None, *, patient: bool = True) -> BoundedConnection:
        """Return a new connection, which the caller closes; while the server is away, try again for the store's timeout if `patient`."""
        now, wait = monotonic(), _FIRST_WAIT
        until = now + self.timeout if until is None else until
        if self._away:
            until, patient = min(until, now + _AGAIN), False
        while True:
            try:
                return self._connect_once(until)
            except psycopg.OperationalError:
                if not patient or monotonic() + wait >= until or self._closing.wait(wait):
                    self._away = self._away or patient
                    raise
                wait = min(wait * 2, _LONGEST_WAIT)

    def _connect_once(self, until: float) -> BoundedConnection:
        given = self._dsn.arguments(max(until - monotonic(), 0), self.timeout)
        connection = BoundedConnection.connect(**given, autocommit=True)
        try:
            connection.limit, connection.until = self.timeout, until
            self._begin_session(connection)
            connection.until = None
        except BaseException:
            connection.close()
            raise
        self._away = False
        return connection

    def _begin_session(self, connection: BoundedConnection) -> None:
        """Give the session the settings that the store rests on, whatever its role or database has."""
        settings = dict(_settings(connection.info.server_version, self.timeout))
        isolation = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED"
        connection.execute("; ".join([isolation, *(f"SET {name} = {value}" for name, value in settings.items())]).encode())
        connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )

    @contextmanager
    def first(self) -> Iterator[BoundedConnection]:
        """Give the first connection, at once or not at all: an error when a store is opened seldom passes by waiting."""
        connection = self.connect(patient=False)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._keep(connection)

    def take(self, until: float) -> BoundedConnection:
        """Return a connection that is given back: a kept one, or a new one."""
        if not self._places.acquire(timeout=max(until - monotonic(), 0)):
            raise StoreUnavailable(
                f"{self.where} could not be reached: all {self._connections} connections of the store were in use for "
                f"{self.timeout:g} s; open it with more connections="
            )
        try:
            connection = self._kept(until) or self.connect(until)
            connection.until = until
        except BaseException:
            self._places.release()
            raise
        return connection

    def _kept(self, until: float) -> BoundedConnection | None:
        """Return a kept connection, one that was idle for long only if it still answers, for half of the time that is left."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is not None and (now := monotonic()) - connection.kept_since > _IDLE:
            connection.until = now + (until - now) / 2
            try:
                connection.execute("SELECT 1")
            except psycopg.Error:
                connection.close()
                self.forget()
                return None
        return connection

    def give_back(self, connection: BoundedConnection) -> None:
        """Keep the connection for the next transaction, if it can still be used."""
        try:
            self._keep(connection)
        finally:
            self._places.release()

    def _keep(self, connection: BoundedConnection) -> None:
        connection.until = None
        idle = not connection.closed and connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        with self._lock:
            keeps = idle and not self._closing.is_set()
            if keeps:
                connection.kept_since = monotonic()
                self._idle.append(connection)
        if not keeps:
            connection.close()

    def forget(self) -> None:
        """Close the connections that are kept: one was lost, and the others will have been as well."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def close(self) -> None:
        """Close the kept connections; those that are lent follow when they are given back."""
        self._closing.set()
        self.forget()

    # ------------------------------------------------------------------ errors

    @contextmanager
    def errors(self, verb: str) -> Iterator[None]:
        """Raise psycopg's errors as our own, in libpq's words, and without any secret of the connection string."""
        handled = sys.exception()
        try:
            yield
        except GoStateError:
            raise
        except psycopg.Error as raised:
            error = _first(raised, handled)
            if not isinstance(error, psycopg.Error):
                raise error from None
            said = str(error).strip() or type(error).__name__
            secret = self._dsn.without_secrets(said) != said  # then the original must not be shown either
            raise self._error(verb, error, self._dsn.without_secrets(said.split("\n")[0])) from None if secret else error

    def _error(self, verb: str, error: psycopg.Error, said: str) -> StoreFull | StoreUnavailable:
        where = self.where
        match error:
            case psycopg.errors.DiskFull():
                kept = "nothing of this write was kept and nothing stored before is lost"
                return StoreFull(f"the disk of {where} is full: {kept}; free space on it")
            case psycopg.errors.ReadOnlySqlTransaction():
                return StoreUnavailable(
                    f"{where} takes no writes ({said}): it is a standby, or default_transaction_read_only is on; name the server that "
                    f"is written to (of several hosts, target_session_attrs=read-write finds it)"
                )
            case psycopg.errors.InsufficientPrivilege():
                return StoreUnavailable(
                    f"{where} could not be {verb} ({said}): grant the role USAGE on the schema and on its sequence, and SELECT, INSERT, "
                    f"UPDATE and DELETE on its tables; a role that may create makes them when it opens the store"
                )
            case psycopg.errors.LockNotAvailable():
                return StoreUnavailable(
                    f"{where} could not be {verb}: another program has been writing it for {self.timeout:g} s and has not "
                    f"committed; it may be stopped, or its machine gone"
                )
            case Unanswered():
                self._away = True
                said = f"the server did not answer within {self.timeout:g} s"
        unknown = verb == "committed" and (error.sqlstate is None or error.sqlstate.startswith("57P"))
        known = (
            ": it is not known whether this write was kept" if unknown and isinstance(error, psycopg.OperationalError) else ""
        )
        return StoreUnavailable(f"{where} could not be {verb} ({said}){known}")


def _first(error: BaseException, handled: BaseException | None) -> BaseException:
    """Return the error that came first: leaving psycopg's pipeline may raise another in its place, also in that of Ctrl-C."""
    while (before := error.__context__) is not None and before is not handled:
        if isinstance(before, Exception) and not isinstance(before, psycopg.Error):
            break
        error = before
    return error


def _settings(version: int, timeout: float) -> Iterator[tuple[str, int]]:
    """Give the settings of a session. The server gives up a little before the client does, so that the connection can be kept."""
    milliseconds = int(timeout * 1000)
    yield "statement_timeout", max(milliseconds * 9 // 10, 1)
    yield "lock_timeout", max(milliseconds * 8 // 10, 1)
    # Shorter than another writer waits for the lock: one that is stopped in its transaction does not fail the others.
    yield "idle_in_transaction_session_timeout", max(milliseconds // 2, 1000)
    yield "tcp_keepalives_idle", max(int(timeout / 2), 1)  # so that the server takes a lease back from a machine that is gone
    yield "tcp_keepalives_interval", max(int(timeout / 6), 1)
    yield "tcp_keepalives_count", 3
    yield "tcp_user_timeout", milliseconds
    if version >= 140000:
        yield "idle_session_timeout", 0  # a session that holds leases is idle until one is begun or ended
    if version >= 170000:
        yield "transaction_timeout", 0
