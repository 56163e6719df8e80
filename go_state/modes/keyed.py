"""One model per key, as a program: update looks the model up by the message's key, and a turn's new model is kept when it commits.

The models of a run are the *working set*. Clean ones are as the store has them and may be let go; dirty ones wait for the next
save. To the loop it all looks like one program whose model is the latest change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from go_state.core.errors import InvalidKey
from go_state.core.ports import Store, Write
from go_state.core.program import Program, read_step, takes_key
from go_state.storage.keys import key_bytes
from go_state.storage.snapshot import Schema, read_envelope

Model = TypeVar("Model")
Msg = TypeVar("Msg")

RESERVED = "@"  # begins the keys under which go_state keeps what is no model


class Entry(Generic[Model]):
    """One key's model. `saved` is the model as the store has it, and `version` 0 when the store has none."""

    __slots__ = ("model", "saved", "used", "version")

    def __init__(self, model: Model, saved: Model | None, version: int) -> None:
        self.model = model
        self.saved = saved
        self.version = version
        self.used = 0  # the number of the turn that used it last


class WorkingSet(Generic[Model, Msg]):
    """The models in use, by key."""

    def __init__(
        self,
        program: Program[Model, Msg],
        schema: Schema[Model],
        store: Store,
        key: Callable[[Msg], str],
        *,
        cache: int,
        retire: Callable[[Model], bool] | None,
    ) -> None:
        self._program = program
        self._schema = schema
        self._store = store
        self._key = key
        self._cache = cache
        self._retire = retire
        self._takes_key = takes_key(program)
        self._clean: dict[str, Entry[Model]] = {}
        self._dirty: dict[str, Entry[Model]] = {}
        self._retired: set[str] = set()  # of the dirty ones, those that the save under way deletes
        self._turn = 0

    def as_program(self) -> Program[Any, Msg]:
        """Return the program that the loop runs; its model is the entry a turn has changed and what it has become."""
        return Program(lambda: (None, ()), self._update, view=self._keep, name=self._program.name)

    # ------------------------------------------------------------------ the turn

    def _update(self, _: object, message: Msg) -> tuple[Any, Any]:
        key = self._key(message)
        entry = self._dirty.get(key) or self._clean.get(key)
        first: Any = ()
        if entry is None:
            entry, first = self._meet(key)
        model, commands = read_step(self._program.update(entry.model, message), "update")
        return (key, entry, model), [*first, *(commands or ())] if first else commands

    def _keep(self, change: tuple[str, Entry[Model], Model] | None) -> None:
        """Take over the model of a turn that has committed: the loop shows it here, like any view."""
        if change is None:
            return
        key, entry, model = change
        changed = model is not entry.model or entry.version == 0
        self._turn += 1
        entry.model, entry.used = model, self._turn
        if changed and key not in self._dirty:
            self._clean.pop(key, None)
            self._dirty[key] = entry
        elif not changed and key not in self._dirty:
            self._clean[key] = entry
        if self._program.view is not None:
            self._program.view(model)

    def _meet(self, key: object) -> tuple[Entry[Model], Any]:
        """Load the key's model, or begin it; return it with the commands that its beginning asks for."""
        key_bytes(key)
        if not isinstance(key, str) or key.startswith(RESERVED):
            raise InvalidKey(
                f'keys that begin with "{RESERVED}" are go_state\'s own: put something before it in the key function'
            )
        self._let_go()
        loaded = self._schema.load(self._store, key)
        if loaded is not None:
            on_restore = self._program.on_restore
            return Entry(loaded.model, loaded.model, loaded.version), () if on_restore is None else on_restore(
                loaded.model
            ) or ()
        step = self._program.init(key) if self._takes_key else self._program.init()
        model, commands = read_step(step, "init")
        return Entry(model, None, 0), commands or ()

    def _let_go(self) -> None:
        """Forget the least recently used clean models when there are more than the cache may hold, a tenth at a time."""
        excess = len(self._clean) + len(self._dirty) + 1 - self._cache
        if excess <= 0 or not self._clean:
            return
        oldest = sorted(self._clean, key=lambda key: self._clean[key].used)
        for key in oldest[: max(excess, self._cache // 10)]:
            del self._clean[key]

    # ------------------------------------------------------------------ the save

    def writes(self) -> dict[str, Write]:
        """Return what has to be written for the store to hold the working set; models equal to their stored ones have not."""
        writes = {}
        self._retired = {key for key, entry in self._dirty.items() if self._retire is not None and self._retire(entry.model)}
        for key, entry in self._dirty.items():
            if key in self._retired:
                if entry.version:
                    writes[key] = Write(None, entry.version)
            elif entry.version == 0 or entry.model != entry.saved:
                writes[key] = Write(self._schema.seal(key, entry.model, {}), entry.version)
        return writes

    def saved(self, versions: Mapping[str, int]) -> dict[str, Model]:
        """Hear that the writes are in the store; return the models that changed there."""
        changed = {}
        for key, entry in self._dirty.items():
            if key in self._retired:
                continue  # the next message for the key begins anew
            if key in versions:
                entry.version, entry.saved = versions[key], entry.model
                changed[key] = entry.model
            self._clean[key] = entry
        self._dirty = {}
        self._let_go()
        return changed


class Models(Mapping[str, Model]):
    """The models in a store, by key, each loaded when it is asked for. The store has to be open."""

    def __init__(self, schema: Schema[Model], store: Store) -> None:
        self._schema = schema
        self._store = store

    def __getitem__(self, key: str) -> Model:
        loaded = None if key.startswith(RESERVED) else self._schema.load(self._store, key)
        if loaded is None:
            raise KeyError(key)
        return loaded.model

    def __iter__(self) -> Iterator[str]:
        for key in self._store.keys():  # noqa: SIM118  - a store is no mapping
            if not key.startswith(RESERVED) and self._is_ours(key):
                yield key

    def _is_ours(self, key: str) -> bool:
        """Tell whether the key holds a model of this program: others may share the store."""
        stored = self._store.load(key)
        return stored is not None and read_envelope(key, stored.data)[0] in self._schema.names

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<models of {self._schema.names[0]} in {type(self._store).__qualname__}>"
