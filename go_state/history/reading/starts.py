"""Where a fold begins: a keyframe of a journal, the models of an aggregate at their mark, or the beginning with what init returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Generic, NamedTuple, TypeVar

from go_state.core.errors import Lagged, UsageError
from go_state.core.ports import Store
from go_state.history.reading.histories import JournalHistory, SourceHistory
from go_state.history.reading.opened import Opened
from go_state.modes.aggregate.position_record import PositionRecord, marks_of_sources, place_of_source
from go_state.modes.keeping.keyframes import MARK, kept, nearest, newest, position_of, set_message_type
from go_state.modes.keeping.schema import schema_of
from go_state.storage.journal.journal import Journal
from go_state.storage.records.keys import RESERVED
from go_state.storage.snapshots.snapshot import Loaded, Mark, Schema, is_envelope, read_envelope

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class Start(NamedTuple, Generic[Model]):
    """Where a fold begins, and with which models, by key; others are found by `find`, and begun if that returns None."""

    position: int
    models: Mapping[str | None, Model] = MappingProxyType({})
    find: Callable[[str], Loaded[Model] | None] | None = None


def start_of(opened: Opened[Model, Msg], end: int | None, at: int | None = None) -> Start[Model]:
    """Return the last there is to begin from on the way to the position `end`, and not after `at` if that is given.

    Raises `Lagged` if the messages that lead there are forgotten, `Corrupt` and `Incompatible`.
    """
    if at is not None and (type(at) is not int or at < 0):
        raise UsageError(f"start= is a position from 0, not {at!r}")
    limit = end if at is None else at if end is None else min(at, end)
    history = opened.history
    if isinstance(history, JournalHistory) and not opened.is_aggregate:
        set_message_type(history.journal, opened.program)
        if at != 0 and (frame := nearest(opened.program, history.journal, history.span().end or 0 if limit is None else limit)):
            return Start(frame.position, {} if frame.version == 0 else {None: frame.model})
    elif opened.store is not None and at != 0:
        stored = KeptByAggregate(opened, opened.store)
        if stored.position is not None and (limit is None or stored.position <= limit):
            return Start(stored.position, stored.models(), stored.find)
    first = history.span().start
    if first:
        raise _forgotten(opened, first, limit)  # a fold from the beginning needs all messages
    return Start(0)


def earliest_of(opened: Opened[Model, Msg], end: int | None = None) -> Start[Model]:
    """Return the earliest there is to begin from: the beginning, or, of a journal that was truncated, the oldest snapshot kept.

    Raises `Lagged` if there is none, or none before the position `end`, to which a fold is asked for.
    """
    start = _earliest(opened)
    if end is not None and end < start.position:
        raise _forgotten(opened, opened.history.span().start, end)
    return start


def _earliest(opened: Opened[Model, Msg]) -> Start[Model]:
    history = opened.history
    first = history.span().start
    if not isinstance(history, JournalHistory) or opened.is_aggregate or not first:
        return start_of(opened, None, 0)
    schema, journal = schema_of(opened.program, None), history.journal
    set_message_type(journal, opened.program)
    for position in journal.store.keyframes(journal.name):
        if position >= first and (frame := kept(schema, journal, position)) is not None:
            return Start(frame.position, {None: frame.model})
    frame = newest(schema, journal)
    if frame is None or frame.position < first:
        raise _forgotten(opened, first, None)
    return Start(frame.position, {None: frame.model})


def _forgotten(opened: Opened[Model, Msg], first: int, asked: int | None) -> Lagged:
    """Return the error of a fold whose messages are forgotten, and say from which position on there is one."""
    history = opened.history
    why = f"the history {history.name!r} begins at {first}: the messages before are forgotten"
    if isinstance(history, JournalHistory) and not opened.is_aggregate:
        kept = _positions_kept(history.journal, first)
        there = (
            f"the oldest snapshot that was kept after that stands at {kept[0]}" if kept else "no snapshot was kept after that"
        )
        why = f"{why}, and {there}, so that it cannot be folded {'from the beginning' if asked is None else f'to {asked}'}"
    return Lagged(first, first, why)


def _positions_kept(journal: Journal[Msg], first: int) -> list[int]:
    found = [position for position in journal.store.keyframes(journal.name) if position >= first]
    stored = journal.store.load(journal.name)
    return found if found or stored is None or position_of(journal, stored) < first else [position_of(journal, stored)]


class KeptByAggregate(Generic[Model, Msg]):
    """What an aggregate over the history keeps: its models, and the position at which all of them stand.

    A program that is running may save in between: then `find` raises `Conflict`, and whoever asked begins anew.
    """

    def __init__(self, opened: Opened[Model, Msg], store: Store) -> None:
        self.schema: Schema[Model] = schema_of(opened.program, None)
        self.store = store
        self.loaded: Loaded[Model] | None = None  #: the only model, None if there is none
        self.record: PositionRecord | None = None  #: of the source, as it was read before all else, of a keyed program
        history = opened.history
        if not isinstance(history, (JournalHistory, SourceHistory)):
            raise UsageError(
                f"store= has the models of an aggregate over a source or a journal, not a {type(history).__qualname__}"
            )
        self.source_name = history.source_name
        if opened.key_of is not None:
            names = self.schema.names
            self.record = PositionRecord(store, place_of_source(names, self.source_name), names)
            self.record.read()
            self.marks: Mapping[str, Mark] = marks_of_sources(store, names)
            mark = self.record.mark
        else:
            assert opened.key is not None  # or `opened` has refused it
            self.loaded = self.schema.load(store, opened.key)
            self.marks = {} if self.loaded is None else self.loaded.marks
            mark = self.marks.get(self.source_name)
            if MARK in self.marks:
                raise UsageError(f"the model under {opened.key!r} is that of a journalled program: leave store= out")
        self.position = None if mark is None else history.number_of(mark)

    @property
    def version(self) -> int:
        """The version of the only model; 0 if there is none."""
        return 0 if self.loaded is None else self.loaded.version

    def models(self) -> dict[str | None, Model]:
        """Return the only model; none of a keyed program, whose models are found when they are asked for."""
        return {} if self.loaded is None else {None: self.loaded.model}

    def find(self, key: str) -> Loaded[Model] | None:
        """Return the model under the key as it was at `position`, or None; `Conflict` if the aggregate has saved since."""
        found = self.schema.load(self.store, key)
        self.check_unchanged()
        return found

    def keys(self) -> Iterator[str]:
        """Give the keys of a keyed program's models. What has marks of its own is another program's snapshot, or a single model."""
        for key in self.store.keys():  # noqa: SIM118  - a store is not a mapping
            stored = None if key.startswith(RESERVED) else self.store.load(key)
            if stored is not None and is_envelope(stored.data):
                envelope = read_envelope(key, stored.data)
                if envelope.name in self.schema.names and not envelope.marks:
                    yield key

    def check_unchanged(self) -> None:
        """Raise `Conflict` if the aggregate has saved since this was made."""
        if self.record is not None:
            self.record.check(self.store.load(self.record.key))
