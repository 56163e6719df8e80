"""A throttled view: no more often than asked for, the newest only, and the last one for certain."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

import go_state as gs


def test_the_last_model_is_shown() -> None:
    """Of many models at once the first is shown, and at the end the last, in the run's thread or by close."""
    shown: list[int] = []
    with gs.watch.throttle(shown.append, hz=0.001) as view:
        program = gs.Program(lambda: (0, ()), lambda model, msg: (model + msg, ()), view=view)
        assert gs.batch(program, [1] * 1000).model == 1000
        assert shown == [0]
    assert shown == [0, 1000]
    view.close()
    assert shown == [0, 1000]


def test_what_is_pending_is_shown_when_it_is_due() -> None:
    """A model that came too soon is shown by itself, and never two within the interval."""
    shown: list[tuple[int, float]] = []
    last = threading.Event()

    def view(model: int) -> None:
        shown.append((model, time.monotonic()))
        if model == 99:
            last.set()

    with gs.watch.throttle(view, hz=50) as throttled:
        for number in range(100):
            throttled(number)
            time.sleep(0.0005)
        assert last.wait(10)
    assert [model for model, _ in shown] == sorted({model for model, _ in shown})
    assert all(later - earlier >= 0.0199 for (_, earlier), (_, later) in itertools.pairwise(shown))


def test_no_thread_is_left_and_errors_are_told() -> None:
    """After close there is no thread; what the view raises in one reaches the next call or close."""
    before, failed = threading.active_count(), threading.Event()

    def view(model: int) -> None:
        if model:
            failed.set()
            raise OSError("no paper")

    throttled = gs.watch.throttle(view, hz=100)
    throttled(0)
    throttled(1)
    failed.wait(10)
    while threading.active_count() > before:
        time.sleep(0.001)
    with pytest.raises(OSError, match="no paper"):
        throttled.close()
    with pytest.raises(gs.UsageError):
        gs.watch.throttle(view, hz=0)
