"""What the parts ask of each other. Each port names what its users rely on, and nothing that one backend alone can keep.

`runtime` reads and writes messages through `Producer` and `Consumer`, or, with one wake-up and one lock for many messages, through `Log`
and `Reader`. `modes` keeps models through `Store` and `Codec` and reads streams through `Source`. `history` asks its questions of a `History`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeGuard, TypeVar, runtime_checkable

from go_state.core.errors import BadRecord

Msg = TypeVar("Msg")
Put = TypeVar("Put", contravariant=True)
Got = TypeVar("Got", covariant=True)
Held = TypeVar("Held")


@runtime_checkable
class Producer(Protocol[Put]):
    """Takes messages. Under an event loop `put` may return an awaitable."""

    def put(self, *messages: Put) -> Awaitable[object] | object:
        """Append the messages in order, all or none, without waiting for a reader: a bounded queue would wait for itself."""
        ...


@runtime_checkable
class Consumer(Protocol[Got]):
    """Gives messages in the order they were put. Under an event loop each method may return an awaitable."""

    def get(self) -> Awaitable[Got] | Got:
        """Wait for the next message; `Closed` or `Ended` when there will be none: `UsedAfterClose` and `AppEnded` are failures."""
        ...

    def commit(self) -> Awaitable[object] | object:
        """Note that the messages read so far are processed."""
        ...

    def rollback(self) -> Awaitable[object] | object:
        """Give the messages read since the last commit again."""
        ...


@runtime_checkable
class Reader(Protocol[Msg]):
    """A consumer that gives many messages at once."""

    @property
    def committed(self) -> int:
        """The position of the first message that is not committed."""
        ...

    def take(self, limit: int) -> list[Msg]:
        """Read up to `limit` messages without waiting; an empty list when there is none."""
        ...

    def diff(self) -> int:
        """Return how many messages there are still to take; from any thread."""
        ...

    def wait(self, timeout: float | None = None) -> None:
        """Block the thread until there is something to take; `Closed` when there will be nothing, `TimedOut` after the seconds."""
        ...

    async def wait_async(self, timeout: float | None = None) -> None:
        """Wait on the event loop until there is something to take. Raises like `wait`."""
        ...

    def wake(self) -> None:
        """End the wait that is running, or else the next one, at once; from any thread."""
        ...

    def rollback(self) -> object:
        """Give the messages taken since the last commit again; `NothingPending` when there are none."""
        ...

    def settle(self, count: int, messages: Sequence[Msg] = (), follow: bool = False, /) -> Sequence[Msg]:
        """Commit `count` more of the messages taken and append the reader's own messages, as one step, even to a closed log.

        With `follow`, if all that came before was taken already, they count as taken too and are returned.
        """
        ...


@runtime_checkable
class Log(Protocol[Put]):
    """A lossless ordered log with one position per reader."""

    def put(self, *messages: Put) -> None:
        """Append the messages in order."""
        ...

    def consumer(self) -> Any:
        """Open a `Reader` that is also a context manager, at the oldest message still there."""
        ...


class Stored(NamedTuple):
    """What a key holds: the bytes, and the version that the next write of the key has to name."""

    data: bytes
    version: int


class Write(NamedTuple):
    """One key's part of a transaction: its new bytes (`None` deletes it) and the version it must still have (0: no such key)."""

    data: bytes | None
    version: int


@runtime_checkable
class Store(Protocol):
    """A key-value store with a version fence. Keys are strings of up to 480 bytes in UTF-8, the empty one included."""

    def load(self, key: str) -> Stored | None:
        """Return what the key holds, exactly as it was stored, or `None`; `Corrupt` when the bytes are damaged."""
        ...

    def store(self, writes: Mapping[str, Write]) -> Mapping[str, int]:
        """Make all writes or none, durably, and return the keys' new versions.

        `Conflict` when a key is not at the version its write names. A version is a positive number that a key never has
        again, not even after it was deleted.
        """
        ...

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Give the keys with this prefix, in the order of their UTF-8 bytes."""
        ...

    def close(self) -> None:
        """Release the store; a second call is harmless."""
        ...


@runtime_checkable
class ManyAtOnce(Protocol):
    """What a store may have besides: many keys in one go. Without it they are loaded one by one."""

    def load_many(self, keys: Iterable[str]) -> Mapping[str, Stored]:
        """Return what the keys hold, all as it was at one moment; keys that hold nothing are left out. Raises like `load`."""
        ...


def can_load_many(store: object) -> TypeGuard[ManyAtOnce]:
    """Return whether the store is a `ManyAtOnce`, and one whose `load_many` gives what its `load` gives.

    A class that changes what `load` does, and says nothing of `load_many`, would be passed over by the one that it inherits.
    """
    for kind in type(store).__mro__:
        if "load_many" in vars(kind):
            return isinstance(store, ManyAtOnce)
        if "load" in vars(kind):
            return False
    return False


def load_many_of(store: Store) -> Callable[[Iterable[str]], Mapping[str, Stored]]:
    """Return the store's `load_many`, or one that loads the keys one after the other, in their order, each as it is by then."""
    if can_load_many(store):
        return store.load_many

    def one_by_one(keys: Iterable[str]) -> Mapping[str, Stored]:
        found = ((key, store.load(key)) for key in keys)
        return {key: stored for key, stored in found if stored is not None}

    return one_by_one


class Codec(Protocol[Held]):
    """Turns a value into bytes and back into an equal value."""

    def encode(self, value: Held) -> bytes:
        """Return the value's bytes, or raise `NotStorable` when they would not read back equal."""
        ...

    def decode(self, data: bytes) -> Held:
        """Return the value, or raise `ValueError` that names the field when the bytes are not one."""
        ...


Position = Any
"""The position of a reader in a source: any JSON value, meaningful to that source alone."""


@dataclass(frozen=True, slots=True)
class Undecoded:
    """A record that could not be decoded: its raw contents, and a `BadRecord` that says where it is and what is wrong with it.

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


class Entry(NamedTuple, Generic[Got]):
    """A message of a history: its position, when it entered (seconds since 1970, UTC; None if nobody knows), and itself.

    The message is None if there is none to fold: it was set aside because it cannot be read, or is a record that cannot be decoded,
    `undecoded`. `source_position` is what a run calls the position, if it counts in another way than the history does.
    """

    position: int
    at: float | None
    message: Got | None
    source_position: Position = None
    undecoded: Undecoded | None = None


class Span(NamedTuple):
    """Which positions a history has: from `start` to before `end`, which is None if only reading it to its end can tell."""

    start: int
    end: int | None


@runtime_checkable
class History(Protocol[Got]):
    """Messages by position, in the order in which a program took them, that can be read any number of times."""

    @property
    def name(self) -> str:
        """What it is called in messages and errors."""
        ...

    @property
    def identity(self) -> str:
        """What tells it from every other, from which `turn.random()` follows; empty if no turn was given repeatable chance."""
        ...

    @property
    def has_sent(self) -> bool:
        """Whether the messages that commands have sent are among its own, as in a journal."""
        ...

    def span(self) -> Span:
        """Return which positions there are now."""
        ...

    def entries(self, start: int, end: int | None = None) -> Iterator[Entry[Got]]:
        """Give exactly the messages from the position `start` to before `end`, or to the last one that there is.

        Raises `Lagged` if the first of them was forgotten.
        """
        ...

    def set_aside(self) -> Mapping[int, str]:
        """Return the positions that runs have passed over, and why."""
        ...


@runtime_checkable
class Watcher(Protocol[Got]):
    """One reader of a value, in any thread or event loop: it is given the newest, and never one that is older than what it had."""

    @property
    def version(self) -> int:
        """The version last given."""
        ...

    def get(self, timeout: float | None = None) -> Got:
        """Return the newest value if it is newer than what was given last, or wait for one. Raises `TimedOut`, and `Closed`."""
        ...

    async def get_async(self, timeout: float | None = None) -> Got:
        """Return the newest value as `get` does, waiting on the event loop; a cancelled wait takes nothing."""
        ...

    def get_nowait(self) -> Got:
        """Return the newest value, or raise `Empty` when there is none that was not given yet."""
        ...

    def close(self) -> None:
        """End the watcher, and a get that waits. A second call is harmless."""
        ...


@runtime_checkable
class Value(Protocol[Held]):
    """A value of which everybody sees the newest: `gs.Value`, and those of `gs.values`, whose `set` and `update` ask a server."""

    def watch(self, *, since: int = 0, every: float = 0.0) -> Watcher[Held]:
        """Return a watcher, which is given no version up to `since`, and values at least `every` seconds apart."""
        ...

    def peek(self, default: Any = ...) -> Held:  # Any: whatever is to stand in for the value
        """Return the current value without waiting; `default` while there is none, or else raise `Empty`."""
        ...

    @property
    def version(self) -> int:
        """The version of the current value, which every newer one exceeds; 0 while there is none."""
        ...

    def versioned(self) -> tuple[int, Held]:
        """Return the version and the value of one moment. Raises `Empty` when there is none."""
        ...

    def set(self, value: Held) -> int:
        """Set the value and return its version. Raises `Closed` at the end."""
        ...

    def update(self, fn: Callable[[Held], Held]) -> Held:
        """Set the value to `fn` of the newest and return it; if somebody else sets it first, `fn` is called again."""
        ...

    @property
    def closed(self) -> bool:
        """Whether the value has ended: watchers get what they have not seen, and then `Closed`."""
        ...


@runtime_checkable
class Switch(Protocol):
    """Something that can be asked whether it is set, such as a `threading.Event`."""

    def is_set(self) -> bool:
        """Return whether it is time to stop."""
        ...
