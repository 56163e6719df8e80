"""The Postgres driver, or an error that says how to install it."""

from __future__ import annotations

from go_state.core.errors import MissingExtra

try:
    import psycopg
    from psycopg.abc import PQGen
    from psycopg.conninfo import conninfo_to_dict
    from psycopg.rows import TupleRow
except ImportError:
    raise MissingExtra("postgres", "a PostgresStore") from None

__all__ = ["PQGen", "TupleRow", "conninfo_to_dict", "psycopg"]
