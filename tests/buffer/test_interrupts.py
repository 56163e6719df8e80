"""Ctrl-C at every point at which Python delivers it: what has entered is counted, and every position is the message's own."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from interrupts import Interrupt, at_every_point

import go_state as gs


def check_positions(buffer: Any) -> None:
    """Put another message, and find each message at the position that was told for it."""
    told: list[int] = []
    buffer.log.put_known("second", told.append)
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
                buffer.log.put_known("first", lambda position: None)
        check_positions(buffer)

    at_every_point(interrupted)


def test_an_interrupted_step_is_taken_or_not() -> None:
    """A turn's messages enter together with the commit of its own message, or neither does."""

    def interrupted(interrupt: Interrupt) -> None:
        buffer: gs.Buffer[str] = gs.Buffer(retention=gs.retention.keep_all)
        buffer.put("message")
        with buffer.consumer() as reader:
            reader.cursor.take(1)
            with interrupt:
                reader.cursor.settle(1, ["sent"], True)
            assert (reader.committed, buffer.slice()) in [(0, ["message"]), (1, ["message", "sent"])]

    at_every_point(interrupted)


def test_a_reader_whose_wait_was_interrupted_can_wait_again() -> None:
    """Also if Ctrl-C comes when the wait is over: nobody is left asleep in the reader."""

    def interrupted(interrupt: Interrupt) -> None:
        buffer: gs.Buffer[int] = gs.Buffer()
        with buffer.consumer() as reader:
            with interrupt, suppress(gs.TimedOut):
                reader.get(timeout=0.001)
            for _ in range(2):
                with suppress(gs.errors.TimedOut):  # a wait may end for the last one's wake-up
                    reader.get(timeout=0.001)
            assert not reader.cursor.sleeper.is_asleep
            buffer.put(1)
            assert reader.get(timeout=10) == 1

    at_every_point(interrupted)


def test_a_close_whose_wait_was_interrupted_is_waited_for_no_more() -> None:
    def interrupted(interrupt: Interrupt) -> None:
        buffer: gs.Buffer[int] = gs.Buffer()
        with buffer.consumer() as reader:
            buffer.put(1)
            with interrupt, suppress(gs.TimedOut):
                buffer.close(timeout=0.001)
            assert not buffer.log.closers
            buffer.close()
            assert reader.get(timeout=10) == 1
            assert reader.commit() == 1

    at_every_point(interrupted)
