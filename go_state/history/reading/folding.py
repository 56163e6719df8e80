"""The fold, a message at a time: each message through update, and after it, in order, what its commands have sent.

`Fold.steps` gives each turn to whoever looks at it; its models are those that it has come to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, NoReturn, TypeVar

from go_state.core.commands import Command, checked_commands
from go_state.core.errors import Denied, NotRepeatable, UsageError
from go_state.core.ports import Entry, History
from go_state.core.program import read_step, takes_key
from go_state.core.turn import Turn
from go_state.history.reading.following import Following
from go_state.history.reading.histories import JournalHistory
from go_state.history.reading.opened import Opened
from go_state.history.reading.starts import Start
from go_state.middleware.chain import Folded
from go_state.storage.records.keys import checked_key

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_EVERY = 1000  # messages between two calls of `progress`


class Step(NamedTuple, Generic[Model, Msg]):
    """One turn of a fold: the model before the message and after it, and the commands that were not performed.

    `key` is that of the model, None for the only one. `sent` is 0 for a message of the history, and counts those that its
    commands, and theirs, have sent after it.
    """

    position: int
    at: float | None
    sent: int
    key: str | None
    before: Model
    message: Msg
    commands: Sequence[Command[Msg]]
    after: Model


class Fold(Generic[Model, Msg]):
    """One fold of a program through a history; `models` are those that it has come to."""

    def __init__(
        self,
        opened: Opened[Model, Msg],
        start: Start[Model] | None = None,
        meet: Callable[[str | None, Model], object] | None = None,
    ) -> None:
        start = Start(0) if start is None else start
        self._meet = meet  # called with each model, and its key, before a message is given to it
        self.models: dict[str | None, Model] = dict(start.models)
        self._find = start.find
        self._opened = opened
        self._program = opened.program
        update = opened.program.update
        self._update = update.anew() if isinstance(update, Folded) else update
        self._takes_key = opened.key_of is not None and takes_key(opened.program)
        self._following = Following(opened.history.name) if opened.follows else None

    @property
    def denied(self) -> Denied | None:
        """What the middleware has denied the last turn with; None if it has not."""
        return self._update.denied if isinstance(self._update, Folded) else None

    # ------------------------------------------------------------------ through a history

    def steps(self, entries: Iterable[Entry[Msg]]) -> Iterator[Step[Model, Msg]]:
        """Give each turn, after it was taken."""
        for entry in entries:
            yield from self.entry(entry)

    def model(self, key: str | None) -> Model:
        """Return the model that the fold has come to: the only one, or that of the key; `UsageError` if the key has none."""
        key = key if self._opened.key_of is not None else None
        if key not in self.models:
            found = self._find(key) if self._find is not None and key is not None else None
            if found is None:
                raise UsageError(f"no message of the history {self._opened.history.name!r} up to there has the key {key!r}")
            return found.model
        return self.models[key]

    def begin(self) -> Iterator[Step[Model, Msg]]:
        """Take the beginning of the only model, unless it is known, and then the turns of what init has sent."""
        if self._opened.key_of is not None or None in self.models:
            return
        model, commands = read_step(self._program.init(), "init")
        self.models[None] = model
        if self._following is not None:
            yield from self._turns(deque(self._following.sent(commands, None)), Entry(-1, None, None), 1)

    def entry(self, entry: Entry[Msg]) -> Iterator[Step[Model, Msg]]:
        """Take a message of the history, and then what its turn has sent, and theirs."""
        if entry.message is None:
            self._opened.passed.undecoded(entry)
            return
        only, key_of = self._opened.only, self._opened.key_of
        if only is not None and key_of is not None and not self._is_of(only, key_of, entry.message):
            return
        yield from self._turns(deque([entry.message]), entry, 0)

    def _is_of(self, only: str, key_of: Callable[[Msg], str], message: Msg) -> bool:
        """Return whether to take the message: it is of the key, or its turn raises what the key function does."""
        try:
            return key_of(message) == only
        except Exception:
            return True

    def _turns(self, queue: deque[Msg], entry: Entry[Msg], number: int) -> Iterator[Step[Model, Msg]]:
        while queue:
            message = queue.popleft()
            try:
                step, sent = self._turn(message, entry, number)
            except Exception as error:
                if not self._opened.passed.failed(entry, message, number, error):
                    raise
            else:
                queue.extend(sent)
                yield step
            number += 1

    def _turn(self, message: Msg, entry: Entry[Msg], number: int) -> tuple[Step[Model, Msg], Sequence[Msg]]:
        """Take one turn; an exception leaves all models as they were, and has a note of the position."""
        opened, position = self._opened, entry.position
        try:
            key = None if opened.key_of is None else opened.key_of(message)
            before, first = self._model(key)
            if self._meet is not None:
                self._meet(key, before)
            turn = (self._turn_of(entry, number),) if self._program.takes_turn else ()
            after, commands = read_step(self._update(before, message, *turn), "update")
            sent: Sequence[Msg] = ()
            if self._following is not None and (first or commands):
                sent = self._following.sent([*first, *checked_commands(commands)] if first else commands, position, message)
        except Exception as error:
            error.add_note(f"{opened.called} was at position {position}, a message of type {type(message).__qualname__}")
            raise
        self.models[key] = after
        return Step(position, entry.at, number, key, before, message, commands or (), after), sent

    def _model(self, key: str | None) -> tuple[Model, Sequence[Command[Msg]]]:
        """Return the key's model, or its beginning and the commands of that, which is a part of its first turn."""
        if key in self.models:
            return self.models[key], ()
        if self._opened.key_of is not None:
            checked_key(key)
        if self._find is not None and key is not None and (found := self._find(key)) is not None:
            return found.model, ()
        model, commands = read_step(self._program.init(*[key] if self._takes_key else []), "init")
        return model, checked_commands(commands)

    def _turn_of(self, entry: Entry[Msg], number: int) -> Turn:
        history = self._opened.history
        if entry.at is None or self._opened.is_aggregate or number:
            return _Unknown(history.name, entry.position if entry.source_position is None else entry.source_position)
        return Turn(entry.at, entry.position, f"{history.identity}/{entry.position}")


class _Unknown(Turn):
    """A turn whose time and randomness were not kept: only an update that asks for them cannot be repeated."""

    def __init__(self, name: str, position: object) -> None:
        self.position = position
        self._name = name

    @property
    def at(self) -> float:  # type: ignore[override]  # it raises
        """Raise `NotRepeatable`."""
        self._refuse("when its message entered is not known")

    def random(self) -> float:
        """Raise `NotRepeatable`."""
        self._refuse("what chance its turn had is not known")

    def uuid(self) -> NoReturn:
        """Raise `NotRepeatable`."""
        self._refuse("what chance its turn had is not known")

    def _refuse(self, why: str) -> NoReturn:
        advice = "take the time from the message, or keep the program in a journal, which records both"
        raise NotRepeatable(self._name, self.position, why, advice)


def exhaust(steps: Iterable[object]) -> None:
    """Take all of the steps, and drop them."""
    deque(steps, maxlen=0)


def with_progress(entries: Iterable[Entry[Msg]], progress: Callable[[int], object] | None) -> Iterator[Entry[Msg]]:
    """Give the entries, and call `progress` with the position now and then."""
    for entry in entries:
        if progress is not None and entry.position % _EVERY == 0:
            progress(entry.position)
        yield entry


def checked_end(history: History[Msg], until: int | None) -> int | None:
    """Return where to stop: `until`, or else where the history ends now; None if only reading it can tell.

    Raises `UsageError` for a position that it does not have.
    """
    end = history.span().end
    if until is None:
        return end
    if type(until) is not int or until < 0 or (end is not None and until > end):
        raise no_position(history, until, end)
    return until


def check_start(history: History[Msg], start: int | None) -> None:
    """Raise `UsageError` for a position to start at that the history does not have."""
    end = history.span().end
    if start is not None and type(start) is int and end is not None and start > end:
        raise no_position(history, start, end)


def no_position(history: History[Msg], until: object, end: int | None) -> UsageError:
    """Return the error for a position that the history does not have."""
    there = f"the positions {history.span().start} to {end}" if end is not None else "positions from 0"
    kind = "journal" if isinstance(history, JournalHistory) else "history"
    return UsageError(f"the {kind} {history.name!r} has {there}, not {until!r}")


def entries_of(history: History[Msg], start: int, end: int | None) -> Iterator[Entry[Msg]]:
    """Give the entries from the position `start` to before `end`; the message is None where runs have passed over it.

    Raises `UsageError` if the history ends before `end`.
    """
    aside = history.set_aside()
    position = start
    for entry in history.entries(start, end):
        yield entry if entry.position not in aside else entry._replace(message=None)
        position = entry.position + 1
    if end is not None and position < end:
        raise no_position(history, end, position)
