"""Changes of fields: which fields of a model have changed, at which version, for those who care about some of them.

Nothing is compared until somebody subscribes. A field has changed when it is another object and, for small values, not equal: what is
large is taken for changed, because comparing it at every commit would cost more than one look too many.

`Fields` belongs to the program: it compares each committed model with the last and publishes what has changed. `Changes` belongs to a
subscriber: it waits for what is new to it. Between the two lie slots, one for each field and one for the model as a whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Set
from types import TracebackType
from typing import Generic, NamedTuple, Self, TypeAlias, TypeVar

from go_state.core.errors import Closed, Ended, UsageError
from go_state.core.fields import field_names
from go_state.watch.differing import differ
from go_state.watch.slot import UNSET, Slot, read_one
from go_state.watch.watcher import Watcher, check_since, until_closed

Model = TypeVar("Model")


class _AllFields:
    def __repr__(self) -> str:
        return "gs.ANY"


ANY = _AllFields()
"""Given in the place of a field, it subscribes to changes of all of them. Not a string, which may be the name of a field."""

Field: TypeAlias = str | _AllFields | Callable[[Model], object]
"""What one can subscribe to: a field by its name, `gs.ANY`, or a function of the model."""

_CONTAINERS = (Mapping, Set, list)  # they may have fields as well, if their classes are the user's


class Change(NamedTuple, Generic[Model]):
    """A delivery: the version of the model, the fields that have changed since the last one, sorted, and the model."""

    version: int
    fields: tuple[str, ...]
    model: Model


class _State(NamedTuple, Generic[Model]):
    """A model, its fields, the version at which each has last changed, and the one at which anything of the model has."""

    model: Model
    version: int
    fields: Collection[str]
    changed: Mapping[str, int]
    touched: int


class Fields(Generic[Model]):
    """The fields of one program's models, compared at each commit by the thread or task that commits.

    Nothing that a model does when it is compared ends the program. If a model is of another class than the one before, every field
    of both has changed. A model without fields, such as a number or a dict, is compared as a whole.
    """

    def __init__(self, model: Model, version: int, before_wait: Callable[[], object] | None = None) -> None:
        names = field_names(model)
        state = _State(model, version, names, dict.fromkeys(names, version), version)
        self._before_wait = before_wait  # called before a subscriber sleeps
        self._newest = Slot(state, before_wait=before_wait)
        self._one = {name: Slot(state, before_wait=before_wait) for name in names}  # changed only by whoever commits

    def committed(self, model: Model, version: int) -> None:
        """Compare a new model with the last, and wake those who wait for one of the fields in which they differ."""
        last = self._newest.now[1]
        if version <= last.version:
            return  # it was set already when the first subscriber came
        fields = field_names(model)
        names = _changed(last, model, fields)
        touched = version if names or _differs_as_a_whole(last.model, model) else last.touched
        state = _State(model, version, fields, {**last.changed, **dict.fromkeys(names, version)}, touched)
        for name in names:
            if name not in self._one:
                self._one[name] = Slot(state, before_wait=self._before_wait)
        self._newest.publish(state)
        for name in names:
            self._one[name].publish(state)

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody waits for a change."""
        return any(slot.waiting for slot in self._slots())

    def wake(self) -> None:
        """Wake those who wait, so that they look once more, and ask whether they may go on waiting."""
        for slot in self._slots():
            slot.wake()

    def close(self, error: BaseException | None) -> None:
        """End, as the program has, with its error if it failed."""
        for slot in self._slots():
            slot.close(error)

    def _slots(self) -> tuple[Slot[_State[Model]], ...]:
        return self._newest, *self._one.values()

    def changes(self, field: Field[Model], *, since: int | None, initial: bool) -> Changes[Model]:
        """Return a subscription; see `App.changes`."""
        newest = self._newest.now[1]
        if since is not None:
            check_since(since)
        if not (isinstance(field, str) or field is ANY or callable(field)):
            raise UsageError(f"changes are of a field by its name, of gs.ANY, or of a function of the model, not of {field!r}")
        if isinstance(field, str) and field not in self._one:
            kind, have = type(newest.model).__qualname__, ", ".join(newest.fields) or "none"
            raise UsageError(f"a {kind} has no field {field!r} to subscribe to: its fields are {have}")
        slot = self._one[field] if isinstance(field, str) else self._newest
        return Changes(slot, field, since=since, initial=newest if initial else None)


def _changed(last: _State[Model], model: Model, fields: Collection[str]) -> Collection[str]:
    """Return the names of the fields in which the model differs from the last."""
    names = dict.fromkeys((*last.fields, *fields)) if last.fields != fields else fields
    if type(model) is not type(last.model):
        return names
    return [name for name in names if differ(_field(last.model, name), _field(model, name))]


def _field(model: object, name: str) -> object:
    try:
        return getattr(model, name, UNSET)
    except Exception:  # of a property, say, which the program itself does not use: the subscriber meets it, not the program
        return object()


def _differs_as_a_whole(last: object, model: object) -> bool:
    """Return whether two models differ that have no fields, or hold something besides their fields."""
    if type(model) is not type(last):
        return True
    return (not field_names(model) or isinstance(model, _CONTAINERS)) and differ(last, model)


class Changes(Generic[Model]):
    """A subscription to changes: the newest only, with the union of the fields that have changed since the last delivery.

    Made by `App.changes`.

    Iterating ends when the program does. After `close`, which may be called twice and from anywhere, a change that was not
    delivered still is, and then `Closed` is raised.
    """

    def __init__(
        self, slot: Slot[_State[Model]], field: Field[Model], *, since: int | None, initial: _State[Model] | None
    ) -> None:
        now = slot.now[1]
        self._field = field
        self._slot = slot
        self._watcher: Watcher[_State[Model]] = Watcher((slot,), read_one, seen=(0,))
        self._seen = now.version if since is None else since
        known = since is None or since >= now.version
        self._selected: object = field(now.model) if callable(field) and known else UNSET
        self._initial = initial  # the newest model of all, if that is to be delivered first
        if initial is not None:
            self._seen, self._selected = -1, UNSET
        self._left: list[_State[Model]] = []  # what is still to be delivered after the end
        self._ended = False
        self._end: Ended | None = None  # what a get has raised because nothing more will come, and nothing has failed

    # ------------------------------------------------------------------ getting

    def get(self, timeout: float | None = None) -> Change[Model]:
        """Return the next change, waiting up to `timeout` seconds. Raises `TimedOut`, `Closed`, or the program's error."""
        if self._ended:
            return self._deliver_last()
        try:
            return self._deliver(self._watcher.get(timeout, where=self._is_new))
        except Closed as error:
            if not self._watcher.is_end(error):
                raise
            return self._deliver_last()

    async def get_async(self, timeout: float | None = None) -> Change[Model]:
        """Return the next change as `get` does, waiting on the event loop; a cancelled wait takes nothing."""
        if self._ended:
            return self._deliver_last()
        try:
            return self._deliver(await self._watcher.get_async(timeout, where=self._is_new))
        except Closed as error:
            if not self._watcher.is_end(error):
                raise
            return self._deliver_last()

    def get_nowait(self) -> Change[Model]:
        """Return the next change, or raise `Empty`."""
        if self._ended:
            return self._deliver_last()
        return self._deliver(self._watcher.get_nowait(where=self._is_new))

    def _is_new(self, state: _State[Model]) -> bool:
        """Return whether the state has a change of what is subscribed to, since the last delivery."""
        if callable(self._field):
            return self._selected is UNSET or differ(self._selected, self._field(state.model))
        return state.touched > self._seen if self._field is ANY else bool(self._fields_since(state))

    def _fields_since(self, state: _State[Model]) -> tuple[str, ...]:
        """Return the names of the fields that have changed since the last delivery, of those that are subscribed to."""
        names = (self._field,) if isinstance(self._field, str) else state.changed
        return tuple(sorted(name for name in names if state.changed[name] > self._seen))

    def _deliver(self, state: _State[Model]) -> Change[Model]:
        if self._initial is not None and self._initial.version > state.version:
            state = self._initial
        self._initial = None
        fields = self._fields_since(state)
        version = state.changed[self._field] if isinstance(self._field, str) else state.version
        if callable(self._field):
            self._selected = self._field(state.model)
        self._seen = state.version
        return Change(version, fields, state.model)

    def _deliver_last(self) -> Change[Model]:
        """Deliver what was set at the end and not delivered yet, once."""
        if self._left and self._is_new(state := self._left.pop()):
            return self._deliver(state)
        self._end = Ended("this subscription is closed, and its newest change was delivered")
        raise self._end

    def _is_end(self, error: Closed) -> bool:
        """Return whether a get has raised the error as its end, and not because the program, or the selector, has failed."""
        return error is self._end

    def __iter__(self) -> Iterator[Change[Model]]:
        try:
            while True:
                yield self.get()
        except Closed as error:
            if not self._is_end(error):
                raise

    def __aiter__(self) -> AsyncIterator[Change[Model]]:
        return until_closed(self.get_async, self._is_end)

    # ------------------------------------------------------------------ ending

    def close(self) -> None:
        """End the subscription; a change that is pending is still delivered. A second call is harmless."""
        if not self._ended:
            self._left = [] if self._slot.in_parent else [self._slot.now[1]]
            self._ended = True
            self._watcher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
