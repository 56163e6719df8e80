"""What a tool was given, checked once: the program with its key, the history, the store of an aggregate, and what to pass over.

A program of a journal has what its commands have sent in the journal. An aggregate has not: what is given as a source, or with `store=`
or `key_of=`, is folded as an aggregate folds it, a key's model for each message and what commands have sent in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from inspect import isawaitable
from typing import Any, Generic, TypeAlias, TypedDict, TypeVar

from go_state.core.errors import Conflict, InvalidKey, NotRepeatable, NotStorable, StoreError, UsageError
from go_state.core.ports import Entry, History, Producer, Store
from go_state.core.program import Program, is_without_commands, takes_key
from go_state.history.reading.histories import Given, history_of
from go_state.middleware.chain import replayed
from go_state.modes.settings import checked_program
from go_state.runtime.on_error import FailedMessage, OnError, Raise, SetAside, check_on_error, decide

Model = TypeVar("Model")
Msg = TypeVar("Msg")


KeyOf: TypeAlias = Callable[[Any], str] | str  # Any: the message of whichever program
"""The key of a message, or the name of the field that is it."""


class HistoryOptions(TypedDict, total=False):
    """What every tool of `gs.history` takes beside the program and its history."""

    key: str | None
    """The key of a program whose init takes one, or of one model among those of a keyed aggregate."""
    key_of: KeyOf | None
    """The `key` function of a keyed aggregate, or the field of the message that it returns."""
    store: Store | None
    """Where an aggregate over the history keeps its model, or models: a fold begins from them, or is compared with them."""
    on_error: OnError
    """What becomes of a message that update fails on. `SetAside()` passes over it, as the run did that has set it aside; its buffer
    is given what was passed over, and into `DeadLetters` only `rebuild` writes. The default is to raise, and so is `Halt`."""


_NAMED = 1000  # messages that were passed over and are named; the others are counted


class PassedOver(Generic[Msg]):
    """What one tool has passed over: messages that update has failed on, and records that cannot be decoded.

    A message that is taken again, to find out which one it was, counts once: they are taken in order.
    """

    def __init__(
        self, on_error: OnError = Raise(), keep: Callable[[Entry[Msg], Msg | None, Exception], object] | None = None
    ) -> None:
        check_on_error(on_error)
        self.on_error = on_error
        self._keep = keep
        self._last = (-2, 0)
        self.count = 0  #: how many there were
        self.named: list[FailedMessage[Msg]] = []  #: the first of them

    @property
    def may_pass(self) -> bool:
        """Whether a message that update fails on may be passed over."""
        return not isinstance(self.on_error, Raise)

    def undecoded(self, entry: Entry[Msg]) -> None:
        """Count a record that cannot be decoded: no run goes past one that it has not set aside."""
        found = entry.undecoded
        if found is not None and self._is_new(entry.position, 0):
            raw: Any = found.raw  # of whichever source
            self._name(FailedMessage(raw, entry.position, found.error))
            if self._keep is not None:
                self._keep(entry, None, found.error)

    def failed(self, entry: Entry[Msg], message: Msg, number: int, error: Exception) -> bool:
        """Return whether to pass over a message whose turn has raised the error."""
        if isinstance(error, (NotRepeatable, Conflict)) or (
            isinstance(error, StoreError) and not isinstance(error, (InvalidKey, NotStorable))
        ):
            return False  # it is not the message's
        position = entry.position if entry.source_position is None else entry.source_position
        policy = decide(self.on_error, message, position, error)
        if not isinstance(policy, SetAside):
            return False
        if self._is_new(entry.position, number):
            failed = FailedMessage(message, entry.position, error)
            self._name(failed)
            if self._keep is not None:
                self._keep(entry, message, error)
            elif isinstance(policy.buffer, Producer) and isawaitable(policy.buffer.put(failed)):
                raise UsageError("a tool of gs.history puts what it passes over into a gs.Buffer, not one whose put is awaited")
        return True

    def _is_new(self, position: int, number: int) -> bool:
        is_new = (position, number) > self._last
        self._last = max(self._last, (position, number))
        return is_new

    def _name(self, failed: FailedMessage[Msg]) -> None:
        self.count += 1
        if len(self.named) < _NAMED:
            self.named.append(failed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened(Generic[Model, Msg]):
    """A program and its history. `key` is the one model that was asked for; None for the only one, or all of them."""

    called: str  # the tool, for errors
    program: Program[Model, Msg]  # as a replay runs it; with `key_of` its init may take the key
    history: History[Msg]
    key: str | None
    key_of: Callable[[Msg], str] | None
    store: Store | None
    passed: PassedOver[Msg]

    @property
    def follows(self) -> bool:
        """Whether the fold follows what commands have sent, because the history does not have it."""
        return self.is_aggregate or not self.history.has_sent

    @property
    def is_aggregate(self) -> bool:
        """Whether the models are those of an aggregate over the history."""
        return self.store is not None or self.key_of is not None

    @property
    def only(self) -> str | None:
        """The key of the only messages to fold: those of other keys send nothing that could come to its model. None for all."""
        return self.key if self.key_of is not None and is_without_commands(self.program) else None


def opened(
    called: str,
    program: Program[Model, Msg],
    given: Given[Msg],
    *,
    key: str | None = None,
    key_of: KeyOf | None = None,
    store: Store | None = None,
    on_error: OnError = Raise(),
) -> Opened[Model, Msg]:
    """Return what the tool of this name works on; `UsageError` for arguments that do not fit."""
    history, own = history_of(given), replayed(checked_program(program))
    if not isinstance(key, (str, type(None))):
        raise UsageError(f"key= is the key of one model, not a {type(key).__qualname__}; a function of the message is key_of=")
    if store is not None and (isinstance(store, type) or not isinstance(store, Store)):
        raise UsageError(f"store= is the open store of an aggregate, not a {type(store).__qualname__}")
    if key_of is None:
        if takes_key(program):
            own = with_key(own, _needed(key, called, history.name))
        if store is not None and key is None:
            raise UsageError(
                "store= has models by key: say which with key=, or give the key function of the aggregate as key_of="
            )
    passed: PassedOver[Msg] = PassedOver(on_error)
    return Opened(
        called=called, program=own, history=history, key=key, key_of=_key_function(key_of), store=store, passed=passed
    )


def with_key(program: Program[Model, Msg], key: str) -> Program[Model, Msg]:
    """Return the program whose init takes a key, with this one."""
    return replace(program, init=partial(program.init, key)) if takes_key(program) else program


def _needed(key: str | None, called: str, name: str) -> str:
    if key is None:
        raise UsageError(
            f"the program's init takes a key, and {called} was given none: give key=, which for a program of start_keyed is "
            f"the journal's name without its prefix (this one is {name!r}), and with key_of= is one of a keyed aggregate's"
        )
    return key


def _key_function(key_of: KeyOf | None) -> Callable[[object], str] | None:
    if key_of is None or callable(key_of):
        return key_of
    if not isinstance(key_of, str):
        raise UsageError(f"key_of= is a function of the message, or the name of a field, not a {type(key_of).__qualname__}")
    return partial(_field, key_of)


def _field(name: str, message: object) -> str:
    try:
        found: str = message[name] if isinstance(message, Mapping) else getattr(message, name)
    except (KeyError, AttributeError):
        raise UsageError(f"key_of={name!r} is a field that a {type(message).__qualname__} has not") from None
    return found
