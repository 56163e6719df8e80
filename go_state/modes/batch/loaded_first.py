"""The feed of a keyed aggregate on an event loop: before a message is given, the model of its key is loaded, in a thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

from go_state.core.ports import Position, Undecoded
from go_state.core.turn import Turn
from go_state.modes.batch.queued_feed import QueuedSourceFeed
from go_state.modes.batch.source_feed import Ended, SourceFeed
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.flow.waits import Blocking, Flow
from go_state.system.own_thread import OwnThread

Msg = TypeVar("Msg")
Held = TypeVar("Held")


class Loading(NamedTuple, Generic[Msg]):
    """Which keys a message needs and memory lacks, what loads them and keeps errors for the message's turn, and the thread for that."""

    missing: Callable[[Msg], Sequence[str]]
    load: Callable[[Sequence[str]], object]
    thread: OwnThread


class LoadedFirst(Generic[Held, Msg]):
    """Another feed, which stops before a message whose model is not in memory."""

    def __init__(
        self,
        feed: SourceFeed[Held, Msg] | QueuedSourceFeed[Held, Msg],
        missing: Callable[[Msg], Sequence[str]],
        load: Callable[[Sequence[str]], object],
        thread: OwnThread,
    ) -> None:
        self._feed = feed
        self._missing = missing
        self._load = load
        self._thread = thread
        self._held: tuple[Msg, Sequence[str], Iterator[Msg | None]] | None = (
            None  # a message, what it lacks, and those that follow it
        )
        self.commits_each = feed.commits_each
        self.owner = feed.owner

    @property
    def processed(self) -> int:
        """How many messages are processed."""
        return self._feed.processed

    @property
    def ended(self) -> Ended:
        """Why the feed has ended."""
        return self._feed.ended

    def listen_to(self, manager: EffectManager) -> None:
        """Connect the manager: positions for commands."""
        self._feed.listen_to(manager)

    def take(self) -> Flow[Iterator[Msg | None] | None]:
        """Give the next messages, after loading what the first of them lacks; None at the end."""
        if self._feed.has_halted:
            self._held = None
        if self._held is None:
            messages = yield from self._feed.take()
            return None if messages is None else self._until_missing(messages)
        (message, keys, rest), self._held = self._held, None
        yield Blocking(lambda: self._load(keys), self._thread)
        return self._first(message, rest)

    def _first(self, message: Msg, rest: Iterator[Msg | None]) -> Iterator[Msg | None]:
        yield message
        yield from self._until_missing(rest)

    def _until_missing(self, messages: Iterator[Msg | None]) -> Iterator[Msg | None]:
        for message in messages:
            if message is not None and (keys := self._missing(message)):
                self._held = message, keys, messages
                return
            yield message

    def upcoming(self) -> Iterator[Msg | None]:
        """Give the messages that are in hand, without taking them."""
        return self._feed.upcoming()

    def commit(self, messages: Sequence[Msg], /) -> Flow[None] | tuple[()]:
        """Put what the turn has sent."""
        return self._feed.commit(messages)

    def put(self, messages: Sequence[Msg], /) -> Flow[None] | tuple[()]:
        """Put what no turn has sent."""
        return self._feed.put(messages)

    def rollback(self, *, processed: bool) -> Flow[None] | tuple[()]:
        """Take back what is not processed."""
        return self._feed.rollback(processed=processed)

    def position(self) -> Position:
        """Return where the source stands."""
        return self._feed.position()

    @property
    def has_halted(self) -> bool:
        """Whether the batch has halted at a message."""
        return self._feed.has_halted

    @property
    def is_committed(self) -> bool:
        """Whether the message last given is committed."""
        return self._feed.is_committed

    def last_position(self) -> object:
        """Return the position of the message last given."""
        return self._feed.last_position()

    def take_undecoded(self) -> Undecoded | None:
        """Return the record in whose place None was given last."""
        return self._feed.take_undecoded()

    def turn(self) -> Turn:
        """Return the turn of the message last given."""
        return self._feed.turn()
