"""What the server asks of a world: which subjects there are, and what runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from go_state.inspector.looking.subject import Is, State, Subject
from go_state.inspector.values.redaction import Redaction

if TYPE_CHECKING:
    from go_state.runtime.observing.running import RunningEffect

SomeSubject: TypeAlias = Subject[Any, Any]
"""A subject of which it does not matter here what its models and messages are: they are shown by their fields."""


class Summary(NamedTuple):
    """A subject in the list: what it is, where it begins and ends, how many bytes it has, its state, what waits, and its last error."""

    what: Is
    first: int
    end: int
    bytes: int | None = None
    state: State = "stored"
    lag: int | None = None
    error: str | None = None


class Page(NamedTuple):
    """Some of the subjects, after which the next page begins, and how many there are."""

    items: Sequence[Summary]
    next: str | None
    total: int | None


class Now(NamedTuple):
    """What a running program does at this moment; `processed` counts its turns."""

    state: State
    error: str | None
    processed: int
    queue: int
    effects: Sequence[RunningEffect]


class World(Protocol):
    """The subjects of one page."""

    is_live: bool
    program: str | None  # where it is found, or what it is called
    store: str | None
    redaction: Redaction

    def page(self, search: str, after: str, limit: int) -> Page:
        """Return the subjects whose names hold the text, in order, from behind the id `after` on."""
        ...

    def find(self, subject: str) -> SomeSubject | None:
        """Return the subject with the id, or None."""
        ...

    def summary(self, subject: SomeSubject) -> Summary:
        """Return what the list says of a subject."""
        ...

    def now(self, subject: SomeSubject) -> Now | None:
        """Return what its program does; None if it does not run here."""
        ...

    def states(self) -> Mapping[str, State]:
        """Return the state of every subject that runs, or has failed, by its id."""
        ...

    def watched(self, subject: SomeSubject) -> AbstractContextManager[object]:
        """Note what is to be noted of a running program for as long as the block lasts."""
        ...

    def close(self) -> None:
        """Release everything."""
        ...


def page_of(ids: Sequence[str], after: str, limit: int) -> tuple[Sequence[str], str | None]:
    """Return the ids behind `after`, and where the next page begins."""
    begin = ids.index(after) + 1 if after in ids else 0
    some = ids[begin : begin + limit]
    return some, some[-1] if begin + limit < len(ids) else None
