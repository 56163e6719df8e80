"""What an aggregate keeps: one model under one key, or one for each key.

Both begin from the store, give the program that the batch runs, say what has to be written, and are called when it is. `Keeping` is what
they share: the claim on the source, and the one transaction in which models, position and claim are written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from go_state.core.errors import Conflict, InvalidKey
from go_state.core.ports import AsyncSource, Openable, OpenedSource, Position, Source, Store, Write
from go_state.core.program import Program, Step, takes_key
from go_state.modes.aggregate.journal_source import begun_in_journal, journal_marks
from go_state.modes.aggregate.keyed import Change, CheckCommands, WorkingSet
from go_state.modes.aggregate.loading import Loader
from go_state.modes.aggregate.position_record import (
    Place,
    PositionRecord,
    checked_name,
    place_of_model,
    place_of_source,
    this_process,
)
from go_state.modes.aggregate.saved_letters import SavedLetters
from go_state.modes.batch.loaded_first import Loading
from go_state.modes.options import OnCommit
from go_state.runtime.after_commit import Hooks
from go_state.runtime.flow.waits import Answer, Blocking, Flow
from go_state.runtime.steps import Steps
from go_state.storage.records.keys import RESERVED, key_bytes
from go_state.storage.snapshots.links import Links, follow_links
from go_state.storage.snapshots.snapshot import Loaded, Mark, Schema, seal_of
from go_state.system.own_thread import OwnThread

if TYPE_CHECKING:
    from go_state.runtime.observing.observation import Observation
    from go_state.storage.letters.box import LetterBox

Model = TypeVar("Model")
Msg = TypeVar("Msg")
Held = TypeVar("Held")  # the model as the loop has it


_TRIES = 100  # to claim a source whose holder saves all the time; each has lost to a save, and takes less time than that


def _model_of(change: Change[Model]) -> Model:
    return change[2]


class Keeping(Generic[Model, Msg, Held]):
    """The claim on the source that is read, and the saving of models together with its position."""

    def __init__(self, schema: Schema[Model], store: Store, on_commit: OnCommit | None) -> None:
        self.thread = OwnThread("go_state store")  # in which an aggregate on an event loop uses the store
        self.schema = schema
        self.observation: Observation | None = None  #: what tells observers of loading and saving
        self._store = store
        self._on_commit = on_commit
        self._record: PositionRecord | None = None  # of a source that has positions
        self.filing: SavedLetters | None = None  #: the letters that are written with the next save
        self._describe: Callable[[], str] = str  # the source, to know it again by
        self._noted: Mapping[LetterBox, int] | None = None  # how many letters waited when there was nothing else to wait for
        self._claimed_name: str | None = None
        self._opened: OpenedSource[object] | None = None  # a source that was opened here, until a batch takes it over
        self._mark: Mark | None = None  # of the save that is being written
        self._letters: Collection[str] = ()  # the keys of its letters

    # ------------------------------------------------------------------ what the two kinds say

    def steps(self, own: Steps[Model, Msg]) -> Steps[Held, Msg]:
        """Return the steps to take from here, made of the program's own."""
        raise NotImplementedError

    def hooks(self, own: Hooks[Model]) -> Hooks[Held]:
        """Return what is called after a commit of those steps, made of what is called with the program's models."""
        raise NotImplementedError

    def loading(self) -> Loading[Msg] | None:
        """Return what loads models before their messages, if the program would load them in its turns."""
        return None

    def look_ahead(self, upcoming: Callable[[], Iterable[Msg | None]]) -> None:
        """Called with what gives the messages to come, for whoever loads models for them."""

    def _place(self, source: str) -> Place:
        """Return where the record of the source lies that is claimed before it is read."""
        raise NotImplementedError

    def _load(self) -> Mapping[str, Mark]:
        """Load what there is to begin with and return the marks of sources that are stored; the record is read by now."""
        raise NotImplementedError

    def _writes(self, model: Held, mark: Mark | None) -> dict[str, Write]:
        """Return which models to write for the store to have the loop's, with the source's mark if they hold it; not what it has."""
        raise NotImplementedError

    def _written(self, versions: Mapping[str, int]) -> dict[str, Model]:
        """Called with the new versions of the keys that are written; return the models that changed in the store."""
        raise NotImplementedError

    # ------------------------------------------------------------------ letters

    @property
    def store(self) -> Store:
        """Where it is saved."""
        return self._store

    @property
    def record(self) -> PositionRecord | None:
        """The claim on the source, if it has positions."""
        return self._record

    @property
    def source_name(self) -> str | None:
        """The name of a source that has positions."""
        return self._claimed_name

    def file_with(self, filing: SavedLetters | None) -> None:
        """Write letters with each save."""
        self.filing = filing

    def is_due(self) -> bool:
        """Return whether a save is due because of the letters that wait for it."""
        return self.filing is not None and self.filing.is_full

    def mark(self, model: Held) -> None:
        """Note that nothing is queued or running, and the model is this one: what `revert` goes back to."""
        self._noted = None if self.filing is None else self.filing.noted()

    def forget(self) -> None:
        """Forget the last mark: nothing goes back to it."""
        self._noted = None

    def revert(self, model: Held) -> None:
        """Go back to the last mark, which was set with this model."""
        if self.filing is not None and self._noted is not None:
            self.filing.go_back(self._noted)

    # ------------------------------------------------------------------ the beginning

    def begin(self, source: object) -> Flow[tuple[Any, Position]]:
        """Claim the source, and return it, opened if needed, and the position to read from; `SourceChanged` for another."""
        observation = self.observation
        since = 0.0 if observation is None else observation.now()
        try:
            begun: tuple[object, Position] = yield Blocking(lambda: self._begin(source), self.thread)
        except BaseException:  # also of a cancellation, after which what was opened has no owner
            if self._opened is not None:
                self._opened.close()
            raise
        if observation is not None and begun[1] is not None:
            observation.restored(begun[1], 0, since)
        return begun

    def _begin(self, source: object) -> tuple[object, Position]:
        journal = journal_marks(source)
        if journal is not None:
            # Asked at each save: an empty journal can be known by nothing until its first write.
            self._describe = journal.fingerprint
            return self._claimed(journal.name, lambda marks: begun_in_journal(journal, source, marks))
        if not isinstance(source, (Source, AsyncSource)):
            self._load()
            return source, None
        name, opened = checked_name(source.name), source
        if isinstance(source, Openable):
            opened = self._opened = source.open_once()
        begun = self._claimed(name, lambda marks: (opened, _position_in(opened, marks.get(name)), True))
        fingerprint = opened.fingerprint()  # not before: what the source recognises in itself may be a part of it
        self._describe = lambda: fingerprint
        return begun

    def _claimed(
        self, name: str, look: Callable[[Mapping[str, Mark]], tuple[object, Position, bool]]
    ) -> tuple[object, Position]:
        """Claim the source and return what `look` makes of the marks that are stored then, and that it may raise for.

        Nobody is disturbed by a run that does not begin: a source that is not the one, or of which there is nothing to read, is not
        claimed. A claim is on what was read before; if its holder has saved in between, all is read again.
        """
        for tries_left in reversed(range(_TRIES)):
            record = PositionRecord(self._store, self._place(name), self.schema.names)
            record.read()
            self._record, self._claimed_name = record, name
            reading, after, goes_on = look(self._load())
            if not goes_on:
                self._record = self._claimed_name = None
                return reading, after
            try:
                record.claimed(self._store.store(record.claiming(this_process())))
            except Conflict:
                if not tries_left:
                    raise
            else:
                return reading, after
        raise AssertionError("the last try returns or raises")

    def hold(self, record: PositionRecord, fingerprint: str) -> None:
        """Save with a record that was claimed by somebody else, who knows the source by the fingerprint."""
        self._record, self._describe = record, lambda: fingerprint
        self._load()

    def end_here(self) -> None:
        """Note that nothing follows the position that is saved next."""
        if self._record is not None:
            self._record.ends = True

    # ------------------------------------------------------------------ the save

    def save(self, model: Held, position: Position) -> Flow[None]:
        """Write what has changed and the source's position, in one transaction; nothing when nothing has."""
        observation = self.observation
        since = 0.0 if observation is None else observation.now()
        changed: dict[str, Model] | None = yield Blocking(lambda: self._save(model, position), self.thread)
        if observation is not None and changed is not None:
            observation.saved(position, len(changed), since)
        if changed is not None and self._on_commit is not None:
            yield Answer(self._on_commit(changed, position), "on_commit")

    def _save(self, model: Held, position: Position) -> dict[str, Model] | None:
        writes = self.prepare(model, position)
        try:
            versions = self._store.store(writes) if writes else {}
        except Conflict as conflict:
            raise self.explained(conflict) from conflict
        return self.stored(versions)

    def prepare(self, model: Held, position: Position) -> dict[str, Write]:
        """Return what a save is to write in one transaction; nothing when nothing has changed. `stored` follows when it has.

        The record is the first that is looked at: whose claim it is says more than a model.
        """
        record = self._record
        self._mark = mark = None if record is None else Mark(position, self._describe())
        writes = self._writes(model, mark)
        letters = {} if self.filing is None else self.filing.writes()
        if record is not None and (writes or letters or record.lacks(mark)):
            writes = {record.key: record.write(mark), **writes}
        if writes:
            self.schema.remember_types(self._store)
        self._letters = letters.keys()
        return {**writes, **letters}

    def stored(self, versions: Mapping[str, int]) -> dict[str, Model] | None:
        """Called with the versions of what `prepare` gave, once it is stored; return the models that changed, None if nothing was written."""
        ours = {key: version for key, version in versions.items() if key not in self._letters}
        if self._record is not None and self._record.key in ours:
            self._record.saved(self._mark, ours)
        if self.filing is not None:
            self.filing.written()
        changed = self._written(ours)
        return changed if ours else None

    def explained(self, conflict: Conflict) -> Conflict:
        """Return the error of a save that did not come about: if it was for the record, one that says who has claimed the source."""
        return conflict if self._record is None else self._record.explained(conflict)


def _position_in(source: Source[object] | AsyncSource[object], mark: Mark | None) -> Position:
    """Return the position to read the source on from; `SourceChanged` if it is not the one that was read."""
    if mark is None:
        return None
    source.recognise(mark.fingerprint)
    return mark.position


class KeptModel(Keeping[Model, Msg, Model]):
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
        self._marks: dict[str, Mark] = {}  # of all sources that were read
        self._writing: tuple[Model, bytes] | None = None  # the model being written, and its seal
        self._source_name = ""

    def _place(self, source: str) -> Place:
        self._source_name = source
        return place_of_model(self._key)

    def _load(self) -> Mapping[str, Mark]:
        if self._links is None:
            self._loaded = self.schema.load(self._store, self._key)
        else:
            self._loaded = self._load_linked(self._links)
        self._marks = {} if self._loaded is None else dict(self._loaded.marks)
        return self._marks

    def _load_linked(self, links: Links[Model]) -> Loaded[Model] | None:
        loaded: dict[str, Loaded[Model] | None] = {}

        def load(key: str) -> Model | None:
            found = loaded[key] = self.schema.load(self._store, key)
            return None if found is None else found.model

        follow_links(self._key, load, links)
        return loaded[self._key]

    def steps(self, own: Steps[Model, Msg]) -> Steps[Model, Msg]:
        return Steps(self._init, own.update, own.takes_turn, own.roll_back)

    def hooks(self, own: Hooks[Model]) -> Hooks[Model]:
        return own

    def _init(self) -> Step[Model, Msg]:
        program = self._program
        if self._loaded is not None:
            return self._loaded.model, () if program.on_restore is None else program.on_restore(self._loaded.model)
        return program.init(self._key) if takes_key(program) else program.init()

    def _writes(self, model: Model, mark: Mark | None) -> dict[str, Write]:
        if mark is not None:
            self._marks[self._source_name] = mark
        data = self.schema.seal(self._key, model, self._marks)
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


class KeptModels(Keeping[Model, Msg, Change[Model] | None]):
    """One model for each key; the source's position has a record of its own beside them."""

    def __init__(
        self, working_set: WorkingSet[Model, Msg], loader: Loader[Model], store: Store, on_commit: OnCommit | None
    ) -> None:
        super().__init__(loader.schema, store, on_commit)
        self._working_set = working_set
        self._loader = loader

    def _place(self, source: str) -> Place:
        return place_of_source(self.schema.names, source)

    def _load(self) -> Mapping[str, Mark]:
        self._loader.record = record = self._record
        return {} if record is None or record.mark is None else {record.name: record.mark}

    def steps(self, own: Steps[Model, Msg]) -> Steps[Change[Model] | None, Msg]:
        return self._working_set.steps(own)

    def hooks(self, own: Hooks[Model]) -> Hooks[Change[Model] | None]:
        return own.of_part(_model_of)

    def mark(self, model: Change[Model] | None) -> None:
        super().mark(model)
        self._working_set.mark(model)

    def forget(self) -> None:
        super().forget()
        self._working_set.forget()

    def revert(self, model: Change[Model] | None) -> None:
        super().revert(model)
        self._working_set.revert(model)

    def loading(self) -> Loading[Msg] | None:
        return Loading(self._working_set.missing, self._working_set.load_ahead, self.thread)

    def look_ahead(self, upcoming: Callable[[], Iterable[Msg | None]]) -> None:
        self._working_set.look_ahead(upcoming)

    def check_commands(self, checked: CheckCommands[Msg]) -> None:
        """Called before the first turn, with a function that commands go through: it returns those to perform, or raises."""
        self._working_set.check_commands = checked

    def hold_at_most(self, models: int) -> None:
        """Hold this many models in memory from now on, besides those that are to be saved."""
        self._working_set.cache = models

    def _writes(self, model: Change[Model] | None, mark: Mark | None) -> dict[str, Write]:
        return self._working_set.writes(model)

    def _written(self, versions: Mapping[str, int]) -> dict[str, Model]:
        return self._working_set.saved(versions)
