"""The Postgres driver, or an error that says how to install it."""

from __future__ import annotations

from go_state.core.errors import MissingExtra

try:
    import psycopg
except ImportError:
    raise MissingExtra("postgres", "a PostgresStore") from None

__all__ = ["psycopg"]
