"""What hosts a running program: a thread or a task, from its start to its end, whatever that is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from go_state.core.errors import Closed, TimedOut, UsageError
from go_state.core.program import Program
from go_state.middleware.chain import Chain, Folded
from go_state.modes.app.observers import Audience, OnDenied, Stopped, Waiting
from go_state.modes.run import durable_run
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.feeds.feeds import LogFeed
from go_state.runtime.flow.driver import Flow, drive, drive_async
from go_state.runtime.inside import begin_turns, is_part_of, takes_turn_of
from go_state.runtime.on_error import OnError, Raise, check_on_error
from go_state.runtime.raised import as_failure
from go_state.runtime.turn import Loop
from go_state.system.forks import parents, share

if TYPE_CHECKING:
    import asyncio
    from types import TracebackType

    from go_state.modes.app.loop_end import LoopEnd

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_MOMENT = 1.0  # second, for the thread of an app that was not begun to the end to be over


class Hosted(Generic[Model, Msg]):
    """The half of `App` that runs; the other half is its face."""

    def __init__(
        self,
        program: Program[Model, Msg],
        buffer: Any,
        on_error: OnError,
        manager: EffectManager,
        durable: tuple[Any, ...] | None,
        *,
        on_denied: OnDenied | None,
        on_loop: bool,
        idle: float | None = None,
        idled: Callable[[Any], object] | None = None,
        ended: Callable[[Any], object] | None = None,
        begun: Callable[[Any], object] | None = None,
    ) -> None:
        check_on_error(on_error)
        self._idle = idle
        self._when_idle = idled
        self._when_ended = ended
        self._audience: Audience[Model] = Audience(program.view, on_denied)
        self._on_error = on_error
        self._manager = manager
        self._error: BaseException | None = None
        self._trace: TracebackType | None = None  # of the error, where everybody who raises it begins
        self._draining = False
        self._in_parent = False  # whether this is what a forked child has of it
        self._loop_end: LoopEnd | None = None
        self._feed: LogFeed[Msg] | None = None
        self._reader: Any = None
        self._loop: Any = None
        self._program = program
        self._on_loop = on_loop
        self._host: threading.Thread | asyncio.Task[None] | None = None
        self._durable: Any = None if durable is None else self._durable_run(buffer, durable)
        self._buffer = buffer if self._durable is None else self._durable.journal
        self._put: Callable[..., None] = buffer.put if self._durable is None else self._durable.entrance.put
        share(self)
        try:
            if begun is not None:  # first: whoever begins an app has it whenever it may be running
                begun(self)
            self._start()
        except BaseException:  # Ctrl-C, say, while the thread begins: nobody has the app, so nobody else can end it
            self._end_unheld()
            raise

    def _durable_run(self, buffer: Any, arguments: tuple[Any, ...]) -> Any:
        """Return the durable run that tells this app what becomes of its turns."""
        ports = (buffer, None, None, None)
        run = durable_run(self._program, ports, self._policy, self._manager, self._on_loop, *arguments)
        run.on_failure, run.audience = self._on_error, self._audience
        run.idle_seconds, run.idled = self._idle, self._rest_if_unused
        self._audience.chain = run.chain
        if run.chain is not None:
            run.chain.run = self._manager.executor if self._on_loop else None
        return run

    # ------------------------------------------------------------------ running

    def _start(self) -> None:
        self._manager.announce()
        if self._on_loop:
            import asyncio

            from go_state.modes.app.loop_end import LoopEnd

            self._loop_end = LoopEnd(self._end_with_loop)
            self._host = task = asyncio.create_task(self._run_on_loop(), name=f"go_state app {self._name()}")
            task.add_done_callback(lambda _: self._end_unbegun())
        else:
            self._host = threading.Thread(target=self._run_in_thread, name=f"go_state app {self._name()}", daemon=True)
            self._host.start()

    def _end_unheld(self) -> None:
        self._ask_to_end(drain=False)
        if isinstance(self._host, threading.Thread):  # which may have begun, or not: there is no telling
            with suppress(TimedOut):
                self._audience.ended.watch().get(_MOMENT)
        if self._host is None or getattr(self._host, "ident", 0) is None:
            self._end_unbegun()

    def _put_known(self, message: Msg, waiting: Waiting) -> None:
        know = partial(self._audience.expect, waiting)
        put = self._buffer.put_known if self._durable is None else self._durable.entrance.put_known
        try:
            put(message, know)
        except Exception:
            raise  # it has not entered, and the one may be told of another app's turn
        except BaseException:  # Ctrl-C, say, which may have come after it had entered
            self._audience.entered(waiting)
            raise
        if self._durable is not None:  # in memory it has its position by now
            self._audience.entered(waiting)

    def _name(self) -> str:
        return self._program.name or getattr(self._program.update, "__qualname__", "program")

    def _run_in_thread(self) -> None:
        turns = begin_turns(self._manager.executor)
        try:
            with self._manager:
                drive(self._whole_flow())
        except Stopped:
            pass
        except BaseException as error:
            self._fail(error)
        finally:
            turns.over = True
            self._end()

    async def _run_on_loop(self) -> None:
        import asyncio

        turns, loop_closed = None, False
        try:
            if self._host is None:  # an eager task, that runs before whoever starts it has the app
                await asyncio.sleep(0)
            turns = begin_turns(self._manager.executor)
            async with self._manager:
                await drive_async(self._whole_flow())
        except Stopped:
            pass
        except asyncio.CancelledError:
            raise  # whoever has cancelled the task wants it cancelled; the app is then stopped
        except GeneratorExit:
            self._reader, loop_closed = None, True  # the flow has closed the reader; and nothing can be awaited any more
            raise
        except BaseException as error:
            self._fail(error)
        finally:
            if turns is not None:
                turns.over = True
            try:
                if self._reader is not None:
                    await self._reader.aclose()
            finally:  # also where the task is cancelled again
                if loop_closed:
                    self._end()
                else:
                    await self._end_on_loop()

    def _end_unbegun(self) -> None:
        """End where the task was cancelled before it had begun, and so has ended nothing."""
        if not self._audience.ended.version:
            self._manager.withdraw()
            self._buffer.refuse()  # what was sent is written by the next run, or when the store is closed
            if self._durable is not None:
                self._durable.close_thread()
            self._tell_end()

    def _end_with_loop(self) -> None:
        """Hear that the event loop was closed, and the task will not go on: end it here, and tell those who wait elsewhere."""
        if self._audience.ended.version:
            return
        self._fail(
            UsageError("the event loop of the app was closed while the app ran in it: leave its block, or stop it, before")
        )
        host: Any = self._host
        try:
            host.get_coro().close()
        finally:
            self._end_unbegun()

    def _whole_flow(self) -> Flow[None]:
        """Run, and tell those who wait for a turn how it stands, before commands are ended: some of them may wait for one."""
        failure: BaseException | None = None
        try:
            yield from self._flow()
        except Exception as error:
            failure = as_failure(error)
            self._fail(failure)
            raise failure  # noqa: B904  - it has its cause, or is the error itself
        finally:
            self._buffer.refuse()
            self._audience.over(failure or self._error)

    def _fail(self, error: BaseException) -> None:
        if self._error is None:
            self._error, self._trace = error, error.__traceback__

    def _flow(self) -> Flow[None]:
        audience = self._audience
        audience.begin(self._manager)
        audience.models.before_wait = self._check_may_watch
        return self._flow_on_disk() if self._durable is not None else self._flow_in_memory()

    def _flow_on_disk(self) -> Flow[None]:
        try:
            yield from self._durable.flow()
        except Stopped:
            yield from self._durable.show_last()
            raise
        except Exception as error:
            try:
                yield from self._durable.show_last()
            except Exception as second:
                error.add_note(f"the view or a middleware has failed as well: {type(second).__qualname__}: {second}")
            raise

    def _flow_in_memory(self) -> Flow[None]:
        audience = self._audience
        update: Any = self._program.update
        if self._program.middleware:
            audience.chain = Chain(self._program)
            audience.chain.run = self._manager.executor if self._on_loop else None
            update = Folded(audience.chain.update, update, audience.chain.roll_back)
        program = Program(self._program.init, update, view=audience.turned_and_shown, subscriptions=self._program.subscriptions)
        self._loop = loop = Loop(program, self._manager, on_error=self._policy, on_failure=self._on_error, lists=False)
        self._reader = self._buffer.consumer()
        self._feed = feed = LogFeed(self._reader, on_loop=self._on_loop)
        audience.where = feed.where
        feed.idle_seconds, feed.idled = self._idle, self._rest_if_unused
        if audience.stopping:
            return
        loop.undone = audience.undone
        try:
            yield from loop.run(feed)
        finally:
            if hasattr(loop, "model"):
                audience.stands(loop.model)  # what is through is through, also where telling of it has failed
            self._reader.close()

    def _policy(self, message: Msg, position: Any, error: Exception) -> Any:
        policy = self._on_error if not callable(self._on_error) else self._on_error(message, position, error)
        if not isinstance(policy, Raise):
            self._audience.failed(error)
        return policy

    def _end(self) -> None:
        self._close_buffer()
        if self._durable is not None:
            self._durable.close_thread()
        self._tell_end()

    async def _end_on_loop(self) -> None:
        """End with the disk's part in the run's own thread, which ends as well."""
        try:
            if self._durable is not None:
                try:
                    await self._durable.thread.finish(self._close_buffer)
                finally:
                    await self._durable.end_thread()
            else:
                self._close_buffer()
        finally:
            self._tell_end()

    def _close_buffer(self) -> None:
        try:
            self._buffer.close()
        except Exception as error:  # a journal that cannot be written
            self._fail(error)

    def _tell_end(self) -> None:
        if self._loop_end is not None:
            self._loop_end.forget()
        self._audience.over(self._error)  # those who came before there was a flow
        self._audience.end(self._error)
        if self._when_ended is not None:
            self._when_ended(self)

    # ------------------------------------------------------------------ ending

    def _ask_to_end(self, drain: bool) -> None:
        self._draining = True
        if not drain:
            self._end_at_next_turn()
        self._buffer.refuse()
        if self._durable is not None and self._durable.journal.is_unused:  # nothing to drain, and no lease
            self._durable.given_up.set()

    def _end_at_next_turn(self) -> None:
        self._audience.stop()
        if self._durable is not None and not self._is_inside():  # a turn that is replayed ends nothing but itself
            self._durable.given_up.set()
        feed = self._durable.feed if self._durable is not None else self._feed
        if feed is not None:
            feed.end_at_next_turn()

    def rest(self, *, drain: bool = True) -> None:
        """Ask the app to end, and do not wait for it."""
        self._ask_to_end(drain)

    def _rest_if_unused(self) -> None:
        """Have whoever holds the app decide on its rest, where nobody waits for a model, after nothing has come for long."""
        if self._when_idle is not None and not self._audience.is_waited_for:
            self._when_idle(self)

    def _is_inside(self) -> bool:
        return takes_turn_of(self._manager.executor)

    def _check_may_wait(self, who: str) -> None:
        """Raise `UsageError` where the caller is in a turn of the app."""
        if self._is_inside():
            raise UsageError(
                f"{who} waits for a turn, and this one is not over: return a command that sends the message instead"
            )

    def _check_may_watch(self) -> None:
        """Raise where the caller is about to wait for a model, and the app waits for the caller."""
        self._check_may_wait("a watcher of its app")
        if self._audience.is_drained and self._is_part():
            raise Closed("the app ends, and waits for this command, which can wait for its models no longer")

    def _is_part(self) -> bool:
        """Tell whether the caller is something that the end of the app waits for."""
        return is_part_of(self._manager.executor)

    def forget_parent(self) -> None:
        """In a forked child: be over. The thread or task that runs the program is the parent's."""
        self._in_parent = True
        mine = parents(f"the app {self._name()}")
        self._buffer = self._audience = self._manager = self._durable = mine
        self._put = lambda *_: mine.put

    def holds_caller(self, *, in_turn: bool = False) -> bool:
        """Tell whether the caller is something that the end of the app waits for, or, with `in_turn`, in one of its turns."""
        return self._is_inside() if in_turn else self._is_part()

    @property
    def error(self) -> BaseException | None:
        """What the program has failed with."""
        return self._error
