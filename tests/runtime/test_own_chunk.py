"""The fast path of a chain: while nobody else uses the log, turns append their messages to the very list that the loop iterates over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from buffer.test_interrupts import Interrupt, at_every_point

import go_state as gs
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.feeds.log_feed import LogFeed
from go_state.runtime.flow.driver import drive
from go_state.runtime.resources import Resources
from go_state.runtime.steps import Steps
from go_state.runtime.turn import Loop


class OwnedLog:
    """A log and its only reader, which offers its chunk to be lengthened, as a cursor does while nobody else uses its log."""

    def __init__(self, *messages: int) -> None:
        self.messages = list(messages)
        self.position = self.committed = 0
        self.own: list[int] | None = None
        self.known = 0  # how many messages of `own` the log has
        self.settles = 0
        self.longest = 0

    def absorb(self) -> None:
        if self.own is not None:
            new = self.own[self.known :]
            self.messages += new
            self.known += len(new)
            self.position += len(new)
            self.longest = max(self.longest, len(self.own))

    def belongs_to(self, log: object, /) -> bool:
        return False

    def take(self, limit: int) -> list[int]:
        self.absorb()
        chunk = self.messages[self.position : self.position + limit]
        self.position += len(chunk)
        self.own, self.known = (chunk if self.position == len(self.messages) else None), len(chunk)
        return chunk

    def settle(self, count: int, messages: Sequence[int] = (), follow: bool = False, /) -> Sequence[int]:
        self.settles += 1
        self.absorb()
        follows = follow and self.position == len(self.messages)
        self.messages += messages
        self.committed += count
        if not follows:
            self.own = None if messages else self.own
            return ()
        self.position += len(messages)
        self.known += len(messages)
        return messages

    def rollback(self) -> None:
        self.absorb()
        self.own = None
        if self.position == self.committed:
            raise gs.errors.NothingPending("nothing")
        self.position = self.committed

    def diff(self) -> int:
        return len(self.messages) - self.position

    def wait(self, timeout: float | None = None) -> None:
        raise gs.Closed("the end")

    async def wait_async(self, timeout: float | None = None) -> None:
        raise gs.Closed("the end")

    def wake(self) -> None:
        """Do nothing: nobody sleeps here."""


def run(log: OwnedLog, update: Callable[[int, int], Any]) -> Loop[int, int]:
    steps: Steps[int, int] = Steps(lambda: (0, ()), update, takes_turn=False)
    loop = Loop(steps, EffectManager(Resources(), on_loop=False))
    with loop.manager:
        drive(loop.run(LogFeed(log, on_loop=False)))
    return loop


def down(model: int, msg: int) -> gs.Step[int, int]:
    return model + 1, ([gs.Cmd.send(msg - 1)] if msg else ())


def test_a_chain_does_not_go_through_the_log_at_every_turn() -> None:
    """The messages come in order, all of them are committed, and the log was asked once for many turns."""
    log = OwnedLog(5000)
    assert run(log, down).model == 5001
    assert (log.messages, log.committed) == (list(range(5000, -1, -1)), 5001)
    assert log.settles < 100


def test_a_chain_gives_its_chunk_back_at_times() -> None:
    """However long it is, the list stays short, and what was processed is committed."""
    log = OwnedLog(5000)
    run(log, down)
    assert log.longest <= 1024


def test_messages_that_were_queued_come_first() -> None:
    """A turn's messages enter after all that is already there."""
    log, seen = OwnedLog(2, 1, 0), list[int]()
    run(log, lambda model, msg: (seen.append(msg), down(model, msg))[1])
    assert seen == [2, 1, 0, 1, 0, 0]


def test_what_starts_a_command_is_committed_by_itself() -> None:
    """A command begins once its turn is committed, and not when the log hears of it later."""
    log, committed = OwnedLog(1), list[int]()

    def later() -> None:
        committed.append(log.committed)

    run(log, lambda model, msg: (model, [gs.Cmd.call(later, thread=True)]))
    assert committed == [1]


def test_a_turn_that_fails_leaves_what_came_before() -> None:
    """The messages of the turns before it are in the log, and committed; it comes again."""
    log = OwnedLog(5)

    def fail(model: int, msg: int) -> gs.Step[int, int]:
        if msg == 2:
            raise ValueError("two")
        return down(model, msg)

    with pytest.raises(ValueError, match="two"):
        run(log, fail)
    assert (log.messages, log.committed, log.position) == ([5, 4, 3, 2], 3, 3)


class InTurns(Interrupt):
    """Interrupts at points of the loop and its feed alone: what a real log does at its own is tested with it."""

    def __call__(self, frame: Any, event: str, argument: Any) -> None:
        if frame.f_code.co_filename.endswith(("runtime/turn.py", "feeds/log_feed.py", "effects/interpreter.py")):
            super().__call__(frame, event, argument)


def in_turns(act: Callable[[Interrupt], object]) -> Callable[[Interrupt], object]:
    def interrupted(interrupt: Interrupt) -> None:
        here = InTurns(interrupt.left)
        act(here)
        interrupt.came = here.came

    return interrupted


@pytest.mark.parametrize("kind", ["owned", "shared"])
def test_ctrl_c_at_every_point_leaves_every_turn_taken_or_not(kind: str) -> None:
    """The log has the messages of all committed turns, each once, and of no other."""

    def interrupted(interrupt: Interrupt) -> None:
        log = OwnedLog(6)
        if kind == "shared":
            log.take = lambda limit: unowned(log, limit)  # type: ignore[method-assign]
        with interrupt:
            run(log, down)
        log.absorb()
        assert log.messages == list(range(6, 6 - len(log.messages), -1))
        assert log.committed in (len(log.messages) - 1, 7)

    at_every_point(in_turns(interrupted))


def unowned(log: OwnedLog, limit: int) -> list[int]:
    chunk = OwnedLog.take(log, limit)
    log.own = None
    return chunk
