"""Parts of an app, with fewer rights than the whole: what a component is handed that may read, or send, or watch, and nothing else.

They have no way back to the app, and whoever owns that alone can stop it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, NamedTuple, TypeVar

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class Reader(NamedTuple, Generic[Model]):
    """What may look: functions that return the model, its version, and the state and statistics of its app; see `App`."""

    model: Callable[[], Model]
    version: Callable[[], int]
    state: Callable[[], str]
    statistics: Callable[[], Any]


class Sender(NamedTuple, Generic[Model, Msg]):
    """What may send, and wait for what comes of it; see `App`."""

    send: Callable[..., None]
    apply: Callable[..., Model]
    ask: Callable[..., Any]
    apply_async: Callable[..., Awaitable[Model]]
    ask_async: Callable[..., Awaitable[Any]]


class Watching(NamedTuple, Generic[Model]):
    """What may watch; see `App`."""

    watch: Callable[..., Any]
    changes: Callable[..., Any]
