"""Loading models for turns: each with a look at the claim of the source, and many at once if the messages to come are known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from go_state.core.ports import Store, can_load_many, load_many_of
from go_state.modes.aggregate.position_record import PositionRecord
from go_state.storage.snapshots.snapshot import Loaded, Schema

Model = TypeVar("Model")


class Loader(Generic[Model]):
    """Loads the models of a schema from a store."""

    def __init__(self, schema: Schema[Model], store: Store) -> None:
        self.schema = schema
        self.record: PositionRecord | None = None  #: of the source that was claimed, if it has positions
        self.loads_many = can_load_many(store)  #: whether it is quicker to load many models at once
        self._store = store
        self._load_many = load_many_of(store)

    def load_many(self, keys: Iterable[str]) -> dict[str, Loaded[Model] | None]:
        """Return the models under the keys, None for those that there are not.

        Raises `TakenOver` if one of them could have been saved by a later holder of the source.
        """
        asked, record = list(keys), self.record
        if record is None:
            found = self._load_many(asked)
        else:  # the record after the models, or together with them: what was there before a claim was lost is not ahead of it
            found = self._load_many((*asked, record.key))
            record.check(found.get(record.key))
        loaded = self.schema.loaded
        return {key: loaded(self._store, key, found[key]) if key in found else None for key in asked}
