"""Changes of fields: which fields of a model have changed, at which version, for those who care about some of them.

Nothing is compared while nobody asks. A field has changed when it is another object and, for small values, not equal: what is
large is taken for changed rather than compared at every commit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Generic, NamedTuple, Self, TypeVar

from go_state.core.errors import Closed, UsageError
from go_state.core.purity import field_names
from go_state.watch.value import UNSET, Value
from go_state.watch.watcher import Watcher

Model = TypeVar("Model")


class _Any:
    def __repr__(self) -> str:
        return "gs.ANY"


ANY = _Any()
"""What is given for a field to hear of changes of all of them. No string, which a field may be named by."""

_SHORT = 1024  # characters, bytes or members: to compare so many costs about a microsecond


class Change(NamedTuple, Generic[Model]):
    """A delivery: the version of the model, the fields that have changed since the last one, sorted, and the model."""

    version: int
    fields: tuple[str, ...]
    model: Model


class _State(NamedTuple):
    """A model, and the version at which each of its fields has last changed; the newest of those is the state's own."""

    model: Any
    version: int
    changed: Mapping[str, int]


class Fields:
    """The fields of one program's models, compared at each commit by the one who commits."""

    def __init__(self, model: Any, version: int) -> None:
        self._kind = type(model)
        self.names = field_names(model)
        changed = dict.fromkeys(self.names, version)
        self._newest: Value[_State] = Value(_State(model, version, changed))
        self._one: dict[str, Value[_State]] = {name: Value(_State(model, version, changed)) for name in self.names}

    def committed(self, model: Any, version: int) -> None:
        """Hear of a new model and wake those who wait for one of the fields in which it differs from the last."""
        last: _State = self._newest.peek()
        if type(model) is not type(last.model):
            names = self.names  # a program with models of several types: nothing that was known holds
        else:
            names = [n for n in self.names if _differ(getattr(last.model, n, UNSET), getattr(model, n, UNSET))]
        state = _State(model, version, {**last.changed, **dict.fromkeys(names, version)})
        self._newest.publish(state)
        for name in names:
            self._one[name].publish(state)

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody waits for a change."""
        return any(value.is_waited_for for value in (self._newest, *self._one.values()))

    def close(self, error: BaseException | None) -> None:
        """End with the program."""
        for value in (self._newest, *self._one.values()):
            value.close(error)

    def changes(self, field: str | _Any | Callable[[Model], Any], *, since: int | None, initial: bool) -> Changes[Model]:
        """Return a subscription; see `App.changes`."""
        if isinstance(field, str) and field not in self._one:
            have = ", ".join(self.names) or "none"
            raise UsageError(f"a {self._kind.__qualname__} has no field {field!r} to hear of: its fields are {have}")
        source = self._one[field] if isinstance(field, str) else self._newest
        return Changes(source, field, since=since, initial=self._newest.peek() if initial else None)


def _differ(one: Any, other: Any) -> bool:
    if one is other:
        return False
    if type(one) is not type(other):
        return True
    if hasattr(one, "__len__"):
        return len(one) > _SHORT or len(other) > _SHORT or bool(one != other)
    return bool(field_names(one)) or bool(one != other)


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
        self._selected: Any = field(now.model) if callable(field) and since is None else UNSET
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
            return self._selected is UNSET or _differ(self._selected, self._field(state.model))
        return bool(self._fields(state))

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
        raise Closed("this subscription is closed, and its newest change was delivered")

    def __iter__(self) -> Iterator[Change[Model]]:
        try:
            while True:
                yield self.get()
        except Closed:
            return

    async def __aiter__(self) -> AsyncIterator[Change[Model]]:
        try:
            while True:
                yield await self.get_async()
        except Closed:
            return

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
