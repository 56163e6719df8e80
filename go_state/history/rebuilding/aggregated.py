"""The models of an aggregate, made again of the messages up to the position that it has come to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from go_state.core.errors import Conflict, Incompatible, UsageError
from go_state.core.ports import Store, Stored, Write
from go_state.history.reading.folding import Fold, entries_of, exhaust, with_progress
from go_state.history.reading.opened import Opened
from go_state.history.reading.starts import KeptByAggregate, start_of
from go_state.history.rebuilding.changes import Changes, Rebuilt
from go_state.modes.aggregate.position_record import this_process
from go_state.storage.codec.difference import ABSENT
from go_state.storage.snapshots.snapshot import read_envelope

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class Aggregated(Generic[Model, Msg]):
    """One rebuild of an aggregate's models."""

    def __init__(self, work: Opened[Model, Msg], store: Store, retire: Callable[[Model], bool] | None) -> None:
        self._work = work
        self._store = store
        self._retire = retire
        self._kept: KeptByAggregate[Model, Msg] = KeptByAggregate(work, store)
        self._changes = Changes()

    def run(self, progress: Callable[[int], object] | None, *, dry_run: bool) -> Rebuilt:
        """Fold, compare, and write what has changed."""
        end = self._end()
        fold = Fold(self._work, start_of(self._work, end, 0))
        exhaust(fold.begin())
        exhaust(fold.steps(with_progress(entries_of(self._work.history, 0, end), progress)))
        others = self._compared(fold.models)
        if others and not dry_run:
            self._write(others)
        return self._changes.rebuilt(written=bool(others) and not dry_run)

    def _end(self) -> int:
        """Return the position that the models stand at; `UsageError` if this history alone does not lead there."""
        kept = self._kept
        if kept.position is None:
            raise UsageError(
                f"nothing that is stored was made of {kept.source_name!r}: give the source by the name under which the aggregate has read it"
            )
        if others := sorted(set(kept.marks) - {kept.source_name}):
            raise UsageError(
                f"the models are made of {', '.join(map(repr, others))} as well: in which order their messages came is not known, and "
                f"rebuild folds one history; run the aggregate again over all of them, into another store"
            )
        return kept.position

    def _compared(self, models: Mapping[str | None, Model]) -> dict[str, tuple[Model | None, int]]:
        """Return those that differ from what is stored, with the version of that; None is one to be deleted."""
        others: dict[str, tuple[Model | None, int]] = {}
        for key in self._keys(models):
            of_fold = key if self._work.key_of is not None else None
            now = models.get(of_fold, ABSENT)
            if now is not ABSENT and self._retire is not None and self._retire(models[of_fold]):
                now = ABSENT
            stored = self._store.load(key)
            was = ABSENT if stored is None else self._was(key, stored)
            differs = self._changes.compare(key, None, was, now)
            if differs or (stored is not None and now is not ABSENT and self._is_older(key, stored)):
                # Of the only model the version is that of the record whose mark has said how far to fold.
                version = self._kept.version if of_fold is None else 0 if stored is None else stored.version
                others[key] = None if now is ABSENT else models[of_fold], version
        return others

    def _keys(self, models: Mapping[str | None, Model]) -> Iterator[str]:
        if self._work.key is not None:
            yield self._work.key
            return
        there = set()
        for key in self._kept.keys():  # noqa: SIM118  - it is no mapping
            there.add(key)
            yield key
        yield from (key for key in models if key is not None and key not in there)

    def _was(self, key: str, stored: Stored) -> object:
        """Return the model as it was stored, `ABSENT` if today's types cannot read it."""
        try:
            return self._kept.schema.open(key, stored.data)[0]
        except Incompatible:
            return ABSENT

    def _is_older(self, key: str, stored: Stored) -> bool:
        return read_envelope(key, stored.data).revision != self._work.program.revision

    def _write(self, others: Mapping[str, tuple[Model | None, int]]) -> None:
        """Write all of them in one transaction, as the source's next holder: an aggregate that runs finds that it is late."""
        kept = self._kept
        kept.schema.remember_types(self._store)
        writes: dict[str, Write] = {} if kept.record is None else kept.record.claiming(this_process())
        for key, (model, version) in others.items():
            marks = kept.marks if self._work.key_of is None else {}
            writes[key] = Write(None if model is None else kept.schema.seal(key, model, marks), version)
        try:
            kept.check_unchanged()
            self._store.store(writes)
        except Conflict as error:
            error.add_note("The aggregate has saved meanwhile. Stop it, rebuild, and start it again.")
            raise
