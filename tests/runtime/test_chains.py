"""The fast path of a chain: while nobody else uses the log, turns append their messages to the very list that the loop iterates over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from interrupts import Interrupt, at_every_point

import go_state as gs
from go_state.buffer.consumer import Consumer
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.feeds.log_feed import log_feed
from go_state.runtime.flow.driver import drive
from go_state.runtime.resources import Resources
from go_state.runtime.steps import Steps
from go_state.runtime.turn import Loop


class Chain:
    """A closed buffer, its only reader, and how often the run has taken the log's lock to commit."""

    def __init__(self, *messages: int) -> None:
        self.buffer: gs.Buffer[int] = gs.Buffer()
        self.reader: Consumer[int] = self.buffer.consumer()
        self.buffer.put(*messages)
        self.buffer.close()
        self.feed = log_feed(self.reader.cursor, on_loop=False)
        self.longest = 0

    def run(self, update: Callable[[int, int], Any]) -> Loop[int, int]:
        def watched(model: int, msg: int) -> Any:
            own = self.feed.owner.own
            self.longest = max(self.longest, 0 if own is None else len(own))
            return update(model, msg)

        loop = Loop(Steps(lambda: (0, ()), watched, takes_turn=False), EffectManager(Resources(), on_loop=False))
        with loop.manager:
            drive(loop.run(self.feed))
        return loop

    @property
    def committed(self) -> int:
        return self.reader.committed


def down(model: int, msg: int) -> gs.Step[int, int]:
    return model + 1, ([gs.Cmd.send(msg - 1)] if msg else ())


def test_a_chain_does_not_go_through_the_log_at_every_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The messages come in order, all of them are committed, and the log was asked once for many turns."""
    chain, seen = Chain(5000), list[int]()
    commits: list[int] = []
    settle = chain.feed._settle
    monkeypatch.setattr(chain.feed, "_settle", lambda *args: (commits.append(1), settle(*args))[1])
    assert chain.run(lambda model, msg: (seen.append(msg), down(model, msg))[1]).model == 5001
    assert (seen, chain.committed) == (list(range(5000, -1, -1)), 5001)
    assert len(commits) < 100


def test_a_chain_gives_its_chunk_back_at_times() -> None:
    """However long it is, the list stays short, and what was processed is committed."""
    chain = Chain(5000)
    chain.run(down)
    assert 100 < chain.longest <= 1024
    assert chain.buffer.size() == 0


def test_messages_that_were_queued_come_first() -> None:
    """A turn's messages enter after all that is already there."""
    chain, seen = Chain(2, 1, 0), list[int]()
    chain.run(lambda model, msg: (seen.append(msg), down(model, msg))[1])
    assert seen == [2, 1, 0, 1, 0, 0]


def test_what_is_put_in_the_middle_of_a_chain_comes_next() -> None:
    """What a turn's function puts, or another thread, is before what the next turn sends."""
    buffer: gs.Buffer[int] = gs.Buffer()
    seen: list[int] = []

    def update(model: int, msg: int) -> gs.Step[int, int]:
        seen.append(msg)
        if msg == 3:
            buffer.put(100)
            buffer.close()
        return down(model, msg) if msg < 100 else (model, ())

    buffer.put(5)
    gs.run(gs.Program(lambda: (0, ()), update), buffer)
    assert seen == [5, 4, 3, 100, 2, 1, 0]


def test_what_starts_a_command_is_committed_by_itself() -> None:
    """A command begins once its turn is committed, and not when the log hears of it later."""
    chain, committed = Chain(1), list[int]()
    chain.run(lambda model, msg: (model, [gs.Cmd.call(lambda: committed.append(chain.committed), thread=True)]))
    assert committed == [1]


def test_what_a_backlog_sends_needs_no_lock_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages come behind what is queued, in order, and the log was asked once for many turns."""
    chain, seen = Chain(*range(5000)), list[int]()
    commits: list[int] = []
    settle = chain.feed._settle
    monkeypatch.setattr(chain.feed, "_settle", lambda *args: (commits.append(1), settle(*args))[1])
    chain.run(lambda model, msg: (seen.append(msg), (model, [gs.Cmd.send(msg + 10_000)] if msg < 10_000 else ()))[1])
    assert seen == [*range(5000), *range(10_000, 15_000)]
    assert (chain.committed, chain.buffer.size()) == (10_000, 0)
    assert len(commits) < 100


def test_turns_that_begin_commands_which_send_nothing_are_forgotten() -> None:
    """Each is committed without the lock, and the log still drops what is processed, and is found drained by whoever waits for that."""
    chain, sizes = Chain(*range(3000)), list[int]()

    async def nothing() -> None:
        """Send no message."""

    def begin(model: int, msg: int) -> gs.Step[int, int]:
        if msg == 2999:
            sizes.append(chain.buffer.size())
        return model, [gs.Cmd.call(nothing)]

    chain.run(begin)
    assert sizes[0] < 2100
    assert (chain.committed, chain.buffer.size()) == (3000, 0)


def test_a_turn_that_fails_leaves_what_came_before() -> None:
    """The messages of the turns before it are in the log, and committed; it comes again."""
    chain = Chain(5)

    def fail(model: int, msg: int) -> gs.Step[int, int]:
        if msg == 2:
            raise ValueError("two")
        return down(model, msg)

    with pytest.raises(ValueError, match="two"):
        chain.run(fail)
    assert (chain.buffer.slice(), chain.committed) == ([2], 3)
    assert chain.reader.get() == 2


def test_a_flow_that_is_dropped_has_committed_its_turns() -> None:
    """An event loop that is closed drops the flow: what was processed does not come again, and nothing is there twice."""
    chain, loops = Chain(9), list[Any]()

    def leave(model: int, msg: int) -> gs.Step[int, int]:
        if msg == 4:
            raise GeneratorExit
        return down(model, msg)

    loop = Loop(Steps(lambda: (0, ()), leave, takes_turn=False), EffectManager(Resources(), on_loop=False))
    loops.append(loop)
    with loop.manager, pytest.raises(BaseException):  # noqa: B017, PT011  - whatever it counts as
        drive(loop.run(chain.feed))
    assert (chain.buffer.slice(), chain.committed) == ([4], 5)


class InTurns(Interrupt):
    """Interrupts at points of the loop and its feed alone: what a real log does at its own is tested with it."""

    def __call__(self, frame: Any, event: str, argument: Any) -> None:
        if frame.f_code.co_filename.endswith(
            ("runtime/turn.py", "feeds/log_feed.py", "effects/interpreter.py", "own_chunk.py")
        ):
            super().__call__(frame, event, argument)


def in_turns(act: Callable[[Interrupt], object]) -> Callable[[Interrupt], object]:
    def interrupted(interrupt: Interrupt) -> None:
        here = InTurns(interrupt.left)
        act(here)
        interrupt.came = here.came

    return interrupted


@pytest.mark.parametrize("kind", ["alone", "shared"])
def test_ctrl_c_at_every_point_leaves_every_turn_taken_or_not(kind: str) -> None:
    """The log has the messages of all committed turns, each once, and of no other."""

    def interrupted(interrupt: Interrupt) -> None:
        chain = Chain(6)
        other = chain.buffer.consumer() if kind == "shared" else None
        with interrupt:
            chain.run(down)
        end = chain.buffer.statistics().end
        if other is not None:
            assert chain.buffer.slice() == list(range(6, 6 - end, -1))
        assert chain.committed in (end - 1, 7)
        assert (
            chain.buffer.slice()[chain.committed - end :] == list(range(6, 6 - end, -1))[chain.committed - end :]
            or chain.committed == end
        )

    at_every_point(in_turns(interrupted))
