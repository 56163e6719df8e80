"""Two folds of one history, side by side: the first message after which their models differ.

As long as two models are equal they are one object for both folds, so only what the last message has changed is compared: what is
the same object on both sides is equal. A persistent map does not say what has changed in it. A large one is compared only once as
many messages were taken as pay for that, and which of them it was is found by taking them again. So a message costs what it
changes.

Models whose classes are not the same, as of two versions of a module, cannot be one object. Of these the last two that were found
equal are remembered: what is still the same object as then, on both sides, is equal as it was then (`_as_before`). It can only say
that they are equal; if it cannot, both are compared as a whole, by way of JSON. So are the last ones, for a program that changes
its models in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, compress, repeat, zip_longest
from operator import is_not
from typing import Any, Generic, NamedTuple, TypeVar

from go_state.core.ports import Entry
from go_state.history.reading.folding import Fold, exhaust
from go_state.history.reading.opened import Opened
from go_state.history.reading.starts import Start
from go_state.history.reading.translation import Translation
from go_state.storage.codec.difference import ABSENT, difference, differences
from go_state.storage.codec.equality import fields_that_count, is_same
from go_state.storage.types.annotations import Instance, TypeForm

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
    models: tuple[object, object]  # of both folds, which differ; of whichever program


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
        translation: Translation[Model, Msg] | None = None,
    ) -> None:
        self._opened = one, other
        self._at_once = at_once
        self._start = start
        self.one: Fold[Model, Msg] = Fold(one, start, meet)
        self._translation = translation  # if their classes are not the same, so that no model can be that of both
        self.other: Fold[Model, Msg] = Fold(other, start if translation is None else translation.start(start))
        self._equal: dict[
            str | None, tuple[Model, Model]
        ] = {}  # of models that have to be translated, the last that were equal
        self._sizes: dict[str | None, int] = {}  # of models that have to be translated to be compared, in bytes
        self._before: dict[str | None, Model] = {}  # of the keys met since the last comparison, the models that were equal
        self._since: list[Entry[Msg]] = []  # what was taken since then
        self._met: set[str | None] = set()  # the keys whose models have had a turn with the last entry
        self._uncompared = 0  # entries of persistent maps that are yet to be compared
        self.steps = 0  #: turns that the first fold has taken

    def partings(self, entries: Iterable[Entry[Msg]], *, go_on: bool = False) -> Iterator[Parting]:
        """Give where the folds part; with `go_on` each time, after which both go on with the first one's model."""
        found, entry = self.begin(), Entry[Msg](0, None, None)
        for entry in entries:
            if found is not None:
                yield found
                if not go_on:
                    return
                for key in self._met:
                    self._go_on_with_the_first(key)
            found = self.take(entry)
        if found is None and (found := self.settle()) is None and self._equal:
            keys = set(self._equal)
            self._equal.clear()
            found = self._part([entry], keys, whole=True)
        if found is not None:
            yield found

    def _go_on_with_the_first(self, key: str | None) -> None:
        if key in self.one.models:
            model, translation = self.one.models[key], self._translation
            self.other.models[key] = model if translation is None else translation.model(model)
        else:
            self.other.models.pop(key, None)

    def begin(self) -> Parting | None:
        """Take the beginnings."""
        exhaust(self.one.begin())
        exhaust(self.other.begin())
        self._met = {*self.one.models, *self.other.models}
        return self._part([Entry[Msg](0, None, None)], self._met, whole=True)

    def take(self, entry: Entry[Msg]) -> Parting | None:
        """Take an entry in both folds, and return where they have parted, if they have."""
        if entry.message is None:
            self._both(entry)
            return None
        self._since.append(entry)
        self._met = self._both(entry)
        if (parting := self._part([entry], self._met)) is not None:
            return parting
        return self.settle() if self._uncompared <= len(self._since) * _PAYS else None

    def _both(self, entry: Entry[Msg]) -> set[str | None]:
        """Take an entry in both folds, and return whose models have had a turn; what they were before is kept."""
        met = set()
        for step in self.one.entry(entry):
            self.steps += 1
            met.add(step.key)
            self._before.setdefault(step.key, step.before)
        for step in self.other.entry(entry if self._translation is None else self._translation.entry(entry)):
            met.add(step.key)
        return met

    def _part(self, entries: Sequence[Entry[Msg]], keys: set[str | None], *, whole: bool = False) -> Parting | None:
        """Compare the models of the keys, large maps only if `whole`; those that are equal are one object from here on."""
        for key in keys:
            one, other = self.one.models.get(key, ABSENT), self.other.models.get(key, ABSENT)
            if one is other:
                continue
            if (
                one is ABSENT
                or other is ABSENT
                or not self._alike(key, self.one.models[key], self.other.models[key], whole=whole)
            ):
                return Parting(entries, key, (one, other))
        return None

    def _alike(self, key: str | None, one: Model, other: Model, *, whole: bool) -> bool:
        """Return whether the models are equal, but for what is owed."""
        later = _Later(whole or self._at_once)
        if self._translation is None:
            if not later.alike(one, other) and difference(one, other) is not None:
                return False
            self._uncompared = max(self._uncompared, later.entries)
            if not later.entries:
                self.other.models[key] = one
            return True
        if later.whole and (known := self._equal.get(key)) is not None and _is_as_before(one, other, *known):
            self._equal[key] = one, other
            return True
        if not later.whole and (size := self._sizes.get(key, 0)) > len(self._since) * _PAYS:
            self._uncompared = max(self._uncompared, size)
            return True
        images = self._translation.images(one, other)
        self._sizes[key] = len(images[0])
        if images[0] != images[1] and self._translation.differ(one, other):
            return False
        if self._at_once:
            self._equal[key] = one, other
        return True

    def settle(self) -> Parting | None:
        """Compare what was put off."""
        since, before = self._since, self._before
        self._since, self._before = [], {}
        if not self._uncompared:
            return None
        self._uncompared = 0
        parting = self._part(since, set(before), whole=True)
        return parting if parting is None or len(since) == 1 else self._searched(parting, before)

    def _searched(self, parting: Parting, before: Mapping[str | None, Model]) -> Parting:
        """Return the parting with the one entry that it was, found by taking the entries again, or with all if it is not found again."""
        together, apart = 0, len(parting.entries)
        found = parting
        while apart - together > 1:
            middle = (together + apart) // 2
            if (differs := self._again(parting.entries[:middle], before)) is None:
                together = middle
            else:
                apart, found = middle, differs
        if found is parting and self._again(parting.entries, before) is None:
            return parting
        return found._replace(entries=[parting.entries[apart - 1]])

    def _again(self, entries: Sequence[Entry[Msg]], before: Mapping[str | None, Model]) -> Parting | None:
        """Take the entries again, without looking, and compare at the end."""
        start = self._start._replace(models={**self.one.models, **before})
        return Twins(*self._opened, start, translation=self._translation).all_of(entries)

    def all_of(self, entries: Sequence[Entry[Msg]]) -> Parting | None:
        """Take the entries without looking, and compare at the end."""
        keys: set[str | None] = set()
        for entry in entries:
            keys |= self._both(entry)
        return self._part(entries, keys, whole=True)


def _is_as_before(one: object, other: object, one_before: object, other_before: object) -> bool:
    """Return True if two models are equal in the fields that both have, as those before were; False also if that is not known."""
    try:
        return _as_before(one, other, one_before, other_before)
    except RecursionError:  # which a comparison of the whole has room for
        return False


def _as_before(one: Instance, other: Instance, one_before: Instance, other_before: Instance) -> bool:
    if one is one_before and other is other_before:
        return True
    if type(one) is not type(one_before) or type(other) is not type(other_before):  # nothing is known of their parts
        one_before = other_before = ABSENT
    kind, other_kind = _kind(one), _kind(other)
    fields, theirs = fields_that_count(kind), fields_that_count(other_kind)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return _have_changed_alike(one, other, *((one_before, other_before) if one_before is not ABSENT else ({}, {})))
    if fields is None and isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        before = zip_longest(*((one_before, other_before) if one_before is not ABSENT else ((), ())), fillvalue=ABSENT)
        items = zip(one, other, chain(before, repeat((ABSENT, ABSENT))), strict=False)
        return len(one) == len(other) and all(_as_before(a, b, *were) for a, b, were in items)
    if fields is None or theirs is None or kind is other_kind or kind.__qualname__ != other_kind.__qualname__:
        return not differences(one, other, 1)
    both = (name for name in fields.names if name in theirs.names)
    were = partial(getattr, one_before), partial(getattr, other_before)
    return all(_as_before(getattr(one, name), getattr(other, name), *(each(name, ABSENT) for each in were)) for name in both)


def _have_changed_alike(
    one: Mapping[object, object],
    other: Mapping[object, object],
    one_before: Mapping[object, object],
    other_before: Mapping[object, object],
) -> bool:
    """Return whether the entries of two mappings that are not as before are equal, and the others of the same keys."""
    if len(one) != len(other):
        return False
    changed = {*_changed(one, one_before), *_changed(other, other_before)}
    return all(
        key in other and _as_before(one[key], other[key], one_before.get(key, ABSENT), other_before.get(key, ABSENT))
        if key in one
        else key not in other
        for key in changed
    )


def _changed(now: Mapping[object, object], before: Mapping[object, object]) -> list[object]:
    """Return the keys whose values are not the same objects, of either; in C, if those that were added come last, as they do."""
    keys, were = list(now), list(before)
    if keys[: len(were)] == were:
        return [*compress(keys, map(is_not, now.values(), before.values())), *keys[len(were) :]]
    found = [key for key in keys if before.get(key, ABSENT) is not now[key]]
    return [*found, *(key for key in were if key not in now)]


def _kind(value: object) -> type:
    """Return the type of a value; of the read-only twins in a strict program's model, what they stand for."""
    kind: type = getattr(type(value), "__stands_for__", type(value))
    return kind


class _Later:
    """One comparison of two models, in which large persistent maps are left for later, unless it is of the whole."""

    def __init__(self, whole: bool) -> None:
        self.whole = whole
        self.entries = 0  #: of the maps that were left

    def alike(self, one: Instance, other: Instance) -> bool:
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
        if isinstance(one, Mapping) and not self.whole and max(len(one), len(other)) > _SMALL:
            self.entries += max(len(one), len(other))
            return True
        return bool(one == other) if isinstance(one, Mapping) else is_same(one, other)
