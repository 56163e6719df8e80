"""A transaction of Postgres, as the records of a store see it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from go_state.storage.backends.postgres.connections import BoundedConnection
from go_state.storage.backends.postgres.driver import TupleRow, psycopg
from go_state.storage.backends.postgres.listening import channel_of, payload_of
from go_state.storage.records.layout import FRAME_BYTES

_SIZES = 10_000  # names that are read at once without their records
_ROWS = 64  # records that are read at once: a block of messages may be large
_NAMES = 1000  # records that are asked for by name at once, of models, which are smaller


class PostgresTransaction:
    """Keeps what is put until a query has to see it, and sends the rest together with the commit."""

    def __init__(self, connection: BoundedConnection, schema: str, number: int, locked: Mapping[bytes, bytes]) -> None:
        self._connection = connection
        self._schema = schema
        self._table = f'"{schema}".records'
        self._number = number
        # How the records begin that the transaction was opened for, until they are changed; empty ones were made to be locked.
        self._locked = dict(locked)
        self._made = {name for name, record in locked.items() if not record}
        self._changed: dict[bytes, bytes | None] = {}  # None: deleted
        self._grown: list[str] = []

    def id(self) -> int:
        """Return its number."""
        return self._number

    def get(self, name: bytes) -> bytes | None:
        """Return the record of that name, or None."""
        if name in self._changed:
            return self._changed[name]
        if name in self._made:
            return None
        found = self._rows("SELECT record FROM {} WHERE name = %b", name)
        return found[0][0] if found else None

    def beginning(self, name: bytes) -> bytes | None:
        """Return the beginning of the record; of one that is locked it was read with the lock."""
        if name in self._changed or name not in self._locked:
            return self.get(name)
        return self._locked[name] or None

    def get_many(self, names: Collection[bytes]) -> dict[bytes, bytes]:
        """Return those of the records that there are, by name."""
        self.send()
        asked, found = list(names), dict[bytes, bytes]()
        for first in range(0, len(asked), _NAMES):
            found.update(self._rows(_SELECT, asked[first : first + _NAMES]))
        return {name: record for name, record in found.items() if record}

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

    def items(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Give the names that begin with the prefix, in order, from the name `start` on, with their records."""
        self.send()
        select = f"SELECT name, record FROM {{}} WHERE {_BEGINS} ORDER BY name LIMIT {_ROWS}"
        first, end = max(prefix, start), _after(prefix)
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
        self._made.discard(name)

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
        self._changed.update(dict.fromkeys(self._made))
        with self._connection.pipeline():
            self._send()
            for journal in self._grown:
                self._run("SELECT pg_notify(%s, %s)", channel_of(self._schema), payload_of(journal))
            self._run("COMMIT")

    def _send(self) -> None:
        changed, self._changed = self._changed, {}
        for name in changed:
            self._locked.pop(name, None)
        put = {name: record for name, record in sorted(changed.items()) if record is not None}
        if put:
            insert = "INSERT INTO {} SELECT * FROM unnest(%b::bytea[], %b::bytea[])"
            self._run(f"{insert} ON CONFLICT (name) DO UPDATE SET record = excluded.record", list(put), list(put.values()))
        if len(put) < len(changed):
            gone = [name for name, record in sorted(changed.items()) if record is None]
            self._run("DELETE FROM {} WHERE name = ANY(%b::bytea[])", gone)

    def _rows(self, query: str, *values: object) -> list[TupleRow]:
        return self._run(query, *values).fetchall()

    def _run(self, query: str, *values: object) -> psycopg.Cursor[TupleRow]:
        """Run a query, in which `{}` stands for the table."""
        return self._connection.execute(query.format(self._table).encode(), values, binary=True)


_BEGINS = "name >= %b AND name < %b"
_SELECT = "SELECT name, record FROM {} WHERE name = ANY(%b::bytea[])"
_BEGINNINGS = f"SELECT name, substring(record from 1 for {FRAME_BYTES}) FROM {{}} WHERE name = ANY(%b::bytea[])"

# Locks the records of these names, each in its turn. One that is missing is made, empty, so that there is something to lock; one that
# exists is locked by the update that comes to nothing. All who lock more than one do it in the order of the names, in this one way,
# so that no two ever wait for each other; a SELECT FOR UPDATE and then an INSERT of what it has not found would be two orders.
_LOCK = """
    INSERT INTO {} SELECT name, '' FROM unnest(%b::bytea[]) AS locked (name)
    ON CONFLICT (name) DO UPDATE SET record = excluded.record WHERE false
"""


def lock(connection: BoundedConnection, schema: str, names: Collection[bytes]) -> psycopg.Cursor[tuple[bytes, bytes]]:
    """Lock the records in a pipeline, whether they exist or not, and return the query of how they begin once they are locked."""
    table, ordered = f'"{schema}".records', sorted(set(names))
    connection.execute(_LOCK.format(table).encode(), [ordered])
    return connection.execute(_BEGINNINGS.format(table).encode(), [ordered], binary=True)


def _after(prefix: bytes) -> bytes:
    """Return a name after all that begin with the prefix; no name begins with 0xFF."""
    return prefix[:-1] + bytes([prefix[-1] + 1]) if prefix else b"\xff"
