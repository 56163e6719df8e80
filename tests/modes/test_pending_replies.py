"""Whoever waits for a turn gets what that turn has made, and nothing of the turns before it, for which nobody waits."""

from __future__ import annotations

from typing import Any

import pytest
from interrupts import Interrupt, at_every_point

import go_state as gs
from go_state.modes.app.pending_replies import PendingReplies, PendingReply
from go_state.waking.waker import ThreadWaker


class Turns:
    """Pending replies, and a loop that calls the hooks after each turn, as `Loop.turns` does."""

    def __init__(self) -> None:
        self.replies = PendingReplies(None, None)
        self.hooks: list[Any] = []
        self.position = 0
        self.replies.position = lambda: self.position
        self.replies.follow(self.hooks, self.replies.committed)

    def take(self, *answers: object) -> None:
        """Take a turn that gives these answers."""
        self.position += 1
        self.replies.answers.extend(answers)
        for committed in self.hooks:
            committed(None)

    def ask(self) -> PendingReply:
        """Expect the answer of the next turn."""
        reply = PendingReply(ThreadWaker(), asks=True)
        self.replies.expect(reply, self.position + 1)
        return reply


def test_an_answer_that_nobody_waits_for_is_nobodys() -> None:
    """The next who asks gets none if its own turn gives none; the loop calls the hook until a turn that nobody waits for."""
    turns = Turns()
    turns.take("stale")
    reply = turns.ask()
    turns.take()
    assert len(turns.hooks) == 1
    turns.take()
    assert turns.hooks == []
    with pytest.raises(gs.errors.NoReply):
        reply.outcome()
    turns.take("stale")
    reply = turns.ask()
    turns.take("first", "last")
    assert reply.outcome() == "last"


def test_an_interrupted_ask_leaves_no_answer_to_the_next() -> None:
    """Wherever Ctrl-C meets somebody who begins to wait, the next who asks does not get the answer of a turn before."""

    def act(interrupt: Interrupt) -> None:
        turns = Turns()
        turns.take("stale")
        interrupted = PendingReply(ThreadWaker(), asks=True)
        with interrupt:
            turns.replies.expect(interrupted, turns.position + 1)
        turns.replies.forget(interrupted)  # its message has not entered
        reply = turns.ask()
        turns.take()
        with pytest.raises(gs.errors.NoReply):
            reply.outcome()

    at_every_point(act)


@pytest.mark.parametrize("fails", [False, True])
def test_a_turn_that_is_interrupted_leaves_nobody_asleep(fails: bool) -> None:
    """Wherever Ctrl-C meets the run as it answers, or fails, whoever waits is woken by its end: with the answer, or its lack."""

    def act(interrupt: Interrupt) -> None:
        turns = Turns()
        reply = turns.ask()
        with interrupt:
            if fails:
                turns.position += 1
                turns.replies.rolled_back(ValueError("of the turn"), ends=True)
            else:
                turns.take("answer")
        turns.replies.published()
        turns.replies.over(None)
        assert reply.waker.sleep(0.0)
        try:
            assert reply.outcome() == "answer"
        except (gs.errors.AppEnded, ValueError):
            assert interrupt.came or fails

    at_every_point(act)


def test_a_turn_that_is_rolled_back_has_answered_nobody() -> None:
    """It may have answered before one of its commands failed: whoever waits for the next turn does not get that."""
    replies = PendingReplies(None, None)
    failed, unanswered = PendingReply(ThreadWaker(), asks=True), PendingReply(ThreadWaker(), asks=True)
    for position, waiting in enumerate((failed, unanswered)):
        replies.expect(waiting, position)
    replies.answers.append("stale")
    replies.position = lambda: 0
    replies.rolled_back(ValueError("of a later command"), ends=False)
    replies.position = lambda: 1
    replies.turned("model")
    with pytest.raises(ValueError, match="later command"):
        failed.outcome()
    with pytest.raises(gs.errors.NoReply):
        unanswered.outcome()
