"""Sources: streams that can be read on from a position, and what asks a batch to end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from go_state.core.errors import BadRecord

Got = TypeVar("Got", covariant=True)


Position = Any
"""The position of a reader in a source: any JSON value, meaningful to that source alone."""


@dataclass(frozen=True, slots=True)
class Undecoded:
    """A record that could not be decoded: its raw contents, and an `error`, a `BadRecord`, that says where it is and what is
    wrong with it.

    A `Source` gives it in the record's place, and its position counts it like any other. A batch decides on it by `on_error`, as on
    a message that update fails on: the message is `raw`. So `raw` holds all that it takes to decode the record again, as bytes, or
    as another value that JSON holds.
    """

    raw: object
    error: BadRecord


class Reading(Protocol[Got]):
    """One pass through a source."""

    @property
    def position(self) -> Position:
        """The position of the message last given, at first where the pass begins: `read(after=position)` begins with the next one."""
        ...

    def __iter__(self) -> Iterator[Got | Undecoded | None]:
        """Give the messages in order; `None` while an endless stream is idle, so that its reader can look up.

        A record that cannot be decoded is given as an `Undecoded`, and `position` goes past it as past a message: the reader's
        `on_error` decides whether it goes on. What cannot be passed over, because nobody knows where the next record begins, raises.
        """
        ...

    def close(self) -> None:
        """End the pass; a second call is harmless."""
        ...


@runtime_checkable
class Source(Protocol[Got]):
    """A stream that can be read on from a position, and knows itself again."""

    @property
    def name(self) -> str:
        """The name its position is stored under."""
        ...

    def fingerprint(self) -> str:
        """Describe the stream as it is now, to know it again by."""
        ...

    def recognise(self, fingerprint: str) -> None:
        """Raise `SourceChanged` unless this is the stream that gave the fingerprint; one that has only grown still is."""
        ...

    def read(self, after: Position | None = None) -> Reading[Got]:
        """Begin a pass after the position, or at the stream's beginning."""
        ...


class AsyncReading(Protocol[Got]):
    """One pass through a source on an event loop."""

    @property
    def position(self) -> Position:
        """The position of the message last given."""
        ...

    def __aiter__(self) -> AsyncIterator[Got | None]:
        """Give the messages in order, one at each `anext`; `None` is passed over."""
        ...

    async def close_async(self) -> None:
        """End the pass; a second call is harmless."""
        ...


@runtime_checkable
class AsyncSource(Protocol[Got]):
    """A `Source` that is read on an event loop, by the `_async` modes."""

    @property
    def name(self) -> str:
        """The name its position is stored under."""
        ...

    def fingerprint(self) -> str:
        """See `Source.fingerprint`; called in a thread, once the source is recognised."""
        ...

    def recognise(self, fingerprint: str) -> None:
        """See `Source.recognise`; called in a thread."""
        ...

    def read_async(self, after: Position | None = None) -> AsyncReading[Got]:
        """Begin a pass after the position, or at the stream's beginning; what waits for that belongs into its first `anext`."""
        ...


@runtime_checkable
class Openable(Protocol[Got]):
    """A source whose stream may be replaced at any moment, such as the file that a path names."""

    def open_once(self) -> OpenedSource[Got]:
        """Open the stream, so that what is recognised, described and read is one and the same."""
        ...


class OpenedSource(Source[Got], Protocol[Got]):
    """A source that is open. A pass through it closes it at its end."""

    def close(self) -> None:
        """Close it, if no pass was begun; a second call is harmless."""
        ...


@runtime_checkable
class Switch(Protocol):
    """Something that can be asked whether it is set, such as a `threading.Event`."""

    def is_set(self) -> bool:
        """Return whether it is time to stop."""
        ...
