"""Waiting for an app: for the turn of one message, or until everything is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from go_state.core.errors import TimedOut, UsageError
from go_state.modes.app.life import Life
from go_state.modes.app.pending_replies import PendingReply, reply_to
from go_state.runtime.flow.driver import refuse_running_loop
from go_state.waking.deadlines import deadline
from go_state.waking.waker import ThreadWaker

if TYPE_CHECKING:
    from go_state.waking.loop_waker import LoopWaker

Model = TypeVar("Model")
Msg = TypeVar("Msg")


def wait_for(
    life: Life[Model],
    put_for: Callable[[PendingReply, Msg], object],
    message: Msg,
    timeout: float | None,
    called: str,
) -> Any:  # a model, or an answer
    """Send a message, and return what `apply` or `ask`, as which it is called, has to return."""
    life.check_may_wait(f"app.{called}")
    refuse_running_loop(f"app.{called}")
    waker, until = ThreadWaker(), deadline(timeout)
    reply = reply_to(message, called, waker)
    try:
        put_for(reply, message)
        in_time = waker.sleep(until)
    finally:
        life.replies.forget(reply)
    if not in_time:
        raise _too_late(timeout, called)
    return reply.outcome()


async def wait_for_async(
    life: Life[Model], put_for: Callable[[PendingReply, Msg], object], message: Msg, timeout: float | None, called: str
) -> Any:
    """Send a message and wait as `wait_for` does, on the event loop."""
    from go_state.waking.loop_waker import LoopWaker

    life.check_may_wait(f"app.{called}_async")
    waker, until = LoopWaker(), deadline(timeout)
    reply = reply_to(message, called, waker)
    try:
        put_for(reply, message)
        in_time = await waker.sleep(until)
    finally:
        life.replies.forget(reply)
    if not in_time:
        raise _too_late(timeout, called)
    return reply.outcome()


def _too_late(timeout: float | None, called: str) -> TimedOut:
    return TimedOut(f"the turn was not over within {timeout} seconds of {called}; the message stays in the queue")


def settle(life: Life[Model], timeout: float | None) -> None:
    """Wait until the app has nothing to do; see `App.settle`."""
    waker = ThreadWaker()
    _check_may_settle(life, "app.settle")
    refuse_running_loop("app.settle")
    try:
        _enter(life, waker)
        in_time = waker.sleep(deadline(timeout))
    finally:
        life.settling.leave(waker)
    _check_settled(life, timeout, in_time=in_time)


async def settle_async(life: Life[Model], timeout: float | None) -> None:
    """Wait as `settle` does, on the event loop."""
    from go_state.waking.loop_waker import LoopWaker

    _check_may_settle(life, "app.settle_async")
    waker = LoopWaker()
    try:
        _enter(life, waker)
        in_time = await waker.sleep(deadline(timeout))
    finally:
        life.settling.leave(waker)
    _check_settled(life, timeout, in_time=in_time)


def _check_may_settle(life: Life[Model], called: str) -> None:
    life.check_may_wait(called)
    if life.is_part():
        raise UsageError(f"{called} waits until no command is running, and this one is: return a command that sends a message")


def _enter(life: Life[Model], waker: ThreadWaker | LoopWaker) -> None:
    life.settling.enter(waker)
    life.manager.inbox.wake()  # the run looks once more, now that somebody waits


def _check_settled(life: Life[Model], timeout: float | None, *, in_time: bool) -> None:
    life.settling.check()
    if not in_time:
        raise TimedOut(
            f"the app was still busy after {timeout} seconds: {life.run.backlog().size} messages wait, and {life.manager.count} "
            f"commands are running or set"
        )
