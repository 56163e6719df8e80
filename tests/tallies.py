"""The program of the tests of streams: it refuses a message that does not follow the last one of its key."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import go_state as gs


@dataclass(frozen=True)
class Add:
    """The n-th message of a key."""

    key: str
    n: int


@dataclass(frozen=True)
class Tally:
    """The last message of a key."""

    last: int = -1


def _update(model: Tally, msg: Add) -> Tally:
    assert msg.n == model.last + 1, f"{msg.key}: {msg.n} came after {model.last}"
    return Tally(msg.n)


TALLY = gs.reducer(Tally, _update)


def key_of(msg: Add) -> str:
    return msg.key


def encoded(key: str, n: int) -> bytes:
    return json.dumps({"key": key, "n": n}).encode()


def open_store(where: str) -> Any:
    """Open the LMDB file or the Postgres schema ("dsn schema") that a worker is told of."""
    if where.startswith("postgres"):
        dsn, schema = where.rsplit(" ", 1)
        return gs.PostgresStore(dsn, schema=schema)
    return gs.LMDBStore(Path(where))


def lasts(store: Any, keys: Iterable[str]) -> Mapping[str, int]:
    """Return the last message of each key that is in the store."""
    models = {key: gs.load_model(TALLY, store=store, key=key) for key in keys}
    return {key: -1 if model is None else model.last for key, model in models.items()}
