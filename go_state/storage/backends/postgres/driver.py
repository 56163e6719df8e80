"""The Postgres driver, or an error that says how to install it."""

from __future__ import annotations

from go_state.core.errors import MissingExtra

try:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict
except ImportError:
    raise MissingExtra("postgres", "a PostgresStore") from None

__all__ = ["conninfo_to_dict", "psycopg"]
