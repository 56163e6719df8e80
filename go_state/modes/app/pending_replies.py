"""Who waits for the turn of one message: the senders of `apply`, for the model after it, and of `ask`, for its answer.

    put ──expect(position)──▶ by position ──turn──▶ result or error noted ──published──▶ the sender wakes

A sender in another thread enters its message and waits; the turn may be over before the sender goes to sleep, and its waker
remembers that. Three things may cross. *The put and the turn*: `expect` is called with the position before any reader can have the
message. *The put and Ctrl-C*: nobody can tell whether the message has entered, so the sender counts as `entered` and is told of the
end at the latest. *The wait and the end*: both take the lock, so the end either finds the sender here, or the sender finds that it
is over.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection
from types import TracebackType
from typing import TYPE_CHECKING, Any

from go_state.core.errors import AppEnded, NoReply, UsageError
from go_state.middleware.chain import Chain
from go_state.modes.options import OnDenied
from go_state.waking.waker import wake_all
from go_state.watch.slot import UNSET

if TYPE_CHECKING:
    from go_state.runtime.after_commit import LoopHooks
    from go_state.waking.loop_waker import LoopWaker
    from go_state.waking.waker import ThreadWaker


class PendingReply:
    """A sender that sleeps until the turn of its message is over: for the model after it, or for its answer."""

    __slots__ = ("asks", "error", "gone", "position", "result", "trace", "waker")

    def __init__(self, waker: ThreadWaker | LoopWaker, *, asks: bool) -> None:
        self.asks = asks
        self.waker = waker
        self.position = -1
        self.gone = False  # whether it waits no longer
        self.result: object = UNSET
        self.error: BaseException | None = None
        self.trace: TracebackType | None = None  # of the error, which others raise as well: each begins from here

    def fail(self, error: BaseException) -> None:
        """Make the error, as it is now, the outcome."""
        self.error, self.trace = error, error.__traceback__

    def outcome(self) -> object:  # a model, or whatever the program has answered
        """Return what the turn has made for the sender, or raise what it has failed with."""
        if self.error is not None:
            raise self.error.with_traceback(self.trace)
        return self.result


def reply_to(message: object, called: str, waker: ThreadWaker | LoopWaker) -> PendingReply:
    """Return the pending reply to a message of `apply` or `ask`; `UsageError` for None, which has no turn."""
    if message is None:
        raise UsageError(f"None is not a message and has no turn: give {called} one")
    return PendingReply(waker, asks=called == "ask")


class PendingReplies:
    """The senders of one app that wait. A hook after the commit and after a rollback: see `runtime/after_commit.py`."""

    def __init__(self, chain: Chain[Any, Any] | None, on_denied: OnDenied | None) -> None:
        self.position: Callable[[], object] = lambda: None  #: of the turn that is being taken
        #: What that turn has answered with `Cmd.reply`, and of turns that nobody waits for the last answer.
        self.answers: deque[object] = deque(maxlen=1)
        self._chain = chain
        self._on_denied = on_denied
        self._hooks: LoopHooks = []  # of the loop, which calls them after each turn; ours is among them while anybody waits
        self._hook: Callable[[object], None] = self.turned
        self._made: list[PendingReply] = []  # whose turn is committed and not yet published
        self._failed: list[PendingReply] = []  # whose turn has ended the run
        self._lock = threading.Lock()  # guards the five below
        self._is_called = False  # whether the hook is called after each turn, and nothing is left of a turn before that
        self._waiting: dict[object, PendingReply] = {}  # by the position of their message
        self._entering: set[PendingReply] = set()  # whose message has no position yet
        self._over = False
        self._over_by: BaseException | None = None

    # ------------------------------------------------------------------ called by the run

    def follow(self, hooks: LoopHooks, hook: Callable[[object], None]) -> None:
        """Connect the loop, which calls the hook, `committed` or `turned`, after each turn from the one on that somebody waits for.

        It is called no more after a turn that nobody waits for, as most are. With middleware it is always called: whoever is to be told
        of a message that was denied need not wait for it.
        """
        self._hooks, self._hook = hooks, hook
        if self._chain is not None:
            hooks.append(hook)
            self._is_called = True

    def committed(self, model: object) -> None:
        """Note what the turn has made, and wake whoever has waited for it: it is published."""
        self.turned(model)
        if self._made:
            self.published()

    def turned(self, model: object) -> None:
        """Note what the turn has made for whoever waits for it; it may not be published yet."""
        denied = None if self._chain is None else self._chain.denied
        waiting = self._waiting.get(self.position()) if self._waiting else None
        if waiting is not None:
            if denied is not None:
                waiting.error = denied
            elif not waiting.asks:
                waiting.result = model
            elif self.answers:
                waiting.result = self.answers[-1]
            else:
                waiting.error = NoReply()
            self._made.append(waiting)
            self._take_out(waiting)
        self.answers.clear()
        if waiting is None and self._chain is None:  # a turn that nobody has waited for: there may be more of them
            with self._lock:
                if not self._waiting and self._hook in self._hooks:
                    self._is_called = False
                    self._hooks.remove(self._hook)
        if waiting is None and denied is not None and self._on_denied is not None and self._chain is not None:
            self._on_denied(self._chain.message, denied)

    def published(self) -> None:
        """Wake those whose turns are published."""
        if self._made:
            wake_all([waiting.waker for waiting in self._made])
            self._made = []

    def rolled_back(self, error: BaseException, *, ends: bool) -> None:
        """Fail whoever waits for the turn that was rolled back: at once, or if the run `ends` by it, when it is over."""
        self.answers.clear()
        if not isinstance(error, Exception):
            return  # Ctrl-C, say, is not an outcome of a message: its sender gets the end of the app
        waiting = self._waiting.get(self.position())
        if waiting is None:
            return
        waiting.fail(error)
        if ends:
            self._failed.append(waiting)
        else:
            wake_all((waiting.waker,))
        self._take_out(waiting)

    def _take_out(self, waiting: PendingReply) -> None:
        """Wait no longer for its turn. Last of all: before that, Ctrl-C leaves it to the end of the run."""
        with self._lock:
            self._waiting.pop(waiting.position, None)

    def over(self, error: BaseException | None) -> None:
        """Called when there will be no more turns: wakes those whose message had none, or whose turn is not known to stay."""
        with self._lock:
            self._over, self._over_by = True, error
            left = [*self._made, *self._waiting.values(), *self._entering]
            failed, self._waiting, self._made, self._failed = self._failed, {}, [], []
            self._entering = set()
        self._end(left)
        wake_all([waiting.waker for waiting in failed])

    # ------------------------------------------------------------------ called by those who wait

    def entered(self, waiting: PendingReply) -> None:
        """Called when the message may have been put; until `expect` gives its position, the sender gets only the end of the app."""
        with self._lock:
            if waiting.position >= 0 or waiting.gone:
                return
            if not self._over:
                self._entering.add(waiting)
                return
        self._end((waiting,))

    def expect(self, waiting: PendingReply, position: int) -> None:
        """Wait for the message at the position, which no reader has yet."""
        with self._lock:
            self._entering.discard(waiting)
            waiting.position = position
            if not (self._over or waiting.gone):
                if not self._is_called:
                    self._begin_to_be_called()
                self._waiting[position] = waiting
            if not self._over:
                return
        self._end((waiting,))  # changes nothing if it has ended already

    def _begin_to_be_called(self) -> None:
        """Add the hook, which is called from the turn on that is being taken, and forget what turns before have answered. Lock held.

        In this order, or an answer might come in between; Ctrl-C in between leaves all of it to whoever waits next.
        """
        if self._hook not in self._hooks:
            self._hooks.append(self._hook)
        self.answers.clear()
        self._is_called = True

    def forget(self, waiting: PendingReply) -> None:
        """Drop a sender that waits no longer."""
        with self._lock:
            waiting.gone = True
            self._entering.discard(waiting)
            if self._waiting.get(waiting.position) is waiting:  # or its message has not entered, and another has that position
                del self._waiting[waiting.position]

    def _end(self, left: Collection[PendingReply]) -> None:
        for waiting in left:
            if waiting.error is None:
                waiting.fail(_ended_before(self._over_by))
        wake_all([waiting.waker for waiting in left])


def _ended_before(error: BaseException | None) -> AppEnded:
    if error is None:
        return AppEnded("the app has ended before the message had its turn")
    closed = AppEnded(
        f"the app has failed before the message had its turn, with a {type(error).__qualname__}, which is the cause of this"
    )
    closed.__cause__ = error
    return closed
