"""Looking at the positions of sources and partitions in a store, and setting them.

A position is set by a claim: the next epoch, with the position in it. So whoever reads the source at that moment is fenced, saves
nothing more, and, if it reads partitions, goes on from the position that was set. Models stay as they are: whoever sets a position
back wants messages to be counted again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from go_state.core.errors import Conflict, UsageError
from go_state.core.ports import Position, Store
from go_state.core.program import Program, SomeProgram
from go_state.modes.aggregate.position_record import Claim, PositionRecord, claim_in, place_of_source, this_process
from go_state.modes.keeping.schema import schema_of
from go_state.storage.records.keys import RESERVED
from go_state.storage.snapshots.snapshot import Mark, read_envelope

_KEYS = f"{RESERVED}positions/"
_TRIES = 100  # against a holder that saves all the time


@dataclass(frozen=True, slots=True)
class PositionInfo:
    """How far a source, or a partition of it (None: it has none), was read: after a save, or as it was claimed.

    `position` is None before anything was saved. `holder` is machine:process of whoever has claimed it last, as the `epoch`-th, and
    `saved_at` when the record was written last, in seconds since 1970 by the holder's clock; 0 if that is not known. `ended` is whether
    nothing follows, such as of a shard that was split.
    """

    program: str
    source: str
    partition: str | None
    position: Position | None
    fingerprint: str
    holder: str
    epoch: int
    saved_at: float
    ended: bool


class Positions:
    """The positions of one program in a store, as they are when they are asked for; see `positions`."""

    def __init__(self, store: Store, names: tuple[str, ...]) -> None:
        self._store = store
        self._names = names

    def __iter__(self) -> Iterator[PositionInfo]:
        """Give them by source and partition."""
        return (info for info in all_positions(self._store) if info.program in self._names)

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(1 for _ in self)

    def set(self, source: str, partition: str | None, position: Position) -> PositionInfo:
        """Make the source, or the partition, be read on after this position; whoever reads it is fenced, and goes on from there.

        Raises `UsageError` for one that was never read: its fingerprint is not known, by which it would be known again.
        """
        return self._write(source, partition, lambda fingerprint: Mark(position, fingerprint))

    def reset(self, source: str, partition: str | None = None) -> PositionInfo:
        """Make the source, or the partition, be read from its beginning, whatever it is by then; whoever reads it is fenced.

        Raises as `set` does.
        """
        return self._write(source, partition, lambda _: None)

    def _write(self, source: str, partition: str | None, mark_of: Callable[[str], Mark | None]) -> PositionInfo:
        for tries_left in reversed(range(_TRIES)):
            record = PositionRecord(self._store, place_of_source(self._names, source, partition), self._names)
            record.read()
            if not record.claim.epoch and record.mark is None:
                raise UsageError(
                    f"{_named(source, partition)} was never read by {self._names[0]}: read are "
                    f"{', '.join(sorted({_named(each.source, each.partition) for each in self})) or 'none'}"
                )
            mark = mark_of("" if record.mark is None else record.mark.fingerprint)
            try:
                self._store.store(record.setting(f"{this_process()} (set)", mark))
            except Conflict:
                if not tries_left:
                    raise
            else:
                return _info(self._names[0], record.claim, source, mark)
        raise AssertionError("the last try returns or raises")


def positions(store: Store, program: SomeProgram) -> Positions:
    """Return the positions of the program in the store: iterate for what there is, `set` and `reset` to change it.

    Those of an aggregate with a model for each key, of each source and partition. The positions of an aggregate with one model lie in
    the model's snapshot. Lag, and the age of the last message, are known to whoever reads: `gs.observe.PartitionSaved` tells them.
    Raises `UsageError` for what is no program.
    """
    if not isinstance(program, Program):
        raise UsageError(f"positions takes a store and the gs.Program that reads, not a {type(program).__qualname__}")
    return Positions(store, schema_of(program, None).names)


def positions_of(store: Store, program: str) -> Positions:
    """Return the positions of the program that has this name in the store."""
    return Positions(store, (program,))


def all_positions(store: Store) -> Iterator[PositionInfo]:
    """Give the positions of every program."""
    for key in store.keys(_KEYS):
        stored = store.load(key)
        if stored is not None:
            yield from _infos(key, stored.data)


def _infos(key: str, data: bytes) -> Iterator[PositionInfo]:
    envelope = read_envelope(key, data)
    program = envelope.name.removeprefix("positions of ")
    if key == f"{_KEYS}{program}":  # of all sources, as they were kept once
        for source, mark in sorted(envelope.marks.items()):
            yield PositionInfo(program, source, None, mark.position, mark.fingerprint, "", 0, 0.0, ended=False)
        return
    claim = claim_in(key, data, program)
    marks: list[tuple[str, Mark | None]] = [
        *envelope.marks.items(),
        ("", None),
    ]  # the last for a claim that has no position yet
    name, newest = marks[0]
    yield _info(program, claim, claim.source or name, newest)


def _info(program: str, claim: Claim, source: str, mark: Mark | None) -> PositionInfo:
    position, fingerprint = (None, "") if mark is None else mark
    return PositionInfo(
        program, source, claim.partition, position, fingerprint, claim.holder, claim.epoch, claim.at, claim.ended
    )


def _named(source: str, partition: str | None) -> str:
    return source if partition is None else f"{source}/{partition}"
