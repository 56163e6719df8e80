"""What an operator wants to know of the programs of many keys, none of which is started by looking."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias, TypeVar

from go_state.modes.app.app import App
from go_state.modes.keyed_apps.directory import Directory
from go_state.modes.keyed_apps.place import Place
from go_state.modes.keyed_apps.states import State

Model = TypeVar("Model")
Msg = TypeVar("Msg")

KeyState: TypeAlias = Literal["starting", "running", "ending", "resting", "failed"]
"""The state of one key's program: being started, running, being put to rest, at rest, and failed."""

_NAMES: dict[State, KeyState] = {
    State.NEW: "starting",
    State.LOADING: "starting",
    State.RUNNING: "running",
    State.RESTING: "ending",
    State.FAILED: "failed",
    State.STOPPED: "resting",
}


class KeyStatistics(NamedTuple):
    """One key's program at one moment.

    Its state; how many messages were processed since it was started, and how many wait; the age of the oldest of these in seconds
    (None if none waits); how many commands are running, timers included; when a program at rest has something to do by itself, in
    seconds since 1970 (None for never); and what it has failed with.
    """

    state: KeyState
    processed: int = 0
    queue_size: int = 0
    oldest_age: float | None = None
    commands_running: int = 0
    due: float | None = None
    error: BaseException | None = None


class KeyedStatistics(NamedTuple):
    """The programs of all keys at one moment.

    How many are running, those that are being started or put to rest included; how many rest that have something to do later, and
    how many have failed; how many messages wait and commands run in all of them; and when the next one at rest has something to do,
    in seconds since 1970 (None for never).
    """

    running: int
    resting: int
    failed: int
    queue_size: int
    commands_running: int
    due: float | None


def key_statistics(directory: Directory[Model, Msg], key: str) -> KeyStatistics:
    """Return those of one key."""
    place, error = directory.places.get(key), directory.failed.get(key)
    if error is not None:
        return KeyStatistics("failed", error=error)
    if place is None or place.is_over:
        return KeyStatistics("resting", due=directory.next_of(key))
    app = place.present
    if app is not None and app.life.error is not None:  # it is about to be over
        return KeyStatistics("failed", error=app.life.error)
    if app is None:
        return KeyStatistics(_NAMES[place.state], queue_size=place.waiting)
    return _running(place, app)


def _running(place: Place[Model, Msg], app: App[Model, Msg]) -> KeyStatistics:
    found = app.statistics()
    size = found.queue_size + place.waiting
    return KeyStatistics(_NAMES[place.state], found.processed, size, found.oldest_age, found.commands_running)


def keyed_statistics(directory: Directory[Model, Msg]) -> KeyedStatistics:
    """Return those of all keys."""
    up = [key for key in directory.running() if key not in directory.failed]
    each = [key_statistics(directory, key) for key in up]
    alarm = directory.alarm
    return KeyedStatistics(
        running=sum(one.state in ("starting", "running", "ending") for one in each),
        resting=0 if alarm is None else len(alarm.keys() - set(up)),
        failed=len(directory.failed),
        queue_size=sum(one.queue_size for one in each),
        commands_running=sum(one.commands_running for one in each),
        due=None if alarm is None else alarm.next_due,
    )
