"""The states of a key's program, and what its place asks of all of them.

new ──▶ loading ──▶ running ──▶ resting ──▶ stopped
▲            │           │
│            └─ failed ◀─┤       failed and stopped are for good
└── if something was ────┘
sent meanwhile
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from go_state.modes.app.app import App

if TYPE_CHECKING:
    from go_state.core.program import Program
    from go_state.storage.backends.record_store import RecordStore

Model = TypeVar("Model")
Msg = TypeVar("Msg")

Told: TypeAlias = Callable[[App[Any, Any]], object]
"""What an app tells something of itself."""


class State(Enum):
    """The state of the program of a key."""

    NEW = "new"  # nobody has begun it yet, or its next life
    LOADING = "loading"  # one thread begins an app, and gives it what was sent meanwhile
    RUNNING = "running"
    RESTING = "resting"  # its app was asked to end, or is about to
    FAILED = "failed"
    STOPPED = "stopped"


class KeptAs(NamedTuple, Generic[Model, Msg]):
    """The program of many keys, and its store, None if it has none, in which the names of its journals begin with the prefix."""

    program: Program[Model, Msg]
    store: RecordStore | None
    prefix: str


class Places(Protocol):
    """What the place of a key needs of all of them."""

    def make(self, key: str, idled: Told, ended: Told, begun: Told, /) -> App[Any, Any]:
        """Begin an app of the key; it calls these when it is idle, when it has ended, and first of all when it is made."""
        ...

    def is_here(self) -> bool:
        """Return whether an app can be begun in the calling thread."""
        ...

    def call_there(self, begin: Callable[[], object], /) -> None:
        """Call `begin` in the thread or task in which an app can be started."""
        ...

    def forget(self, key: str, place: object, error: BaseException | None, due: float | None, /) -> None:
        """Called when the key's place is over, with the error that its program has failed with, and when it has something to do by itself."""
        ...

    def tell(self, key: str, error: BaseException, /) -> None:
        """Called when everything of a program that has failed is over."""
        ...

    def retry(self, key: str, /) -> None:
        """Called when a program that nobody but the alarm has used could not be run here: it is to be looked at again."""
        ...

    def lost(self, error: Exception, /) -> None:
        """Called with the reason if a message has no turn and its sender cannot be told any more."""
        ...
