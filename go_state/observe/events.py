"""The events: what can happen in a run, each as a frozen value.

`program` is the program's name, `key` its key in the store or among the programs of many keys, and in a keyed aggregate that of the
message; None if there is none. `message` is the name of the message's class, "" at the beginning, where there is none. `position` is
where the message stands in its queue or source; None if nobody counts. `seconds` are those of the run's clock. `error` is the name of
the exception's class.

No event has what is in a message, a model or an error. But a key may be a person's: metrics, which are kept for long, leave it out, and
`Log` and the spans of `OpenTelemetry` have it. Keep these no longer than you may keep the key, or change it in an observer of your own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run of the program begins."""

    program: str
    key: str | None


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The run is over, and none of its commands goes on; `error` is what it has failed with, None if it has not."""

    program: str
    key: str | None
    seconds: float
    error: str | None


@dataclass(frozen=True, slots=True)
class Turn:
    """A message had its turn, which is committed: update, inline commands, commit, and what followed it, such as a view.

    In a durable run it is committed in memory; a `Flush` says what is on disk.
    """

    program: str
    key: str | None
    message: str
    position: object
    seconds: float


@dataclass(frozen=True, slots=True)
class TurnFailed:
    """A turn was rolled back; what becomes of its message is for `on_error` to say."""

    program: str
    key: str | None
    message: str
    position: object
    seconds: float
    error: str


@dataclass(frozen=True, slots=True)
class MessageSetAside:
    """A message was set aside: its turn, or one of its commands, has failed, and the run goes on."""

    program: str
    key: str | None
    message: str
    position: object
    error: str


@dataclass(frozen=True, slots=True)
class CommandStarted:
    """A command that goes on after its turn was begun; `id` is its effect id, `function` what it calls ("after" for a timer).

    `message` and `position` are those of the turn that has returned it. A plain function that is called inside its turn is a part of
    the turn, and has no events of its own.
    """

    program: str
    key: str | None
    id: str
    function: str
    message: str
    position: object


@dataclass(frozen=True, slots=True)
class CommandRetried:
    """A try of a command has failed, which is tried again in `wait` seconds; `tries` is how many there were so far."""

    program: str
    key: str | None
    id: str
    function: str
    message: str
    position: object
    tries: int
    wait: float


@dataclass(frozen=True, slots=True)
class CommandDone:
    """A command has returned, or its timer was due, and what it sends is in the queue; `seconds` since it was started."""

    program: str
    key: str | None
    id: str
    function: str
    message: str
    position: object
    seconds: float


@dataclass(frozen=True, slots=True)
class CommandFailed:
    """A command has raised, or taken longer than its timeout ("TimedOut"): `err=` makes a message of it, or `on_error` decides."""

    program: str
    key: str | None
    id: str
    function: str
    message: str
    position: object
    seconds: float
    error: str


@dataclass(frozen=True, slots=True)
class CommandCancelled:
    """A command was cancelled: by another one, by a `seq` or `all` that has failed, or by the end of the run.

    `seconds` since it was started; None if it was still waiting for its key or for room.
    """

    program: str
    key: str | None
    id: str
    function: str
    message: str
    position: object
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Flush:
    """A journal's messages and positions were written to disk in one transaction, `messages` of them new."""

    program: str
    key: str | None
    messages: int
    seconds: float


@dataclass(frozen=True, slots=True)
class SnapshotSaved:
    """The model before the message at `position` was saved, or, by an aggregate, as many `models` as have changed."""

    program: str
    key: str | None
    position: object
    models: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Restored:
    """The run goes on from what was stored, at `position`, after `messages` were replayed; replayed turns have no events."""

    program: str
    key: str | None
    position: object
    messages: int
    seconds: float


@dataclass(frozen=True, slots=True)
class LeaseTaken:
    """The journal is the run's own to write, after a wait of `seconds`."""

    program: str
    key: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class LeaseReleased:
    """The journal was given back."""

    program: str
    key: str | None


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """Somebody else writes the journal that the run had: it ends."""

    program: str
    key: str | None


@dataclass(frozen=True, slots=True)
class SubscriptionStarted:
    """A subscription was begun; `kind` is "every", "at", "stream" or "signal", `function` what a stream calls."""

    program: str
    key: str | None
    kind: str
    function: str


@dataclass(frozen=True, slots=True)
class SubscriptionEnded:
    """A subscription was ended: the model asks for it no longer, or the run has ended; see `SubscriptionStarted`."""

    program: str
    key: str | None
    kind: str
    function: str


@dataclass(frozen=True, slots=True)
class PartitionAssigned:
    """A partition of the source is this run's: it was claimed, as the `epoch`-th time that anybody has, and is read on from `position`."""

    program: str
    key: str | None
    source: str
    partition: str
    position: object
    epoch: int


@dataclass(frozen=True, slots=True)
class PartitionRevoked:
    """A partition was given back, saved up to `position`; what came after it is read by whoever has it next."""

    program: str
    key: str | None
    source: str
    partition: str
    position: object


@dataclass(frozen=True, slots=True)
class PartitionLost:
    """A partition was somebody else's already, and nothing more of it was saved."""

    program: str
    key: str | None
    source: str
    partition: str


@dataclass(frozen=True, slots=True)
class PartitionFenced:
    """A partition could not be saved, because `holder` has claimed it ("" if somebody has changed a model instead): it was dropped."""

    program: str
    key: str | None
    source: str
    partition: str
    holder: str


@dataclass(frozen=True, slots=True)
class PartitionGap:
    """The stored position of a partition is not one of the stream as it is now: nothing is read, and the run ends."""

    program: str
    key: str | None
    source: str
    partition: str
    position: object


@dataclass(frozen=True, slots=True)
class PartitionSaved:
    """A partition was saved up to `position`, with as many `models` as have changed.

    `lag` is how many of its records had no turn yet, and `age` how many seconds ago the last one that had was written; None if the
    source does not know.
    """

    program: str
    key: str | None
    source: str
    partition: str
    position: object
    models: int
    lag: int | None
    age: float | None
    seconds: float


PartitionEvent: TypeAlias = (
    PartitionAssigned | PartitionRevoked | PartitionLost | PartitionFenced | PartitionGap | PartitionSaved
)
"""What happens to a partition of a source."""


CommandEvent: TypeAlias = CommandStarted | CommandRetried | CommandDone | CommandFailed | CommandCancelled
"""What happens to a command."""

Event: TypeAlias = (
    RunStarted
    | RunEnded
    | Turn
    | TurnFailed
    | MessageSetAside
    | CommandEvent
    | Flush
    | SnapshotSaved
    | Restored
    | LeaseTaken
    | LeaseReleased
    | LeaseLost
    | SubscriptionStarted
    | SubscriptionEnded
    | PartitionEvent
)
"""What an observer is told: match it, or look at its class."""


# Turns are the only events of which there may be a million a second; this makes one in half the time that its class takes.
_new_turn = partial(object.__new__, Turn)
_set_program, _set_key, _set_message, _set_position, _set_seconds = (
    getattr(Turn, name).__set__ for name in ("program", "key", "message", "position", "seconds")
)


def turn(program: str, key: str | None, message: str, position: object, seconds: float) -> Turn:
    """Make a `Turn`."""
    made: Turn = _new_turn()
    _set_program(made, program)
    _set_key(made, key)
    _set_message(made, message)
    _set_position(made, position)
    _set_seconds(made, seconds)
    return made
