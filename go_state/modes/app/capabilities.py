"""Parts of an app, with fewer rights than the whole: what a component is handed that may read, or send, or watch, and nothing else.

They give no access to the app itself, so only its owner can stop it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar

Model = TypeVar("Model")
Msg = TypeVar("Msg")

State: TypeAlias = Literal["replaying", "ready", "draining", "stopped", "failed"]
"""The state of an app: before it has its first model, then, after it was asked to end, and after the end."""


class AppStatistics(NamedTuple):
    """An app at one moment.

    Messages that are processed and that wait, the age of the oldest that waits in seconds (None if none does), how many messages
    entered a second lately, and how many commands are running.
    """

    processed: int
    queue_size: int
    oldest_age: float | None
    rate: float
    commands_running: int


class Reader(Generic[Model]):
    """What may look: the model, its version, and the state and statistics of its app; see `App`."""

    __slots__ = ("_model", "_state", "_statistics", "_version")

    def __init__(
        self,
        model: Callable[[], Model],
        version: Callable[[], int],
        state: Callable[[], State],
        statistics: Callable[[], AppStatistics],
    ) -> None:
        self._model = model
        self._version = version
        self._state = state
        self._statistics = statistics

    @property
    def model(self) -> Model:
        """The newest committed model."""
        return self._model()

    @property
    def version(self) -> int:
        """How many models were committed."""
        return self._version()

    @property
    def state(self) -> State:
        """The app's state."""
        return self._state()

    def statistics(self) -> AppStatistics:
        """Return what an operator wants to know."""
        return self._statistics()


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
