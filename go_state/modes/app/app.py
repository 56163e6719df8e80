"""App: a running program that others hold, send to, ask and watch.

send, apply, ask ──▶ queue ──▶ turns, in the app's own thread or task ──▶ observers, pending replies ──▶ model, watch, changes, answers
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar

from go_state.core.commands import Cmd
from go_state.core.errors import AppEnded, Closed, Empty, TimedOut
from go_state.modes.app.asking import settle, settle_async, wait_for, wait_for_async
from go_state.modes.app.capabilities import AppStatistics, Reader, Sender, State, Watching
from go_state.modes.app.hosts.host import Host
from go_state.modes.app.hosts.leaving import leave, leave_async, raise_failure
from go_state.modes.app.life import Life
from go_state.modes.app.pending_replies import PendingReply
from go_state.runtime.flow.driver import refuse_running_loop
from go_state.system.forks import at_fork, belongs_to_parent
from go_state.waking.deadlines import check_timeout
from go_state.watch.fields import ANY, Changes, Field
from go_state.watch.watcher import Watcher

if TYPE_CHECKING:
    from go_state.runtime.observing.running import RunningEffect

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class App(Generic[Model, Msg]):
    """A running program; made by `start` or `start_async`.

    A context manager, of both kinds: entered it has its first model; left, it drains its queue, or ends after the turn under
    way when the block raises, or when leaving it is interrupted: by Ctrl-C, a timeout or a cancellation, which are raised once nothing
    of the app runs any more. What the program fails with ends the app, reaches everybody who waits, and is raised from the block.
    Every method may be called from any thread; those that wait have a twin with `_async` for event loops, and a `timeout` in seconds,
    without which they wait as long as it takes, and after which they raise `TimedOut`. In a turn, and in what a
    middleware does after one, whatever waits for a turn or for the end raises `UsageError`, for it would wait for itself; and so does,
    in a command or a stream, whatever waits for the end. A command may wait for a turn: `apply`, in a thread or a task of its own.
    A task that a command begins counts as the command while that runs. In a forked child everything raises, for the app is the parent's.
    """

    def __init__(self, life: Life[Model], host: Host) -> None:
        self.life = life  #: what the runtime uses of the app, such as the apps of many keys
        self.host = host  #: the thread or task in which the program runs
        self._in_parent = False  # whether this is what a forked child has of it
        self._name, self._put = life.name, life.run.put
        at_fork(self)

    # ------------------------------------------------------------------ sending

    def send(self, *messages: Msg) -> None:
        """Put the messages into the program's queue, in order and together; never waits for a turn, nor for a lease.

        With a journal whose durability is "put" they are on disk when it returns to a thread. On an event loop it does not wait for
        the disk either: the app writes them, and `apply_async` returns once they are written.
        Raises `Closed` after the end, with what the app has failed with as its cause, and `Full` if the buffer is bounded and full;
        then none has entered.
        """
        try:
            self._put(*messages)
        except Closed:
            self._raise_ended()

    def apply(self, message: Msg, *, timeout: float | None = None) -> Model:
        """Send one message, wait until its turn is committed, and return the model that it has made.

        Raises what the program fails with on this message, `Denied`, `TimedOut` (the message stays in the queue), `Closed` when the
        app ends before the message has its turn (if it has failed, that is the cause), and `UsageError` or `InsideLoop` if
        waiting would never end: inside a turn, or in a thread whose event loop runs.
        """
        return wait_for(self.life, self._put_for, message, timeout, "apply")  # type: ignore[no-any-return]

    async def apply_async(self, message: Msg, *, timeout: float | None = None) -> Model:
        """Send one message and wait as `apply` does, on the event loop."""
        return await wait_for_async(self.life, self._put_for, message, timeout, "apply")  # type: ignore[no-any-return]

    def ask(self, message: Msg, *, timeout: float | None = None) -> Any:
        """Send one message and return what its turn has answered with `Cmd.reply`. Raises as `apply` does, and `NoReply`."""
        return wait_for(self.life, self._put_for, message, timeout, "ask")

    async def ask_async(self, message: Msg, *, timeout: float | None = None) -> Any:
        """Send one message and wait for its answer as `ask` does, on the event loop."""
        return await wait_for_async(self.life, self._put_for, message, timeout, "ask")

    def _put_for(self, reply: PendingReply, message: Msg) -> None:
        try:
            self.life.put_for(reply, message)
        except Closed:
            self._raise_ended()

    def _raise_ended(self) -> NoReturn:
        """Raise why nothing is taken any more."""
        error = self.life.error
        if error is None:
            raise AppEnded("the app was stopped: nothing more is taken; start the program again") from None
        raise AppEnded(
            f"the app has failed with a {type(error).__qualname__}, which is the cause of this: nothing more is taken"
        ) from error

    # ------------------------------------------------------------------ looking

    @property
    def model(self) -> Model:
        """The newest committed model. Raises `Empty` before the first, which entering the block waits for."""
        try:
            return self.life.observers.models.peek()
        except Empty:
            raise Empty("the app has no model yet: enter its `with` block, or wait with app.ready()") from None

    @property
    def version(self) -> int:
        """How many models were committed; a turn that returns the very model it was given makes no new version."""
        return self.life.observers.models.version

    @property
    def state(self) -> State:
        """The state of the app."""
        if self._in_parent:
            return "stopped"
        if self.life.observers.ended.version:
            return "stopped" if self.life.error is None else "failed"
        if self.life.is_draining:
            return "draining"
        return "ready" if self.life.observers.models.version else "replaying"

    @property
    def error(self) -> BaseException | None:
        """What the program has failed with, or None."""
        return self.life.error

    def watch(self, *, since: int = 0, every: float = 0.0) -> Watcher[Model]:
        """Return a watcher of the models: the newest at each get. `since` is a version that is known already; `every` gives at
        most one in that many seconds, and always the last one.
        """
        return self.life.observers.models.watch(since=since, every=every)

    def changes(self, field: Field[Model] = ANY, *, since: int | None = None, initial: bool = False) -> Changes[Model]:
        """Subscribe to changes of one field by its name, of all (`gs.ANY`), or of what a function makes of the model.

        The first change is the first after now; with `initial`, the model of now; with `since`, what has changed after that
        version, as far back as fields are followed, which begins with the first subscription: before that every field counts as
        changed. A model of another class than the last has changed in every field. Raises `UsageError` for a field that the model
        does not have.
        """
        return self.life.observers.follow().changes(field, since=since, initial=initial)

    def statistics(self) -> AppStatistics:
        """Return what an operator wants to know."""
        run, waits = self.life.run, self.life.run.backlog()
        return AppStatistics(run.processed, waits.size, waits.oldest_age, waits.rate, self.life.manager.count)

    def effects(self) -> list[RunningEffect]:
        """Return the commands that run, wait or are tried again, in the order of their beginning; the program goes on meanwhile."""
        return self.life.manager.effects()

    @property
    def cancelled(self) -> tuple[Cmd[Any], ...]:
        """The commands that the end of the app has cancelled, in the order in which they were begun."""
        return tuple(self.life.manager.cancelled)

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
        """Wait until the first model exists: init has run, or the journal was replayed. Raises what the program fails with."""
        self.life.check_may_wait("app.ready")
        refuse_running_loop("app.ready")
        self.life.observers.models.watch().get(timeout)

    async def ready_async(self, timeout: float | None = None) -> None:
        """Wait as `ready` does, on the event loop."""
        self.life.check_may_wait("app.ready_async")
        await self.life.observers.models.watch().get_async(timeout)

    def settle(self, timeout: float | None = None) -> None:
        """Wait until all that was sent before the call has had its turn, and all that it led to is done.

        That is every call that those turns have returned, with its tries and what follows it in a `seq` or `all`, the turns of the
        messages that these have sent, and so on; what is done is committed, and with a journal on disk. What is sent later, by whomever,
        is not waited for, nor are timers and subscriptions, nor what follows a timer in a `seq`. Raises `TimedOut`, `Closed` if the app
        ends before that, and `UsageError` in one of its own turns or commands.
        """
        settle(self.life, timeout)

    async def settle_async(self, timeout: float | None = None) -> None:
        """Wait as `settle` does, on the event loop."""
        await settle_async(self.life, timeout)

    def wait(self, timeout: float | None = None) -> Model:
        """Wait until the app has ended, and return the last model; raises what it has failed with, `TimedOut`, and `UsageError` inside."""
        self.life.check_may_wait_for_end("app.wait")
        refuse_running_loop("app.wait")
        self.life.observers.ended.watch().get(timeout)
        self.host.join()
        return self._result()

    async def wait_async(self, timeout: float | None = None) -> Model:
        """Wait as `wait` does, on the event loop."""
        self.life.check_may_wait_for_end("app.wait_async")
        await self.life.observers.ended.watch().get_async(timeout)
        return self._result()

    def _result(self) -> Model:
        if self.life.error is not None:
            raise self.life.error.with_traceback(self.life.trace)
        try:
            return self.model
        except Empty:
            raise AppEnded("the app was stopped before it had a model") from None

    def stop(self, *, drain: bool = True, timeout: float | None = None) -> None:
        """End the app: refuse further messages, take those that are queued through their turns, and wait for that.

        Without `drain` it ends after the turn that is being taken, and so it does when `timeout` seconds are over, which raises `TimedOut`.
        What the program has failed with is not raised here. Called inside a turn, or by one of its own commands or streams, it asks
        for the end and does not wait for it; a `timeout` raises `UsageError` there.
        """
        check_timeout(timeout)
        if self.life.is_part():
            self._ask_from_inside("app.stop", drain, timeout)
            return
        refuse_running_loop("app.stop")
        self.life.ask_to_end(drain=drain)
        try:
            self.life.observers.ended.watch().get(timeout)
        except TimedOut:
            raise self._out_of_time(timeout) from None
        self.host.join()

    async def stop_async(self, *, drain: bool = True, timeout: float | None = None) -> None:
        """End the app as `stop` does, waiting on the event loop; cancelled meanwhile, it has asked for the end all the same."""
        check_timeout(timeout)
        if self.life.is_part():
            self._ask_from_inside("app.stop_async", drain, timeout)
            return
        self.life.ask_to_end(drain=drain)
        try:
            await self.life.observers.ended.watch().get_async(timeout)
        except TimedOut:
            raise self._out_of_time(timeout) from None

    def _ask_from_inside(self, called: str, drain: bool, timeout: float | None) -> None:
        if timeout is not None:
            self.life.check_may_wait_for_end(f"{called}(timeout=...)")
        self.life.ask_to_end(drain=drain)

    def _out_of_time(self, timeout: float | None) -> TimedOut:
        self.life.end_at_next_turn()
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
        self._raise_failure(error)

    def _leave(self, error: BaseException | None) -> None:
        if not self._in_parent:
            leave(self.life, self.host, error)

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
        self._raise_failure(error)

    async def _leave_async(self, error: BaseException | None) -> None:
        if not self._in_parent:
            await leave_async(self.life, error)

    def _raise_failure(self, error: BaseException | None) -> None:
        if not self._in_parent:
            raise_failure(self.life, error)

    def __repr__(self) -> str:
        version = "of another process" if self._in_parent else f"version {self.version}"
        return f"<App {self._name}: {self.state}, {version}>"

    def after_fork_in_child(self) -> None:
        """In a forked child: be over. The thread or task that runs the program is the parent's."""
        self._in_parent = True
        mine = belongs_to_parent(f"the app {self._name}")
        self.life, self._put = mine, lambda *_: mine.put
