"""The models of an aggregate, made again from the messages up to the positions that it has come to in its sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from go_state.core.errors import Conflict, Incompatible, UsageError
from go_state.core.ports import Store, Stored, Write
from go_state.history.reading.folding import Fold, entries_of, exhaust, with_progress
from go_state.history.reading.opened import Opened
from go_state.history.reading.starts import KeptByAggregate, start_of
from go_state.history.rebuilding.changes import Changes, Rebuilt
from go_state.history.rebuilding.letters import LettersOfSource
from go_state.modes.aggregate.position_record import this_process
from go_state.storage.codec.difference import ABSENT
from go_state.storage.snapshots.snapshot import read_envelope

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class _Source(Generic[Model, Msg]):
    """One of the sources: what was opened of it, where the aggregate is in it, and the letters it has written of it."""

    def __init__(self, work: Opened[Model, Msg], store: Store) -> None:
        self.kept: KeptByAggregate[Model, Msg] = KeptByAggregate(work, store)
        self.letters: LettersOfSource[Model, Msg] = LettersOfSource(
            work, store, self.kept.source_name, tuple(self.kept.schema.names)
        )
        self.work = replace(work, passed=self.letters.passed)


class Aggregated(Generic[Model, Msg]):
    """One rebuild of an aggregate's models, of its sources in the order in which it has read them."""

    def __init__(self, works: Sequence[Opened[Model, Msg]], store: Store, retire: Callable[[Model], bool] | None) -> None:
        self._work = works[0]
        self._store = store
        self._retire = retire
        self._sources = [_Source(work, store) for work in works]
        self._kept = self._sources[0].kept
        self._changes = Changes()

    def run(self, progress: Callable[[int], object] | None, *, dry_run: bool) -> Rebuilt:
        """Fold, compare, and write what has changed."""
        ends = self._ends()
        models: Mapping[str | None, Model] = {}
        for source, end in zip(self._sources, ends, strict=True):
            fold = Fold(source.work, start_of(source.work, end, 0)._replace(models=models))
            exhaust(fold.begin())
            entries = source.letters.seen(entries_of(source.work.history, 0, end))
            exhaust(fold.steps(with_progress(entries, progress)))
            models = fold.models
        others = self._compared(models)
        letters, gone = self._letters()
        if (others or letters) and not dry_run:
            self._write(others, letters)
        rebuilt = self._changes.rebuilt(written=bool(others or letters) and not dry_run)
        passed = [source.work.passed for source in self._sources]
        named = [failed for each in passed for failed in each.named]
        return rebuilt._replace(passed_over=sum(each.count for each in passed), set_aside=tuple(named), letters=gone)

    def _ends(self) -> list[int]:
        """Return the positions that the models stand at; `UsageError` if these sources alone do not lead there."""
        ends = []
        for source in self._sources:
            if source.kept.position is None:
                raise UsageError(
                    f"nothing that is stored was made of {source.kept.source_name!r}: give the source by the name under which the "
                    f"aggregate has read it"
                )
            ends.append(source.kept.position)
        given = [source.kept.source_name for source in self._sources]
        if len(set(given)) < len(given):
            raise UsageError("two of the histories have one name, under which one position is stored: give each once")
        if others := sorted(set(self._kept.marks) - set(given)):
            raise UsageError(
                f"the models are made of {', '.join(map(repr, others))} as well: give a list of all histories, in the order in which "
                f"the aggregate has read them"
            )
        return ends

    def _letters(self) -> tuple[dict[str, Write], int]:
        writes: dict[str, Write] = {}
        gone = 0
        for source in self._sources:
            changes, done = source.letters.changes()
            writes |= changes
            gone += done
        return writes, gone

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

    def _write(self, others: Mapping[str, tuple[Model | None, int]], letters: Mapping[str, Write]) -> None:
        """Write all in one transaction, as the next holder of each source: an aggregate that runs finds that it is late."""
        kept = self._kept
        kept.schema.remember_types(self._store)
        writes = dict(letters)
        for source in self._sources:
            if source.kept.record is not None:
                writes |= source.kept.record.claiming(this_process())
        for key, (model, version) in others.items():
            marks = kept.marks if self._work.key_of is None else {}
            writes[key] = Write(None if model is None else kept.schema.seal(key, model, marks), version)
        try:
            for source in self._sources:
                source.kept.check_unchanged()
            self._store.store(writes)
        except Conflict as error:
            error.add_note("The aggregate has saved meanwhile. Stop it, rebuild, and start it again.")
            raise
