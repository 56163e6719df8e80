"""Ctrl-C at every point at which Python delivers it: what has entered is counted, and every position is the message's own."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest

import go_state as gs


class Interrupt:
    """Raises KeyboardInterrupt after the nth call within a block: CPython delivers signals after calls, and when a function begins."""

    def __init__(self, nth: int) -> None:
        self.left = nth
        self.came = False

    def __call__(self, frame: Any, event: str, argument: Any) -> None:
        if event in ("call", "c_return") and frame.f_code is not Interrupt.__exit__.__code__:
            self.left -= 1
            if self.left == 0:
                sys.setprofile(None)
                self.came = True
                raise KeyboardInterrupt

    def __enter__(self) -> None:
        gc.disable()  # what the collector calls belongs to no caller, and an exception in it to nobody
        sys.setprofile(self)

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> bool:
        sys.setprofile(None)
        gc.enable()
        return kind is KeyboardInterrupt


def at_every_point(act: Callable[[Interrupt], object]) -> None:
    """Call it with an interrupt at its first point, its second, and so on, until none comes."""
    nth, came = 1, True
    while came:
        interrupt = Interrupt(nth)
        act(interrupt)
        nth, came = nth + 1, interrupt.came
    assert nth > 5


def check_positions(buffer: Any) -> None:
    """Put another message, and find each message at the position that was told for it."""
    told: list[int] = []
    buffer.put_known("second", told.append)
    messages = buffer.slice()
    assert messages[told[0]] == "second"
    assert messages in (["second"], ["first", "second"], ["first", "and", "second"])
    statistics = buffer.statistics()
    assert statistics.end == len(messages)


@pytest.mark.parametrize("several", [False, True], ids=["put_known", "put"])
def test_an_interrupted_put_leaves_every_position_right(several: bool) -> None:
    """The message has entered or not, and who asks next is answered by the turn of their own message."""

    def interrupted(interrupt: Interrupt) -> None:
        buffer: gs.Buffer[str] = gs.Buffer()
        with interrupt:
            if several:
                buffer.put("first", "and")
            else:
                buffer.put_known("first", lambda position: None)
        check_positions(buffer)

    at_every_point(interrupted)


def test_an_interrupted_step_is_taken_or_not() -> None:
    """A turn's messages enter together with the commit of its own message, or neither does."""

    def interrupted(interrupt: Interrupt) -> None:
        buffer: gs.Buffer[str] = gs.Buffer(retention=gs.retention.keep_all)
        buffer.put("message")
        with buffer.consumer() as reader:
            reader.take(1)
            with interrupt:
                reader.settle(1, ["sent"], True)
            assert (reader.committed, buffer.slice()) in [(0, ["message"]), (1, ["message", "sent"])]

    at_every_point(interrupted)
