"""Changes of fields: who asks hears of the newest change, with all fields that have changed since, and exact versions."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import attrs
import msgspec
import pytest

import go_state as gs


@dataclass(frozen=True)
class Model:
    count: int = 0
    status: str = ""
    items: tuple[int, ...] = ()
    _private: int = 0
    any: int = 0  # a field may have any name
    big: list[int] = field(default_factory=list)


Change = Callable[[Model], Model]


def update(model: Model, msg: Change) -> gs.Step[Model, Change]:
    return msg(model), ()


program: gs.Program[Model, Change] = gs.Program(lambda: (Model(), ()), update)


def to(**fields: Any) -> Change:
    return lambda model: replace(model, **fields)


def test_a_field_s_changes_are_heard_and_no_others() -> None:
    """A subscriber of one field gets its changes, with the version of the model that brought it, and the model."""
    with gs.start(program) as app, app.changes("count") as counts, app.changes("_private") as private:
        app.apply(to(status="up"))
        with pytest.raises(gs.errors.Empty):
            counts.get_nowait()
        model = app.apply(to(count=1, status="down"))
        assert counts.get(1) == gs.watch.Change(3, ("count",), model)
        app.apply(to(_private=2))
        assert private.get(1).version == 4
        with pytest.raises(gs.TimedOut):
            counts.get(0.01)


def test_any_has_the_union_since_the_last_delivery() -> None:
    """A subscriber of all fields hears once of many commits, with every field that any of them has changed, also there and back."""
    with gs.start(program) as app, app.changes() as everything:
        app.apply(to(count=1))
        app.apply(to(status="up"))
        app.apply(to(count=0))
        change = everything.get(1)
        assert (change.version, change.fields, change.model) == (4, ("count", "status"), app.model)
        app.apply(to(any=1))
        assert everything.get(1).fields == ("any",)
        with pytest.raises(gs.errors.Empty):
            everything.get_nowait()


def test_equal_is_no_change() -> None:
    """An equal value of a small field is no change, nor is the same object; an equal large one that is another is."""
    with gs.start(program) as app, app.changes(gs.ANY) as everything:
        app.apply(to(count=0, status="", items=()))
        with pytest.raises(gs.errors.Empty):
            everything.get_nowait()
        app.apply(to(big=[0] * 2000))
        app.apply(to(items=(1,)))
        assert everything.get(1).fields == ("big", "items")
        app.apply(to(big=[0] * 2000))
        assert everything.get(1).fields == ("big",)


def test_a_selector_hears_when_its_result_differs() -> None:
    """A function of the model is a subscription too; what it makes of the model is compared."""
    with gs.start(program) as app, app.changes(lambda m: m.count // 10) as tens:
        app.apply(to(count=5))
        with pytest.raises(gs.errors.Empty):
            tens.get_nowait()
        app.apply(to(count=12))
        assert tens.get(1).model.count == 12


def test_initial_and_since_close_the_gap() -> None:
    """With `initial` the first change is what is there; with `since` what has changed after that version, if anything has."""
    with gs.start(program) as app:
        app.changes("count")  # from here on fields are followed
        app.apply(to(count=1))
        version = app.version
        app.apply(to(status="up"))
        assert app.changes("count", initial=True).get(1) == gs.watch.Change(2, ("count",), app.model)
        assert app.changes("count", since=1).get(1).version == 2
        with pytest.raises(gs.errors.Empty):
            app.changes("count", since=version).get_nowait()
        assert app.changes("status", since=version).get(1).version == 3
        assert app.changes(since=version).get(1).fields == ("status",)


def test_a_pending_change_comes_after_close() -> None:
    """What was not delivered when the subscription is closed still is, once; closing twice is harmless, and so is another's close."""
    with gs.start(program) as app:
        one, other = app.changes("count"), app.changes("count")
        app.apply(to(count=1))
        for _ in range(2):
            one.close()
        app.apply(to(count=2))
        assert (one.get().model.count, other.get().model.count) == (1, 2)
        for end in (one.get, one.get_nowait):
            with pytest.raises(gs.Closed):
                end()
        assert list(one) == []
        app.apply(to(count=3))
        assert other.get().version == 4


def test_the_end_of_the_app_ends_subscriptions() -> None:
    """Subscribers get the last change and then the end, or the program's error."""
    with gs.start(program) as app:
        changes, late = app.changes(), app.changes("status")
        app.send(to(count=1))
    assert [change.model.count for change in changes] == [1]
    assert list(late) == []

    def failing(model: Model) -> Model:
        raise OSError("out of paper")

    app = gs.start(program)
    app.ready()
    changes = app.changes()
    app.apply(to(count=1))
    app.send(failing)
    with pytest.raises(OSError, match="paper"):
        app.wait()
    assert changes.get(5).model.count == 1
    with pytest.raises(OSError, match="paper"):
        changes.get(5)


def test_a_hundred_unread_changes_give_one_delivery() -> None:
    """However many changes nobody has read, the next get gives one, the newest."""
    with gs.start(program) as app, app.changes("count") as changes:
        for number in range(1, 101):
            app.send(to(count=number))
        app.apply(to(status="done"))
        assert changes.get(1).model.count == 100
        with pytest.raises(gs.errors.Empty):
            changes.get_nowait()


def test_three_subscribers_over_1500_changes() -> None:
    """Lock-step, each subscriber gets every change of its own with the exact version."""
    heard: dict[str, list[int]] = {"count": [], "status": [], "any": []}
    with gs.start(program) as app:
        subscriptions = {"count": app.changes("count"), "status": app.changes("status"), "any": app.changes(gs.ANY)}
        for number in range(1500):
            app.apply(to(count=number + 1) if number % 3 else to(status=str(number)))
            for name, changes in subscriptions.items():
                try:
                    heard[name].append(changes.get_nowait().version)
                except gs.errors.Empty:
                    continue
    assert heard["any"] == list(range(2, 1502))
    assert heard["status"] == list(range(2, 1502, 3))
    assert heard["count"] == sorted(set(heard["any"]) - set(heard["status"]))


@pytest.mark.slow
def test_the_last_change_is_seen_after_cancel() -> None:
    """A hundred thousand changes with a reader, closed right after: the last value seen is the final one."""
    seen: list[int] = []
    with gs.start(program) as app:
        changes = app.changes("count")

        def read() -> None:
            seen.extend(change.model.count for change in changes)

        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(read)
            for number in range(1, 100_001):
                app.send(to(count=number))
            app.apply(to(status="done"))
            changes.close()
            reading.result(30)
    assert seen == sorted(set(seen))
    assert seen[-1] == 100_000


async def test_changes_that_come_faster_than_they_are_used_leave_the_loop_to_others() -> None:
    """A loop over changes, of which there is always another, lets the other tasks of the event loop go on."""
    with_turn = asyncio.Event()
    async with gs.start_async(program) as app:
        changes = app.changes()
        asyncio.get_running_loop().call_soon(with_turn.set)

        async def at_once() -> gs.watch.Change[Model]:
            return gs.watch.Change(1, (), app.model)

        changes.get_async = at_once  # type: ignore[method-assign, assignment]
        until = time.monotonic() + 5
        async for _ in changes:
            if with_turn.is_set() or time.monotonic() >= until:
                break
        assert with_turn.is_set()


class Pair(NamedTuple):
    left: int
    right: int


class Room(NamedTuple):
    name: str


@dataclass(frozen=True)
class Nothing:
    pass


@attrs.frozen
class Box:
    left: int
    right: int


class Struct(msgspec.Struct, frozen=True):
    left: int
    right: int


@pytest.mark.parametrize("kind", [Pair, Box, Struct])
def test_every_kind_of_class_has_fields(kind: Any) -> None:
    """NamedTuples, attrs classes and Structs have fields as dataclasses do."""
    with gs.start(gs.reducer(lambda: kind(1, 2), lambda m, msg: kind(m.left, msg))) as app:
        with app.changes("right") as right, app.changes("left") as left:
            app.apply(5)
            assert right.get(1).model == kind(1, 5)
            with pytest.raises(gs.errors.Empty):
                left.get_nowait()
        with pytest.raises(gs.UsageError, match="its fields are left, right"):
            app.changes("middle")


def test_a_model_of_another_class_has_changed_in_every_field() -> None:
    """Where a model is of another class than the last, equal fields count as changed too, and those that only one of them has."""
    with gs.start(gs.reducer(lambda: Pair(1, 2), lambda _m, msg: msg)) as app:
        left, everything = app.changes("left"), app.changes()
        assert app.apply(Box(1, 2)) == Box(1, 2)
        assert left.get(5) == gs.watch.Change(2, ("left",), Box(1, 2))
        assert everything.get(5) == gs.watch.Change(2, ("left", "right"), Box(1, 2))
        app.apply(Room("hall"))
        for changes in (left, app.changes("name", since=2)):
            assert changes.get(5).model == Room("hall")
        assert everything.get(5).fields == ("left", "name", "right")
        with pytest.raises(gs.UsageError, match="its fields are name"):
            app.changes("middle")


@pytest.mark.parametrize("model", [0, "a", (0, 1), {"k": 0}, Nothing(), [1], None])
def test_a_model_without_fields_changes_as_a_whole(model: Any) -> None:
    """All changes of a number, a text, a tuple or a dict are heard, with no names, and an equal one is none."""
    other = [model]
    with gs.start(gs.reducer(lambda: model, lambda _m, msg: msg)) as app, app.changes() as changes:
        app.apply(other)
        assert changes.get(5) == gs.watch.Change(2, (), other)
        app.apply([model])
        with pytest.raises(gs.errors.Empty):
            changes.get_nowait()


def test_a_container_with_fields_changes_as_a_whole_too() -> None:
    """A dict of a class of its own, with attributes, has changed when either of the two has."""

    class Titled(dict[str, int]):
        title = ""

    def titled(title: str, **items: int) -> Titled:
        made = Titled(items)
        made.title = title
        return made

    with gs.start(gs.reducer(lambda: titled("a"), lambda _m, msg: msg)) as app, app.changes() as changes:
        app.apply(titled("a", x=1))
        assert changes.get(5).fields == ()
        app.apply(titled("b", x=1))
        assert changes.get(5).fields == ("title",)


class Array:
    """Compares as arrays do: item by item, so that it has no single answer."""

    def __init__(self, *items: int) -> None:
        self.items = items

    def __ne__(self, other: object) -> Any:
        return self

    def __bool__(self) -> bool:
        raise ValueError("the truth of an array is ambiguous")

    def __len__(self) -> int:
        return len(self.items)


def test_what_cannot_be_compared_has_changed() -> None:
    """A field whose comparison fails counts as changed, the program goes on, and so does a derived value."""
    with gs.start(gs.reducer(lambda: Pair(0, Array(1)), lambda m, msg: m._replace(right=msg))) as app:  # type: ignore[arg-type]
        with app.changes() as changes:
            app.apply(Array(1))
            assert changes.get(5).fields == ("right",)
        assert app.state == "ready"
    value = gs.Value(Array(1))
    watcher = value.map(lambda array: array).watch()
    watcher.get()
    value.set(Array(2))
    assert watcher.get(5).items == (2,)


def test_a_field_that_cannot_be_read_has_changed() -> None:
    """A model whose attribute raises does not end the program that nobody but a watcher asks for it."""

    @dataclass(frozen=True)
    class Lazy:
        number: int

        def __getattribute__(self, name: str) -> Any:
            if name == "number":
                raise OSError("not there")
            return object.__getattribute__(self, name)

    with gs.start(gs.reducer(lambda: Lazy(1), lambda _m, msg: Lazy(msg))) as app, app.changes("number") as changes:
        app.apply(2)
        assert changes.get(5).version == 2


def test_a_selector_that_raises_ends_its_own_wait_alone() -> None:
    """What a selector raises reaches who waits with it, and neither the program nor another watcher."""
    with gs.start(gs.reducer(int, lambda _m, msg: msg)) as app:
        inverse, everything = app.changes(lambda model: model and 1 / (model - 1)), app.changes()
        app.apply(1)
        with pytest.raises(ZeroDivisionError):
            inverse.get(5)
        assert everything.get(5).model == 1
        app.apply(3)
        assert inverse.get(5).model == 3


class Crossed(gs.Value[Any]):
    """A value that somebody reads while something else happens, right before the read with a given number."""

    left = 0
    cross: Callable[[], object]

    @property
    def _slot(self) -> Any:
        self.left -= 1
        if self.left == 0:
            self.cross()
        return self.__dict__["_slot"]

    @_slot.setter
    def _slot(self, slot: Any) -> None:
        self.__dict__["_slot"] = slot


@pytest.mark.parametrize("read", range(1, 4))
def test_the_first_subscription_meets_a_model_that_is_being_published(read: int) -> None:
    """Whatever the program publishes while it is first asked for changes: version and model belong together, and are the newest."""
    with gs.start(program) as app:
        models: Any = app.life.observers.models
        models.__class__ = Crossed
        models.cross, models.left = lambda: app.apply(to(count=7), timeout=30), read
        changes = app.changes("count", initial=True)
        models.left = 0
        change = changes.get(30)
        assert (change.version, change.model) == (app.version, app.model)


def test_a_subscription_that_crosses_with_the_end_ends() -> None:
    """Who first asks for changes while the program ends gets the last model, and then the end."""
    found: list[gs.watch.Changes[Model]] = []

    class Ended(gs.Value[bool]):
        def set(self, value: bool) -> int:
            found.append(app.changes(initial=True))
            return super().set(value)

    with gs.start(program) as app:
        app.life.observers.ended.__class__ = Ended
    assert found[0].get(30).version == 1
    with pytest.raises(gs.Closed):
        found[0].get(30)


def test_nobody_listening_costs_no_comparison() -> None:
    """Before the first subscription no field is ever compared."""
    compared = threading.Event()

    class Noisy:
        def __eq__(self, other: object) -> bool:
            compared.set()
            return True

        __hash__ = None  # type: ignore[assignment]

    with gs.start(gs.reducer(lambda: Pair(1, Noisy()), lambda _m, msg: Pair(msg, Noisy()))) as app:  # type: ignore[arg-type]
        app.apply(1)
        assert not compared.is_set()
        with app.changes("right"):
            app.apply(2)
        assert compared.is_set()
