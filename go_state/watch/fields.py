"""Changes of fields: which fields of a model have changed, at which version, for those who care about some of them.

Nothing is compared while nobody asks. A field has changed when it is another object and, for small values, not equal: what is
large is taken for changed rather than compared at every commit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Set
from types import TracebackType
from typing import Any, Generic, NamedTuple, Self, TypeVar

from go_state.core.errors import Closed, Ended, UsageError
from go_state.core.strict import field_names
from go_state.watch.differing import differ
from go_state.watch.value import UNSET, Value
from go_state.watch.watcher import Watcher, check_since, until_closed

Model = TypeVar("Model")


class _Any:
    def __repr__(self) -> str:
        return "gs.ANY"


ANY = _Any()
"""What is given for a field to hear of changes of all of them. No string, which a field may be named by."""

_CONTAINERS = (Mapping, Set, list)  # which may have fields as well, where they are classes of the user's


class Change(NamedTuple, Generic[Model]):
    """A delivery: the version of the model, the fields that have changed since the last one, sorted, and the model."""

    version: int
    fields: tuple[str, ...]
    model: Model


class _State(NamedTuple):
    """A model, its fields, the version at which each has last changed, and the one at which anything of the model has."""

    model: Any
    version: int
    fields: Collection[str]
    changed: Mapping[str, int]
    touched: int


class Fields:
    """The fields of one program's models, compared at each commit by the one who commits; nothing that a model does ends that.

    Where a model is of another class than the one before, every field of both has changed. A model without fields, such as a
    number or a dict, is compared as a whole.
    """

    def __init__(self, model: Any, version: int, before_wait: Callable[[], object] | None = None) -> None:
        names = field_names(model)
        state = _State(model, version, names, dict.fromkeys(names, version), version)
        self._before_wait = before_wait  # called before a subscriber sleeps
        self._newest: Value[_State] = self._value(state)
        self._one = {name: self._value(state) for name in names}  # written by the one who commits alone

    def _value(self, state: _State) -> Value[_State]:
        value = Value(state)
        value.before_wait = self._before_wait
        return value

    def committed(self, model: Any, version: int) -> None:
        """Hear of a new model and wake those who wait for one of the fields in which it differs from the last."""
        last: _State = self._newest.peek()
        if version <= last.version:
            return  # it was there when the first subscriber came
        fields = field_names(model)
        names = _changed(last, model, fields)
        touched = version if names or _differs_as_a_whole(last.model, model) else last.touched
        state = _State(model, version, fields, {**last.changed, **dict.fromkeys(names, version)}, touched)
        for name in names:
            if name not in self._one:
                self._one[name] = self._value(state)
        self._newest.publish(state)
        for name in names:
            self._one[name].publish(state)

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody waits for a change."""
        return any(value.is_waited_for for value in (self._newest, *self._one.values()))

    def wake(self) -> None:
        """Have those who wait look once more, and ask whether they may wait."""
        for value in (self._newest, *self._one.values()):
            value.wake()

    def close(self, error: BaseException | None) -> None:
        """End with the program."""
        for value in (self._newest, *self._one.values()):
            value.close(error)

    def changes(self, field: str | _Any | Callable[[Model], Any], *, since: int | None, initial: bool) -> Changes[Model]:
        """Return a subscription; see `App.changes`."""
        newest: _State = self._newest.peek()
        if since is not None:
            check_since(since)
        if not (isinstance(field, str) or field is ANY or callable(field)):
            raise UsageError(f"changes are of a field by its name, of gs.ANY, or of a function of the model, not of {field!r}")
        if isinstance(field, str) and field not in self._one:
            kind, have = type(newest.model).__qualname__, ", ".join(newest.fields) or "none"
            raise UsageError(f"a {kind} has no field {field!r} to hear of: its fields are {have}")
        source = self._one[field] if isinstance(field, str) else self._newest
        return Changes(source, field, since=since, initial=newest if initial else None)


def _changed(last: _State, model: Any, fields: Collection[str]) -> Collection[str]:
    """Return the names of the fields in which the model differs from the last."""
    names = dict.fromkeys((*last.fields, *fields)) if last.fields != fields else fields
    if type(model) is not type(last.model):
        return names
    return [name for name in names if differ(_field(last.model, name), _field(model, name))]


def _field(model: Any, name: str) -> Any:
    try:
        return getattr(model, name, UNSET)
    except Exception:  # of a property, say, that the program does not use: it is for the watcher to meet
        return object()


def _differs_as_a_whole(last: Any, model: Any) -> bool:
    """Tell whether two models differ that have no fields, or hold something besides."""
    if type(model) is not type(last):
        return True
    return (not field_names(model) or isinstance(model, _CONTAINERS)) and differ(last, model)


class Changes(Generic[Model]):
    """A subscription to changes: the newest only, with the union of the fields that have changed since the last delivery.

    Iterating ends when the program does. After `close`, which may be called twice and from anywhere, a change that was not
    delivered still is, and then `Closed` is raised.
    """

    def __init__(
        self, source: Value[_State], field: str | _Any | Callable[[Model], Any], *, since: int | None, initial: _State | None
    ) -> None:
        now = source.peek()
        self._field = field
        self._watcher: Watcher[_State] = source.watch()
        self._seen = now.version if since is None else since
        known = since is None or since >= now.version
        self._selected: Any = field(now.model) if callable(field) and known else UNSET
        self._initial = initial  # the newest model of all, where the first delivery is to be what is there
        if initial is not None:
            self._seen, self._selected = -1, UNSET
        self._left: list[_State] = []  # what is still to be delivered after the end
        self._source = source
        self._ended = False

    # ------------------------------------------------------------------ getting

    def get(self, timeout: float | None = None) -> Change[Model]:
        """Return the next change, waiting up to `timeout` seconds. Raises `TimedOut`, `Closed`, or the program's error."""
        if self._ended:
            return self._last()
        try:
            return self._delivered(self._watcher.get(timeout, where=self._is_news))
        except Closed:
            return self._last()

    async def get_async(self, timeout: float | None = None) -> Change[Model]:
        """Return the next change, waiting on the event loop; a cancelled wait takes nothing."""
        if self._ended:
            return self._last()
        try:
            return self._delivered(await self._watcher.get_async(timeout, where=self._is_news))
        except Closed:
            return self._last()

    def get_nowait(self) -> Change[Model]:
        """Return the next change, or raise `Empty`."""
        if self._ended:
            return self._last()
        return self._delivered(self._watcher.get_nowait(where=self._is_news))

    def _is_news(self, state: _State) -> bool:
        if callable(self._field):
            return self._selected is UNSET or differ(self._selected, self._field(state.model))
        return state.touched > self._seen if self._field is ANY else bool(self._fields(state))

    def _fields(self, state: _State) -> tuple[str, ...]:
        if isinstance(self._field, str):
            return (self._field,) if state.changed[self._field] > self._seen else ()
        return tuple(sorted(name for name, version in state.changed.items() if version > self._seen))

    def _delivered(self, state: _State) -> Change[Model]:
        if self._initial is not None and self._initial.version > state.version:
            state = self._initial
        self._initial = None
        fields = self._fields(state)
        version = state.changed[self._field] if isinstance(self._field, str) else state.version
        if callable(self._field):
            self._selected = self._field(state.model)
        self._seen = state.version
        return Change(version, fields, state.model)

    def _last(self) -> Change[Model]:
        """Deliver what was there at the end and was not delivered, once."""
        if self._left and self._is_news(state := self._left.pop()):
            return self._delivered(state)
        raise Ended("this subscription is closed, and its newest change was delivered")

    def __iter__(self) -> Iterator[Change[Model]]:
        try:
            while True:
                yield self.get()
        except Closed:
            return

    def __aiter__(self) -> AsyncIterator[Change[Model]]:
        return until_closed(self.get_async)

    # ------------------------------------------------------------------ ending

    def close(self) -> None:
        """End the subscription; what is pending is still delivered. A second call is harmless."""
        if not self._ended:
            self._left = [] if self._source.in_parent else [self._source.peek()]
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
