"""The run of an app whose queue is a buffer in memory: each turn is published as soon as it is committed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from go_state.modes.app.pending_replies import PendingReply
from go_state.modes.app.runs.run_parts import RunParts
from go_state.modes.loops import filing_for
from go_state.runtime.after_commit import Hooks
from go_state.runtime.feeds.log_feed import LogFeed, log_feed
from go_state.runtime.flow.waits import Flow
from go_state.runtime.observing.senders import Senders
from go_state.runtime.on_error import Failures
from go_state.runtime.steps import Steps
from go_state.runtime.subscriptions.subscribed import subscribed
from go_state.runtime.turn import Loop

if TYPE_CHECKING:
    from go_state.buffer.buffer import Buffer
    from go_state.buffer.statistics import Backlog

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class MemoryRun(Generic[Model, Msg]):
    """A program, a buffer, and the observers and pending replies of its turns."""

    wakes_at: float | None = None  #: when the program is to be woken: never, for at rest there is nothing of it

    def __init__(self, buffer: Buffer[Msg], parts: RunParts[Model, Msg]) -> None:
        self._senders = Senders(parts.manager.observation)
        self.put: Callable[..., None] = self._senders.put(buffer.put, buffer.log.put_known)
        self.idle_seconds: float | None = None  #: this and the next: see `LogFeed`
        self.idled: Callable[[], object] = lambda: None
        self.buffer = buffer  #: the queue
        self._observers = parts.observers
        self._replies = parts.replies
        self._settling = parts.settling
        self._stop = parts.stop
        self._on_loop = parts.on_loop
        self._feed: LogFeed[Msg] | None = None
        program, chain, replies = parts.program, parts.chain, parts.replies
        hooks = Hooks(subscribed(program.subscriptions, parts.manager), chain, parts.observers, program.view)
        steps: Steps[Model, Msg] = Steps.of(program) if chain is None else chain.steps(program)
        failures: Failures[Msg] = Failures(parts.on_error, lists=False, filing=filing_for(program, parts.on_error))
        self.program = program  #: as it was given
        self.loop = Loop(steps, parts.manager, hooks=hooks, failures=failures, after_rollback=replies, stop=parts.stop)
        replies.follow(self.loop.hooks, replies.committed)

    def flow(self) -> Flow[None]:
        """Take every message through its turn, until the buffer is closed and drained, or a stop is requested."""
        reader = self.buffer.consumer()
        try:
            self._feed = feed = log_feed(reader.cursor, on_loop=self._on_loop)
            self._replies.position = feed.last_position
            feed.idle_seconds, feed.idled = self.idle_seconds, self.idled
            feed.following.wake(self._settling)
            if not self._stop.is_made:  # looked at after the feed is set: `end_at_next_turn` does it the other way round
                yield from self.loop.run(feed)
        finally:
            if hasattr(self.loop, "model"):  # what is committed is committed, also if a hook has failed
                self._observers.committed(self.loop.model)
                self._replies.published()
            reader.close()

    @property
    def processed(self) -> int:
        """How many messages are processed."""
        return 0 if self._feed is None else self._feed.processed

    def backlog(self) -> Backlog:
        """Return what waits in the buffer."""
        return self.buffer.log.backlog(None if self._feed is None else self._feed.committed)

    def put_for(self, reply: PendingReply, message: Msg) -> None:
        """Put one message and expect its turn for the sender who waits."""
        try:
            self.buffer.log.put_known(message, self._senders.known(partial(self._replies.expect, reply)))
        except Exception:
            raise  # it has not entered, and the sender may get the turn of another app
        except BaseException:  # Ctrl-C, say, which may have come after it had entered
            self._replies.entered(reply)
            raise

    def refuse(self) -> None:
        """Refuse further messages."""
        self.buffer.log.refuse()

    def end_at_next_turn(self) -> None:
        """Wait for nothing any more."""
        if self._feed is not None:
            self._feed.end_at_next_turn()

    def give_up(self, *, unless_begun: bool) -> None:
        """Do nothing: the first turn waits for nothing."""

    def close(self) -> None:
        """Close the buffer."""
        self.buffer.close()

    async def close_async(self) -> None:
        """Close the buffer, which takes no time."""
        self.buffer.close()

    def release(self) -> None:
        """Do nothing: a buffer has no thread."""
