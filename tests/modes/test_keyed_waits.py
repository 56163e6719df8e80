"""Whoever stops waiting for a program of many keys is forgotten, wherever the message is by then."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import go_state as gs

LONG = 30.0  # seconds: what hangs fails here


class Held:
    """A program whose first turn waits, and whose beginning can."""

    def __init__(self) -> None:
        self.in_turn, self.go_on, self.may_begin = threading.Event(), threading.Event(), threading.Event()
        self.taken: list[str] = []
        self.program: gs.Program[int, str] = gs.Program(self.init, self.update)

    def init(self) -> gs.Step[int, str]:
        assert self.may_begin.wait(LONG)
        return 0, ()

    def update(self, model: int, msg: str) -> gs.Step[int, str]:
        self.taken.append(msg)
        if msg == "hold":
            self.in_turn.set()
            assert self.go_on.wait(LONG)
        return model + 1, ()


@contextmanager
def held(**options: Any) -> Iterator[tuple[Held, gs.KeyedApps[int, str]]]:
    """Give programs that go on when the block ends."""
    program = Held()
    with gs.start_keyed(program.program, **options) as rooms:
        try:
            yield program, rooms
        finally:
            program.may_begin.set()
            program.go_on.set()


def waiters() -> int:
    """Return how many senders are known to wait for a turn."""
    gc.collect()
    return sum(type(each).__name__ in ("Waiting", "PendingReply") for each in gc.get_objects())


def give_up(rooms: gs.KeyedApps[int, str]) -> None:
    with pytest.raises(gs.TimedOut):
        rooms["a"].apply("late", timeout=0.01)


@pytest.mark.slow
def test_in_the_queue_of_a_program_that_is_held_up() -> None:
    """The message stays there, and has its turn."""
    before = waiters()
    with held() as (program, rooms):
        program.may_begin.set()
        rooms["a"].send("hold")
        assert program.in_turn.wait(LONG)
        for _ in range(10):
            give_up(rooms)
        assert waiters() == before
    assert program.taken == ["hold", *["late"] * 10]


@pytest.mark.slow
def test_while_the_program_begins() -> None:
    before = waiters()
    with held() as (program, rooms):
        for _ in range(10):
            give_up(rooms)
        assert waiters() == before
    assert program.taken == ["late"] * 10


@pytest.mark.slow
def test_while_the_program_is_put_to_rest() -> None:
    """The message waits for the next life then, and its sender does not."""
    before = waiters()
    with held(limit=1) as (program, rooms):
        program.may_begin.set()
        rooms["a"].send("hold")
        assert program.in_turn.wait(LONG)
        rooms["b"].send("other")  # there may be one program only
        for _ in range(10):
            give_up(rooms)
        assert waiters() == before
    assert sorted(program.taken) == ["hold", *["late"] * 10, "other"]


@pytest.mark.slow
async def test_on_an_event_loop() -> None:
    program = Held()
    async with gs.start_keyed(program.program) as rooms:
        program.may_begin.set()
        rooms["a"].send("hold")
        assert await asyncio.to_thread(program.in_turn.wait, LONG)
        known = []
        for _ in range(10):
            with pytest.raises(gs.TimedOut):
                await rooms["a"].ask_async("late", timeout=0.01)
            known.append(waiters())
        assert (
            known == known[:1] * 10
        )  # Python 3.12 keeps the frame of the last wait that was cancelled, and with it its sender
        assert known[0] <= 1
        program.go_on.set()
        assert await rooms["a"].apply_async("on time", timeout=LONG) == 12
