"""Log: what a run does, as lines of the standard library's logging."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import fields
from typing import Final

from go_state.core.errors import UsageError
from go_state.observe.events import (
    CommandCancelled,
    CommandDone,
    CommandFailed,
    CommandRetried,
    CommandStarted,
    Event,
    Flush,
    LeaseLost,
    LeaseReleased,
    LeaseTaken,
    MessageSetAside,
    Restored,
    RunEnded,
    RunStarted,
    SnapshotSaved,
    SubscriptionEnded,
    SubscriptionStarted,
    Turn,
    TurnFailed,
)

_DEBUG, _INFO, _WARNING, _ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR

LEVELS: Final[Mapping[type[Event], int]] = {
    RunStarted: _INFO,
    RunEnded: _INFO,  # ERROR for one that has failed
    Turn: _DEBUG,  # WARNING for a slow one
    TurnFailed: _ERROR,
    MessageSetAside: _WARNING,
    CommandStarted: _DEBUG,
    CommandRetried: _WARNING,
    CommandDone: _DEBUG,
    CommandFailed: _WARNING,
    CommandCancelled: _DEBUG,
    Flush: _DEBUG,
    SnapshotSaved: _INFO,
    Restored: _INFO,
    LeaseTaken: _INFO,
    LeaseReleased: _INFO,
    LeaseLost: _ERROR,
    SubscriptionStarted: _DEBUG,
    SubscriptionEnded: _DEBUG,
}
"""The level of each kind of event, unless others are given."""

_TEXTS: Final[Mapping[type[Event], str]] = {
    RunStarted: "started",
    RunEnded: "ended after {seconds:.3f} s",
    Turn: "{message}{at} took {seconds:.6f} s",
    TurnFailed: "{message}{at} was rolled back by a {error} after {seconds:.6f} s",
    MessageSetAside: "{message}{at} was set aside because of a {error}",
    CommandStarted: "{function} of {message}{at} started ({id})",
    CommandRetried: "{function} of {message}{at} is tried again in {wait:.3f} s, after {tries} tries ({id})",
    CommandDone: "{function} of {message}{at} was done in {seconds:.6f} s ({id})",
    CommandFailed: "{function} of {message}{at} failed with a {error} after {seconds:.6f} s ({id})",
    CommandCancelled: "{function} of {message}{at} was cancelled ({id})",
    Flush: "flushed {messages} messages in {seconds:.6f} s",
    SnapshotSaved: "saved {models} models{at} in {seconds:.6f} s",
    Restored: "restored{at}, {messages} messages replayed in {seconds:.3f} s",
    LeaseTaken: "took the lease after {seconds:.3f} s",
    LeaseReleased: "gave the lease back",
    LeaseLost: "lost the lease: somebody else writes the journal",
    SubscriptionStarted: "subscription {kind} {function} started",
    SubscriptionEnded: "subscription {kind} {function} ended",
}

_NAMES: Final = {kind: tuple(each.name for each in fields(kind)) for kind in LEVELS}


class Log:
    """Writes what a run does to the logger "go_state", or another one: a line for each event, at the level of its kind.

    A turn that took `slow` seconds (0.1; None: none is slow) is a warning, whatever the level of turns. `levels` has other levels for
    some kinds of events, such as `{gs.observe.Turn: logging.INFO}`. The event itself is in the record, as `record.event`, for a
    handler that writes JSON. Raises `UsageError` for arguments that do not fit.
    """

    def __init__(
        self,
        logger: logging.Logger | str = "go_state",
        *,
        slow: float | None = 0.1,
        levels: Mapping[type[Event], int] | None = None,
    ) -> None:
        if slow is not None and (isinstance(slow, bool) or not isinstance(slow, (int, float)) or not slow >= 0):
            raise UsageError(f"slow= is a number of seconds from 0, or None, not {slow!r}")
        if not isinstance(logger, (str, logging.Logger)):
            raise UsageError(f"the logger is a logging.Logger or the name of one, not a {type(logger).__qualname__}")
        for kind in levels or {}:
            if kind not in LEVELS:
                raise UsageError(f"levels= has the classes of gs.observe, such as gs.observe.Turn, as its keys, not {kind!r}")
        self._logger = logging.getLogger(logger) if isinstance(logger, str) else logger
        self._levels = {**LEVELS, **(levels or {})}
        self._turns = self._levels[Turn]
        self._slow = float("inf") if slow is None else slow
        self._is_enabled = self._logger.isEnabledFor

    @property
    def turns_from(self) -> float:
        """How many seconds a turn takes at least that is logged."""
        return 0.0 if self._is_enabled(self._turns) else self._slow

    def on_event(self, event: Event, /) -> None:
        """Log the event, if its level is enabled."""
        is_quick = type(event) is Turn and event.seconds < self._slow  # as most are: nothing else is looked at before
        level = self._turns if is_quick else self._level_of(event)
        if self._is_enabled(level):
            self._logger.log(level, "%s", _Line(event, level), extra={"event": event})

    def _level_of(self, event: Event) -> int:
        level = self._levels[event.__class__]
        if isinstance(event, Turn):
            return max(level, _WARNING)
        return max(level, _ERROR) if isinstance(event, RunEnded) and event.error is not None else level


class _Line:
    """The text of an event, written when a handler asks for it."""

    __slots__ = ("_event", "_level")

    def __init__(self, event: Event, level: int) -> None:
        self._event = event
        self._level = level

    def __str__(self) -> str:
        event = self._event
        values = {name: getattr(event, name) for name in _NAMES[type(event)]}
        position = values.get("position")
        values["at"] = "" if position is None else f" at {position}"
        values["message"] = values.get("message") or "the beginning"
        who = event.program if event.key is None else f"{event.program}[{event.key}]"
        slow = "slow turn: " if isinstance(event, Turn) and self._level >= _WARNING else ""
        text = _TEXTS[event.__class__].format_map(values)
        failed = f", failed with a {event.error}" if isinstance(event, RunEnded) and event.error is not None else ""
        return f"{who}: {slow}{text}{failed}"
