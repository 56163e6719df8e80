"""Verify: every message of a history through today's update, twice, and every model that was kept compared with the one at its position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar, Unpack

from go_state.core.errors import Conflict, Lagged
from go_state.core.ports import Entry
from go_state.core.program import Program
from go_state.history.reading.folding import Fold, checked_end, entries_of, with_progress
from go_state.history.reading.histories import Given, JournalHistory
from go_state.history.reading.images import Changed, Images
from go_state.history.reading.kept import Kept, kept_of
from go_state.history.reading.opened import HistoryOptions, Opened, opened
from go_state.history.reading.starts import Start
from go_state.history.reading.twins import Parting, Twins
from go_state.runtime.on_error import FailedMessage
from go_state.storage.codec.difference import Difference, difference, part_at

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_SOME = 5  # of many messages this many are named
_TRIES = 3  # to compare with what a program keeps that runs, and saves and truncates meanwhile


class Finding(NamedTuple):
    """What is wrong after the message at `position`: the message's type, and the path in the model at which two values differ.

    If it could not be told which message it is, it is one of those from the position `start` to `position`, both included; `message`
    then says of how many types they are, and `changed_by` names the first of those after which today's update changes that path.
    `key` is that of the model, None for the only one.
    """

    position: int
    message: str
    what: str
    path: str
    expected: str
    found: str
    start: int
    key: str | None = None
    changed_by: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = (
            f"position {self.position}"
            if self.start == self.position
            else f"one of the positions {self.start} to {self.position}"
        )
        of = "" if self.key is None else f", of {self.key!r}"
        near = f"; today's update changes it at {', '.join(map(str, self.changed_by))}" if self.changed_by else ""
        return f"{where} ({self.message}){of}: {self.what}; {self.path} is {self.found} and was {self.expected}{near}"


class Verified(NamedTuple):
    """What `verify` has found: how many messages it has folded, how many models it has compared, and the first thing wrong.

    `passed_over` is how many messages and records it has passed over (see `on_error`), and `set_aside` names up to 1,000 of them.
    """

    messages: int
    snapshots: int
    finding: Finding | None
    passed_over: int = 0
    set_aside: tuple[FailedMessage[object], ...] = ()  # of whichever program

    @property
    def ok(self) -> bool:
        """Whether nothing was found wrong."""
        return self.finding is None


def verify(
    program: Program[Model, Msg],
    history: Given[Msg],
    *,
    progress: Callable[[int], object] | None = None,
    **options: Unpack[HistoryOptions],
) -> Verified:
    """Fold the history through today's update and report the first message after which the model is not what it was.

    Every update is run twice, with the same turn: a difference between the two shows chance or a clock, and a model that is not the
    same after the update shows that it was changed in place. Every snapshot of a journalled program is compared with the model folded
    to its position, and with `store=` the models of an aggregate with those at theirs. What lies between two of them is not kept: the
    message at which an update that has changed parts from them is one of those in between, and named if it is the only one; `compare`
    finds it with the former update. If `Program(revision=)` has grown, only what that revision has made is checked, from its first
    snapshot on.

    A message costs what it changes: a large model is looked at as a whole only now and then, and which message it was is found by
    going back. `progress` is called with the position now and then, for a progress bar.

    A child process reads the whole file of a journal first, because a damaged page can end the process that reads it. Raises `Corrupt`
    with the position of what is damaged, what `replay` raises, and what `update` raises, with a note of the position.
    """
    work = opened("verify", program, history, **options)
    if isinstance(work.history, JournalHistory):
        work.history.journal.flush()
        work.history.journal.store.check_damage()
    for left in reversed(range(_TRIES)):
        kept = kept_of(work)
        try:
            return Verified(0, 0, None) if kept.start is None else _Verification(work, kept, kept.start).run(progress)
        except Lagged:  # its program, which runs, has gone on to a newer snapshot and truncated before it
            if not left:
                raise
    raise AssertionError("the last try has returned, or raised")


class _Verification(Generic[Model, Msg]):
    """One verification: it counts what it has compared as it goes."""

    def __init__(self, work: Opened[Model, Msg], kept: Kept[Model], start: Start[Model]) -> None:
        self._work = work
        self._kept = kept
        self._images: Images[Model, Msg] = Images(work, start)
        self._twins: Twins[Model, Msg] = Twins(work, work, start, self._images.meet)
        self._snapshots = 0
        self._since = start  # where models were compared last: those before the message at its position

    def run(self, progress: Callable[[int], object] | None) -> Verified:
        position = self._since.position
        finding = self._found(self._twins.begin(), None)
        entries = entries_of(self._work.history, position, checked_end(self._work.history, None))
        for entry in with_progress(entries, progress):
            finding = finding or self._compare(position) or self._take(entry)
            if finding is not None:
                break
            position = entry.position + 1
        finding = finding or self._compare(position) or self._settle()
        passed = self._work.passed
        return Verified(self._twins.steps, self._snapshots, finding, passed.count, tuple(passed.named))

    def _take(self, entry: Entry[Msg]) -> Finding | None:
        parting = self._twins.take(entry)
        return self._found(parting, self._images.took(entry, at_once=parting is not None))

    def _settle(self) -> Finding | None:
        return self._found(self._twins.settle(), self._images.look())

    def _found(self, parting: Parting | None, changed: Changed | None) -> Finding | None:
        """Return what is wrong; a model that was changed in place explains why two runs differ, and not the other way round."""
        if changed is not None:
            return _finding(changed.entries, changed.key, "update changes the model that it is given", changed.differs)
        if parting is None or (differs := difference(*parting.models)) is None:
            return None
        return _finding(parting.entries, parting.key, "two runs of update differ", differs)

    # ------------------------------------------------------------------ the models that were kept

    def _compare(self, position: int) -> Finding | None:
        """Compare the models with those that were kept at the position, if any were."""
        for _ in range(_TRIES):
            if not self._kept.is_at(position):
                return None
            try:
                return self._settle() or self._compare_each(position)
            except Conflict:  # the aggregate, which runs, has saved others
                self._kept.refresh()
        return None

    def _compare_each(self, position: int) -> Finding | None:
        models, compared = self._twins.one.models, 0
        for key, model in self._kept.at(position):
            differs = Difference("the model", model, None) if key not in models else difference(model, models[key])
            if differs is not None:
                return self._parted(position, key, differs)
            compared += 1
        self._snapshots += compared
        self._since = Start(position, dict(models), self._since.find)
        return None

    def _parted(self, position: int, key: str | None, differs: Difference) -> Finding:
        """Return that the kept model is not reached, and what is known of the message that it is."""
        since, changed_by, among = self._since, [], []
        for step in Fold(self._work, since).steps(entries_of(self._work.history, since.position, position)):
            if step.key == key:
                among.append(Entry(step.position, step.at, step.message))
                if part_at(step.before, differs.path) != part_at(step.after, differs.path):
                    changed_by.append(step.position)
        what = f"the model that was kept at {position} is not reached from {since.position}: update has changed, or what it was given"
        found = _finding(among or [Entry(position, None, None)], key, what, differs)
        return found._replace(changed_by=tuple(changed_by[:_SOME]) if len(among) > 1 else ())


def _finding(entries: Sequence[Entry[Msg]], key: str | None, what: str, differs: Difference) -> Finding:
    kinds = sorted({"the beginning" if entry.message is None else type(entry.message).__qualname__ for entry in entries})
    path, expected, found = differs.path, repr(differs.expected), repr(differs.found)
    return Finding(entries[-1].position, ", ".join(kinds), what, path, expected, found, entries[0].position, key)
