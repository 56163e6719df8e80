"""What hosts a running program: a thread or a task, from its start to its end, whatever that is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from go_state.core.errors import Closed
from go_state.core.program import Program
from go_state.loop.driver import Flow, drive, drive_async
from go_state.loop.feeds import LogFeed
from go_state.loop.flight import inside
from go_state.loop.flights import Flights
from go_state.loop.middleware import Chain, Folded
from go_state.loop.policies import OnError, Stop, check_on_error
from go_state.loop.turn import Loop
from go_state.modes.audience import Audience, OnDenied, Stopped, Waiting
from go_state.modes.run import durable_run

if TYPE_CHECKING:
    import asyncio

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class Hosted(Generic[Model, Msg]):
    """The half of `App` that runs; the other half is its face."""

    def __init__(
        self,
        program: Program[Model, Msg],
        buffer: Any,
        on_error: OnError,
        flights: Flights,
        durable: tuple[Any, ...] | None,
        *,
        on_denied: OnDenied | None,
        on_loop: bool,
        idle: float | None = None,
        ended: Callable[[Any], object] | None = None,
        first: Sequence[Msg] = (),
    ) -> None:
        check_on_error(on_error)
        self._idle = idle
        self._when_ended = ended
        self._audience: Audience[Model] = Audience(program.view, on_denied)
        self._on_error = on_error
        self._flights = flights
        self._error: BaseException | None = None
        self._draining = False
        self._feed: LogFeed[Msg] | None = None
        self._reader: Any = None
        self._loop: Any = None
        self._program = program
        self._on_loop = on_loop
        self._host: threading.Thread | asyncio.Task[None] | None = None
        self._durable: Any = None
        if durable is not None:
            self._durable = durable_run(program, (buffer, None, None, None), self._policy, flights, on_loop, *durable)
            self._durable.on_failure = on_error
            self._durable.audience = self._audience
            self._durable.idle_seconds, self._durable.idled = idle, self._rest_if_unused
            self._audience.chain = self._durable.chain
            buffer = self._durable.journal
        self._buffer = buffer
        self._put: Callable[..., None] = buffer.put
        if self._durable is not None:
            self._put = self._durable.entrance.put
        if first:
            buffer.enqueue(*first)
        self._start()

    # ------------------------------------------------------------------ running

    def _start(self) -> None:
        self._flights.announce()
        if self._on_loop:
            import asyncio

            self._host = task = asyncio.create_task(self._run_on_loop(), name=f"go_state app {self._name()}")
            task.add_done_callback(lambda _: self._end_unbegun())
        else:
            self._host = threading.Thread(target=self._run_in_thread, name=f"go_state app {self._name()}", daemon=True)
            self._host.start()

    def _put_known(self, message: Msg, waiting: Waiting) -> None:
        know = partial(self._audience.expect, waiting)
        if self._durable is None:
            self._buffer.put_known(message, know)
            return
        self._audience.enter(waiting)
        try:
            self._durable.entrance.put_known(message, know)
        except BaseException:
            self._audience.forget(waiting)
            raise

    def _name(self) -> str:
        return self._program.name or getattr(self._program.update, "__qualname__", "program")

    def _run_in_thread(self) -> None:
        try:
            with self._flights:
                drive(self._flow())
        except Stopped:
            pass
        except BaseException as error:
            self._error = error
        finally:
            self._end()

    async def _run_on_loop(self) -> None:
        import asyncio

        try:
            async with self._flights:
                await drive_async(self._flow())
        except Stopped:
            pass
        except asyncio.CancelledError:
            raise  # whoever has cancelled the task wants it cancelled; the app is then stopped
        except BaseException as error:
            self._error = error
        finally:
            if self._reader is not None:
                await self._reader.aclose()
            await self._end_on_loop()

    def _end_unbegun(self) -> None:
        """End where the task was cancelled before it had begun, and so has ended nothing."""
        if not self._audience.ended.version:
            self._flights.withdraw()
            self._buffer.refuse()  # what was sent is written by the next run, or when the store is closed
            self._tell_end()

    def _flow(self) -> Flow[None]:
        audience = self._audience
        audience.begin()
        if self._durable is not None:
            yield from self._durable.flow()
            return
        update: Any = self._program.update
        if self._program.middleware:
            audience.chain = Chain(self._program)
            update = Folded(audience.chain.update, update)
        program = Program(self._program.init, update, view=audience.turned_and_shown, subscriptions=self._program.subscriptions)
        self._loop = loop = Loop(program, self._flights, on_error=self._policy, on_failure=self._on_error, lists=False)
        self._reader = self._buffer.consumer()
        self._feed = feed = LogFeed(self._reader, on_loop=self._on_loop)
        audience.where = feed.where
        feed.idle_seconds, feed.idled = self._idle, self._rest_if_unused
        if audience.stopping:
            return
        try:
            yield from loop.run(feed)
        finally:
            self._reader.close()

    def _policy(self, message: Msg, position: Any, error: Exception) -> Any:
        policy = self._on_error if not callable(self._on_error) else self._on_error(message, position, error)
        if not isinstance(policy, Stop):
            self._audience.failed(error)
        return policy

    def _end(self) -> None:
        self._close_buffer()
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
            self._error = self._error or error

    def _tell_end(self) -> None:
        self._audience.end(self._error, Closed("the app has ended before the message had its turn"))
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
        if self._durable is not None:
            self._durable.given_up.set()
        feed = self._durable.feed if self._durable is not None else self._feed
        if feed is not None:
            feed.end_at_next_turn()

    def rest(self, *, drain: bool = True) -> None:
        """Ask the app to end, and do not wait for it."""
        self._ask_to_end(drain)

    def _rest_if_unused(self) -> None:
        """End, where nobody waits for a model, after nothing has come for long."""
        if not self._audience.is_waited_for:
            self.rest()

    @property
    def is_ending(self) -> bool:
        """Whether it was asked to end, or has."""
        return self._draining or self._audience.ended.version > 0

    def _is_inside(self) -> bool:
        return self._host is threading.current_thread()

    def _is_part(self) -> bool:
        """Tell whether the caller is something that the end of the app waits for."""
        return self._is_inside() or inside.get() is self._flights.workers

    @property
    def error(self) -> BaseException | None:
        """What the program has failed with."""
        return self._error
