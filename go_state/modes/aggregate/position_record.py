"""The record of a source that a program reads: who holds it, how far it was read, and which source it was.

    @positions/<program>/<source>[/<partition>]   of a program with a model for each key
    @claims/<key>                                 of one model under a key, whose snapshot has the positions itself

Whoever is about to read a source *claims* it: it rewrites the record with its own name and the next epoch. Every save of a holder
rewrites it as well, in the transaction of the models, and names the version that it wrote last. So from a claim on no earlier holder
saves anything, whatever it still believes, and no clock or lease has a say in it. An earlier holder that loads a model could be given
one that the next holder has saved, ahead of its own messages: that is why a load is followed by a look at the record (`check`).

Names are quoted, "%" and "/" in them, and a key that would be too long ends in a digest; the record itself has the names in full. All
positions of a program were one record once, `@positions/<program>`: a claim takes its own out of it, and so it does with the record of
a name that the model had before.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from go_state.core.errors import Conflict, TakenOver, UsageError
from go_state.core.ports import Store, Stored, Write, load_many_of
from go_state.storage.codec.codecs import json_codec
from go_state.storage.records.keys import RESERVED, is_too_long, reserved_key
from go_state.storage.snapshots.snapshot import Mark, Schema, read_envelope


@dataclass(frozen=True, slots=True)
class Claim:
    """Who holds a source, or a partition of it, in which epoch (holders are counted from 1), and when that was written.

    `at` is in seconds since 1970, by the holder's clock; `ended` is whether nothing follows the position. Claims of one model have no source.
    """

    holder: str
    epoch: int
    at: float = 0.0
    source: str | None = None
    partition: str | None = None
    ended: bool = False

    def is_of(self, other: Claim) -> bool:
        """Return whether it is the claim of the same holder."""
        return (self.holder, self.epoch) == (other.holder, other.epoch)


class Place(NamedTuple):
    """Where a record is stored: its key, what its mark is called (the claim on one model has none), and where it may have been before.

    `older` are keys, the newest first, and whether each is that of a record for one source, or of one for all sources.
    """

    key: str
    mark: str | None
    older: Sequence[tuple[str, bool]]
    source: str | None = None
    partition: str | None = None


def place_of_source(names: Sequence[str], source: str, partition: str | None = None) -> Place:
    """Return the place of a source, or of a partition of it, that the program of these names (today's first) reads."""
    parts = (source,) if partition is None else (source, partition)
    alone = [(reserved_key("positions", name, *parts), True) for name in names]
    together = [(f"{RESERVED}positions/{name}", False) for name in names]
    by_name = [place for each in zip(alone, together, strict=True) for place in each]
    older = [(key, is_alone) for key, is_alone in by_name[1:] if is_alone or not (partition is not None or is_too_long(key))]
    return Place(alone[0][0], "/".join(parts), older, source, partition)


def place_of_model(key: str) -> Place:
    """Return the place of the claim on the one model under the key."""
    return Place(reserved_key("claims", key), None, ())


def marks_of_sources(store: Store, names: Sequence[str]) -> dict[str, Mark]:
    """Return how far the keyed program of these names (today's first) has read each of its sources, and each partition of one."""
    ours, marks = {f"positions of {name}" for name in names}, dict[str, Mark]()
    for name in reversed(names):
        together, alone = f"{RESERVED}positions/{name}", reserved_key("positions", name) + "/"
        for key in (together, *store.keys(alone)):
            stored = store.load(key)
            if stored is not None and (envelope := read_envelope(key, stored.data)).name in ours:
                marks |= envelope.marks
    return marks


def checked_name(name: object) -> str:
    """Return the name of a source, under which its position is stored; `UsageError` if it cannot be."""
    if not isinstance(name, str):
        raise UsageError(
            f"the name of a source is a text, by which its position is found again, not a {type(name).__qualname__}"
        )
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            "the name of the source holds a lone surrogate, which cannot be stored: give it another name="
        ) from error
    return name


def this_process() -> str:
    """Return what this process is called as a holder: the machine and its number there."""
    import socket  # here: a program that claims nothing need not wait for it

    return f"{socket.gethostname()}:{os.getpid()}"


def claim_in(key: str, data: bytes, program: str) -> Claim:
    """Return the claim that a record of the program holds."""
    schema: Schema[Claim] = Schema((f"positions of {program}",), 1, json_codec(Claim))
    return schema.open(key, data)[0]


class PositionRecord:
    """One record, as this holder has read or written it last. The store is the only authority: nothing is held between two calls."""

    def __init__(self, store: Store, place: Place, names: Sequence[str]) -> None:
        self.key = place.key
        self.claim = Claim("", 0)  #: as it was read, and then ours
        self.mark: Mark | None = None  #: how far the source was read, as it is stored; None before its first save
        self._store = store
        self.ends = False  #: whether the next save is of the end, which nothing follows
        self._place = place
        self.name = place.mark or ""  #: of its mark
        self._version = 0
        self._moved: dict[str, Write] = {}  # what a claim makes of the record that the position was found in
        of = tuple(f"positions of {name}" for name in names)
        self._schema: Schema[Claim] = Schema(of, 1, json_codec(Claim))
        self._old_schema: Schema[None] = Schema(of, 1, json_codec(None))

    # ------------------------------------------------------------------ claiming

    def read(self) -> None:
        """Read the record as it is now, or in its place the one that the next claim moves here."""
        self.read_in(load_many_of(self._store)(self.keys))

    @property
    def keys(self) -> Sequence[str]:
        """The keys under which it may be stored."""
        return (self._place.key, *(key for key, _ in self._place.older))

    def read_in(self, found: Mapping[str, Stored]) -> None:
        """Do what `read` does, with what was loaded of the keys."""
        place = self._place
        self.claim, self.mark, self._version, self._moved = Claim("", 0), None, 0, {}
        if (stored := found.get(place.key)) is not None:
            loaded = self._schema.loaded(self._store, place.key, stored)
            self.claim, self._version = loaded.model, loaded.version
            self.mark = None if place.mark is None else loaded.marks.get(place.mark)
            return
        for key, is_alone in place.older:
            if key in found and (self._takes(key, found[key]) if is_alone else self._takes_out_of(key, found[key])):
                return

    def _takes(self, key: str, stored: Stored) -> bool:
        """Take over the record of the source under a former name."""
        loaded = self._schema.loaded(self._store, key, stored)
        self.claim, self.mark = loaded.model, loaded.marks.get(self._place.mark or "")
        self._moved = {key: Write(None, loaded.version)}
        return True

    def _takes_out_of(self, key: str, stored: Stored) -> bool:
        """Take the position out of a record of all sources, if it has it."""
        envelope = read_envelope(key, stored.data)
        if envelope.name not in self._schema.names or self._place.mark not in envelope.marks:
            return False  # the name of a program may hold a "/", and this be the record of another's source
        left = dict(envelope.marks)
        self.mark = left.pop(self._place.mark)
        self._moved = {key: Write(self._old_schema.seal(key, None, left) if left else None, stored.version)}
        return True

    def claiming(self, holder: str) -> dict[str, Write]:
        """Return the writes that make the holder the next one, from what was read last; `claimed` follows when they are stored."""
        return self._claiming(holder, self.mark, ends=self.claim.ended)  # what has ended still has

    def setting(self, holder: str, mark: Mark | None) -> dict[str, Write]:
        """Return the writes that make the holder the next one, and this the position to go on from."""
        return self._claiming(holder, mark, ends=False)

    def _claiming(self, holder: str, mark: Mark | None, *, ends: bool) -> dict[str, Write]:
        place, self.ends = self._place, ends
        self.claim = Claim(holder, self.claim.epoch + 1, source=place.source, partition=place.partition)
        return {self.key: self.write(mark), **self._moved}

    def claimed(self, versions: Mapping[str, int]) -> None:
        """Called when the writes of `claiming` are stored."""
        self._version, self._moved = versions[self.key], {}

    # ------------------------------------------------------------------ as long as the claim stands

    def lacks(self, mark: Mark | None) -> bool:
        """Return whether the mark is one to be stored here, and is not."""
        return self._place.mark is not None and (mark != self.mark or self.ends != self.claim.ended)

    def write(self, mark: Mark | None) -> Write:
        """Return the record's part of a save; without it a save would be behind no fence."""
        marks = {} if mark is None or self._place.mark is None else {self._place.mark: mark}
        self.claim = replace(self.claim, at=time.time(), ended=self.ends)
        return Write(self._schema.seal(self.key, self.claim, marks), self._version)

    def saved(self, mark: Mark | None, versions: Mapping[str, int]) -> None:
        """Called when a save is stored."""
        self.mark, self._version = mark, versions[self.key]

    def check(self, stored: Stored | None) -> None:
        """Raise `TakenOver` unless this, which the record holds now, is what this holder has written last."""
        found = 0 if stored is None else stored.version
        if found != self._version:
            raise self._lost(Conflict(self.key, self._version, found), stored)

    def explained(self, conflict: Conflict) -> Conflict:
        """Return the error of a save that did not come about: if it was for this record, one that says who has claimed the source."""
        return self._lost(conflict, self._store.load(self.key)) if conflict.key == self.key else conflict

    def _lost(self, conflict: Conflict, stored: Stored | None) -> Conflict:
        claim = self.claim if stored is None else self._schema.loaded(self._store, self.key, stored).model
        if claim.is_of(self.claim):  # then it was no holder: the record was moved, deleted or set
            return conflict
        return TakenOver(self.key, conflict.expected, conflict.found, holder=claim.holder, epoch=claim.epoch)
