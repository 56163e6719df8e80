"""One model per key, as a program: update looks the model up by the message's key, and a turn's new model is kept when it commits.

The models of a run are the *working set*. Clean ones are as the store has them and may be let go; dirty ones were used since the
last save. To the loop it all looks like one program whose model is the latest change: the working set takes a change over when the loop
comes back with it, which it does only once the turn is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from inspect import CO_COROUTINE
from itertools import islice
from typing import Generic, Protocol, TypeAlias, TypeVar

from go_state.core.call_options import PLAIN
from go_state.core.commands import Call, Command, Map, Reply, Send, checked_commands
from go_state.core.errors import Corrupt, Incompatible
from go_state.core.ports import Store, Stored, Write
from go_state.core.program import Program, Step, not_a_step, read_step, takes_key
from go_state.core.subscriptions import Scope
from go_state.core.turn import Turn
from go_state.modes.aggregate.loading import Loader
from go_state.runtime.steps import Steps
from go_state.storage.records.keys import RESERVED, checked_key, key_bytes
from go_state.storage.snapshots.snapshot import Loaded, Schema, is_envelope, read_envelope, seal_of

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_SMALL = 64 * 1024  # bytes of a snapshot that is encoded in a millisecond
_AT_ONCE = 1000  # models that are loaded together: in one query of Postgres 5 us each, alone 370 us


def _same(key: str, message: Msg) -> Msg:
    """Return the message: it says by itself which model it is of."""
    return message


_IN_TURN = {Send, Reply}  # commands that nobody can cancel


def _of_key(commands: Sequence[Command[Msg]] | None, key: str) -> Sequence[Command[Msg]] | None:
    """Return the commands as those of a child: their keys, and what they cancel, are this model's, though all share one run."""
    if not isinstance(commands, (list, tuple)):
        return commands  # whatever it is: the loop knows
    return [
        each if each is None or type(each) in _IN_TURN or _is_inline(each) else Map(each, _same, (key,)) for each in commands
    ]


def _is_inline(command: object) -> bool:
    """Return whether the command is over with its turn, unless it returns something to await: to wrap a call takes longer than to make it.

    What is to be awaited gets its scope by `Steps.scope_of`.
    """
    if type(command) is not Call:
        return False
    fn, _, _, _, how = command.parts
    code = getattr(fn, "__code__", None)
    return how is PLAIN and code is not None and not code.co_flags & CO_COROUTINE


class Entry(Generic[Model]):
    """One key's model, the version, seal and size of what the store has of it (0 and None for nothing), and the last turn to use it."""

    __slots__ = ("is_dirty", "model", "seal", "size", "used", "version")

    def __init__(self, model: Model, version: int, seal: bytes | None, size: int) -> None:
        self.model = model
        self.version = version
        self.seal = seal
        self.size = size
        self.used = 0
        self.is_dirty = False  # as the working set has it, which looks here first


# What a turn makes of a key's model: the key, its entry, the model. A plain tuple: a named one takes a tenth of the time of a turn.
Change: TypeAlias = tuple[str, Entry[Model], Model]

Undo: TypeAlias = tuple[str, Entry[Model], Model, bool]
"""A change that can be taken back: the key, its entry, the model that it had, and whether that was to be saved."""


class CheckCommands(Protocol[Msg]):
    """Returns commands as they are to be performed, or raises for one that is refused."""

    def __call__(self, commands: Sequence[Command[Msg]], /, *, may_send: bool = True) -> Sequence[Command[Msg]]:
        """Return those of a step, or, which may not send anything, of a model that was loaded."""
        ...


class WorkingSet(Generic[Model, Msg]):
    """The models in use, by key."""

    def __init__(
        self,
        program: Program[Model, Msg],
        loader: Loader[Model],
        key: Callable[[Msg], str],
        *,
        cache: int,
        retire: Callable[[Model], bool] | None,
    ) -> None:
        self._program = program
        self._update_one: Callable[..., Step[Model, Msg]] = program.update
        self._loader = loader
        self._key = key
        self.cache = cache  #: how many models to hold in memory
        self._retire = retire
        self._takes_key = takes_key(program)
        self._clean: dict[str, Entry[Model]] = {}
        self._dirty: dict[str, Entry[Model]] = {}
        self._retired: set[str] = set()  # of the dirty ones, those that the running save deletes
        self._writing: dict[str, tuple[bytes, int]] = {}  # the seals of those that it writes, and their sizes
        self._taken_over: Change[Model] | None = None
        self._ahead: dict[str, Loaded[Model] | Exception | None] = {}  # what was loaded before its turn, by key
        self._upcoming: Callable[[], Iterable[Msg | None]] = tuple
        self._keyed: tuple[Msg, str] | None = None  # the message whose key was asked for last, and the key
        self._turn = 0
        self.check_commands: CheckCommands[Msg] | None = None  #: what the commands of turns go through, if anything
        self._undo: list[Undo[Model]] | None = None  # what was changed since the last mark, once there was one

    def steps(self, of_one: Steps[Model, Msg]) -> Steps[Change[Model] | None, Msg]:
        """Return the steps that the loop takes, from those of one model."""
        self._update_one = of_one.update if self.check_commands is None else self._checked(of_one.update, self.check_commands)
        return Steps(lambda: (None, ()), self._update, of_one.takes_turn, of_one.roll_back, self._scope_of)

    def _scope_of(self, message: Msg) -> Scope:
        return ((_same, self._key(message)),)

    @staticmethod
    def _checked(update: Callable[..., Step[Model, Msg]], check: CheckCommands[Msg]) -> Callable[..., Step[Model, Msg]]:
        def checked(*arguments: object) -> Step[Model, Msg]:
            model, commands = read_step(update(*arguments), "update")
            return model, check(commands) if commands else ()

        return checked

    # ------------------------------------------------------------------ the turn

    def _update(self, last: Change[Model] | None, message: Msg, turn: Turn | None = None) -> Step[Change[Model], Msg]:
        if last is not None and last is not self._taken_over:
            used = last[1]
            if (
                used.is_dirty and self._undo is None and not self._ahead
            ):  # `_take_over` in short: a call costs a tenth of a turn
                self._taken_over, used.model = last, last[2]
                self._turn = used.used = self._turn + 1
            else:
                self._take_over(last)
        if self._keyed is None:
            key = self._key(message)
        else:
            (asked, key), self._keyed = self._keyed, None
            if asked is not message:
                key = self._key(message)
        try:
            entry = self._dirty[key]  # in half the time of `get`
        except KeyError:
            found = self._clean.get(key)
            if found is None:
                return self._first_turn(key, message, turn)
            entry = found
        step = self._update_one(entry.model, message) if turn is None else self._update_one(entry.model, message, turn)
        if step.__class__ is not tuple:
            raise not_a_step(step, "update")
        try:
            model, commands = step
        except ValueError:
            raise not_a_step(step, "update") from None
        return (key, entry, model), _of_key(commands, key) if commands else commands

    def _first_turn(self, key: object, message: Msg, turn: Turn | None) -> Step[Change[Model], Msg]:
        """Load the key's model, or begin it, in one turn with its first message."""
        entry, first = self._meet(key)
        step = self._update_one(entry.model, message) if turn is None else self._update_one(entry.model, message, turn)
        model, commands = read_step(step, "update")
        assert isinstance(key, str)  # or it was refused
        return (key, entry, model), _of_key([*first, *checked_commands(commands)] if first else commands, key)

    def _take_over(self, change: Change[Model]) -> None:
        """Make the change of a committed turn part of the working set."""
        self._taken_over = change
        key, entry, model = change
        self._turn += 1
        if self._undo is not None:
            self._undo.append((key, entry, entry.model, key in self._dirty))
        entry.model, entry.used = model, self._turn
        if self._ahead:
            self._ahead.pop(key, None)  # it is older than the model from here on
        if key not in self._dirty:
            self._clean.pop(key, None)
            self._dirty[key], entry.is_dirty = entry, True

    def mark(self, last: Change[Model] | None) -> None:
        """Note that these are the models to go back to, the last change among them."""
        if last is not None and last is not self._taken_over:
            self._take_over(last)
        self._undo = []

    def forget(self) -> None:
        """Forget the last mark."""
        self._undo = None

    def revert(self, last: Change[Model] | None) -> None:
        """Go back to the models of the last mark, at which this was the last change."""
        for key, entry, model, was_dirty in reversed(self._undo or ()):
            entry.model = model
            if was_dirty:
                continue
            del self._dirty[key]
            entry.is_dirty = False
            if entry.version:  # or it begins anew
                self._clean[key] = entry
        self._undo = []
        self._taken_over = last

    def _meet(self, given: object) -> tuple[Entry[Model], Sequence[Command[Msg]]]:
        """Load the key's model, or begin it; return it with the commands that its beginning asks for."""
        key = checked_key(given)
        self._let_go()
        loaded = self._loaded(key)
        if loaded is not None:
            on_restore = self._program.on_restore
            asked = None if on_restore is None else on_restore(loaded.model)
            return Entry(loaded.model, loaded.version, loaded.seal, loaded.size), self._first_commands(asked, may_send=False)
        step = self._program.init(key) if self._takes_key else self._program.init()
        model, commands = read_step(step, "init")
        return Entry(model, 0, None, 0), self._first_commands(commands)

    def _first_commands(self, commands: Iterable[Command[Msg]] | None, *, may_send: bool = True) -> Sequence[Command[Msg]]:
        checked = checked_commands(commands)
        return checked if self.check_commands is None or not checked else self.check_commands(checked, may_send=may_send)

    def _loaded(self, key: str) -> Loaded[Model] | None:
        if key not in self._ahead:
            self.load_ahead(self.with_upcoming(key))
        found = self._ahead[key]
        if isinstance(found, Exception):
            raise found
        return found

    # ------------------------------------------------------------------ loading beforehand

    def look_ahead(self, upcoming: Callable[[], Iterable[Msg | None]]) -> None:
        """Load the models for the messages that `upcoming` gives together with the one that is needed."""
        if self._loader.loads_many:
            self._upcoming = upcoming

    def with_upcoming(self, key: str) -> list[str]:
        """Return the key, and those of the messages to come whose models are not in memory either."""
        keys = {key: None}
        for message in islice(self._upcoming(), min(_AT_ONCE, self.cache) - 1):
            if message is not None:
                with suppress(Exception):  # which the message's own turn raises
                    if self._is_missing(found := self._key(message)) and not found.startswith(RESERVED):
                        key_bytes(found)
                        keys[found] = None
        return list(keys)

    def _is_missing(self, key: str) -> bool:
        return key not in self._dirty and key not in self._clean and key not in self._ahead

    def missing(self, message: Msg) -> Sequence[str]:
        """Return the keys whose models to load before the message's turn; none if its own is in memory."""
        try:
            key = self._key(message)
            missing = self._is_missing(key)
        except Exception:  # which the turn raises
            return ()
        self._keyed = message, key
        return self.with_upcoming(key) if missing and isinstance(key, str) else ()

    def load_ahead(self, keys: Sequence[str]) -> None:
        """Load the models of the keys, the first of which is needed now; its error is kept for the turn that asks for it."""
        if len(self._ahead) >= _AT_ONCE:
            self._ahead = {}  # loaded for messages that have not come
        try:
            self._ahead |= self._loader.load_many(keys)
        except (Corrupt, Incompatible) as error:
            if len(keys) > 1:  # it may be another's, which fails its own message when that comes
                self.load_ahead(keys[:1])
            else:
                self._ahead[keys[0]] = error
        except Exception as error:
            self._ahead[keys[0]] = error

    def _let_go(self) -> None:
        """Forget the least recently used clean models when there are more than the cache may hold, a tenth at a time."""
        excess = len(self._clean) + len(self._dirty) + 1 - self.cache
        if excess <= 0 or not self._clean:
            return
        oldest = sorted(self._clean, key=lambda key: self._clean[key].used)
        for key in oldest[: max(excess, self.cache // 10)]:
            del self._clean[key]

    # ------------------------------------------------------------------ the save

    def writes(self, last: Change[Model] | None) -> dict[str, Write]:
        """Return what has to be written for the store to hold the working set; what it has already is left out."""
        if last is not None and last is not self._taken_over:
            self._take_over(last)
        writes = {}
        self._retired = {key for key, entry in self._dirty.items() if self._retire is not None and self._retire(entry.model)}
        self._writing = {}
        for key, entry in self._dirty.items():
            if key in self._retired:
                if entry.version:
                    writes[key] = Write(None, entry.version)
                continue
            # What was small when it was last written has grown by what one save brings: it need not be weighed.
            data = self._loader.schema.seal(key, entry.model, {}, is_small=0 < entry.size < _SMALL)
            if seal_of(data) != entry.seal:
                self._writing[key] = seal_of(data), len(data)
                writes[key] = Write(data, entry.version)
        return writes

    def saved(self, versions: Mapping[str, int]) -> dict[str, Model]:
        """Called when the writes are stored; return the models that changed there."""
        changed = {}
        for key, entry in self._dirty.items():
            entry.is_dirty = False
            if key in self._retired:
                continue  # the next message for the key begins anew
            if key in self._writing:
                entry.version, (entry.seal, entry.size) = versions[key], self._writing[key]
                changed[key] = entry.model
            self._clean[key] = entry
        self._dirty = {}
        self._undo = None if self._undo is None else []
        self._let_go()
        return changed


class Models(Mapping[str, Model]):
    """The models in a store, by key, each loaded when it is asked for. The store has to be open."""

    def __init__(self, schema: Schema[Model], store: Store) -> None:
        self._schema = schema
        self._store = store

    def __getitem__(self, key: str) -> Model:
        stored = None if key.startswith(RESERVED) else self._store.load(key)
        if stored is None or not self._is_ours(key, stored):
            raise KeyError(key)
        return self._schema.open(key, stored.data)[0]

    def __iter__(self) -> Iterator[str]:
        for key in self._store.keys():  # noqa: SIM118  - a store is not a mapping
            if key.startswith(RESERVED):
                continue
            stored = self._store.load(key)
            if stored is not None and self._is_ours(key, stored):
                yield key

    def _is_ours(self, key: str, stored: Stored) -> bool:
        """Return whether it is a model of this program: others, and records of the user's own, may share the store."""
        if not is_envelope(stored.data):
            return False
        from go_state.modes.keeping.keyframes import MARK  # here: its imports are for journals

        envelope = read_envelope(key, stored.data)
        return envelope.name in self._schema.names and MARK not in envelope.marks  # as a journalled program's snapshot has it

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<models of {self._schema.names[0]} in {type(self._store).__qualname__}>"
