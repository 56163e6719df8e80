"""Ctrl-C at every point at which Python delivers it: what has entered is counted, and every position is the message's own."""

from __future__ import annotations

from typing import Any

import pytest
from interrupts import Interrupt, at_every_point

import go_state as gs


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
        buffer: gs.Buffer[str] = gs.Buffer(retention=gs.keep_all)
        buffer.put("message")
        with buffer.consumer() as reader:
            reader.take(1)
            with interrupt:
                reader.settle(1, ["sent"], True)
            assert (reader.committed, buffer.slice()) in [(0, ["message"]), (1, ["message", "sent"])]

    at_every_point(interrupted)
