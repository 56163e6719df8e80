"""Saving many shares in one transaction: of those that cannot be saved, each is left out alone, and the rest is written.

A conflict names a key. If it is that of a position record, somebody else has claimed the partition; if it is a model's, somebody has
saved it who reads another partition. Either way what is stored counts, and the share to which the key belongs is given up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from go_state.core.errors import Conflict
from go_state.core.ports import Store, Write, load_many_of
from go_state.modes.aggregate.partitions.places import Entered, by_store
from go_state.modes.aggregate.partitions.shares.share import Save, Share

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class Saved(NamedTuple, Generic[Model, Msg]):
    """What came of saving: the models that changed, by share; the shares that lost, with the conflict; those to be saved after these."""

    changed: dict[Share[Model, Msg], Mapping[str, Model] | None]
    lost: list[tuple[Share[Model, Msg], Conflict]]
    later: list[Share[Model, Msg]]


def save_together(shares: Sequence[Share[Model, Msg]]) -> Saved[Model, Msg]:
    """Write what the shares have to write, in one transaction of each store; raises what a store raises other than conflicts."""
    saved: Saved[Model, Msg] = Saved({}, [], [])
    for store, here in by_store(shares, _store_of):
        _save_in(store, here, saved)
    return saved


def lost_among(shares: Sequence[Share[Model, Msg]], places: Entered) -> dict[Share[Model, Msg], Conflict]:
    """Return those of the shares that somebody else has claimed, with the errors that say so."""
    lost: dict[Share[Model, Msg], Conflict] = {}
    for store, here in by_store(shares, _store_of):
        records = {share: record for share in here if (record := share.kept.record) is not None}
        found = load_many_of(store)([record.key for record in records.values()])
        for share, record in records.items():
            try:
                record.check(found.get(record.key))
                places.check(share.partition)
            except Conflict as conflict:
                lost[share] = conflict
    return lost


def _store_of(share: Share[Model, Msg]) -> Store:
    return share.kept.store


def _save_in(store: Store, shares: Sequence[Share[Model, Msg]], saved: Saved[Model, Msg]) -> None:
    writes: dict[Share[Model, Msg], dict[str, Write]] = {}
    taken: set[str] = set()
    for share in shares:
        found = _prepared(share)
        if taken.isdisjoint(found):
            taken.update(found)
            writes[share] = found
        else:  # two partitions have messages for one key: the second finds the model changed by the first
            saved.later.append(share)
    while writes:
        together = {key: write for each in writes.values() for key, write in each.items()}
        try:
            versions = store.store(together) if together else {}
        except Conflict as conflict:
            losers = [share for share, found in writes.items() if conflict.key in found]
            if not losers:  # a store that speaks of a key that nobody writes
                raise
            for share in losers:  # one: no two of them write a key
                del writes[share]
                saved.lost.append((share, share.kept.explained(conflict)))
        else:
            for share, found in writes.items():
                saved.changed[share] = share.kept.stored({key: versions[key] for key in found})
            return


def _prepared(share: Share[Model, Msg]) -> dict[str, Write]:
    wait = share.wait
    assert isinstance(wait, Save)  # or it is not among those that are saved
    return share.kept.prepare(wait.model, wait.position)
