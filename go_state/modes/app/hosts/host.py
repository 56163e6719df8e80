"""The hosts of an app: a thread, or a task of an event loop, in which its program runs from beginning to end."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from go_state.core.errors import TimedOut, UsageError
from go_state.modes.app.life import Life
from go_state.runtime.flow.driver import drive, drive_async
from go_state.runtime.inside import begin_turns

if TYPE_CHECKING:
    import asyncio

    from go_state.modes.app.hosts.loop_end import LoopEnd

_MOMENT = 1.0  # second, for a thread whose end nobody is going to wait for, so that it is usually over


class Host(Protocol):
    """What a program runs in."""

    def start(self) -> None:
        """Begin; an exception, such as Ctrl-C, may come before or after it has begun."""
        ...

    def join(self, timeout: float | None = None) -> None:
        """Wait, after the end of the life, until the thread is over as well; a task needs no such wait."""
        ...

    def abandon(self) -> None:
        """End after `start` was interrupted: nobody has the app, so nobody else can end it."""
        ...


class ThreadHost:
    """Runs a program in a thread of its own."""

    def __init__(self, life: Life[Any]) -> None:
        self._life = life
        self.thread = threading.Thread(target=self._run, name=f"go_state app {life.name}", daemon=True)

    def start(self) -> None:
        self._life.manager.announce()
        self.thread.start()

    def _run(self) -> None:
        life = self._life
        turns = begin_turns(life.manager.executor)
        try:
            with life.manager:
                drive(life.flow())
        except BaseException as error:
            life.fail(error)
        finally:
            turns.over = True
            life.end()

    def join(self, timeout: float | None = None) -> None:
        self.thread.join(timeout)

    def abandon(self) -> None:
        self._life.ask_to_end(drain=False)
        with suppress(TimedOut):  # it may have begun, or not: there is no telling
            self._life.observers.ended.watch().get(_MOMENT)
        if self.thread.ident is None:
            self._life.end_unbegun()


class TaskHost:
    """Runs a program in a task of the running event loop."""

    def __init__(self, life: Life[Any]) -> None:
        self._life = life
        self.task: asyncio.Task[None] | None = None
        self._loop_end: LoopEnd | None = None

    def start(self) -> None:
        import asyncio

        from go_state.modes.app.hosts.loop_end import LoopEnd

        self._life.manager.announce()
        self._loop_end = LoopEnd(self._end_with_loop)
        self.task = task = asyncio.create_task(self._run(), name=f"go_state app {self._life.name}")
        task.add_done_callback(lambda _: self._end_unbegun())

    async def _run(self) -> None:
        import asyncio

        life, turns, loop_closed = self._life, None, False
        try:
            if self.task is None:  # an eager task, that runs before whoever starts it has the app
                await asyncio.sleep(0)
            turns = begin_turns(life.manager.executor)
            async with life.manager:
                await drive_async(life.flow())
        except asyncio.CancelledError:
            raise  # whoever has cancelled the task wants it cancelled; the app is then stopped
        except GeneratorExit:
            loop_closed = True  # nothing can be awaited any more
            raise
        except BaseException as error:
            life.fail(error)
        finally:
            if turns is not None:
                turns.over = True
            try:
                if loop_closed:
                    life.end()
                else:
                    await life.end_async()
            finally:
                self._forget_loop()

    def _end_unbegun(self) -> None:
        """End if the task was cancelled before it had begun."""
        self._forget_loop()
        self._life.end_unbegun()

    def _end_with_loop(self) -> None:
        """Called when the event loop was closed, and the task cannot go on: end it here, and tell those who wait elsewhere."""
        if self._life.has_ended or self.task is None:
            return
        self._life.fail(
            UsageError("the event loop of the app was closed while the app ran in it: leave its block, or stop it, before")
        )
        coroutine: Any = self.task.get_coro()
        try:
            coroutine.close()
        finally:
            self._end_unbegun()

    def _forget_loop(self) -> None:
        if self._loop_end is not None:
            self._loop_end.forget()

    def join(self, timeout: float | None = None) -> None:
        """Do nothing: the life ends in the task's last step."""

    def abandon(self) -> None:
        self._life.ask_to_end(drain=False)
        if self.task is None:
            self._end_unbegun()
