"""The inbox by itself: what is posted is never slept through."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

import go_state as gs
from go_state.runtime.effects.inbox import Done, Inbox, NextArrival
from go_state.runtime.effects.place import Origin
from go_state.runtime.effects.scheduler import Effect
from go_state.runtime.flow.driver import drive

EFFECT = Effect(gs.Cmd.call(len, ""), (), None, (0,), Origin(None, None, "t"))  # type: ignore[arg-type]


class Run:
    """What a wait asks of a run."""

    def __init__(self) -> None:
        self.inbox = Inbox()

    @property
    def has_arrivals(self) -> bool:
        return bool(self.inbox.arrivals)

    def left(self) -> float | None:
        self.inbox.is_awaited = True
        return 0.0 if self.inbox.arrivals else None


@pytest.fixture
def switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("switching_often")
def test_no_post_is_slept_through() -> None:
    """However threads interleave, the run sees every post, or is woken by it."""
    run, each, threads = Run(), 2_000, 4

    def post() -> None:
        for number in range(each):
            run.inbox.post(Done(EFFECT, number))

    posting = [threading.Thread(target=post) for _ in range(threads)]
    for thread in posting:
        thread.start()
    seen = 0
    while seen < each * threads:
        NextArrival(run, 20).in_thread()
        assert run.inbox.arrivals, "the wait ended by its time: a post was slept through"
        while run.inbox.arrivals:
            run.inbox.arrivals.popleft()
            seen += 1
    for thread in posting:
        thread.join()


def test_of_many_posts_the_first_wakes() -> None:
    """The others find a run that is awake."""
    inbox, woken = Inbox(), []
    inbox.connect(lambda: woken.append(1), looks_up=True)
    inbox.post(Done(EFFECT, 0))
    assert woken == []  # it does not wait
    inbox.is_awaited = True
    inbox.post(Done(EFFECT, 1))
    inbox.post(Done(EFFECT, 2))
    assert woken == [1]


def test_a_feed_that_looks_up_by_itself_is_given_no_reason_to() -> None:
    """Another one gets one at most."""
    inbox = Inbox()
    inbox.look()
    inbox.look()
    assert len(inbox.arrivals) == 1
    inbox = Inbox()
    inbox.connect(None, looks_up=True)
    inbox.look()
    assert not inbox.arrivals


def test_a_wait_ends_by_its_time() -> None:
    """Nothing has to arrive."""

    def flow() -> Iterator[NextArrival]:
        yield NextArrival(Run(), 0.001)

    drive(flow())  # type: ignore[arg-type]
