"""A store in a Postgres database: the same records as in a file, in one table, for programs that several machines may take over.

Writing transactions of a store come one after the other, as they do in a file: each begins by taking an advisory lock. What they write
is sent together with the commit, in one round trip. Opening is in `opening.py`, the connections in
`connections.py`, and what has one of its own in `sessions.py`.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

from go_state.core.errors import StoreUnavailable, UsageError
from go_state.storage.backends.postgres.connections import BoundedConnection, Server, Unanswered
from go_state.storage.backends.postgres.driver import psycopg
from go_state.storage.backends.postgres.dsn import Dsn
from go_state.storage.backends.postgres.opening import key_of, open_store
from go_state.storage.backends.postgres.sessions import Leases, Listening, PostgresLease, channel_of, payload_of
from go_state.storage.records.record_store import RecordStore
from go_state.storage.records.transaction import Transaction

if TYPE_CHECKING:
    from go_state.storage.records.lease import Lease

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,47}")
_ROWS = 64  # records that are read at once: a block of messages may be large


class PostgresStore(RecordStore):
    """A store in a Postgres database, version 12 or newer (extra `postgres`).

    `dsn` is a connection string or URL; what it leaves out comes from the standard environment variables, such as PGHOST and
    PGPASSWORD, or PGSERVICE. The tables lie in a schema of their own, which is made if it is missing, and are brought up to date,
    unless `create` is False. A role without the right to create can use tables that are there; one that may only read, and a
    standby, serve readers. A pooler in between has to pool sessions, not transactions.
    `connections` is how many transactions use at most at once; all the journals that are written share one more connection, as do
    all that are followed, and each that waits for its lease has one. The server has `timeout` seconds for each answer, and as long
    to come back when it is away; it ends the session of a writer that stops in a transaction for half of that.

    Raises `StoreUnavailable` when the database cannot be reached or does not answer, and `StoreFull`. When a connection is lost
    while a write is being committed nobody knows whether it was kept: it says so, and a journal finds out before it writes again.
    """

    def __init__(
        self, dsn: str = "", *, schema: str = "go_state", connections: int = 4, timeout: float = 30.0, create: bool = True
    ) -> None:
        super().__init__()
        if not isinstance(schema, str) or not _SCHEMA.fullmatch(schema):
            raise UsageError(f"the schema is a name of up to 48 small letters, digits and underscores, not {schema!r}")
        if type(connections) is not int or connections < 1:
            raise UsageError(f"connections is a number from 1, not {connections!r}")
        if type(timeout) not in (int, float) or not 0 < timeout < 1e6:
            raise UsageError(f"timeout is a number of seconds above 0, not {timeout!r}")
        self.schema = schema
        self._pid = os.getpid()
        self._lock = key_of("go_state", schema)  # the advisory one of writers
        given = Dsn(dsn)
        self._where = f"postgres {given.place()}, schema {schema}"
        self._server: Server | None = Server(given, self._where, timeout=timeout, connections=connections)
        self._leases = Leases(self._server)
        self._opening = threading.Lock()  # guards the one below
        self._listening: Listening | None = None
        try:
            open_store(self._server, schema, create=create)
        except BaseException:
            self._release()
            raise

    @property
    def where(self) -> str:
        """The host, the database and the schema; never a password."""
        return self._where

    def __repr__(self) -> str:
        return f"PostgresStore({self._where!r})"

    def check_usable(self) -> None:
        """Raise `StoreUnavailable` when the store is closed, or another process has opened it."""
        self._usable()

    def _usable(self) -> Server:
        if os.getpid() != self._pid:
            raise StoreUnavailable(f"{self.where} was opened before this process was forked: open a PostgresStore in the child")
        server = self._server
        if server is None:
            raise StoreUnavailable(f"the store {self.where} is closed: use it inside its `with` block")
        return server

    # ------------------------------------------------------------------ transactions

    @contextmanager
    def _transaction(self, *, write: bool = False) -> Iterator[Transaction]:
        server = self._usable()
        connection, number = self._begun(server, write)
        try:
            transaction = _PostgresTransaction(connection, self.schema, number)
            with server.errors("written" if write else "read"):
                yield transaction
            with server.errors("committed" if write else "read"):
                transaction.commit()
        except BaseException:
            _undo(server, connection)
            raise
        server.give_back(connection)

    def _begun(self, server: Server, write: bool) -> tuple[BoundedConnection, int]:
        """Return a connection on which a transaction was begun, and its number, 0 of one that reads."""
        until = monotonic() + server.timeout
        with server.errors("reached"):
            for last_try in (False, True):
                connection = server.take(until)
                try:
                    return connection, self._begin(connection, write)
                except BaseException as error:
                    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
                        connection.close()  # a server that has become a standby keeps it, and another may be written to by now
                    lost = _undo(server, connection)
                    if last_try or not lost or not isinstance(error, psycopg.Error) or isinstance(error, Unanswered):
                        raise
        raise AssertionError("one of the tries returns or raises")

    def _begin(self, connection: BoundedConnection, write: bool) -> int:
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        if write:  # each statement after the lock sees what the writer before has committed
            lock = f"SELECT pg_advisory_xact_lock({self._lock})"
            begin = f"BEGIN ISOLATION LEVEL READ COMMITTED; {lock}; SELECT nextval('\"{self.schema}\".transactions')"
        cursor = connection.execute(begin.encode())
        while cursor.nextset():
            pass
        connection.until = None  # from here on the server has its time for each answer
        row = cursor.fetchone() if write else (0,)
        assert row is not None
        return int(row[0])

    # ------------------------------------------------------------------ sessions

    def _lease(self, journal: str) -> Lease:
        return PostgresLease(self._leases, journal, key_of("go_state", self.schema, journal))

    def _follow(self, journal: str, grown: Callable[[], object]) -> Callable[[], object]:
        server = self._usable()
        with self._opening:
            if self._listening is None:
                self._listening = Listening(server, self.schema)
            return self._listening.follow(journal, grown)

    def _release(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.close()
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def after_fork_in_child(self) -> None:
        self._server = self._listening = None  # psycopg does not end connections that it finds in a forked child
        super().after_fork_in_child()


class _PostgresTransaction:
    """What is put is kept until something has to see it, and sent together with the commit."""

    def __init__(self, connection: BoundedConnection, schema: str, number: int) -> None:
        self._connection = connection
        self._schema = schema
        self._table = f'"{schema}".records'
        self._number = number
        self._changed: dict[bytes, bytes | None] = {}  # None: deleted
        self._grown: list[str] = []

    def id(self) -> int:
        """Return its number."""
        return self._number

    def get(self, name: bytes) -> bytes | None:
        """Return the record of that name, or None."""
        if name in self._changed:
            return self._changed[name]
        found = self._rows("SELECT record FROM {} WHERE name = %b", name)
        return found[0][0] if found else None

    def at_or_before(self, name: bytes, most: int | None = None) -> tuple[bytes, bytes] | None:
        """Return the last name that is not after this one, with the beginning of its record."""
        self.send()
        record = "record" if most is None else f"substring(record from 1 for {most})"
        found = self._rows(f"SELECT name, {record} FROM {{}} WHERE name <= %b ORDER BY name DESC LIMIT 1", name)
        return found[0] if found else None

    def names(self, prefix: bytes) -> list[bytes]:
        """Return the names that begin with the prefix, in order."""
        self.send()
        return [name for (name,) in self._rows(f"SELECT name FROM {{}} WHERE {_BEGINS} ORDER BY name", prefix, _after(prefix))]

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Give the names that begin with the prefix, in order, with their records."""
        self.send()
        select = f"SELECT name, record FROM {{}} WHERE {_BEGINS} ORDER BY name LIMIT {_ROWS}"
        first, end = prefix, _after(prefix)
        while rows := self._rows(select, first, end):
            yield from rows
            first = rows[-1][0] + b"\0"

    def put(self, name: bytes, record: bytes) -> None:
        """Write the record."""
        self._changed[name] = record

    def delete(self, name: bytes) -> None:
        """Delete the record, if it is there."""
        self._changed[name] = None

    def delete_range(self, first: bytes, end: bytes) -> None:
        """Delete the records from the name `first` on to before the name `end`."""
        self.send()
        self._run("DELETE FROM {} WHERE name >= %b AND name < %b", first, end)

    def announce(self, journal: str) -> None:
        """Notify those who listen, once this is committed."""
        self._grown.append(journal)

    def send(self) -> None:
        """Send what was put and deleted."""
        if self._changed:
            with self._connection.pipeline():
                self._send()

    def commit(self) -> None:
        """Send what is left, and commit, in one round trip."""
        with self._connection.pipeline():
            self._send()
            for journal in self._grown:
                self._run("SELECT pg_notify(%s, %s)", channel_of(self._schema), payload_of(journal))
            self._run("COMMIT")

    def _send(self) -> None:
        changed, self._changed = self._changed, {}
        put = {name: record for name, record in changed.items() if record is not None}
        if put:
            insert = "INSERT INTO {} SELECT * FROM unnest(%b::bytea[], %b::bytea[])"
            self._run(f"{insert} ON CONFLICT (name) DO UPDATE SET record = excluded.record", list(put), list(put.values()))
        if len(put) < len(changed):
            gone = [name for name, record in changed.items() if record is None]
            self._run("DELETE FROM {} WHERE name = ANY(%b::bytea[])", gone)

    def _rows(self, query: str, *values: bytes) -> list[Any]:
        return self._run(query, *values).fetchall()

    def _run(self, query: str, *values: object) -> psycopg.Cursor[Any]:
        """Run a query, in which `{}` stands for the table."""
        return self._connection.execute(query.format(self._table).encode(), values, binary=True)


_BEGINS = "name >= %b AND name < %b"


def _after(prefix: bytes) -> bytes:
    """Return a name after all that begin with the prefix; no name begins with 0xFF."""
    return prefix[:-1] + bytes([prefix[-1] + 1]) if prefix else b"\xff"


def _undo(server: Server, connection: BoundedConnection) -> bool:
    """Roll back what was begun on the connection, give it back, and tell whether it was lost."""
    try:
        connection.rollback()
    except psycopg.Error:
        connection.close()  # and with it the transaction
    finally:
        server.give_back(connection)
    if connection.closed:
        server.forget()
    return connection.closed
