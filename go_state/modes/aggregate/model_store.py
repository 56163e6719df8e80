"""What an aggregate keeps: one model under one key, or one for each key.

Both begin from the store, give the program that the batch runs, say what has to be written, and are called when it is. `Keeping` is what
they share: the source's mark, and the one transaction in which models and mark are written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from go_state.core.errors import InvalidKey, UsageError
from go_state.core.ports import Openable, Position, Source, Store, Write
from go_state.core.program import Program, Step, takes_key
from go_state.modes.aggregate.journal_source import journal_marks
from go_state.modes.aggregate.keyed import RESERVED, Change, WorkingSet
from go_state.modes.batch.loaded_first import Loading
from go_state.modes.options import OnCommit
from go_state.runtime.after_commit import Hooks
from go_state.runtime.flow.waits import Answer, Blocking, Flow
from go_state.runtime.steps import Steps
from go_state.storage.codec.json_codec import JsonCodec
from go_state.storage.records.keys import key_bytes
from go_state.storage.snapshots.links import Links, follow_links
from go_state.storage.snapshots.snapshot import Loaded, Mark, Schema, seal_of
from go_state.system.own_thread import OwnThread

Model = TypeVar("Model")
Msg = TypeVar("Msg")


def _model_of(change: Change[Model]) -> Model:
    return change[2]


class Keeping(Generic[Model, Msg]):
    """The marks of the sources that were read, and the saving of models together with them."""

    def __init__(self, schema: Schema[Model], store: Store, on_commit: OnCommit | None) -> None:
        self.thread = OwnThread("go_state store")  # in which an aggregate on an event loop uses the store
        self.schema = schema
        self._store = store
        self._on_commit = on_commit
        self._marks: dict[str, Mark] = {}
        self._source_name: str | None = None  # of a source that has positions
        self._describe: Callable[[], str] = str  # the source, to know it again by
        self._opened: Any = None  # a source that was opened here, until a batch takes it over

    # ------------------------------------------------------------------ what the two kinds say

    def steps(self, own: Steps[Model, Msg]) -> Steps[Any, Msg]:
        """Return the steps to take from here, made of the program's own."""
        raise NotImplementedError

    def hooks(self, own: Hooks) -> Hooks:
        """Return what is called after a commit of those steps, made of what is called with the program's models."""
        return own

    def loading(self) -> Loading[Msg] | None:
        """Return what loads models before their messages, if the program would load them in its turns."""
        return None

    def _load(self) -> Mapping[str, Mark]:
        """Load what there is to begin with and return the marks that are stored."""
        raise NotImplementedError

    def _writes(self, model: Any, marks: Mapping[str, Mark]) -> dict[str, Write]:
        """Return what has to be written for the store to have the loop's model and the marks; nothing that it has already."""
        raise NotImplementedError

    def _written(self, versions: Mapping[str, int]) -> dict[str, Model]:
        """Called with the new versions of the keys that are written; return the models that changed in the store."""
        raise NotImplementedError

    # ------------------------------------------------------------------ the shared part

    def begin(self, source: object) -> Flow[tuple[Any, Position]]:
        """Load, and return the source to read, opened if needed, and the position to read from; `SourceChanged` for another."""
        try:
            begun: tuple[object, Position] = yield Blocking(lambda: self._begin(source), self.thread)
        except BaseException:  # also of a cancellation, after which what was opened has no owner
            if self._opened is not None:
                self._opened.close()
            raise
        return begun

    def _begin(self, source: object) -> tuple[object, Position]:
        self._marks = dict(self._load())
        journal = journal_marks(source)
        if journal is not None:
            if journal.is_of_own_program(self._marks):
                return (), None  # it is all counted
            after = journal.begin(self._marks)
            self._source_name = journal.name
            # Asked at each save: an empty journal can be known by nothing until its first write.
            self._describe = journal.fingerprint
            return source, after
        if not isinstance(source, Source):
            return source, None
        mark = self._mark_of(source.name)
        opened: Source[object] = source
        if isinstance(source, Openable):
            opened = self._opened = source.open_once()
        if mark is not None:
            opened.recognise(mark.fingerprint)
        fingerprint = opened.fingerprint()
        self._describe = lambda: fingerprint
        return opened, None if mark is None else mark.position

    def _mark_of(self, name: str) -> Mark | None:
        """Return how far the source of this name was read."""
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
        self._source_name = name
        return self._marks.get(name)

    def save(self, model: Any, position: Position) -> Flow[None]:
        """Write what has changed and the source's position, in one transaction; nothing when nothing has."""
        changed: dict[str, Model] | None = yield Blocking(lambda: self._save(model, position), self.thread)
        if changed is not None and self._on_commit is not None:
            yield Answer(self._on_commit(changed, position), "on_commit")

    def _save(self, model: Any, position: Position) -> dict[str, Model] | None:
        marks = dict(self._marks)
        if self._source_name is not None:
            marks[self._source_name] = Mark(position, self._describe())
        writes = self._writes(model, marks)
        if writes:
            self.schema.remember_types(self._store)
        changed = self._written(self._store.store(writes) if writes else {})
        self._marks = marks
        return changed if writes else None


class KeptModel(Keeping[Model, Msg]):
    """One model under one key; its snapshot holds the marks as well."""

    def __init__(
        self,
        program: Program[Model, Msg],
        schema: Schema[Model],
        store: Store,
        key: str,
        on_commit: OnCommit | None,
        links: Links[Model] | None,
    ) -> None:
        super().__init__(schema, store, on_commit)
        key_bytes(key)
        if key.startswith(RESERVED):
            raise InvalidKey(f'keys that begin with "{RESERVED}" are go_state\'s own: choose another')
        self._program = program
        self._key = key
        self._links = links
        self._loaded: Loaded[Model] | None = None
        self._writing: tuple[Model, bytes] | None = None  # the model being written, and its seal

    def _load(self) -> Mapping[str, Mark]:
        if self._links is None:
            self._loaded = self.schema.load(self._store, self._key)
        else:
            self._loaded = self._load_linked(self._links)
        return {} if self._loaded is None else self._loaded.marks

    def _load_linked(self, links: Links[Model]) -> Loaded[Model] | None:
        loaded: dict[str, Loaded[Model] | None] = {}

        def load(key: str) -> Model | None:
            found = loaded[key] = self.schema.load(self._store, key)
            return None if found is None else found.model

        follow_links(self._key, load, links)
        return loaded[self._key]

    def steps(self, own: Steps[Model, Msg]) -> Steps[Model, Msg]:
        return Steps(self._init, own.update, own.takes_turn, own.roll_back)

    def _init(self) -> Step[Model, Msg]:
        program = self._program
        if self._loaded is not None:
            return self._loaded.model, () if program.on_restore is None else program.on_restore(self._loaded.model)
        return program.init(self._key) if takes_key(program) else program.init()

    def _writes(self, model: Model, marks: Mapping[str, Mark]) -> dict[str, Write]:
        data = self.schema.seal(self._key, model, marks)
        if self._loaded is not None and self._loaded.seal == seal_of(data):
            return {}
        self._writing = model, seal_of(data)
        return {self._key: Write(data, 0 if self._loaded is None else self._loaded.version)}

    def _written(self, versions: Mapping[str, int]) -> dict[str, Model]:
        if not versions or self._writing is None:
            return {}
        model, seal = self._writing
        self._loaded = Loaded(model, versions[self._key], {}, seal)
        return {self._key: model}


class KeptModels(Keeping[Model, Msg]):
    """One model for each key; the marks have a record of their own beside them."""

    def __init__(
        self, working_set: WorkingSet[Model, Msg], schema: Schema[Model], store: Store, on_commit: OnCommit | None
    ) -> None:
        super().__init__(schema, store, on_commit)
        self._working_set = working_set
        self._stored_marks = StoredMarks(schema)

    def _load(self) -> Mapping[str, Mark]:
        return self._stored_marks.load(self._store)

    def steps(self, own: Steps[Model, Msg]) -> Steps[Change[Model] | None, Msg]:
        return self._working_set.steps(own)

    def hooks(self, own: Hooks) -> Hooks:
        return own.of_part(_model_of)

    def loading(self) -> Loading[Msg] | None:
        return Loading(self._working_set.missing, self._working_set.load_ahead, self.thread)

    def _writes(self, model: Any, marks: Mapping[str, Mark]) -> dict[str, Write]:
        writes = self._working_set.writes(model)
        if marks != self._marks:
            writes |= self._stored_marks.write(marks)
        return writes

    def _written(self, versions: Mapping[str, int]) -> dict[str, Model]:
        self._stored_marks.written(versions)
        return self._working_set.saved(versions)


class StoredMarks:
    """How far a keyed program has read its sources: a record of its own beside its models, under the program's name."""

    def __init__(self, schema: Schema[Any]) -> None:  # of the models, whatever they are
        self._schema: Schema[None] = Schema(tuple(f"positions of {name}" for name in schema.names), 1, JsonCodec(None))
        self.key, *self._old_keys = [f"{RESERVED}positions/{name}" for name in schema.names]
        self.version = 0  #: of the record, 0 if there is none under today's name

    def load(self, store: Store) -> dict[str, Mark]:
        """Return the marks by source; of names that the model had before, the newest counts."""
        marks: dict[str, Mark] = {}
        self.version = 0
        for key in (*reversed(self._old_keys), self.key):
            loaded = self._schema.load(store, key)
            if loaded is not None:
                marks |= loaded.marks
                self.version = loaded.version if key == self.key else 0
        return marks

    def write(self, marks: Mapping[str, Mark]) -> dict[str, Write]:
        """Return what makes the store hold these."""
        return {self.key: Write(self._schema.seal(self.key, None, marks), self.version)}

    def written(self, versions: Mapping[str, int]) -> None:
        """Called with the new versions of what was written."""
        self.version = versions.get(self.key, self.version)
