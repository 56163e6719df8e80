"""What a tool was given, checked once: the program with its key, the history, and the store of an aggregate.

A program of a journal has what its commands have sent in the journal. An aggregate has not: what is given as a source, or with `store=`
or `key_of=`, is folded as an aggregate folds it, a key's model for each message and what commands have sent in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, TypeAlias, TypedDict, TypeVar

from go_state.core.errors import UsageError
from go_state.core.ports import History, Store
from go_state.core.program import Program, is_without_commands, takes_key
from go_state.history.reading.histories import Given, history_of
from go_state.middleware.chain import replayed
from go_state.modes.settings import checked_program

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened(Generic[Model, Msg]):
    """A program and its history. `key` is the one model that was asked for; None for the only one, or all of them."""

    called: str  # the tool, for errors
    program: Program[Model, Msg]  # as a replay runs it; with `key_of` its init may take the key
    history: History[Msg]
    key: str | None
    key_of: Callable[[Msg], str] | None
    store: Store | None

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
    return Opened(called=called, program=own, history=history, key=key, key_of=_key_function(key_of), store=store)


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
    found: str = message[name] if isinstance(message, Mapping) else getattr(message, name)
    return found
