"""The life of an app's program: from its beginning to its end, whatever that is.

    begin ──▶ flow: turns ──▶ nothing more is taken, senders without a turn get an error ──▶ commands end ──▶ end: watchers end

A host (`hosts/host.py`) drives it in a thread or task. Others ask it, from theirs: to end, what it has failed with, and whether they
may wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from go_state.core.errors import AppEnded, UsageError
from go_state.core.program import SomeProgram
from go_state.modes.app.pending_replies import PendingReply
from go_state.modes.app.runs.run_parts import RunParts
from go_state.runtime.flow.waits import Flow
from go_state.runtime.inside import is_part_of, takes_turn_of
from go_state.runtime.raised import as_failure

if TYPE_CHECKING:
    from go_state.buffer.statistics import Backlog
    from go_state.runtime.turn import Loop

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class AppRun(Protocol):
    """The run of a program whose queue is in memory, or in a journal."""

    idle_seconds: float | None
    idled: Callable[[], object]  # called whenever no message has come for `idle_seconds`

    @property
    def program(self) -> SomeProgram:
        """The program, as it was given."""
        ...

    @property
    def loop(self) -> Loop[Any, Any]:
        """What takes its turns."""
        ...

    @property
    def put(self) -> Callable[..., None]:
        """The function that puts messages; it raises as a buffer's put."""
        ...

    @property
    def processed(self) -> int:
        """How many messages are processed."""
        ...

    @property
    def wakes_at(self) -> float | None:
        """When the program has something to do by itself once it is at rest, in seconds since 1970; None for never."""
        ...

    def put_for(self, reply: PendingReply, message: Any) -> None:  # Any: of the messages of whichever program
        """Put one message and expect its turn for the sender who waits."""
        ...

    def flow(self) -> Flow[None]:
        """Take every message through its turn, until the queue is closed and drained, or a stop is requested."""
        ...

    def refuse(self) -> None:
        """Refuse further messages."""
        ...

    def end_at_next_turn(self) -> None:
        """Wait for nothing any more; a stop was requested before."""
        ...

    def give_up(self, *, unless_begun: bool) -> None:
        """End the wait for what the first turn needs; with `unless_begun` only if no message was ever taken."""
        ...

    def backlog(self) -> Backlog:
        """Return what waits in the queue."""
        ...

    def close(self) -> None:
        """Close the queue, in a thread; raises what the store raises."""
        ...

    async def close_async(self) -> None:
        """Close the queue, on an event loop."""
        ...

    def release(self) -> None:
        """End what belongs to the run, such as its thread; the queue is closed, or was never opened."""
        ...


class Life(Generic[Model]):
    """One program that runs for an app, and what becomes of it."""

    def __init__(self, name: str, run: AppRun, parts: RunParts[Model, Any]) -> None:  # Any: messages are the run's business
        self.name = name
        self.run = run
        self.manager = parts.manager
        self.observers = parts.observers
        self.replies = parts.replies
        self.settling = parts.settling
        self.is_draining = False  #: whether it was asked to end
        self.error: BaseException | None = None  #: what the program has failed with
        self.trace: TracebackType | None = None  #: of the error, from which everybody begins who raises it
        self.when_ended: Callable[[], object] = lambda: None  #: called at the very end
        self._stop = parts.stop
        self.observers.models.slot.before_wait = self.check_may_watch

    def when_idle(self, seconds: float | None, call: Callable[[], object]) -> None:
        """Call the function whenever no message has come for `seconds` and nobody waits for a model; set before the life begins."""
        self.run.idle_seconds, self.run.idled = seconds, lambda: None if self.observers.is_waited_for else call()

    # ------------------------------------------------------------------ called by the host

    def flow(self) -> Flow[None]:
        """Run, and tell those who wait for a turn before commands are ended: some of these may wait for one."""
        failure: BaseException | None = None
        self.manager.connect_replies(self.replies.answers, self.observers.drained)
        try:
            yield from self.run.flow()
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            failure = as_failure(error)
            self.fail(failure)
            raise failure  # noqa: B904  - it has its cause, or is the error itself
        finally:
            self.run.refuse()
            self._over(failure or self.error)

    def fail(self, error: BaseException) -> None:
        """Note what the program has failed with, unless it has failed before."""
        if self.error is None:
            self.error, self.trace = error, error.__traceback__

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it runs any more."""
        return bool(self.observers.ended.version)

    def end(self) -> None:
        """End, in a thread: close the queue and tell everybody."""
        try:
            self.run.close()
        except Exception as error:  # a journal that cannot be written
            self.fail(error)
        self.run.release()
        self._tell_end()

    async def end_async(self) -> None:
        """End as `end` does, on an event loop, which does not wait for the disk."""
        try:
            try:
                await self.run.close_async()
            except Exception as error:  # a journal that cannot be written
                self.fail(error)
        finally:
            self._tell_end()

    def end_unbegun(self) -> None:
        """End if the host was cancelled before it had begun, and so has ended nothing."""
        if not self.has_ended:
            self.manager.withdraw()
            self.run.refuse()  # what was sent to a journal is written by the next run, or when the store is closed
            self.run.release()
            self._tell_end()

    def _tell_end(self) -> None:
        self._over(self.error)  # those who came before there was a flow
        self.observers.end(self.error)
        self.when_ended()

    def _over(self, error: BaseException | None) -> None:
        self.replies.over(error)
        stopped = AppEnded("the app was stopped before its queue was drained") if self._stop.is_made else None
        self.settling.over(error or stopped)

    # ------------------------------------------------------------------ called by others: sending and ending

    def put_for(self, reply: PendingReply, message: object) -> None:
        """Put a message into the queue for a sender that waits for its turn. Raises as a buffer's put, and then has put none."""
        self.run.put_for(reply, message)

    def ask_to_end(self, *, drain: bool = True) -> None:
        """Refuse further messages, and end once the queue is drained, or at the next turn; does not wait for the end."""
        self.is_draining = True
        if not drain:
            self.end_at_next_turn()
        self.run.refuse()
        self.run.give_up(unless_begun=True)

    def end_at_next_turn(self) -> None:
        """End after the turn that is being taken."""
        self._stop.make()
        if not self.is_inside():  # a turn that is replayed ends nothing but itself
            self.run.give_up(unless_begun=False)
        self.run.end_at_next_turn()

    # ------------------------------------------------------------------ called by others: which of them may wait

    def is_inside(self) -> bool:
        """Return whether the caller is in one of its turns."""
        return takes_turn_of(self.manager.executor)

    def is_part(self) -> bool:
        """Return whether its end waits for the caller, which is in a turn, a command or a stream."""
        return is_part_of(self.manager.executor)

    def check_may_wait(self, who: str) -> None:
        """Raise `UsageError` if the caller is in one of its turns, which would wait for itself."""
        if self.is_inside():
            raise UsageError(
                f"{who} waits for a turn, and this one is not over: return a command that sends the message instead"
            )

    def check_may_watch(self) -> None:
        """Raise if the caller is about to wait for a model while the end waits for the caller."""
        self.check_may_wait("a watcher of its app")
        if self.observers.is_drained and self.is_part():
            raise AppEnded("the app ends, and waits for this command, which can wait for its models no longer")

    def check_may_wait_for_end(self, called: str) -> None:
        """Raise `UsageError` if the end of the app waits for the caller."""
        if self.is_part():
            raise UsageError(
                f"{called} waits for the end of the app, which waits for this {'turn' if self.is_inside() else 'command'}: ask for the "
                f"end with app.stop(), which does not wait here, or return a command that sends a message instead"
            )
