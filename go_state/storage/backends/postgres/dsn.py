"""What a connection string says: how the server is called in messages, what is secret in it, and what is added to it."""

from __future__ import annotations

import os
import re
from functools import cached_property
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from go_state.core.errors import UsageError
from go_state.storage.backends.postgres.driver import conninfo_to_dict, psycopg

_URL = re.compile(r"postgres(?:ql)?://(?:([^@/]*)@)?([^?]*)")  # who, as libpq reads it, and the host with the database
_SHORT = 3  # characters of a secret that may as well be those of a word
_TEACHES = (
    "dsn is a connection string, such as postgresql://user@host/database or 'host=... dbname=...'; what was given is not one. "
    "In a URL the signs : / ? # @ % of a user's name or password are written as %3A %2F %3F %23 %40 %25"
)


class Dsn:
    """A connection string that libpq understands as it was meant; `UsageError`, which quotes nothing of it, for any other."""

    def __init__(self, text: str) -> None:
        try:
            self._given = conninfo_to_dict(text)
        except (psycopg.ProgrammingError, TypeError, AttributeError, UnicodeError):  # some of what is no text
            raise UsageError(_TEACHES) from None
        self._text = text
        if not (_is_meant(text) and all(_is_port(each) for each in str(self._given.get("port", "")).split(","))):
            raise UsageError(_TEACHES)

    def place(self) -> str:
        """Return the host and the database, and no secret."""
        given = self._given
        host = given.get("host") or given.get("hostaddr") or os.environ.get("PGHOST") or "localhost"
        database = given.get("dbname") or os.environ.get("PGDATABASE") or given.get("user") or "the default database"
        return self.without_secrets(f"{host}/{database}")

    def arguments(self, seconds: float, timeout: float) -> dict[str, Any]:
        """Return psycopg's arguments to connect within `seconds`; a server that says nothing for `timeout` counts as lost."""
        hosts = len(str(self._given.get("host") or self._given.get("hostaddr") or "").split(","))
        ours = {
            "application_name": "go_state",
            "keepalives_idle": max(int(timeout / 2), 1),
            "keepalives_interval": max(int(timeout / 6), 1),
            "keepalives_count": 3,
            "tcp_user_timeout": int(timeout * 1000),
        }
        always = {"conninfo": self._text, "connect_timeout": max(int(seconds / hosts), 2), "client_encoding": "UTF8"}
        return always | {name: value for name, value in ours.items() if name not in self._given}

    def without_secrets(self, text: str) -> str:
        """Return the text with every secret of the connection string, as it was given and as it is meant, made unreadable."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    @cached_property
    def _secrets(self) -> list[str]:
        names = [option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults() if option.dispchar == b"*"]
        values = [str(self._given[name]) for name in names if self._given.get(name)]
        values += [os.environ[name] for name in ("PGPASSWORD",) if os.environ.get(name)]
        forms = {
            form for value in values for form in (value, quote(value, safe=""), quote(value), quote_plus(value), unquote(value))
        }
        if (found := _URL.match(self._text)) and found[1]:
            forms.add(found[1].partition(":")[2])
        return sorted((form for form in forms if len(form) > _SHORT), key=len, reverse=True)


def _is_meant(text: str) -> bool:
    """Return whether the URL was split as it was meant: an unescaped sign in a password makes its rest part of the host."""
    found = _URL.match(text)
    return found is None or "@" not in found[2]


def _is_port(text: str) -> bool:
    return not text.strip() or text.strip().isdigit()
