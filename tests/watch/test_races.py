"""Watchers in races: what is set at the very moment at which a watcher lies down, wakes or is closed."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import go_state as gs
from go_state.waking.waker import ThreadWaker
from go_state.watch.slot import Slot
from go_state.watch.watcher import Watcher

LONG = 30.0  # seconds: a wake-up that is lost fails here


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns five thousand times as often as usual, which makes rare races common."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Interposed(Slot[Any]):
    """A slot that somebody else sets right before one of the reads that a watcher makes of it, and finds nobody asleep."""

    def __init__(self, *value: Any) -> None:
        self.left = 0
        self.ends = False
        self.held: Any = None
        super().__init__(*value)

    @property
    def now(self) -> Any:
        self.left -= 1
        if self.left == 0:
            self.held = self.held[0] + 1, "last"
            self.closed = self.ends
        return self.held

    @now.setter
    def now(self, held: Any) -> None:
        self.held = held

    def watch(self, *, every: float = 0.0) -> gs.watch.Watcher[Any]:
        return Watcher((self,), lambda held: held[0][1], seen=(0,), every=every)

    def get_by(self, watcher: gs.watch.Watcher[Any], reads: int) -> Any:
        """Return what the watcher gets where the value is published at that read, or once it sleeps if it reads less often."""
        self.left = reads
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(watcher.get, LONG)
            while not (waiting.done() or self.waiting):
                threading.Event().wait(0.001)
            if self.left > 0:
                self.left = 0
                self.publish("last")
            return waiting.result()


@pytest.mark.parametrize("reads", range(1, 6))
def test_the_first_value_is_seen_whenever_it_comes(reads: int) -> None:
    """A value that is set for the first time right before any of the watcher's reads reaches it."""
    value = Interposed()
    assert value.get_by(value.watch(), reads) == "last"


@pytest.mark.parametrize("reads", range(1, 6))
@pytest.mark.parametrize("ends", [False, True])
def test_a_slow_watcher_is_given_the_last_value_whenever_it_comes(reads: int, ends: bool) -> None:
    """The same of a value that is set once more, or ends, while a watcher with `every=` may not be given one yet."""
    value = Interposed("first")
    watcher = value.watch(every=0.01)
    watcher.get(LONG)
    value.ends = ends
    assert value.get_by(watcher, reads) == "last"


@pytest.mark.parametrize("every", [0.0, 0.0001])
def test_ping_pong_over_values_loses_no_wake_up(hasty: None, every: float) -> None:
    """Two threads that answer each other by values, each asleep before every answer, come to the end."""
    there, back = gs.Value[int](), gs.Value[int]()

    def echo() -> None:
        for number in there.watch():
            back.set(number)

    with ThreadPoolExecutor(1) as pool:
        echoing = pool.submit(echo)
        watcher = back.watch(every=every)
        for number in range(2000):
            there.set(number)
            assert watcher.get(LONG) == number
        there.close()
        echoing.result(LONG)


def test_a_first_value_is_never_missed(hasty: None) -> None:
    """Who begins to wait for a value while it is set for the first time gets it."""
    with ThreadPoolExecutor(1) as pool:
        for number in range(2000):
            value: gs.Value[int] = gs.Value()
            waiting = pool.submit(value.watch().get, LONG)
            value.slot.publish(number)
            assert waiting.result(LONG) == number


def test_a_selection_may_be_set_from_two_sides(hasty: None) -> None:
    """Two threads that set two values of one selection at once wake each watcher, and neither is told of it."""
    one, two = gs.Value(0), gs.Value(0)
    both = gs.watch.select(one, two)
    together = threading.Barrier(2, timeout=LONG)

    def count(value: gs.Value[int]) -> None:
        for number in range(1, 301):
            together.wait()
            value.set(number)

    with ThreadPoolExecutor(12) as pool:
        watching = [pool.submit(both.watch().get, LONG, where=lambda pair: pair == (300, 300)) for _ in range(10)]
        setting = [pool.submit(count, value) for value in (one, two)]
        assert [each.result(LONG) for each in setting] == [None, None]
        assert [each.result(LONG) for each in watching] == [(300, 300)] * 10


def test_a_sleeper_may_be_woken_by_many(hasty: None) -> None:
    """Whoever wakes a sleeper that somebody else wakes at that moment is not told of it, and a later sleep is not ended by it."""
    with ThreadPoolExecutor(8) as pool:
        for _ in range(200):
            waker = ThreadWaker()
            waking = [pool.submit(waker.wake) for _ in range(8)]
            assert waker.sleep(time.monotonic() + LONG)
            assert [each.result(LONG) for each in waking] == [None] * 8
            assert not ThreadWaker().sleep(0.0)


def test_closing_watchers_does_not_end_the_app(hasty: None) -> None:
    """Watchers that are closed while the app publishes leave the app alone."""
    with gs.start(gs.reducer(int, lambda model, msg: model + msg)) as app, ThreadPoolExecutor(20) as pool:
        for _ in range(50):
            watchers = [app.watch(since=app.version) for _ in range(20)]
            waiting = [pool.submit(watcher.get, LONG) for watcher in watchers]
            app.send(1)
            for watcher in watchers:
                watcher.close()
            assert all(isinstance(each.exception(LONG), (gs.Closed, type(None))) for each in waiting)
        assert app.apply(0, timeout=LONG) == 50
