"""Waiting for a consumer of the user's own, while a running command may produce something first.

Such a `get` cannot be interrupted and must not be called twice at once. So it is called in a thread or task of its own, and when the
run stops waiting for it, because a command has produced something, the get goes on: the next wait is for the same one. A message that
it has returned and nobody took is rolled back when the run ends.

The thread of the get and the run cross in one place: the thread stores the outcome and then wakes the run; the run leaves its waker
and then looks for an outcome. Whichever comes second sees the other. Giving up crosses with the outcome, too, and there a lock
decides: either the closing run finds the outcome and rolls it back, or the thread finds that nobody waits any more and does.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from go_state.core.errors import LeftRunning, NothingPending
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.flow.awaitables import awaited, is_awaitable, result_of
from go_state.runtime.flow.waits import Answer
from go_state.waking.deadlines import deadline
from go_state.waking.waker import ThreadWaker

if TYPE_CHECKING:
    import asyncio

NOTHING_YET: Final = object()


class Getting:
    """One call of a consumer's `get`, in a thread or task of its own, that outlives the waits for it."""

    def __init__(self, get: Callable[[], Any], rollback: Callable[[], object], manager: EffectManager) -> None:
        self._get = get
        self._rollback = rollback
        self._manager = manager
        self._thread: threading.Thread | None = None
        self._task: asyncio.Future[Any] | None = None
        self._outcome: tuple[object, BaseException | None] | None = None
        self._waker = ThreadWaker()  # of the wait of the run's thread
        self._giving_up = threading.Lock()  # guards the one below, and the outcome
        self._given_up = False  # whether nobody will take what a get returns

    @property
    def is_running(self) -> bool:
        """Whether a get was begun whose message was not taken."""
        return self._thread is not None or self._task is not None

    # ------------------------------------------------------------------ in a thread

    def in_thread(self) -> object:
        """Block until there is a message, or a command has produced something; return the message, or `NOTHING_YET`."""
        if self._thread is None:
            self._outcome = None
            self._thread = threading.Thread(target=self._call, name="go_state get", daemon=True)
            self._thread.start()
        self._waker = waker = ThreadWaker()
        with self._manager.inbox.waking(waker.wake):
            if self._outcome is None and not self._manager.has_arrivals:
                waker.sleep(deadline(self._manager.left(lambda: self._outcome is None)))
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
            outcome: tuple[object, BaseException | None] = Answer(self._get(), "consumer.get").in_thread(), None
        except BaseException as error:
            outcome = None, error
        with self._giving_up:
            self._outcome, given_up = outcome, self._given_up
        self._waker.wake()
        if given_up:
            self._give_back(outcome)

    def _give_back(self, outcome: tuple[object, BaseException | None]) -> None:
        """Roll back a message that nobody takes, so that it is given again."""
        if outcome[1] is None:
            with suppress(NothingPending):
                Answer(self._rollback(), "consumer.rollback").in_thread()

    def close(self) -> None:
        """Give up a get that is running in a thread, and warn if it goes on; what it returns, or has returned, is given again."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        with self._giving_up:
            self._given_up, outcome = True, self._outcome
        if outcome is None:
            warnings.warn(
                "a get of the consumer was running when the run ended, and goes on in its thread: have it return, or give the "
                "consumer a get_async and use run_async, which can end a wait",
                LeftRunning,
                stacklevel=4,
            )
        else:
            thread.join()
            self._give_back(outcome)

    # ------------------------------------------------------------------ on an event loop

    async def on_loop(self) -> object:
        """Wait on the event loop, as `in_thread` does in a thread."""
        import asyncio

        from go_state.waking.loop_waker import LoopWaker

        if self._task is None:
            returned = self._get()
            if not is_awaitable(returned):
                return returned
            self._task = asyncio.ensure_future(awaited(returned))
        task, waker = self._task, LoopWaker()
        with self._manager.inbox.waking(waker.wake):
            if not self._manager.has_arrivals:
                left = self._manager.left(lambda: not task.done())
                await asyncio.wait({task, waker.future}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            return NOTHING_YET
        self._task = None
        return result_of(task.result())

    async def close_async(self) -> bool:
        """Give up a get that is waited for on the event loop; return whether it had returned a message."""
        import asyncio

        task, self._task = self._task, None
        if task is None:
            return False
        task.cancel()
        await asyncio.wait({task})
        return not task.cancelled() and task.exception() is None
