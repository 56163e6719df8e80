"""What an operator does with the programs of many keys: look at them, be told of one that has failed, and start it again."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

import go_state as gs
from go_state.app import KeyedStatistics, KeyStatistics


class Mended:
    """Whether the world is as the program needs it."""

    def __init__(self) -> None:
        self.yet = False


def counting(mended: Mended) -> gs.Program[int, int]:
    def update(model: int, msg: int) -> gs.Step[int, int]:
        if msg < 0 and not mended.yet:
            raise ValueError(msg)
        return model + msg, ()

    return gs.Program(lambda: (0, ()), update)


def test_on_failed_is_told_instead_of_the_block() -> None:
    """It gets the key and the error once everything of the program is over; others go on, and the block raises nothing."""
    told: list[tuple[str, str, bool]] = []
    apps: Any = None

    def on_failed(key: str, error: Exception) -> None:
        told.append((key, str(error), key in apps))

    apps = gs.start_keyed(counting(Mended()), on_failed=on_failed)
    with apps:
        for key in "ab":
            with pytest.raises(ValueError, match="-1"):
                apps[key].apply(-1)
        assert apps["c"].apply(1) == 1
        with pytest.raises(gs.Closed, match="'a' has failed"):
            apps["a"].send(1)
    assert sorted(told) == [("a", "-1", False), ("b", "-1", False)]


def test_what_on_failed_raises_is_raised_from_the_block() -> None:
    """Nothing is silent: its own error is, and SystemExit of a program is as well."""

    def on_failed(key: str, error: Exception) -> None:
        raise RuntimeError("of its own")

    with pytest.raises(ExceptionGroup) as raised, gs.start_keyed(counting(Mended()), on_failed=on_failed) as apps:
        apps.send("a", -1)
    assert [str(each) for each in raised.value.exceptions] == ["of its own"]


@pytest.mark.parametrize("stored", [True, False])
def test_a_failed_program_is_restarted(tmp_path: Path, stored: bool) -> None:
    """With a store it goes on before the message that it has failed on; without one it begins anew. Its error is raised no more."""
    mended = Mended()
    with (
        gs.LMDBStore(tmp_path / "s") as store,
        gs.start_keyed(counting(mended), store=store if stored else None) as apps,
    ):
        apps["a"].apply(5)
        assert not apps.restart("a")
        with pytest.raises(ValueError, match="-1"):
            apps["a"].apply(-1)
        assert apps["a"].statistics().state == "failed"
        mended.yet = True
        assert apps.restart("a")
        assert apps["a"].apply(10) == (14 if stored else 10)
        assert not apps.restart("b")


def test_restart_within_on_failed(tmp_path: Path) -> None:
    """A supervisor may start it again at once: the program goes on, with what was sent since."""
    mended, over = Mended(), threading.Event()

    def on_failed(key: str, error: Exception) -> None:
        mended.yet = True
        assert apps.restart(key)
        over.set()

    with gs.LMDBStore(tmp_path / "s") as store:
        apps = gs.start_keyed(counting(mended), store=store, on_failed=on_failed)
        with apps:
            apps.send("a", 5, -1)
            assert over.wait(10)
            assert apps["a"].apply(10) == 14


def test_statistics_of_one_and_of_all(tmp_path: Path) -> None:
    """They say who runs, rests and has failed, what waits, and when the next one is due; nobody is started by them."""
    clock = gs.testing.SimClock()
    entered, go_on = threading.Event(), threading.Event()

    def update(model: float, msg: float) -> gs.Step[float, float]:
        if msg < 0:
            raise ValueError(msg)
        if msg == 7:
            entered.set()
            go_on.wait(10)
        return msg, ()

    def subscriptions(model: float) -> list[gs.Sub[float]]:
        return [gs.Sub.at(model, 0.0)] if model > 100 else []

    program = gs.Program(lambda: (0.0, ()), update, subscriptions=subscriptions)
    with gs.LMDBStore(tmp_path / "s") as store:
        with gs.start_keyed(program, store=store, clock=clock) as apps:
            apps["r"].apply(1000.0)
            apps["s"].apply(2000.0)
        with gs.start_keyed(program, store=store, clock=clock, on_failed=lambda key, error: None) as apps:
            assert apps.statistics() == KeyedStatistics(0, 2, 0, 0, 0, 1000.0)
            assert apps["r"].statistics() == KeyStatistics("resting", due=1000.0)
            with pytest.raises(ValueError, match="-1"):
                apps["f"].apply(-1.0)
            apps.send("b", 7.0, 1.0, 2.0)
            assert entered.wait(10)
            found = apps["b"].statistics()
            assert (found.state, found.queue_size >= 2) == ("running", True)
            assert apps["f"].statistics().state == "failed"
            assert isinstance(apps["f"].statistics().error, ValueError)
            every = apps.statistics()
            assert (every.running, every.resting, every.failed, every.due) == (1, 2, 1, 1000.0)
            assert every.queue_size >= 2
            assert list(apps) == ["b"]
            go_on.set()


def test_wrong_options_teach() -> None:
    """What is no function is said."""
    with pytest.raises(gs.UsageError, match=r"on_failed= is a plain function of \(key, error\)"):
        gs.start_keyed(counting(Mended()), on_failed=1)  # type: ignore[arg-type]
    with gs.start_keyed(counting(Mended())) as apps, pytest.raises(gs.UsageError, match="a string"):
        apps.restart(1)  # type: ignore[arg-type]
