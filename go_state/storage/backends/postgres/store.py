"""A store in a Postgres database: the same records as in a file, in one table, for programs that several machines may run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from go_state.core.errors import UsageError
from go_state.storage.backends.record_store import RecordStore

if TYPE_CHECKING:
    from go_state.storage.backends.postgres.database import Database

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,47}")


class PostgresStore(RecordStore):
    """A store in a Postgres database, version 12 or newer (extra `postgres`).

    `dsn` is a connection string or URL; what it leaves out comes from the standard environment variables, such as PGHOST and
    PGPASSWORD, or PGSERVICE. The tables lie in a schema of their own, which is made if it is missing, and are brought up to date,
    unless `create` is False. A role without the right to create can use tables that are there; one that may only read, and a
    standby, serve readers. A pooler in between has to pool sessions, not transactions.
    At most `connections` are used by transactions at once. All journals that are written share one more connection, and so do all
    that are followed; each journal that waits for its lease has its own. The server has `timeout` seconds for each answer, and as
    long to come back when it is away; it ends the session of a writer that stops in a transaction for half of that.

    `backup` copies all of it, as of one moment, into an LMDB file, which `restore_from` takes; `pg_dump --schema=<schema>` is as good a
    backup, for Postgres alone. `compact` is VACUUM FULL: after it nothing of what was deleted is in the table. It may still be in the
    server's write-ahead log until that is recycled, in replicas that are behind, in archived logs and in backups that were made
    before: those are for whoever runs the server to delete.

    Raises `StoreUnavailable` if the database cannot be reached or does not answer, and `StoreFull`. If a connection is lost while a
    write is being committed, it is not known whether the write was kept: the error says so, and a journal finds out before it
    writes again. `MissingExtra` without `pip install "go-state[postgres]"`.
    """

    backend: Database

    def __init__(
        self, dsn: str = "", *, schema: str = "go_state", connections: int = 4, timeout: float = 30.0, create: bool = True
    ) -> None:
        if not isinstance(schema, str) or not _SCHEMA.fullmatch(schema):
            raise UsageError(f"the schema is a name of up to 48 small letters, digits and underscores, not {schema!r}")
        if type(connections) is not int or connections < 1:
            raise UsageError(f"connections is a number from 1, not {connections!r}")
        if type(timeout) not in (int, float) or not 0 < timeout < 1e6:
            raise UsageError(f"timeout is a number of seconds above 0, not {timeout!r}")
        # Here, so that whoever only names this class, as `from go_state import *` does, needs no driver.
        from go_state.storage.backends.postgres.database import Database
        from go_state.storage.backends.postgres.dsn import Dsn

        self.schema = schema
        super().__init__(Database(Dsn(dsn), schema, connections=connections, timeout=timeout, create=create))

    def __repr__(self) -> str:
        return f"PostgresStore({self.where!r})"
