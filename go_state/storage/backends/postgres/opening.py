"""Opening a Postgres store: check that its server can be used, and make the tables or bring them up to date."""

from __future__ import annotations

from hashlib import blake2b

from go_state.core.errors import StoreUnavailable
from go_state.storage.backends.postgres.connections import BoundedConnection, Server

# How often two connections are asked if a pooler is between. One that pools transactions gives itself away at the first question
# unless it is busy; then the answers depend on how the questions fall in with those of its other clients.
_POOLED_QUESTIONS = 16

# What makes the tables, and what has changed them since: each is run once, in order. What was released is never edited.
MIGRATIONS = (
    """
    CREATE TABLE {schema}.records (name bytea PRIMARY KEY, record bytea NOT NULL);
    ALTER TABLE {schema}.records ALTER COLUMN record SET STORAGE EXTERNAL;
    CREATE SEQUENCE {schema}.transactions;
    """,
)


def open_store(server: Server, schema: str, *, create: bool) -> None:
    """Check the server, and make the tables or bring them up to date; nothing is written if they exist, or without `create`.

    Raises `StoreUnavailable` for a server that cannot be reached or used, in libpq's words, and without waiting.
    """
    with server.errors("reached"), server.first() as connection:
        _check_session(server, connection)
        done = _migrated(connection, schema)
        if done > len(MIGRATIONS):
            raise StoreUnavailable(f"the tables of {server.where} were made by a newer go_state: upgrade this one")
        if done < len(MIGRATIONS) and not create:
            older = "were made by an older go_state: open them once with gs.PostgresStore(..., create=True)"
            raise StoreUnavailable(
                f"the tables of {server.where} {older if done else 'are not there: name the schema they are in'}"
            )
        if done < len(MIGRATIONS):
            with server.errors("prepared"), connection.transaction():
                _migrate(connection, schema)


def _migrate(connection: BoundedConnection, schema: str) -> None:
    """Make the tables, or bring those of an older go_state up to date, under a lock that every process takes for it."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [key_of("go_state", schema)])
    if not _one(connection, "SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = %s", schema):
        _run(connection, 'CREATE SCHEMA "{schema}"', schema)
    table = 'CREATE TABLE IF NOT EXISTS "{schema}".migrations (number int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())'
    if not (done := _migrated(connection, schema)):
        _run(connection, table, schema)
    for number, statements in enumerate(MIGRATIONS[done:], done + 1):
        _run(connection, statements.replace("{schema}", '"{schema}"'), schema)
        connection.execute(f'INSERT INTO "{schema}".migrations VALUES (%s)'.encode(), [number])


def _migrated(connection: BoundedConnection, schema: str) -> int:
    """Return how many of the migrations were done."""
    there = """
        SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = %s AND c.relname = 'migrations'
    """
    if not _one(connection, there, schema):
        return 0
    return _one(connection, f'SELECT coalesce(max(number), 0) FROM "{schema}".migrations')


def _check_session(server: Server, connection: BoundedConnection) -> None:
    """Raise `StoreUnavailable` if a pooler gives each transaction another session: a lease and a notice belong to a session."""
    if _session(connection) == connection.info.backend_pid:
        return
    # A pooler is between. Two clients of one that pools sessions never have the same session, nor does either get another.
    # Each is asked twice in a row as well as in turn, so that no client that keeps step with them hides what they share.
    with server.connect(patient=False) as other:
        sessions = [
            ({_session(connection), _session(connection)}, {_session(other), _session(other)}) for _ in range(_POOLED_QUESTIONS)
        ]
    mine, others = (set[int]().union(*asked) for asked in zip(*sessions, strict=True))
    if mine & others or len(mine) > 1 or len(others) > 1:
        raise StoreUnavailable(
            f"{server.where} is reached through a pooler that gives each transaction another session, such as pgbouncer with "
            f"pool_mode=transaction: no lease of a journal would be held there, and no reader woken when it has grown; name the "
            f"server itself, or a pooler "
            f"with pool_mode=session"
        )


def _session(connection: BoundedConnection) -> int:
    row = connection.execute("SELECT pg_backend_pid()", prepare=False).fetchone()  # which another session would not know
    assert row is not None
    return int(row[0])


def _one(connection: BoundedConnection, query: str, *values: object) -> int:
    """Return the number that a query finds."""
    row = connection.execute(query.encode(), values or None).fetchone()
    assert row is not None
    return int(row[0])


def _run(connection: BoundedConnection, statements: str, schema: str) -> None:
    connection.execute(statements.replace("{schema}", schema).encode())


def key_of(*parts: str) -> int:
    """Return the number of an advisory lock."""
    return int.from_bytes(blake2b("\0".join(parts).encode(), digest_size=8).digest(), "big", signed=True)
