"""Waiting for somebody's own consumer while commands under way may bring something first."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from go_state.core.errors import LeftRunning, NothingPending
from go_state.runtime.flow.driver import Answer, awaited, is_awaitable, result_of

if TYPE_CHECKING:
    import asyncio

    from go_state.runtime.effects.manager import EffectManager

NOTHING_YET: Any = object()


class Getting:
    """One call of a consumer's `get`, in a thread or task of its own, which goes on where a wait for it is left."""

    def __init__(self, get: Callable[[], Any], rollback: Callable[[], Any], manager: EffectManager) -> None:
        self._get = get
        self._rollback = rollback
        self._manager = manager
        self._thread: threading.Thread | None = None
        self._task: asyncio.Future[Any] | None = None
        self._outcome: tuple[Any, BaseException | None] | None = None
        self._woken = threading.Event()
        self._giving_up = threading.Lock()  # guards the one below, and the outcome
        self._given_up = False  # nobody will take what a get brings

    @property
    def under_way(self) -> bool:
        """Whether a get was begun whose message was not taken."""
        return self._thread is not None or self._task is not None

    def in_thread(self) -> Any:
        """Block until there is a message, or news; return the message, or `NOTHING_YET`."""
        if self._thread is None:
            self._outcome = None
            self._thread = threading.Thread(target=self._call, name="go_state get", daemon=True)
            self._thread.start()
        with self._manager.inbox.waking(self._woken.set):
            if self._outcome is None and not self._manager.has_arrivals:
                self._woken.wait(self._manager.left(lambda: self._outcome is None))
        self._woken.clear()
        if self._outcome is None:
            return NOTHING_YET
        self._thread.join()
        self._thread = None
        message, error = self._outcome
        if error is not None:
            raise error
        return message

    def _call(self) -> None:
        try:
            outcome: tuple[Any, BaseException | None] = Answer(self._get(), "consumer.get").in_thread(), None
        except BaseException as error:
            outcome = None, error
        with self._giving_up:
            self._outcome, given_up = outcome, self._given_up
        self._woken.set()
        if given_up:
            self._give_back(outcome)

    def _give_back(self, outcome: tuple[Any, BaseException | None]) -> None:
        """Have a message that nobody takes given again."""
        if outcome[1] is None:
            with suppress(NothingPending):
                Answer(self._rollback(), "consumer.rollback").in_thread()

    async def on_loop(self) -> Any:
        """Wait on the event loop, as `in_thread` does in a thread."""
        import asyncio

        if self._task is None:
            returned = self._get()
            if not is_awaitable(returned):
                return returned
            self._task = asyncio.ensure_future(awaited(returned))
        loop, woken = asyncio.get_running_loop(), asyncio.Event()

        def ring() -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(woken.set)

        waking = asyncio.ensure_future(woken.wait())
        try:
            with self._manager.inbox.waking(ring):
                if not self._manager.has_arrivals:
                    task = self._task
                    left = self._manager.left(lambda: not task.done())
                    await asyncio.wait({task, waking}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waking.cancel()
        if not self._task.done():
            return NOTHING_YET
        done, self._task = self._task, None
        return result_of(done.result())

    def close(self) -> None:
        """Give up a get that is under way in a thread, and warn where it goes on; what it brings, or has brought, is given again."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        with self._giving_up:
            self._given_up, outcome = True, self._outcome
        if outcome is None:
            warnings.warn(
                "a get of the consumer was under way when the run ended, and goes on in its thread: have it return, or give the "
                "consumer a get_async and use run_async, which can end a wait",
                LeftRunning,
                stacklevel=4,
            )
        else:
            thread.join()
            self._give_back(outcome)

    async def aclose(self) -> bool:
        """Give up a get that is waited for on the event loop; tell whether it had brought a message."""
        import asyncio

        task, self._task = self._task, None
        if task is None:
            return False
        task.cancel()
        await asyncio.wait({task})
        return not task.cancelled() and task.exception() is None
