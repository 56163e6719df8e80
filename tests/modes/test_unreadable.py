"""Messages that a program cannot go on with: what it sends and cannot store, and what its journal has and it cannot read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers

import go_state as gs

drivers = both_drivers.drivers
pytestmark = pytest.mark.filterwarnings("ignore:.*was written with other types")


@dataclass(frozen=True)
class Add:
    by: int


@dataclass(frozen=True)
class Gone:
    """Of a class that the program has no more."""

    by: int


def init() -> gs.Step[int, Add]:
    return 0, ()


def update(model: int, msg: Add) -> gs.Step[int, Add]:
    by: Any = "one"  # which a journal of Add cannot hold
    return model + msg.by, [gs.Cmd.send(Add(by))] if msg.by == 7 else ()


summing = gs.Program(init, update)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a store whose journal has a message in its middle that cannot be read."""
    with gs.LMDBStore(tmp_path / "s") as store:
        store.journal("sum", of=Add | Gone).put(Add(1), Gone(2), Add(4), Gone(8), Add(16))
    return tmp_path / "s"


def life(drivers: Drivers, path: Path, *messages: Add, **options: Any) -> int:
    with gs.LMDBStore(path) as store:
        journal = store.journal("sum", of=Add)
        journal.put(*messages)
        journal.close()
        model: int = drivers.run(summing, journal, store=store, key="sum", **options)
        return model


def skip(path: Path, *positions: int) -> None:
    with gs.LMDBStore(path) as store:
        for position in positions:
            store.journal("sum").skip(position)


def test_what_was_skipped_need_not_be_readable(drivers: Drivers, path: Path) -> None:
    """Skipped messages are not decoded: the run goes on, and so do a replay and the proof of it."""
    skip(path, 1, 3)
    assert life(drivers, path) == 21
    with gs.LMDBStore(path) as store:
        journal = store.journal("sum")
        assert gs.replay(summing, journal, until=5) == 21
        assert gs.verify(summing, journal).ok
        assert journal.slice() == [Add(1), None, Add(4), None, Add(16)]


def test_what_cannot_be_read_is_set_aside(drivers: Drivers, path: Path) -> None:
    """`on_error` decides on it as on every message, given as JSON, and every later life passes over it."""
    aside: gs.Buffer[Any] = gs.Buffer()
    assert life(drivers, path, on_error=gs.SetAside(aside)) == 21
    failed = aside.slice()
    assert [(each.message, each.position) for each in failed] == [(["Gone", {"by": 2}], 1), (["Gone", {"by": 8}], 3)]
    assert all(isinstance(each.error, gs.errors.Incompatible) for each in failed)
    assert life(drivers, path, Add(32)) == 53


def test_what_comes_before_what_cannot_be_read_is_processed(drivers: Drivers, path: Path) -> None:
    """The run stops at that message and not at the block it lies in: only one has to be skipped."""
    with pytest.raises(gs.errors.Incompatible, match="message at position 1"):
        life(drivers, path)
    with gs.LMDBStore(path) as store:
        assert store.journal("sum").cursors() == {"program": 1}
    skip(path, 1)
    with pytest.raises(gs.errors.Incompatible, match="message at position 3"):
        life(drivers, path)


def test_a_message_whose_command_sends_what_cannot_be_stored_is_set_aside(drivers: Drivers, path: Path) -> None:
    """Its turn is rolled back, `on_error` decides on it, and a replay passes over it."""
    skip(path, 1, 3)
    aside: gs.Buffer[Any] = gs.Buffer()
    assert life(drivers, path, Add(7), Add(32), on_error=gs.SetAside(aside)) == 53
    (failed,) = aside.slice()
    assert (failed.message, failed.position, type(failed.error)) == (Add(7), 5, gs.errors.NotStorable)
    with gs.LMDBStore(path) as store:
        assert gs.verify(summing, store.journal("sum")).ok
    assert life(drivers, path) == 53


def test_a_message_whose_command_sends_what_cannot_be_stored_is_named(drivers: Drivers, path: Path) -> None:
    """Where the run stops at it, the error says at which message, so that it can be skipped."""
    skip(path, 1, 3)
    with pytest.raises(gs.errors.NotStorable) as raised:
        life(drivers, path, Add(7), Add(32))
    assert "message of type Add, position 5" in raised.value.__notes__[0]
    skip(path, 5)
    assert life(drivers, path) == 53
