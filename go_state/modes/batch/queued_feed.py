"""The feed of a batch with a queue of the user's own between the source and the turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Generic, TypeVar

from go_state.core.errors import UsedAfterClose
from go_state.core.ports import Position, Undecoded
from go_state.core.turn import Turn
from go_state.modes.batch.limits import Limits
from go_state.modes.batch.source_feed import Ended, SourceFeed
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.feeds.feed import NOBODY
from go_state.runtime.feeds.port_feed import PortFeed
from go_state.runtime.flow.waits import Flow

Msg = TypeVar("Msg")
Held = TypeVar("Held")


class QueuedSourceFeed(Generic[Held, Msg]):
    """Another feed, whose messages are put into the queue of a producer and consumer, and come from there one at a time."""

    commits_each = True
    owner = NOBODY

    def __init__(
        self, feed: SourceFeed[Held, Msg], queue: PortFeed[Msg], limits: Limits, manager: EffectManager, *, whole: bool
    ) -> None:
        self._feed = feed
        self._port = queue
        self._limits = limits
        self._manager = manager
        self._whole = whole  # whether what one fetch gives is put as a whole
        self._records = 0  # that were no messages, and never entered the queue

    def listen_to(self, manager: EffectManager) -> None:
        """Connect the manager: positions for commands. The length of a queue of the user's own is not known."""
        manager.connect(where=self.last_position)

    @property
    def processed(self) -> int:
        """How many messages were committed, or were none."""
        return self._port.processed + self._records

    @property
    def ended(self) -> Ended:
        """Why the feed has ended."""
        return self._feed.ended

    def take(self) -> Flow[Iterator[Msg | None] | None]:
        """Give the next message of the queue; when it is empty, put the source's next messages into it."""
        feed = self._feed
        while True:
            self._limits.check_deadline()
            if not (yield from self._port.empty()):
                given = yield from self._port.take()
                if given is None:
                    raise UsedAfterClose("the consumer was closed before the batch had processed what is in its queue")
                return given
            messages = yield from feed.take()
            if messages is None:
                return None
            # A fetch is put as a whole, also if the event loop is to be given control in the middle of it.
            together = feed.drain() if self._whole else islice(messages, 1)
            entering = [message for message in together if message is not None]
            if feed.undecoded is not None and self._whole:
                raise feed.undecoded.error  # which of what was fetched came before it, the queue cannot tell
            if feed.undecoded is not None:
                self._records += 1
                return iter((None,))
            yield from self._port.put(entering)
            if not entering and self._manager.has_arrivals:
                return iter(())

    def upcoming(self) -> Iterator[Msg | None]:
        """Give the messages that are in hand, without taking them."""
        return self._feed.upcoming()

    def commit(self, messages: Sequence[Msg], /) -> Flow[None] | tuple[()]:
        """Put, then commit."""
        return self._port.commit(messages)

    def put(self, messages: Sequence[Msg], /) -> Flow[None] | tuple[()]:
        """Put messages that no turn has sent."""
        return self._port.put(messages)

    def rollback(self, *, processed: bool) -> Flow[None] | tuple[()]:
        """Ask the consumer to give its message again."""
        return self._port.rollback(processed=processed)

    def position(self) -> Position:
        """Return where the source stands."""
        return self._feed.position()

    @property
    def has_halted(self) -> bool:
        """Whether the batch has halted at a message."""
        return self._feed.has_halted

    @property
    def is_committed(self) -> bool:
        """Whether the consumer has committed the message last given."""
        return self._port.is_committed

    def last_position(self) -> Position:
        """Return the position of the source; None if a fetch has put many messages into the queue at once."""
        return None if self._whole else self._feed.last_position()

    def take_undecoded(self) -> Undecoded | None:
        """Return the record in whose place None was given last."""
        return self._feed.take_undecoded()

    def turn(self) -> Turn:
        """Return a turn that begins now."""
        return Turn(self._manager.timers.clock.time(), self.last_position())
