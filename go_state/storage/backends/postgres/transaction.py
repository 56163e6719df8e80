"""A transaction of Postgres, as the records of a store see it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from go_state.storage.backends.postgres.connections import BoundedConnection
from go_state.storage.backends.postgres.driver import psycopg
from go_state.storage.backends.postgres.listening import channel_of, payload_of

_SIZES = 10_000  # names that are read at once without their records
_ROWS = 64  # records that are read at once: a block of messages may be large


class PostgresTransaction:
    """Keeps what is put until a query has to see it, and sends the rest together with the commit."""

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

    def items(self, prefix: bytes, since: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Give the names that begin with the prefix and are not before `since`, in order, with their records."""
        self.send()
        select = f"SELECT name, record FROM {{}} WHERE {_BEGINS} ORDER BY name LIMIT {_ROWS}"
        first, end = max(prefix, since), _after(prefix)
        while rows := self._rows(select, first, end):
            yield from rows
            first = rows[-1][0] + b"\0"

    def sizes(self) -> Iterator[tuple[bytes, int]]:
        """Give every name, in order, with the number of bytes that its record has."""
        select = f"SELECT name, octet_length(record) FROM {{}} WHERE name >= %b ORDER BY name LIMIT {_SIZES}"
        first = b""
        while rows := self._rows(select, first):
            yield from rows
            first = rows[-1][0] + b"\0"

    def put(self, name: bytes, record: bytes) -> None:
        """Write the record."""
        self._changed[name] = record

    def delete(self, name: bytes) -> None:
        """Delete the record, if there is one."""
        self._changed[name] = None

    def delete_range(self, first: bytes, end: bytes) -> None:
        """Delete the records from the name `first` on to before the name `end`."""
        self.send()
        self._run("DELETE FROM {} WHERE name >= %b AND name < %b", first, end)

    def announce(self, journal: str) -> None:
        """Notify the processes that listen, once this is committed."""
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
