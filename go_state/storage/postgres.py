"""A store in a Postgres database: the same records as in a file, in one table, for programs that several machines may take over.

Writing transactions of a store come one after the other, as they do in a file: each begins by taking an advisory lock. What they write
is sent together with the commit, in one round trip. Connections come from a pool, which replaces those that were lost.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import blake2b
from types import ModuleType
from typing import TYPE_CHECKING, Any

from go_state.core.errors import GoStateError, MissingExtra, StoreFull, StoreUnavailable, UsageError
from go_state.storage.record_store import RecordStore
from go_state.storage.transaction import Transaction

if TYPE_CHECKING:
    import psycopg

    from go_state.storage.lease import Lease
    from go_state.storage.postgres_sessions import Listening

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,47}")
_ROWS = 64  # records that are read at once: a block of messages may be large

# What makes the tables, and what has changed them since: each is run once, in order. What was released is never edited.
MIGRATIONS = (
    """
    CREATE TABLE {schema}.records (name bytea PRIMARY KEY, record bytea NOT NULL);
    ALTER TABLE {schema}.records ALTER COLUMN record SET STORAGE EXTERNAL;
    CREATE SEQUENCE {schema}.transactions;
    """,
)


class PostgresStore(RecordStore):
    """A store in a Postgres database, version 12 or newer (extra `postgres`).

    `dsn` is a connection string or URL; what it leaves out comes from the standard environment variables, such as PGHOST and
    PGPASSWORD, or PGSERVICE. The tables lie in a schema of their own, which is made if it is missing, and are brought up to date.
    `connections` is how many the pool holds at most; a journal that is written, and one that is followed, each take one more.
    An operation waits up to `timeout` seconds for a connection.

    Raises `StoreUnavailable` when the database cannot be reached, and `StoreFull`. When a connection is lost while a write is being
    committed nobody knows whether it was kept: it says so, and a journal finds out before it writes again.
    """

    def __init__(self, dsn: str = "", *, schema: str = "go_state", connections: int = 4, timeout: float = 10.0) -> None:
        super().__init__()
        if not _SCHEMA.fullmatch(schema):
            raise UsageError(f"the schema is a name of up to 48 small letters, digits and underscores, not {schema!r}")
        if type(connections) is not int or connections < 1:
            raise UsageError(f"connections is a number from 1, not {connections!r}")
        driver, pool = _driver()
        self.schema = schema
        self._dsn = dsn
        self._timeout = timeout
        self._pid = os.getpid()
        self._lock = key_of("go_state", schema)  # the advisory one of writers
        self._opening = threading.Lock()  # guards the one below
        self._listening: Listening | None = None
        self._where = _where(dsn, schema)
        self._pool: Any = pool.ConnectionPool(
            dsn,
            min_size=0,
            max_size=connections,
            timeout=timeout,
            reconnect_timeout=timeout,
            kwargs={"autocommit": True, "connect_timeout": max(int(timeout), 2), "application_name": "go_state"},
            configure=_configure,
            open=False,
        )
        self._driver = driver
        try:
            self._pool.open()
            self._migrate()
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
        if os.getpid() != self._pid:
            raise StoreUnavailable(f"{self.where} was opened before this process was forked: open a PostgresStore in the child")
        if self._pool is None:
            raise StoreUnavailable(f"the store {self.where} is closed: use it inside its `with` block")

    # ------------------------------------------------------------------ transactions

    @contextmanager
    def _transaction(self, *, write: bool = False) -> Iterator[Transaction]:
        self.check_usable()
        connection, number = self._begun(write)
        try:
            transaction = _PostgresTransaction(connection, self.schema, number)
            try:
                with self.errors("written" if write else "read"):
                    yield transaction
                with self.errors("committed" if write else "read"):
                    transaction.commit()
            except BaseException:
                _roll_back(connection)
                raise
        finally:
            self._pool.putconn(connection)

    def _begun(self, write: bool) -> tuple[psycopg.Connection[Any], int]:
        """Return a connection on which a transaction was begun, and its number, 0 of one that reads."""
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        if write:  # each statement after the lock sees what the writer before has committed
            begin = f"BEGIN; SELECT pg_advisory_xact_lock({self._lock}); SELECT nextval('{self.schema}.transactions')"
        with self.errors("reached"):
            for last_try in (False, True):
                connection = self._pool.getconn()
                try:
                    cursor = connection.execute(begin)
                    while cursor.nextset():
                        pass
                    return connection, cursor.fetchone()[0] if write else 0
                except self._driver.OperationalError:
                    self._pool.putconn(connection)
                    if last_try:
                        raise
                    self._pool.check()  # the database was restarted: others of the pool are lost as well
                except BaseException:
                    _roll_back(connection)
                    self._pool.putconn(connection)
                    raise
        raise AssertionError("one of the tries returns or raises")

    @contextmanager
    def errors(self, verb: str) -> Iterator[None]:
        """Raise the driver's errors as our own, which hold nothing of the connection string."""
        driver, pool = _driver()
        try:
            yield
        except GoStateError:
            raise
        except driver.errors.DiskFull as error:
            raise StoreFull(
                f"the disk of {self.where} is full: nothing of this write was kept and nothing stored before is lost; free space on it"
            ) from error
        except (driver.Error, pool.PoolTimeout, pool.PoolClosed) as error:
            lost = verb == "committed" and isinstance(error, driver.OperationalError)
            known = ": it is not known whether this write was kept" if lost else ""
            raise StoreUnavailable(f"{self.where} could not be {verb} ({_first_line(error)}){known}") from error

    def connect(self) -> psycopg.Connection[Any]:
        """Return a connection that the caller closes, with nothing begun on it."""
        driver, _ = _driver()
        with self.errors("reached"):
            connection: psycopg.Connection[Any] = driver.connect(
                self._dsn, autocommit=True, connect_timeout=max(int(self._timeout), 2), application_name="go_state"
            )
            return connection

    def _migrate(self) -> None:
        """Make the tables, or bring those of an older go_state up to date, under a lock that all who do so take."""
        with self.errors("prepared"), self._pool.connection() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [self._lock])
            there = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [self.schema]).fetchone()
            if there is None:
                connection.execute(f"CREATE SCHEMA {self.schema}")
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {self.schema}.migrations (number int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
            )
            done = connection.execute(f"SELECT coalesce(max(number), 0) FROM {self.schema}.migrations").fetchone()[0]
            if done > len(MIGRATIONS):
                raise StoreUnavailable(f"the tables of {self.where} were made by a newer go_state: upgrade this one")
            for number, statements in enumerate(MIGRATIONS[done:], done + 1):
                connection.execute(statements.format(schema=self.schema))
                connection.execute(f"INSERT INTO {self.schema}.migrations VALUES (%s)", [number])

    # ------------------------------------------------------------------ sessions

    def _lease(self, journal: str) -> Lease:
        from go_state.storage.postgres_sessions import PostgresLease

        return PostgresLease(self, journal)

    def _follow(self, journal: str, grown: Callable[[], object]) -> Callable[[], object]:
        from go_state.storage.postgres_sessions import Listening

        with self._opening:
            if self._listening is None:
                self._listening = Listening(self)
            return self._listening.follow(journal, grown)

    def _release(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.close()
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def _forget_parent(self) -> None:
        self._pool = self._listening = None  # psycopg does not end connections that it finds in a forked child
        super()._forget_parent()


class _PostgresTransaction:
    """What is put is kept until something has to see it, and sent together with the commit."""

    def __init__(self, connection: psycopg.Connection[Any], schema: str, number: int) -> None:
        self._connection = connection
        self._schema = schema
        self._table = f"{schema}.records"
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
                self._run("SELECT pg_notify(%s, %s)", channel_of(self._schema), journal)
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


def _configure(connection: psycopg.Connection[Any]) -> None:
    """Have a commit wait for the disk, whatever the server does for others."""
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )


def _roll_back(connection: psycopg.Connection[Any]) -> None:
    driver, _ = _driver()
    try:
        connection.rollback()
    except driver.Error:
        connection.close()  # the pool makes another


def _where(dsn: str, schema: str) -> str:
    """Return what a store is called, of those parts of the connection string that are no secret."""
    driver, _ = _driver()
    try:
        given = driver.conninfo.conninfo_to_dict(dsn)
    except driver.ProgrammingError:
        raise UsageError(
            "dsn is a connection string, such as postgresql://user@host/database or 'host=... dbname=...'; what was given is none"
        ) from None
    host = given.get("host") or given.get("hostaddr") or os.environ.get("PGHOST") or "localhost"
    database = given.get("dbname") or os.environ.get("PGDATABASE") or given.get("user") or "the default database"
    return f"postgres {host}/{database}, schema {schema}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0]


def key_of(*parts: str) -> int:
    """Return the number of an advisory lock."""
    return int.from_bytes(blake2b("\0".join(parts).encode(), digest_size=8).digest(), "big", signed=True)


def channel_of(schema: str) -> str:
    """Return the channel on which is said which journal has grown."""
    return f"go_state_{schema}"


@cache
def _driver() -> tuple[ModuleType, ModuleType]:
    try:
        import psycopg
        import psycopg_pool
    except ImportError:
        raise MissingExtra("postgres", "a PostgresStore") from None
    return psycopg, psycopg_pool
