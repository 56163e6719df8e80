"""What becomes of a message that update or a command fails on, or of a record that cannot be decoded: raised, set aside, or the end.

error ──▶ on_error(message, position, error) ──▶ Raise: the run ends and raises it
                                             ├─▶ SetAside: kept as a `FailedMessage`, and the run goes on with the next message
                                             └─▶ Halt: a batch ends with what came before it, and its result names the message
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar, Union, runtime_checkable

from go_state.core.errors import BadRecord, InvalidKey, NotStorable, StoreError, UsageError
from go_state.core.ports import Producer
from go_state.runtime.effects.place import Origin
from go_state.runtime.flow.waits import Answer, Flow

Msg = TypeVar("Msg")
Failed = TypeVar("Failed", covariant=True)
LetterBox: TypeAlias = Any  # that of `storage/letters`, of which nothing is known here: it is passed on to who files


@dataclass(frozen=True)
class FailedMessage(Generic[Failed]):
    """A message that a run has failed on, at a `position`, with an `error`: its turn was rolled back.

    Of a record that cannot be decoded `message` is the raw record, and `error` a `BadRecord`.
    """

    message: Failed
    position: object  # whatever the source counts in, of which no type is known here; None if it does not count
    error: Exception


@runtime_checkable
class Letters(Protocol):
    """A durable place for what is set aside, which is written together with what the run saves: `gs.DeadLetters`."""

    @property
    def box(self) -> LetterBox:
        """Where the letters are stored."""
        ...


Kind: TypeAlias = Literal["turn", "record", "command"]
"""What has failed: a turn, which was rolled back; a record, which is no message; or a command, after its turn, which stays."""


def letter_box_of(buffer: object) -> LetterBox | None:
    """Return where letters that are put there are stored; None for anything but a durable place for them."""
    return buffer.box if isinstance(buffer, Letters) else None


@dataclass(frozen=True, slots=True)
class Raise:
    """Raise: the failing message ends the run. The default."""


@dataclass(frozen=True, slots=True)
class Halt:
    """End at the failing message, keep what came before it, and name it.

    A batch or an aggregate returns a result whose `ended` is "failed" and whose `failed` is the message; an aggregate has saved what
    came before it, with its position, so that the next run begins at that message. If the message was sent by a command, or if a
    command has failed after its turn, that is the last message of the source before which nothing was queued or running. Every other
    run keeps what it has processed in any case, and has no result: there it is as `Raise`.
    """


@dataclass(frozen=True)
class SetAside(Generic[Msg]):
    """Put the failing message into `buffer`, as a `FailedMessage`, and go on with the next.

    `buffer` may be a durable place, `gs.DeadLetters(store, name)`. A batch lists what is set aside in its result as well, unless
    that is where it is, and needs no buffer, nor does a durable run, whose letters lie in its own store then, as those of
    `gs.DeadLetters(store)`; any other run or app needs one. The
    model stays what it was before the message.
    """

    buffer: Producer[FailedMessage[Msg]] | Letters | None = field(default=None)

    def __post_init__(self) -> None:
        if self.buffer is not None and not isinstance(self.buffer, (Producer, Letters)):
            raise UsageError(
                f"SetAside takes a gs.Buffer, gs.DeadLetters or another object with put, not a {type(self.buffer).__qualname__}"
            )


Policy: TypeAlias = Union[Raise, SetAside[Any], Halt]
Decide: TypeAlias = Callable[[Any, Any, Exception], Policy]
OnError: TypeAlias = Union[Policy, Decide]
"""A policy, or a function of the message, its position and the error that returns one."""

_POLICIES = (Raise, SetAside, Halt)


def decide(on_error: OnError, message: object, position: object, error: Exception) -> Policy:
    """Return what becomes of the message."""
    policy: object = on_error if isinstance(on_error, _POLICIES) else on_error(message, position, error)
    if isinstance(policy, _POLICIES):
        return policy
    raise UsageError(
        f"on_error returned a {type(policy).__qualname__}: it returns gs.Raise(), gs.SetAside(...) or gs.Halt()"
    ) from error


def check_on_error(on_error: object) -> None:
    """Raise `UsageError` if it cannot serve as a policy."""
    if isinstance(on_error, type) or not (isinstance(on_error, _POLICIES) or callable(on_error)):
        raise UsageError(
            "on_error is gs.Raise(), gs.SetAside(buffer), gs.Halt(), or a function of (message, position, error) that returns one"
        )


def may_halt(on_error: OnError) -> bool:
    """Return whether a message may end the run with what came before it."""
    return not isinstance(on_error, (Raise, SetAside))


def may_file(on_error: OnError) -> bool:
    """Return whether a message may be put into a durable place for letters."""
    if isinstance(on_error, SetAside):
        return letter_box_of(on_error.buffer) is not None
    return not isinstance(on_error, (Raise, Halt))


class Filing(Protocol):
    """Writes what is set aside into a durable place, at the moment at which the run's own progress is written."""

    @property
    def is_full(self) -> bool:
        """Whether the run's progress is to be written soon, because of what waits for it."""
        ...

    def file(self, box: LetterBox, failed: FailedMessage[object], kind: Kind, /) -> Flow[None]:
        """Write a letter, or remember to."""
        ...


class Halted(Generic[Msg]):
    """The message that has ended a batch, and what has failed of it."""

    def __init__(self, failed: FailedMessage[Msg], kind: Kind) -> None:
        self.failed = failed
        self.kind = kind


class Failures(Generic[Msg]):
    """What becomes of the messages that one run fails on: decided by the policies, and kept as they say.

    `on_error` decides on a message whose turn was rolled back, `on_failure` (by default the same) on one whose turn stays while a
    command of it has failed. Only a run that `lists` has a result to keep messages in without a buffer; one that `halts` can end at a
    message and keep what came before it. `filing` writes into durable places.
    """

    def __init__(
        self,
        on_error: OnError = Raise(),
        *,
        on_failure: OnError | None = None,
        lists: bool = True,
        halts: bool = False,
        filing: Filing | None = None,
    ) -> None:
        check_on_error(on_error)
        self._halts = halts
        self._on_error = on_error
        self._on_failure = on_failure or on_error
        self._lists = lists
        self._filing = filing
        self.set_aside: list[FailedMessage[Msg]] = []
        self.observe: Callable[[object, object, Exception], object] | None = None  #: told of each message that was set aside
        self.letters = 0  #: how many were written into durable places
        self.halted: Halted[Msg] | None = None  #: the first that has ended the run
        self.halts = 0  #: how many have

    @property
    def breaks(self) -> bool:
        """Whether the feed has to look at what has become of the last message before it gives the next one."""
        return self.halted is not None or (self._filing is not None and self._filing.is_full)

    def of_turn(self, message: Msg, position: object, error: Exception) -> SetAside[object] | Halt:
        """Return what becomes of the message of a rolled-back turn; or raise the error, with a note of the position."""
        if isinstance(error, StoreError) and not isinstance(error, (InvalidKey, NotStorable)):
            raise error  # the store has failed, not the message
        at = "" if position is None else f", position {position}"
        error.add_note(f"go_state was processing a message of type {type(message).__qualname__}{at}; the turn was rolled back")
        return self._or_raise(decide(self._on_error, message, position, error), error)

    def of_record(self, raw: object, position: object, error: BadRecord) -> SetAside[object] | Halt:
        """Return what becomes of a record that is not a message; raises as `of_turn` does."""
        return self._or_raise(decide(self._on_error, raw, position, error), error)

    def of_command(self, origin: Origin, error: Exception) -> SetAside[object] | Halt:
        """Return what becomes of the message of which a command has failed after its turn; raises as `of_turn` does."""
        error.add_note(f"go_state was performing a command of {origin}; its turn stays")
        return self._or_raise(decide(self._on_failure, origin.message, origin.position, error), error)

    def _or_raise(self, policy: Policy, error: Exception) -> SetAside[object] | Halt:
        if isinstance(policy, Raise) or (isinstance(policy, Halt) and not self._halts):
            raise error
        return policy

    def keep(self, failed: FailedMessage[Msg], policy: SetAside[object] | Halt, kind: Kind) -> Flow[None]:
        """Keep a message that is set aside, or end at it."""
        if isinstance(policy, Halt):
            self.halts += 1
            if self.halted is None:
                self.halted = Halted(failed, kind)
            else:
                self.set_aside.append(failed)  # while what was running was waited for
            return
        buffer = policy.buffer
        box = letter_box_of(buffer)
        if box is not None:
            if self._filing is None:
                raise UsageError("gs.DeadLetters cannot be used here: give SetAside a gs.Buffer") from failed.error
            yield from self._filing.file(box, failed, kind)
            self.letters += 1
        elif isinstance(buffer, Producer):
            yield Answer(buffer.put(failed), "the put of SetAside's buffer")
        elif not self._lists:
            raise UsageError(
                "SetAside() has nowhere to keep the message, because only a batch has a result that lists it: give it a buffer, "
                "gs.SetAside(gs.Buffer()), or make the run durable with store= and key="
            ) from failed.error
        if self._lists and box is None:
            self.set_aside.append(failed)
        if self.observe is not None:
            self.observe(failed.message, failed.position, failed.error)
