"""What was kept of a program's models, and at which positions, to be compared with what a fold comes to there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from go_state.core.ports import Stored
from go_state.history.reading.histories import JournalHistory
from go_state.history.reading.opened import Opened
from go_state.history.reading.starts import KeptByAggregate, Start, start_of
from go_state.modes.keeping.keyframes import Keyframe, kept, newest, position_of, set_message_type
from go_state.modes.keeping.schema import schema_of
from go_state.storage.journal.journal import Journal
from go_state.storage.snapshots.snapshot import read_envelope

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class Kept(Protocol[Model]):
    """The models that were kept of a program."""

    @property
    def start(self) -> Start[Model] | None:
        """Where a fold begins that comes to all of them; None if there is nothing that it could come to."""
        ...

    def is_at(self, position: int) -> bool:
        """Return whether models are kept that stand before the message at the position."""
        ...

    def at(self, position: int) -> Iterator[tuple[str | None, Model]]:
        """Give these models, with their keys; `Conflict` if others have taken their place meanwhile, which `refresh` finds."""
        ...

    def refresh(self) -> None:
        """Look again."""
        ...


def kept_of(work: Opened[Model, Msg]) -> Kept[Model]:
    """Return what was kept: the snapshots of a journalled program, or the models of an aggregate; otherwise nothing."""
    if isinstance(work.history, JournalHistory) and not work.is_aggregate:
        return _Snapshots(work, work.history.journal)
    return _OfAggregate(work) if work.store is not None else _Nothing(work)


class _Snapshots(Generic[Model, Msg]):
    """The snapshots of a journalled program; each is read when it is asked for.

    If the program has a newer revision, what another has made is left out, and with it what init returns.
    """

    def __init__(self, work: Opened[Model, Msg], journal: Journal[Msg]) -> None:
        self._schema = schema_of(work.program, None)
        self._journal = journal
        set_message_type(journal, work.program)
        journal.lease.refresh()
        begin, revision = journal.statistics().start, work.program.revision
        found = [
            (position, journal.store.load_keyframe(journal.name, position))
            for position in journal.store.keyframes(journal.name)
        ]
        there = [(position, stored) for position, stored in found if stored is not None and position >= begin]
        if (last := journal.store.load(journal.name)) is not None and (position := position_of(journal, last)) >= begin:
            there.append((position, last))
        own = [position for position, stored in there if self._revision(stored) == revision]
        self._positions = set(own)
        self.start: Start[Model] | None = None
        if not begin and (own or not there) and len(own) == len(there):
            self.start = Start(0)
        elif own and (frame := self._frame(own[0])) is not None:
            self.start = Start(frame.position, {None: frame.model})
            self._positions.discard(frame.position)

    def _revision(self, stored: Stored) -> int:
        return read_envelope(self._journal.name, stored.data).revision

    def _frame(self, position: int) -> Keyframe[Model] | None:
        frame = kept(self._schema, self._journal, position)
        if frame is None and (last := newest(self._schema, self._journal)) is not None and last.position == position:
            return last
        return frame

    def is_at(self, position: int) -> bool:
        return position in self._positions

    def at(self, position: int) -> Iterator[tuple[str | None, Model]]:
        if (frame := self._frame(position)) is not None:  # a program that runs may have let go of it
            yield None, frame.model

    def refresh(self) -> None:
        """Do nothing: a snapshot is not replaced by another at its position."""


class _OfAggregate(Generic[Model, Msg]):
    """The models of an aggregate, all of which stand at one position."""

    def __init__(self, work: Opened[Model, Msg]) -> None:
        self._work = work
        self.start: Start[Model] | None = start_of(work, None, 0)
        self._kept = self._read()

    def _read(self) -> KeptByAggregate[Model, Msg]:
        assert self._work.store is not None
        return KeptByAggregate(self._work, self._work.store)

    def is_at(self, position: int) -> bool:
        return position == self._kept.position

    def at(self, position: int) -> Iterator[tuple[str | None, Model]]:
        kept = self._kept
        if self._work.key_of is None:
            yield from kept.models().items()
            return
        asked = self._work.key
        for key in kept.keys() if asked is None else [asked]:
            if (found := kept.find(key)) is not None:
                yield key, found.model
        kept.check_unchanged()

    def refresh(self) -> None:
        self._kept = self._read()


class _Nothing(Generic[Model, Msg]):
    """Nothing was kept: only the updates are run twice."""

    def __init__(self, work: Opened[Model, Msg]) -> None:
        self.start: Start[Model] | None = start_of(work, None, 0)

    def is_at(self, position: int) -> bool:
        return False

    def at(self, position: int) -> Iterator[tuple[str | None, Model]]:
        return iter(())

    def refresh(self) -> None:
        """Do nothing."""
