"""What ends a run while a turn is being committed: the turn counts if its message does, and the model is of the same turns."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from interrupts import Interrupt, at_every_point
from loop_support import Queue

import go_state as gs
from go_state.modes.loops import JustStarted, plain_loop
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.feeds.log_feed import log_feed
from go_state.runtime.flow.driver import drive
from go_state.runtime.on_error import Failures
from go_state.runtime.resources import Resources
from go_state.runtime.turn import Loop

Model = tuple[Any, ...]


def program(**sends: Any) -> gs.Program[Model, Any]:
    """Return a program that collects its messages; one in `sends` has these commands."""
    return gs.Program(lambda: ((), ()), lambda model, msg: ((*model, msg), sends.get(msg, ())))


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_the_turn_stays_whose_retention_fails(error: BaseException) -> None:
    """A policy of the user's is asked when the turn is committed: what it raises ends the app, whose last model has the turn."""
    failing: list[BaseException] = []

    def policy(size: int, committed: object) -> int:
        if failing:
            raise failing[0]
        return 0

    def bad() -> str:
        failing.append(error)
        return "sent"

    buffer: gs.Buffer[Any] = gs.Buffer(retention=policy)
    buffer.put("bad")
    with pytest.raises(type(error)), gs.start(program(bad=[bad]), buffer=buffer) as app:
        app.wait(timeout=20)
    assert (app.model, buffer.slice()) == (("bad",), ["bad", "sent"])


@pytest.mark.parametrize("message", ["a", None])
async def test_a_committed_message_is_not_rolled_back(message: str | None) -> None:
    """A run on an event loop that is cancelled right after a commit asks the consumer for nothing again."""
    queue = Queue(message, "b")

    def commit() -> None:
        Queue.commit(queue)
        task.cancel()

    queue.commit = commit
    task = asyncio.create_task(gs.run_async(program(), producer=queue, consumer=queue))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert queue.log == ["get", "commit"]


@pytest.mark.parametrize("readers", [0, 1])
@pytest.mark.parametrize("retention", [gs.retention.keep_all, lambda *_: 0], ids=["own", "policy"])
def test_ctrl_c_finds_the_model_of_what_is_committed(readers: int, retention: Any) -> None:
    """Wherever it comes: the model, the cursor and what was sent are of the same turns."""
    told = program(a=[gs.Cmd.send("x")], b=[gs.Cmd.send("y"), gs.Cmd.cancel("z")])

    def interrupted(interrupt: Interrupt) -> None:
        buffer: gs.Buffer[Any] = gs.Buffer(retention=retention)
        buffer.put("a", "b", "c")
        buffer.close()
        _others = [buffer.consumer() for _ in range(readers)]
        cursor, manager = buffer.consumer().cursor, EffectManager(Resources(), on_loop=False)
        begun: JustStarted[Model, Any] = JustStarted()
        loop: Loop[Model, Any] = plain_loop(told, manager, Failures(), None, begun)
        with manager, interrupt:
            drive(loop.run(log_feed(cursor, on_loop=False)))
        messages, model = buffer.slice(), getattr(loop, "model", ())
        assert model == tuple(messages[: cursor.committed])
        assert messages[3:] == ["x", "y"][: min(cursor.committed, 2)]

    at_every_point(interrupted)
