"""One moment of a history: the model before and after one message, folded from the nearest model that is known.

Some models are kept between two questions, so that to step on costs one turn, and to jump what lies between two keyframes.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from go_state.core.commands import Command
from go_state.core.errors import GoStateError, Incompatible, UsageError
from go_state.core.ports import Entry, History
from go_state.history.reading.folding import Fold, Step, entries_of, exhaust
from go_state.history.reading.opened import Opened
from go_state.history.reading.starts import Start, start_of
from go_state.inspector.looking.stored import StoredHistory
from go_state.modes.keeping.folding import folded

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_KEPT = 64  # models, which share with each other what did not change between them
_NEAR = 64  # messages that are folded rather than that a keyframe is read
_EVERY = 10_000  # messages between two models that are kept of a long way
_LONG = 0.05  # seconds after which a long way is interrupted: somebody may have cancelled it, or wait for another moment
_FEW, _SOME = 64, 4096  # messages that are folded between two looks at the clock: at first, and at most
_KEPT_OF_WAYS = 128  # such models; when there are more, every second one goes


@dataclass(frozen=True, slots=True)
class Moment(Generic[Model, Msg]):
    """One message, and what its turn made; without `commands` and with an `error` if it made nothing.

    `denied` is the reason for which the middleware has not let it through.
    """

    entry: Entry[Msg]
    before: Model | None
    after: Model | None
    commands: list[Command[Msg]]
    error: BaseException | None = None
    aside: str | None = None
    denied: str | None = None


class FoldFails(Exception):
    """The program fails at a message on the way, after which there is no model."""

    def __init__(self, position: int, kind: str, error: BaseException) -> None:
        super().__init__(position, kind, error)
        self.position = position
        self.kind = kind
        self.error = error

    def said(self, *, hidden: bool) -> str:
        """Return what is said of it."""
        return (
            f"There is no model here: at position {self.position}, a {self.kind}, the program fails with "
            f"{why(self.error, hidden=hidden)}"
        )


class Asked(NamedTuple):
    """What a turn has asked for: how many commands; or what it has failed with, or that it was denied."""

    commands: int
    error: str | None = None
    is_denied: bool = False


class Moments(Generic[Model, Msg]):
    """The moments of one history. `start` finds a model to begin with, and is that of the history unless another is given."""

    def __init__(
        self,
        opened: Opened[Model, Msg],
        start: Callable[[int], Start[Model]] | None = None,
        keyframes: Callable[[], list[int]] = list,
        history: History[Msg] | None = None,
    ) -> None:
        self.opened = opened
        self.history = history or opened.history  #: where the messages are read
        self.keyframes = keyframes  #: returns the positions of the models that were kept
        self._start = start
        self._lock = threading.Lock()  # guards the models; held while folding, so that two do not fold the same
        self._models: OrderedDict[int, Mapping[str | None, Model]] = OrderedDict()  # by the position before which they are
        self._ways: dict[int, Mapping[str | None, Model]] = {}  # likewise, of long ways, at multiples of `_EVERY`

    def at(self, position: int) -> Moment[Model, Msg]:
        """Return the moment of the message at the position; `UsageError` if there is none."""
        history = self.history
        with self._lock:
            aside = history.set_aside().get(position)
            entry = next(iter(history.entries(position, position + 1)), None)
            if entry is None:
                raise UsageError(f"there is no message at position {position}")
            fold = self.fold_to(position)
            before = self._model(fold)
            if aside is not None or entry.message is None:
                return Moment(entry, before, before, [], None, aside)
            try:
                steps = list(fold.entry(entry))
            except Exception as error:
                return Moment(entry, before, before, [], error)
            self._keep(position + 1, fold)
        commands = [command for step in steps for command in step.commands]
        denied = None if fold.denied is None else fold.denied.reason
        return Moment(entry, before, self._model(fold), commands, denied=denied)

    def asked(self, start: int, end: int) -> dict[int, Asked]:
        """Return what the turns from `start` to before `end` have asked for; nothing of those after one that fails the fold."""
        history, found = self.history, {position: Asked(0) for position in range(start, end)}
        aside = history.set_aside()
        with self._lock:
            fold = self.fold_to(start)
            for entry in entries_of(history, start, end):
                if entry.position in aside:
                    continue
                try:
                    steps = list(fold.entry(entry))
                except Exception as error:
                    found[entry.position] = Asked(0, type(error).__qualname__)
                    break
                commands = sum(command is not None for step in steps for command in step.commands)
                found[entry.position] = Asked(commands, is_denied=fold.denied is not None)
        return found

    def _model(self, fold: Fold[Model, Msg]) -> Model | None:
        try:
            return fold.model(self.opened.key)
        except UsageError:  # the key has no message up to there
            return None

    def fold_to(self, position: int) -> Fold[Model, Msg]:
        """Return a fold that has taken all before the position; its models are its own. Raises `FoldFails`."""
        fold, at = self._begun(position)
        for _ in self._on_way(fold, at, position):
            pass
        self._keep(position, fold)
        return fold

    def fresh(self, position: int, progress: Callable[[int], object] = lambda _: None) -> Fold[Model, Msg]:
        """Return a fold that has taken all before the position, for somebody who goes on with it alone. Raises `FoldFails`.

        `progress` is called on a long way with the position, and may raise to end it, or wait: the moments of others are not held up.
        """
        with self._lock:
            fold, at = self._begun(position)
        way = self._on_way(fold, at, position)
        while True:
            with self._lock:
                reached = next(way, None)
            if reached is None:
                break
            if reached < position:
                progress(reached)
        with self._lock:
            self._keep(position, fold)
        return fold

    def _begun(self, position: int) -> tuple[Fold[Model, Msg], int]:
        """Return a fold from the nearest there is before the position, and where that is."""
        start = self._nearest(position)
        fold = Fold(self.opened, start)
        exhaust(fold.begin())
        return fold, start.position

    def _on_way(self, fold: Fold[Model, Msg], start: int, end: int) -> Iterator[int]:
        """Take the messages, and give how far that is, as `forward` does. Some models of a long way are kept."""
        for at in self.forward(fold, start, end):
            if at % _EVERY == 0 and end - start > _EVERY:
                self._keep_way(at, fold)
            yield at

    def forward(self, fold: Fold[Model, Msg], start: int, end: int) -> Iterator[int]:
        """Take the messages from `start` to before `end`, and give how far that is, 20 times a second at least, and at each ten thousandth.

        Those of a journal are taken at once, which is several times as fast as by turns. Raises `FoldFails`.
        """
        opened, history = self.opened, self.opened.history
        at = start
        if isinstance(history, StoredHistory) and not (opened.follows or opened.program.takes_turn):
            try:
                for at in self._at_once(history, fold, start, end):
                    yield at
                return
            except Exception:
                pass  # by turns it says at which message
        yield from self._by_turns(fold, at, end)

    def _at_once(self, history: StoredHistory[Model, Msg], fold: Fold[Model, Msg], start: int, end: int) -> Iterator[int]:
        at, few = start, _FEW
        for messages in history.lists(start, end):
            done = 0
            while done < len(messages):
                begun = time.monotonic()
                some = messages[done : done + min(few, _EVERY - at % _EVERY)]
                fold.models[None] = folded(self.opened.program, fold.models[None], some)
                done, at = done + len(some), at + len(some)
                few = min(few * 2, _SOME) if time.monotonic() - begun < _LONG / 4 else max(few // 2, 1)
                yield at

    def _by_turns(self, fold: Fold[Model, Msg], start: int, end: int) -> Iterator[int]:
        due = time.monotonic() + _LONG
        for entry in entries_of(self.history, start, end):
            exhaust(turns_of(fold, entry))
            at = entry.position + 1
            if at % _EVERY == 0 or at == end or time.monotonic() > due:
                yield at
                due = time.monotonic() + _LONG

    def steps(self, start: int, end: int) -> Iterator[Step[Model, Msg]]:
        """Give the turns of the messages from `start` to before `end`, of a fold of their own."""
        fold = self.fresh(start)
        for entry in entries_of(self.history, start, end):
            yield from turns_of(fold, entry)

    def _nearest(self, position: int) -> Start[Model]:
        """Return the nearest there is to begin from."""
        near = max((each for each in (*self._models, *self._ways) if each <= position), default=-1)
        found = None if near >= position - _NEAR else self.start(position)
        if near >= 0 and (found is None or near >= found.position):
            kept = self._models.get(near) or self._ways.get(near)
            if kept is not None:
                return Start(near, kept, self.start(position).find if self.opened.key_of is not None else None)
        return found or self.start(position)

    def start(self, position: int) -> Start[Model]:
        """Return what to begin from without what is kept here; a keyframe that does not fit today's program is passed over."""
        if self._start is not None:
            return self._start(position)
        try:
            return start_of(self.opened, position)
        except Incompatible:
            if self.opened.history.span().start:
                raise
            return start_of(self.opened, position, 0)

    def earliest(self) -> Start[Model]:
        """Return the earliest there is to begin from: the beginning, or the first model that was kept of a history that was truncated."""
        first = self.opened.history.span().start
        if not first:
            return self.start(0)
        for position in self.keyframes():
            if position >= first:
                return self.start(position)
        return self.start(first)

    def _keep(self, position: int, fold: Fold[Model, Msg]) -> None:
        self._models[position] = dict(fold.models)
        self._models.move_to_end(position)
        while len(self._models) > _KEPT:
            self._models.popitem(last=False)

    def _keep_way(self, position: int, fold: Fold[Model, Msg]) -> None:
        self._ways[position] = dict(fold.models)
        if len(self._ways) > _KEPT_OF_WAYS:
            for each in sorted(self._ways)[1::2]:
                del self._ways[each]


def turns_of(fold: Fold[Model, Msg], entry: Entry[Msg]) -> Iterator[Step[Model, Msg]]:
    """Give the turns of one message; `FoldFails` if the program does."""
    try:
        yield from fold.entry(entry)
    except Exception as error:
        raise FoldFails(entry.position, type(entry.message).__qualname__, error) from error


def why(error: BaseException, *, hidden: bool) -> str:
    """Return what is said of an error; of one that is not ours only its class, if something is to be hidden."""
    if hidden and not isinstance(error, GoStateError):
        return type(error).__qualname__
    return f"{type(error).__qualname__}: {error}" if not isinstance(error, GoStateError) else str(error)
