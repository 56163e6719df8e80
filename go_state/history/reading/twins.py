"""Two folds of one history, side by side: the first message after which their models part.

As long as two models are equal they are one object for both folds, so only what the last message has changed is compared: what is
the same object on both sides is equal. A persistent map does not say what has changed in it. A large one is compared only once as many
messages were taken as pay for that, and which of them it was is found by taking them again. So a message costs what it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from go_state.core.ports import Entry
from go_state.history.reading.folding import Fold, exhaust
from go_state.history.reading.opened import Opened
from go_state.history.reading.starts import Start
from go_state.storage.codec.difference import difference
from go_state.storage.codec.equality import fields_that_count, is_same
from go_state.storage.types.annotations import TypeForm

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_SMALL = 64  # entries of a persistent map that are compared at once
_PAYS = 256  # entries of a larger one that one message pays for: about 10 us
_BUILT_IN = (
    dict,
    list,
    tuple,
    set,
    frozenset,
)  # which update has copied to change them, and that takes as long as comparing them


class Parting(NamedTuple):
    """Where two folds part: after the message of one of the entries, which is a single one if it could be told."""

    entries: Sequence[Entry[Any]]
    key: str | None
    models: tuple[Any, Any]  # of both folds, which differ; of whichever program


class Twins(Generic[Model, Msg]):
    """Two folds that begin with the same models. With `at_once` large persistent maps are compared after every message as well."""

    def __init__(
        self,
        one: Opened[Model, Msg],
        other: Opened[Model, Msg],
        start: Start[Model],
        meet: Callable[[str | None, Model], object] | None = None,
        *,
        at_once: bool = False,
    ) -> None:
        self._opened = one, other
        self._at_once = at_once
        self._start = start
        self.one: Fold[Model, Msg] = Fold(one, start, meet)
        self.other: Fold[Model, Msg] = Fold(other, start)
        self._before: dict[str | None, Model] = {}  # of the keys met since the last comparison, the models that were equal
        self._since: list[Entry[Msg]] = []  # what was taken since then
        self._met: set[str | None] = set()  # the keys whose models have had a turn with the last entry
        self._owed = 0  # entries of persistent maps that are yet to be compared
        self.steps = 0  #: turns that the first fold has taken

    def partings(self, entries: Iterable[Entry[Msg]], *, go_on: bool = False) -> Iterator[Parting]:
        """Give where the folds part; with `go_on` each time, after which both go on with the first one's model."""
        found = self.begin()
        for entry in entries:
            if found is not None:
                yield found
                if not go_on:
                    return
                for key in self._met:
                    self._go_on_with_the_first(key)
            found = self.take(entry)
        if found is None:
            found = self.settle()
        if found is not None:
            yield found

    def _go_on_with_the_first(self, key: str | None) -> None:
        if key in self.one.models:
            self.other.models[key] = self.one.models[key]
        else:
            self.other.models.pop(key, None)

    def begin(self) -> Parting | None:
        """Take the beginnings."""
        exhaust(self.one.begin())
        exhaust(self.other.begin())
        self._met = {*self.one.models, *self.other.models}
        return self._part([Entry[Any](0, None, None)], self._met, whole=True)

    def take(self, entry: Entry[Msg]) -> Parting | None:
        """Take an entry in both folds, and return where they have parted, if they have."""
        if entry.message is None:
            return None
        self._since.append(entry)
        met = self._taken(self.one, entry)
        self.steps += len(met)
        self._met = {*met, *self._taken(self.other, entry)}
        if (parting := self._part([entry], self._met)) is not None:
            return parting
        return self.settle() if self._owed <= len(self._since) * _PAYS else None

    def _taken(self, fold: Fold[Model, Msg], entry: Entry[Msg]) -> list[str | None]:
        """Take an entry, and return whose models have had a turn; what they were before is kept."""
        keys = []
        for step in fold.entry(entry):
            keys.append(step.key)
            self._before.setdefault(step.key, step.before)
        return keys

    def _part(self, entries: Sequence[Entry[Msg]], keys: set[str | None], *, whole: bool = False) -> Parting | None:
        """Compare the models of the keys, large maps only if `whole`; those that are equal are one object from here on."""
        for key in keys:
            one, other = self.one.models.get(key), self.other.models.get(key)
            later = _Later(whole or self._at_once)
            if not later.alike(one, other) and difference(one, other) is not None:
                return Parting(entries, key, (one, other))
            self._owed = max(self._owed, later.entries)
            if not later.entries and one is not other:
                self.other.models[key] = self.one.models[key]
        return None

    def settle(self) -> Parting | None:
        """Compare all that is owed."""
        since, before = self._since, self._before
        self._since, self._before = [], {}
        if not self._owed:
            return None
        self._owed = 0
        parting = self._part(since, set(before), whole=True)
        return parting if parting is None or len(since) == 1 else self._searched(parting, before)

    def _searched(self, parting: Parting, before: Mapping[str | None, Model]) -> Parting:
        """Return the parting with the one entry that it was, found by taking the entries again, or with all if it is not found again."""
        together, apart = 0, len(parting.entries)
        found = parting
        while apart - together > 1:
            middle = (together + apart) // 2
            again = Twins(*self._opened, self._start._replace(models={**self.one.models, **before}))
            if (differs := again.all_of(parting.entries[:middle])) is None:
                together = middle
            else:
                apart, found = middle, differs
        if found is parting and self._again(parting, before) is None:
            return parting
        return found._replace(entries=[parting.entries[apart - 1]])

    def _again(self, parting: Parting, before: Mapping[str | None, Model]) -> Parting | None:
        again = Twins(*self._opened, self._start._replace(models={**self.one.models, **before}))
        return again.all_of(parting.entries)

    def all_of(self, entries: Sequence[Entry[Msg]]) -> Parting | None:
        """Take the entries without looking, and compare at the end."""
        keys: set[str | None] = set()
        for entry in entries:
            keys.update(self._taken(self.one, entry), self._taken(self.other, entry))
        return self._part(entries, keys, whole=True)


class _Later:
    """One comparison of two models, in which large persistent maps are left for later, unless it is of the whole."""

    def __init__(self, whole: bool) -> None:
        self._whole = whole
        self.entries = 0  #: of the maps that were left

    def alike(self, one: Any, other: Any) -> bool:
        """Return whether two values are equal, but for what was left; False also if they may be, and are to be looked at closely."""
        if one is other:
            return True
        if type(one) is not type(other):
            return False
        kind: TypeForm = type(one)
        if (fields := fields_that_count(kind)) is not None:
            return all(self.alike(getattr(one, name), getattr(other, name)) for name in fields.names)
        if isinstance(one, _BUILT_IN):
            return bool(one == other)
        if isinstance(one, Mapping) and not self._whole and max(len(one), len(other)) > _SMALL:
            self.entries += max(len(one), len(other))
            return True
        return bool(one == other) if isinstance(one, Mapping) else is_same(one, other)
