"""App: a running program that others hold, send to, ask and watch.

send, apply, ask ──▶ queue ──▶ turns, in the app's own thread or task ──▶ audience ──▶ model, watch, changes, answers
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from go_state.core.commands import Cmd
from go_state.core.errors import AppEnded, Closed, Empty, InsideLoop, TimedOut, UsageError
from go_state.modes.app.capabilities import AppStatistics, Reader, Sender, State, Watching
from go_state.modes.app.host import Hosted
from go_state.modes.app.leaving import outlast, outlast_async
from go_state.modes.app.observers import Waiting
from go_state.runtime.flow.driver import refuse_running_loop
from go_state.runtime.raised import is_cancellation
from go_state.waking.deadlines import check_timeout, deadline
from go_state.waking.thread_waker import ThreadWaker
from go_state.watch.fields import ANY, Changes
from go_state.watch.watcher import Watcher

if TYPE_CHECKING:
    from go_state.waking.loop_waker import LoopWaker

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_MOMENT = (
    1.0  # second, for which an event loop may be stopped by an error that is a mistake, so that it leaves no thread behind
)


class App(Hosted[Model, Msg]):
    """A running program; made by `start` or `start_async`.

    A context manager, of both kinds: entered it has its first model; left, it drains its queue, or ends after the turn under
    way when the block raises, or when leaving it is interrupted: by Ctrl-C, a timeout or a cancellation, which are raised once nothing
    of the app runs any more. What the program fails with ends the app, reaches everybody who waits, and is raised from the block.
    Every method may be called from any thread; those that wait have a twin with `_async` for event loops. In a turn, and in what a
    middleware does after one, whatever waits for a turn or for the end raises `UsageError`, for it would wait for itself; and so does,
    in a command or a stream, whatever waits for the end. A command may wait for a turn: `apply`, in a thread or a task of its own.
    A task that a command begins counts as the command while that runs. In a forked child everything raises, for the app is the parent's.
    """

    # ------------------------------------------------------------------ sending

    def send(self, *messages: Msg) -> None:
        """Put the messages into the program's queue, in order and together; never waits for a turn, nor for a lease.

        With a journal whose durability is "put" they are on disk when it returns to a thread. On an event loop it does not wait for
        the disk either: the app writes them, and `apply_async` returns once they are there.
        Raises `Closed` after the end, with what the app has failed with as its cause, and `Full` where the buffer has a bound; then
        none has entered.
        """
        try:
            self._put(*messages)
        except Closed:
            self._raise_ended()

    def apply(self, message: Msg, *, timeout: float | None = None) -> Model:
        """Send one message, wait until its turn is committed, and return the model that it has made.

        Raises what the program fails with on this message, `Denied`, `TimedOut` (the message stays in the queue), `Closed` when the
        app ends before the message has its turn (where it has failed, that is the cause), and `UsageError` or `InsideLoop` where
        waiting would never end: inside a turn, or in a thread whose event loop runs.
        """
        return self._wait_for(message, timeout, "apply")  # type: ignore[no-any-return]

    async def apply_async(self, message: Msg, *, timeout: float | None = None) -> Model:
        """Send one message and wait as `apply` does, on the event loop."""
        return await self._wait_for_async(message, timeout, "apply")  # type: ignore[no-any-return]

    def ask(self, message: Msg, *, timeout: float | None = None) -> Any:
        """Send one message and return what its turn has answered with `Cmd.reply`. Raises as `apply` does, and `NoReply`."""
        return self._wait_for(message, timeout, "ask")

    async def ask_async(self, message: Msg, *, timeout: float | None = None) -> Any:
        """Send one message and wait for its answer as `ask` does, on the event loop."""
        return await self._wait_for_async(message, timeout, "ask")

    def _wait_for(self, message: Msg, timeout: float | None, called: str) -> Any:
        self._check_may_wait(f"app.{called}")
        refuse_running_loop(f"app.{called}")
        waker, until = ThreadWaker(), deadline(timeout)
        waiting = self._waiting_for(message, called, waker)
        try:
            self._put_for_outcome(message, waiting)
            rang = waker.sleep(until)
        finally:
            self._audience.forget(waiting)
        if not rang:
            raise self._took_too_long(called, timeout)
        return waiting.outcome()

    async def _wait_for_async(self, message: Msg, timeout: float | None, called: str) -> Any:
        from go_state.waking.loop_waker import LoopWaker

        self._check_may_wait(f"app.{called}_async")
        waker, until = LoopWaker(), deadline(timeout)
        waiting = self._waiting_for(message, called, waker)
        try:
            self._put_for_outcome(message, waiting)
            rang = await waker.sleep(until)
        finally:
            self._audience.forget(waiting)
        if not rang:
            raise self._took_too_long(called, timeout)
        return waiting.outcome()

    @staticmethod
    def _waiting_for(message: Msg, called: str, waker: ThreadWaker | LoopWaker) -> Waiting:
        if message is None:
            raise UsageError(f"None is no message and has no turn: give {called} one")
        return Waiting(waker, asks=called == "ask")

    def _raise_ended(self) -> NoReturn:
        """Raise why nothing is taken any more."""
        if self._error is None:
            raise AppEnded("the app was stopped: nothing more is taken; start the program again") from None
        raise AppEnded(
            f"the app has failed with a {type(self._error).__qualname__}, which is the cause of this: nothing more is taken"
        ) from self._error

    def _put_for_outcome(self, message: Msg, waiting: Waiting) -> None:
        try:
            self._put_known(message, waiting)
        except Closed:
            self._raise_ended()

    def put_for(self, waiting: Waiting, message: Msg) -> None:
        """Put a message into the queue for one who waits for its turn elsewhere."""
        self._put_known(message, waiting)

    def forget_sender(self, waiting: Waiting) -> None:
        """Drop one who waits for its turn elsewhere, and does so no longer."""
        self._audience.forget(waiting)

    @staticmethod
    def _took_too_long(called: str, timeout: float | None) -> TimedOut:
        return TimedOut(f"the turn was not through within {timeout} seconds of {called}; the message stays in the queue")

    def _check_may_wait_for_end(self, called: str) -> None:
        """Raise `UsageError` where the caller is something that the end of the app waits for."""
        if self._is_part():
            raise UsageError(
                f"{called} waits for the end of the app, which waits for this {'turn' if self._is_inside() else 'command'}: ask for the "
                f"end with app.stop(), which does not wait here, or return a command that sends a message instead"
            )

    # ------------------------------------------------------------------ looking

    @property
    def model(self) -> Model:
        """The newest committed model. Raises `Empty` before the first, which entering the block waits for."""
        try:
            return self._audience.models.peek()
        except Empty:
            raise Empty("the app has no model yet: enter its `with` block, or wait with app.ready()") from None

    @property
    def version(self) -> int:
        """How many models were committed; a turn that returns the very model it was given makes no new version."""
        return self._audience.models.version

    @property
    def state(self) -> State:
        """How it stands with the app."""
        if self._in_parent:
            return "stopped"
        if self._audience.ended.version:
            return "stopped" if self._error is None else "failed"
        if self._draining:
            return "draining"
        return "ready" if self._audience.models.version else "replaying"

    def watch(self, *, since: int = 0, every: float = 0.0) -> Watcher[Model]:
        """Return a watcher of the models: the newest at each get. `since` is a version that is known already; `every` gives one in
        so many seconds at most, the last one for certain.
        """
        return self._audience.models.watch(since=since, every=every)

    def changes(self, field: Any = ANY, *, since: int | None = None, initial: bool = False) -> Changes[Model]:
        """Subscribe to changes of one field by its name, of all (`gs.ANY`), or of what a function makes of the model.

        The first change is the first after now; with `initial`, what is there now; with `since`, what has changed after that
        version, as far back as fields are followed, which begins with the first subscription: before that every field counts as
        changed. A model of another class than the last has changed in every field. Raises `UsageError` for a field that the model
        does not have.
        """
        return self._audience.follow().changes(field, since=since, initial=initial)

    def statistics(self) -> AppStatistics:
        """Return what an operator wants to know."""
        feed = self._durable.feed if self._durable is not None else self._feed
        waits = (self._buffer.log if self._durable is None else self._buffer.writer).backlog(
            None if feed is None else feed.committed
        )
        through = 0 if feed is None else feed.through
        return AppStatistics(through, waits.size, waits.oldest_age, waits.rate, self._manager.count)

    @property
    def cancelled(self) -> tuple[Cmd[Any], ...]:
        """The commands that the end of the app has cancelled, in the order in which they were begun."""
        return tuple(self._manager.cancelled)

    # ------------------------------------------------------------------ parts of it

    def reader(self) -> Reader[Model]:
        """Return what may look at the app and do nothing else."""
        return Reader(lambda: self.model, lambda: self.version, lambda: self.state, lambda: self.statistics())

    def sender(self) -> Sender[Model, Msg]:
        """Return what may send to the app, and wait for what comes of it."""
        return Sender(self.send, self.apply, self.ask, self.apply_async, self.ask_async)

    def watcher(self) -> Watching[Model]:
        """Return what may watch the app."""
        return Watching(self.watch, self.changes)

    # ------------------------------------------------------------------ ending

    def ready(self, timeout: float | None = None) -> None:
        """Wait until the first model is there: init has run, or the journal was replayed. Raises what the program fails with."""
        self._check_may_wait("app.ready")
        refuse_running_loop("app.ready")
        self._audience.models.watch().get(timeout)

    async def ready_async(self, timeout: float | None = None) -> None:
        """Wait as `ready` does, on the event loop."""
        self._check_may_wait("app.ready_async")
        await self._audience.models.watch().get_async(timeout)

    def wait(self, timeout: float | None = None) -> Model:
        """Wait until the app has ended, and return the last model; raises what it has failed with, `TimedOut`, and `UsageError` inside."""
        self._check_may_wait_for_end("app.wait")
        refuse_running_loop("app.wait")
        self._audience.ended.watch().get(timeout)
        if isinstance(self._host, threading.Thread):
            self._host.join()
        return self._result()

    async def wait_async(self, timeout: float | None = None) -> Model:
        """Wait as `wait` does, on the event loop."""
        self._check_may_wait_for_end("app.wait_async")
        await self._audience.ended.watch().get_async(timeout)
        return self._result()

    def _result(self) -> Model:
        if self._error is not None:
            raise self._error.with_traceback(self._trace)
        try:
            return self.model
        except Empty:
            raise AppEnded("the app was stopped before it had a model") from None

    def stop(self, *, drain: bool = True, timeout: float | None = None) -> None:
        """End the app: refuse further messages, take those that are queued through their turns, and wait for that.

        Without `drain` it ends after the turn under way, and so it does when `timeout` seconds are over, which raises `TimedOut`.
        What the program has failed with is not raised here. Called inside a turn, or by one of its own commands or streams, it asks
        for the end and does not wait for it; a `timeout` raises `UsageError` there.
        """
        check_timeout(timeout)
        if self._is_part():
            self._ask_from_inside("app.stop", drain, timeout)
            return
        refuse_running_loop("app.stop")
        self.rest(drain=drain)
        try:
            self._audience.ended.watch().get(timeout)
        except TimedOut:
            raise self._out_of_time(timeout) from None
        if isinstance(self._host, threading.Thread):
            self._host.join()

    async def stop_async(self, *, drain: bool = True, timeout: float | None = None) -> None:
        """End the app as `stop` does, waiting on the event loop; cancelled meanwhile, it has asked for the end all the same."""
        check_timeout(timeout)
        if self._is_part():
            self._ask_from_inside("app.stop_async", drain, timeout)
            return
        self.rest(drain=drain)
        try:
            await self._audience.ended.watch().get_async(timeout)
        except TimedOut:
            raise self._out_of_time(timeout) from None

    def _ask_from_inside(self, called: str, drain: bool, timeout: float | None) -> None:
        if timeout is not None:
            self._check_may_wait_for_end(f"{called}(timeout=...)")
        self.rest(drain=drain)

    def _out_of_time(self, timeout: float | None) -> TimedOut:
        self._end_at_next_turn()
        left = self.statistics().queue_size
        return TimedOut(f"the queue was not drained within {timeout} seconds: {left} messages are left, and the app ends")

    # ------------------------------------------------------------------ blocks

    def __enter__(self) -> Self:
        try:
            refuse_running_loop("with gs.start", "async with gs.start_async(...)")
            self.ready()
        except BaseException as error:
            self._leave(error)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leave(error)
        self._raise_after(error)

    def _leave(self, error: BaseException | None) -> None:
        """Have the app be over, or raise what has interrupted that."""
        if not self._may_leave(error):
            return
        try:
            refuse_running_loop("leaving the block of an app", "async with")
        except InsideLoop:
            self.rest(drain=False)
            if isinstance(self._host, threading.Thread):
                self._host.join(_MOMENT)
            if error is None:
                raise
            return

        def end() -> None:
            self.rest(drain=error is None)
            self._audience.ended.watch().get()
            if isinstance(self._host, threading.Thread):
                self._host.join()

        try:
            outlast(end, self._end_at_next_turn)
        except BaseException as interruption:
            self._raise_after(interruption)
            raise

    async def __aenter__(self) -> Self:
        try:
            await self.ready_async()
        except BaseException as error:
            await self._leave_async(error)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave_async(error)
        self._raise_after(error)

    async def _leave_async(self, error: BaseException | None) -> None:
        if not self._may_leave(error):
            return
        ended = self._audience.ended
        self.rest(drain=error is None)
        try:
            await outlast_async(lambda: ended.watch().get_async(), lambda: ended.version, self._end_at_next_turn)
        except BaseException as interruption:
            self._raise_after(interruption)
            raise

    def _may_leave(self, error: BaseException | None) -> bool:
        """Return False where the end is not to be waited for; raise `UsageError` where that would be waiting for itself."""
        if self._in_parent:
            return False
        if not self._is_part():
            return True
        self.rest(drain=error is None)
        if error is None:
            self._check_may_wait_for_end("leaving the block of an app")
        return False

    def _raise_after(self, error: BaseException | None) -> None:
        """Raise what the app has failed with, or add it to the error that the block is left with."""
        failure = self._error
        if failure is None or failure is error or self._in_parent:
            return
        if error is None or is_cancellation(error):  # which a timeout or a scope is going to swallow, and the note with it
            raise failure.with_traceback(self._trace)
        error.add_note(f"the app had failed as well: {type(failure).__qualname__}: {failure}")

    def __repr__(self) -> str:
        version = "of another process" if self._in_parent else f"version {self.version}"
        return f"<App {self._name()}: {self.state}, {version}>"
