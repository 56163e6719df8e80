"""A schema of a Postgres database as a backend: transactions, leases, and following what other processes write.

A writing transaction begins by taking the writers' advisory lock. One that was opened for certain records shares it and locks these
records, so that many write side by side; any other has it alone, and with it the store. What is written is sent together with the
commit, in one round trip.

Nobody waits in a circle: the advisory lock comes before all records, and records are locked in the order of their names.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from time import monotonic
from typing import NamedTuple

from go_state.core.errors import StoreUnavailable
from go_state.storage.backends.postgres.connections import BoundedConnection, Server, Unanswered
from go_state.storage.backends.postgres.driver import psycopg
from go_state.storage.backends.postgres.dsn import Dsn
from go_state.storage.backends.postgres.leases import Leases, PostgresLease
from go_state.storage.backends.postgres.listening import Listening
from go_state.storage.backends.postgres.opening import key_of, open_store
from go_state.storage.backends.postgres.transaction import PostgresTransaction, lock
from go_state.storage.records.backend import Space, Transaction
from go_state.storage.records.models import damaged

_TRIES = 5  # of writing the table anew while short transactions keep what was deleted


class Begun(NamedTuple):
    """A transaction that has begun: its connection, its number (0 if it reads), and what it has locked, by name."""

    connection: BoundedConnection
    number: int
    locked: Mapping[bytes, bytes]


class Database:
    """The tables of a store, in their schema; a `Backend`. They are made, or brought up to date, if `create` is True."""

    def __init__(self, dsn: Dsn, schema: str, *, connections: int, timeout: float, create: bool) -> None:
        self.schema = schema
        self.where = f"postgres {dsn.place()}, schema {schema}"  #: the host, the database and the schema; never a password
        self._in_parent = False
        self._lock = key_of("go_state", schema)  # the advisory lock of writers
        server = Server(dsn, self.where, timeout=timeout, connections=connections)
        self._server: Server | None = server
        self.leases = Leases(server)
        self._opening = threading.Lock()  # guards the one below
        self._listening: Listening | None = None
        try:
            open_store(server, schema, create=create)
        except BaseException:
            self.release()
            raise

    def check_usable(self) -> None:
        """Raise `StoreUnavailable` if the store is closed, or was opened before this process was forked."""
        self._usable()

    def _usable(self) -> Server:
        if self._in_parent:
            raise StoreUnavailable(f"{self.where} was opened before this process was forked: open a PostgresStore in the child")
        server = self._server
        if server is None:
            raise StoreUnavailable(f"the store {self.where} is closed: use it inside its `with` block")
        return server

    def check_not_own(self, path: str | os.PathLike[str]) -> None:
        """Do nothing: no file is the store's own."""

    def check_damage(self) -> None:
        """Read every record; `Corrupt` for the first that is damaged."""
        for error in damaged(self):
            raise error

    # ------------------------------------------------------------------ the store as a whole

    def sizes(self) -> Iterator[tuple[bytes, int]]:
        """Give every name, in order, with the number of bytes that its record has."""
        with self.transaction() as transaction:
            assert isinstance(transaction, PostgresTransaction)
            yield from transaction.sizes()

    def space(self) -> Space:
        """Return how many bytes the tables take, with what was deleted and not given back."""
        server = self._usable()
        with server.errors("read"), closing(server.connect()) as connection:
            row = connection.execute("SELECT pg_total_relation_size(%s)", [f'"{self.schema}".records']).fetchone()
        assert row is not None
        return Space(int(row[0]), None, None, None, None)

    def compact(self) -> None:
        """Write the table anew without what was deleted (VACUUM FULL), for which nobody else may read or write it meanwhile."""
        server = self._usable()
        with server.errors("compacted"), closing(server.connect()) as connection:
            connection.limit = float("inf")
            connection.execute("SET statement_timeout = 0")
            left = 0
            for tries_left in reversed(range(_TRIES)):
                left = self._written_anew(connection)
                if not left:
                    return
                if tries_left:
                    connection.execute("SELECT pg_sleep(0.2)")  # a transaction that has only just begun ends by then
        raise StoreUnavailable(
            f"{self.where} was written anew, but {left:,} deleted records are still in it: a transaction that began before they were "
            f"deleted is open in this database (see pg_stat_activity, pg_prepared_xacts and pg_replication_slots); end it, and compact "
            f"again"
        )

    def _written_anew(self, connection: BoundedConnection) -> int:
        """Write the table anew, and return how many deleted records were kept for transactions that may still see them.

        The server says so in the details of a notice, in its own language, and only warns if it may not do it at all.
        """
        notices: list[tuple[str, str]] = []  # what each says, and its details
        connection.add_notice_handler(lambda each: notices.append((each.message_primary or "", each.message_detail or "")))
        connection.execute("SET client_min_messages = info")
        connection.execute(f'VACUUM (FULL, VERBOSE) "{self.schema}".records'.encode())
        numbers = [number for _, details in notices if (number := re.search(r"\d+", details)) is not None]
        if not numbers:
            said = "; ".join(text for text, _ in notices)
            raise StoreUnavailable(
                f"{self.where} was not compacted ({said}): the role has to own the table {self.schema}.records"
            )
        return sum(int(number[0]) for number in numbers)

    def backup(self, path: str) -> None:
        """Copy all records as they are at one moment into a new LMDB file."""
        from go_state.storage.backends.contents import copy_all
        from go_state.storage.backends.lmdb.copying import published, remove_left
        from go_state.storage.backends.lmdb.environment import LMDBEnvironment

        with published(path) as new:
            target = LMDBEnvironment(new, None)
            try:
                copy_all(self, target)
                target.compact()  # of what the copy was written in
            finally:
                target.release()
                remove_left(f"{new}-lock")

    # ------------------------------------------------------------------ transactions

    @contextmanager
    def transaction(self, *, write: bool = False, of: Collection[bytes] | None = None) -> Iterator[Transaction]:
        server = self._usable()
        connection, number, locked = self._begun(server, self._writing(of) if write else _read)
        try:
            transaction = PostgresTransaction(connection, self.schema, number, locked)
            with server.errors("written" if write else "read"):
                yield transaction
            with server.errors("committed" if write else "read"):
                transaction.commit()
        except BaseException:
            _undo(server, connection)
            raise
        server.give_back(connection)

    def _begun(self, server: Server, begin: Callable[[BoundedConnection], Begun]) -> Begun:
        """Begin a transaction on a connection that is free."""
        until = monotonic() + server.timeout
        with server.errors("reached"):
            for last_try in (False, True):
                connection = server.take(until)
                try:
                    begun = begin(connection)
                    connection.until = None  # from here on the server has its time for each answer
                    return begun
                except BaseException as error:
                    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
                        connection.close()  # a server that has become a standby keeps it, and another may be written to by now
                    lost = _undo(server, connection)
                    if last_try or not lost or not isinstance(error, psycopg.Error) or isinstance(error, Unanswered):
                        raise
        raise AssertionError("one of the tries returns or raises")

    def _writing(self, of: Collection[bytes] | None) -> Callable[[BoundedConnection], Begun]:
        """Return what begins a transaction that writes the records of these names, or whatever it likes."""
        kind = "" if of is None else "_shared"

        def begin(connection: BoundedConnection) -> Begun:
            with connection.pipeline():  # one round trip; each statement sees what was committed before it
                connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
                connection.execute(f"SELECT pg_advisory_xact_lock{kind}({self._lock})".encode())
                locked = lock(connection, self.schema, of) if of else None
            # Not in the pipeline, which may end with a request to flush: the server stops its clock for idle transactions at that,
            # and would let a writer that was stopped keep the lock for ever.
            number = connection.execute(f"SELECT nextval('\"{self.schema}\".transactions')".encode())
            row = number.fetchone()
            assert row is not None
            return Begun(connection, int(row[0]), dict(locked.fetchall()) if locked is not None else {})

        return begin

    # ------------------------------------------------------------------ sessions

    def lease(self, journal: str) -> PostgresLease:
        return PostgresLease(self.leases, journal, key_of("go_state", self.schema, journal))

    def follow(self, journal: str, grown: Callable[[], object]) -> Callable[[], object]:
        server = self._usable()
        with self._opening:
            if self._listening is None:
                self._listening = Listening(server, self.schema)
            return self._listening.follow(journal, grown)

    def release(self) -> None:
        """Close the connections; a second call is harmless."""
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.close()
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def after_fork_in_child(self) -> None:
        self._in_parent = True
        self.leases.after_fork_in_child()
        self._server = self._listening = None  # psycopg does not end connections that it finds in a forked child


def _undo(server: Server, connection: BoundedConnection) -> bool:
    """Roll back what was begun on the connection, give it back, and return whether it was lost."""
    try:
        connection.rollback()
    except psycopg.Error:
        connection.close()  # and with it the transaction
    finally:
        server.give_back(connection)
    if connection.closed:
        server.forget()
    return connection.closed


def _read(connection: BoundedConnection) -> Begun:
    """Begin a transaction that reads."""
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    return Begun(connection, 0, {})
