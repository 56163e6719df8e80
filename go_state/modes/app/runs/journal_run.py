"""The run of an app whose queue is a journal: turns are noted as they are taken, and published when they are on disk."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from go_state.modes.app.pending_replies import PendingReply
from go_state.modes.app.runs.run_parts import RunParts
from go_state.modes.durable.durable_run import DurableRun
from go_state.modes.settings import DurableSettings
from go_state.runtime.flow.waits import Flow
from go_state.runtime.observing.senders import Senders

if TYPE_CHECKING:
    from go_state.buffer.statistics import Backlog
    from go_state.runtime.feeds.log_feed import LogFeed

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class JournalRun(Generic[Model, Msg]):
    """A durable run, with the observers and pending replies of its turns."""

    def __init__(self, settings: DurableSettings, parts: RunParts[Model, Msg]) -> None:
        self.idle_seconds: float | None = None  #: this and the next: see `LogFeed`
        self.idled: Callable[[], object] = lambda: None
        self._observers = parts.observers
        self._replies = parts.replies
        self._settling = parts.settling
        self.on_published = parts.observers.on_published  #: called with the newest model on disk
        self.published = parts.replies.published  #: called after that: whoever waits for a turn up to it is woken
        self.durable: DurableRun[Model, Msg] = DurableRun(
            parts.program,
            settings,
            parts.on_error,
            parts.manager,
            on_loop=parts.on_loop,
            chain=parts.chain,
            onlooker=self,
            stop=parts.stop,
        )  #: the durable run
        entrance = self.durable.entrance
        self._senders = Senders(parts.manager.observation)
        self.put: Callable[..., None] = self._senders.put(entrance.put, entrance.put_known)
        self.journal = self.durable.journal  #: its queue
        self.program = parts.program  #: as it was given
        self.loop = self.durable.loop  #: that takes its turns
        parts.replies.follow(self.loop.hooks, parts.replies.turned)  # of turns that may be published later

    # ------------------------------------------------------------------ called by the durable run

    def listen_to(self, feed: LogFeed[Msg]) -> None:
        """Called when there is a feed."""
        self._replies.position = feed.last_position
        feed.idle_seconds, feed.idled = self.idle_seconds, self.idled
        feed.following.wake(self._settling)

    def rolled_back(self, error: BaseException, *, ends: bool) -> None:
        """Fail whoever waits for the turn."""
        self._replies.rolled_back(error, ends=ends)

    # ------------------------------------------------------------------ called by the app

    def flow(self) -> Flow[None]:
        """Take every message through its turn, until the journal is closed and drained, or a stop is requested."""
        try:
            yield from self.durable.flow()
        except Exception as error:
            try:
                yield from self.durable.show_last()
            except Exception as second:
                error.add_note(f"the view or a middleware has failed as well: {type(second).__qualname__}: {second}")
            raise
        yield from self.durable.show_last()

    @property
    def processed(self) -> int:
        """How many messages are processed."""
        return 0 if self.durable.feed is None else self.durable.feed.processed

    @property
    def wakes_at(self) -> float | None:
        """When the program has something to do by itself, as the store knows it, in seconds since 1970."""
        return self.journal.run_record.stored_wake

    def backlog(self) -> Backlog:
        """Return what waits in the journal."""
        feed = self.durable.feed
        return self.journal.writer.rules.backlog(None if feed is None else feed.committed)

    def put_for(self, reply: PendingReply, message: Msg) -> None:
        """Put one message and expect its turn for the sender who waits; its position may be known later."""
        try:
            self.durable.entrance.put_known(message, self._senders.known(partial(self._replies.expect, reply)))
        except Exception:
            raise  # it has not entered, and the sender may get the turn of another app
        except BaseException:  # Ctrl-C, say, which may have come after it had entered
            self._replies.entered(reply)
            raise
        self._replies.entered(reply)

    def refuse(self) -> None:
        """Refuse further messages."""
        self.journal.log.refuse()

    def end_at_next_turn(self) -> None:
        """Wait for nothing any more."""
        if self.durable.feed is not None:
            self.durable.feed.end_at_next_turn()

    def give_up(self, *, unless_begun: bool) -> None:
        """Wait no longer for the lease; with `unless_begun` only if there is nothing to drain, and no lease."""
        if not unless_begun or self.journal.writer.rules.is_unused:
            self.durable.given_up.set()

    def close(self) -> None:
        """Close the journal."""
        self.journal.close()

    async def close_async(self) -> None:
        """Close the journal in the run's own thread, which ends as well."""
        try:
            await self.durable.thread.finish(self.journal.close)
        finally:
            await self.durable.end_thread()

    def release(self) -> None:
        """End the run's thread."""
        self.durable.close_thread()
