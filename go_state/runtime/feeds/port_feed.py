"""The feed of somebody's own producer and consumer: one message at a time.

Each turn puts its messages and then commits, two calls that no transaction holds together: after a crash between them the message
comes again, and what its turn has sent is put twice. It is processed at least once.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence, Sized
from contextlib import suppress
from types import CoroutineType
from typing import Any, Generic, TypeVar, cast

from go_state.core.errors import NothingPending, UsageError
from go_state.core.ports import Consumer, Producer
from go_state.core.turn import Turn
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.feeds.feed import NOBODY, give_back, is_end
from go_state.runtime.feeds.getting import NOTHING_YET, Getting
from go_state.runtime.flow.awaitables import is_awaitable
from go_state.runtime.flow.waits import Answer, Checkpoint, Flow

Msg = TypeVar("Msg")


class PortFeed(Generic[Msg]):
    """Messages of a consumer, one at a time, each committed by itself."""

    commits_each = True
    owner = NOBODY

    def __init__(self, producer: Producer[Msg], consumer: Consumer[Msg], *, on_loop: bool, one_at_a_time: bool = False) -> None:
        self._on_loop = on_loop
        self._one_at_a_time = on_loop or one_at_a_time
        self._consumer = consumer
        self._put = _method(producer, "put", on_loop)
        self._get = _method(consumer, "get", on_loop)
        self._commit = _method(consumer, "commit", on_loop)
        self._rollback = _method(consumer, "rollback", on_loop)
        self.processed = 0
        self._pending = False  # whether a message was got and is not committed
        self._ended = False
        self._get_failed = False  # whether the last get raised, so that nobody knows what the consumer has given
        self._manager: EffectManager | None = None
        self._time: Callable[[], float] = time.time
        self._getting: Getting | None = None

    def listen_to(self, manager: EffectManager) -> None:
        """End waits when running commands have produced something."""
        self._manager, self._getting = manager, Getting(self._get, self._rollback, manager)
        self._time = manager.timers.clock.time

    # ------------------------------------------------------------------ taking

    def take(self) -> Flow[Iterator[Msg] | None]:
        """Return an iterator that gets message after message, or one of a single message if there is more to do between them."""
        getting, manager = self._getting, self._manager
        beside = getting is not None and manager is not None and (manager.active or getting.is_running)
        if not (beside or self._one_at_a_time):
            return None if self._ended else self._pull()
        try:
            message = yield getting if beside and getting is not None else Answer(self._get(), "consumer.get")
        except GeneratorExit:
            raise
        except BaseException as error:
            if is_end(error):
                more = manager is not None and (yield from manager.last_ones())
                return iter(()) if more else None
            yield from give_back(self, error, processed=False)
            raise
        if message is NOTHING_YET:
            return iter(())
        self._pending = True
        return iter((message,))

    def _pull(self) -> Iterator[Msg]:
        get = self._get
        arrivals: Sized = (
            () if self._manager is None else self._manager.inbox.arrivals
        )  # not empty as soon as an effect was begun
        while not arrivals:
            try:
                message: Any = _used_as_is(get(), "consumer.get")  # Any: it is whatever the consumer gives
                self._pending = True
            except BaseException as error:
                if is_end(error):
                    self._ended = True
                    return
                self._get_failed = True
                raise
            yield message

    def empty(self) -> Flow[bool]:
        """Ask the consumer whether there is nothing to get right now."""
        method = getattr(self._consumer, "empty", None)
        if method is None:
            raise UsageError("a batch has to know when its queue is drained: give the consumer a method empty()")
        return bool((yield Answer(method(), "consumer.empty")))

    # ------------------------------------------------------------------ committing

    def put(self, messages: Sequence[Msg]) -> Flow[None]:
        """Put messages that no turn has sent."""
        if messages:
            yield Answer(self._put(*messages), "producer.put")

    def commit(self, messages: Sequence[Msg], /) -> Flow[None] | tuple[()]:
        """Put, then commit."""
        if self._on_loop:
            return self._commit_on_loop(messages)
        if messages:
            _used_as_is(self._put(*messages), "producer.put")
        if self._pending:
            _used_as_is(self._commit(), "consumer.commit")
            self._pending = False
            self.processed += 1
        return ()

    def _commit_on_loop(self, messages: Sequence[Msg]) -> Flow[None]:
        if messages:
            yield Answer(self._put(*messages), "producer.put")
        if self._pending:
            yield Answer(self._commit(), "consumer.commit")
            self._pending = False
            self.processed += 1
        yield Checkpoint()

    def rollback(self, *, processed: bool) -> Flow[None]:
        """Ask the consumer to give a message that is not committed again."""
        if not processed or self._get_failed:
            with suppress(NothingPending):
                yield Answer(self._rollback(), "consumer.rollback")

    # ------------------------------------------------------------------ looking

    @property
    def is_committed(self) -> bool:
        """Whether the consumer has committed the message last given."""
        return not self._pending

    def last_position(self) -> None:
        """Return None: a consumer of somebody's own does not say at which position it is."""
        return

    def take_undecoded(self) -> None:
        """Return None: there are messages here, and no records."""

    def turn(self) -> Turn:
        """Return a turn that begins now."""
        return Turn(self._time(), None)

    # ------------------------------------------------------------------ closing

    def close(self) -> None:
        """Give up a get that is running in a thread; a message that it has returned, or returns later, is given again."""
        if self._getting is not None:
            self._getting.close()

    async def close_async(self) -> None:
        """Give up a get that is still waited for; a message that it has returned is given again."""
        if self._getting is not None and await self._getting.close_async():
            with suppress(NothingPending):
                returned = self._rollback()
                if is_awaitable(returned):
                    await cast("Awaitable[object]", returned)


def _method(port: object, name: str, on_loop: bool) -> Callable[..., object]:  # it returns what somebody's port returns
    """Return the method; on an event loop preferably its `_async` twin, which does not block."""
    method: Callable[..., object] = getattr(port, name)
    return getattr(port, f"{name}_async", None) or method if on_loop else method


def _used_as_is(returned: object, called: str) -> object:
    """Return what a port returned to a thread; `UsageError` for a coroutine, which needs an event loop."""
    return Answer(returned, called).in_thread() if type(returned) is CoroutineType else returned
