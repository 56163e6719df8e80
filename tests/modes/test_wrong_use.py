"""Wrong use teaches: each error says what to do instead."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers

import go_state as gs

drivers = both_drivers.drivers

total: gs.Program[int, Any] = gs.reducer(int, lambda model, msg: model + msg)


async def numbers() -> AsyncIterator[int]:
    yield 1


async def fetch() -> tuple[list[int], bool]:
    return [1], False


class Half:
    def put(self, *messages: Any) -> None:
        """Take nothing."""


@pytest.mark.parametrize("mode", [gs.run, gs.batch, gs.aggregate])
async def test_blocking_mode_in_a_loop(mode: Callable[..., Any]) -> None:
    """A blocking mode inside a running loop names its twin."""
    with pytest.raises(gs.errors.InsideLoop, match=rf"use `await {mode.__name__}_async\(\.\.\.\)`"):
        mode(total, [], **({"store": gs.MemoryStore(), "key": "k"} if mode is gs.aggregate else {}))


async def test_blocking_mode_in_a_thread_beside_a_loop() -> None:
    """In a thread of its own a blocking mode works while a loop runs elsewhere."""
    assert (await asyncio.to_thread(gs.batch, total, [1, 2])).model == 3


@pytest.mark.parametrize(
    ("source", "options", "teaches"),
    [
        ([], {"timout": 1}, r"no argument timout \(did you mean timeout\?\): it has on_error, .*limit, "),
        ([], {"limit": -1}, "limit is a whole number of messages"),
        ([], {"timeout": 0}, "timeout is a number of seconds greater than 0"),
        ([], {"budget": -1}, "budget is a number of seconds greater than 0"),
        ([], {"budget": float("nan")}, "budget is a number of seconds greater than 0"),
        ([], {"limit": "3"}, "limit is a whole number of messages, not '3'"),
        ([], {"budget": "3"}, "budget is a number of seconds greater than 0, not '3'"),
        ([], {"prefetch": -1}, "prefetch is a whole number of messages"),
        ([], {"stop": True}, r"stop is something with is_set\(\)"),
        ([], {"on_error": gs.Raise}, r"on_error is gs.Raise\(\)"),
        ([], {"on_error": "stop"}, r"on_error is gs.Raise\(\)"),
        ([], {"producer": Half()}, "both a producer= .* and a consumer="),
        ([], {"producer": Half(), "consumer": Half()}, "both a producer= .* and a consumer="),
        (5, {}, "a int is not a source"),
        (None, {}, "a NoneType is not a source"),
        ("text", {}, "a str is not a source"),
        (lambda: [1], {}, r"returns \(messages, more\).* not a list"),
        ({"add": 1}, {}, "a dict is not a source"),
        (lambda: ("text", False), {}, r"returns \(messages, more\).* not \(str, bool\)"),
        (lambda: ({"add": 1}, False), {}, r"returns \(messages, more\).* not \(dict, bool\)"),
        (lambda: ([1], False, 1), {}, r"returns \(messages, more\)"),
        (lambda: ([1], None), {}, r"returns \(messages, more\)"),
        (lambda: (1, True), {}, r"returns \(messages, more\)"),
        (gs.Buffer(), {"prefetch": 1}, "no need of"),
    ],
)
def test_wrong_batch(drivers: Drivers, source: Any, options: dict[str, Any], teaches: str) -> None:
    """Each wrong argument of a batch is named, with what belongs there."""
    with pytest.raises(gs.UsageError, match=teaches):
        drivers.batch(total, source, **options)


@pytest.mark.parametrize(
    ("args", "options", "teaches"),
    [
        ([], {}, "the queue is a buffer, or"),
        ([[1, 2]], {}, "a list is not a buffer"),
        ([gs.Buffer()], {"producer": Half()}, "not both"),
        ([], {"producer": Half()}, "a consumer= with get, commit and rollback"),
        ([gs.Buffer()], {"on_error": 1}, r"on_error is gs.Raise\(\)"),
    ],
)
def test_wrong_run(drivers: Drivers, args: list[Any], options: dict[str, Any], teaches: str) -> None:
    """Each wrong queue of a run is named, with what belongs there."""
    with pytest.raises(gs.UsageError, match=teaches):
        drivers.run(total, *args, **options)


@pytest.mark.parametrize("name", [5, b"sales"])
def test_a_name_that_is_no_text(drivers: Drivers, tmp_path: Path, name: Any) -> None:
    """A source is found again by a name that can be stored."""
    (tmp_path / "n.jsonl").write_text("1\n")
    with pytest.raises(gs.UsageError, match="the name of a source is a text"):
        drivers.aggregate(total, gs.sources.JSONLines(tmp_path / "n.jsonl", name=name), store=gs.MemoryStore(), key="k")


@pytest.mark.parametrize(
    ("options", "teaches"),
    [
        ({"store": "state.lmdb", "key": "k"}, "store= is an open gs.LMDBStore"),
        ({"store": gs.MemoryStore, "key": "k"}, "not the class MemoryStore itself"),
        ({"store": gs.MemoryStore(), "key": "k", "snapshots": 100}, r"snapshots= is a gs.Snapshots\(every="),
        ({"store": gs.MemoryStore(), "key": "k", "on_commit": 1}, r"on_commit= is a function of \(changed, position\)"),
        ({"store": gs.MemoryStore(), "key": "k", "snapshot": 1}, r"no argument snapshot \(did you mean snapshots\?\)"),
        ({"store": gs.MemoryStore(), "key": 1}, "key= is the model's key, or a function"),
        ({"store": gs.MemoryStore(), "key": "k", "retire": bool}, "retire= belongs to a keyed"),
        ({"store": gs.MemoryStore(), "key": str, "links": lambda model: ()}, "links= belongs to"),
        ({"store": gs.MemoryStore(), "key": str, "cache": 0}, "cache is a number of models from 1"),
    ],
)
def test_wrong_aggregate(drivers: Drivers, options: dict[str, Any], teaches: str) -> None:
    """Each wrong argument of an aggregate is named, with what belongs there."""
    with pytest.raises(gs.UsageError, match=teaches):
        drivers.aggregate(total, [], **options)


@pytest.mark.parametrize("key", ["@mine", "x" * 481, "\ud800"])
def test_wrong_key(drivers: Drivers, key: str) -> None:
    """A key that is reserved, too long or not UTF-8 is refused, given alone or by the key function."""
    for given, source in ((key, []), (lambda msg: key, [1])):
        with pytest.raises(gs.errors.InvalidKey):
            drivers.aggregate(total, source, store=gs.MemoryStore(), key=given)


def test_key_function_that_gives_no_string(drivers: Drivers) -> None:
    """The error says how to make one."""
    with pytest.raises(gs.errors.InvalidKey, match=r"use str\(\.\.\.\) in the key function"):
        drivers.aggregate(total, [1], store=gs.MemoryStore(), key=lambda msg: msg)


@pytest.mark.parametrize("mode", ["run", "batch", "aggregate"])
def test_no_program(drivers: Drivers, mode: str) -> None:
    """Something else in the program's place is named."""
    with pytest.raises(gs.UsageError, match=r"the first argument is a gs.Program\(init, update\), not a list"):
        getattr(drivers, mode)([], [], **({"store": gs.MemoryStore(), "key": "k"} if mode == "aggregate" else {}))


@pytest.mark.parametrize(("source", "said"), [(numbers, "async_generator"), (fetch, "_async")])
def test_coroutines_in_a_blocking_batch(source: Any, said: str) -> None:
    """A blocking batch over a coroutine function, or an async generator function, names what to do."""
    with pytest.raises(gs.UsageError, match=said):
        gs.batch(total, source)


def test_async_source_in_a_blocking_batch() -> None:
    """A blocking batch over an async iterable names the twin."""
    with pytest.raises(gs.UsageError, match="use batch_async or aggregate_async"):
        gs.batch(total, numbers())


async def test_async_source_with_prefetch() -> None:
    """Reading an async source ahead in a thread is refused."""
    with pytest.raises(gs.UsageError, match="leave it out"):
        await gs.batch_async(total, numbers(), prefetch=1)


def test_coroutine_on_commit_in_a_thread() -> None:
    """A coroutine function as on_commit of a blocking aggregate is refused before anything is saved."""
    store = gs.MemoryStore()

    async def on_commit(changed: Any, position: Any) -> None:
        """Never runs."""

    with pytest.raises(gs.UsageError, match="_async"):
        gs.aggregate(total, [1], store=store, key="k", on_commit=on_commit)
    assert store.load("k") is None


def test_model_without_annotation(drivers: Drivers) -> None:
    """A program whose model type nobody says is told to annotate it, before anything is read."""
    program: gs.Program[Any, Any] = gs.Program(lambda: (0, ()), lambda model, msg: (model, ()))
    with pytest.raises(gs.errors.NotStorable, match="write update"):
        drivers.aggregate(program, [], store=gs.MemoryStore(), key="k")


def test_on_error_that_returns_nothing(drivers: Drivers) -> None:
    """A function that forgets to return a policy is told what to return, and the cause is kept."""
    with pytest.raises(gs.UsageError, match=r"it returns gs.Raise\(\), gs.SetAside\(...\) or gs.Halt") as caught:
        drivers.batch(total, ["x"], on_error=lambda message, position, error: None)
    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize("snapshots", [{"every": 0}, {"seconds": 0}, {"seconds": -1}])
def test_wrong_snapshots(snapshots: dict[str, Any]) -> None:
    """Snapshots that never come are refused when made."""
    with pytest.raises(gs.UsageError):
        gs.Snapshots(**snapshots)


WRONG_LATE: list[dict[str, Any]] = [{"on_error": "stop"}, {"producer": Half()}]


@pytest.mark.parametrize("options", WRONG_LATE)
def test_refused_batch_leaves_no_thread(drivers: Drivers, options: dict[str, Any]) -> None:
    """A batch that is refused has not begun to read ahead, or has ended it."""
    before = set(threading.enumerate())
    with pytest.raises(gs.UsageError):
        drivers.batch(total, iter([1, 2, 3, 4, 5, 6, 7, 8, 9]), prefetch=2, **options)
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if thread.name == "go_state-read-ahead"]


@pytest.mark.parametrize("options", [*WRONG_LATE, {"prefetch": 1}])
def test_refused_batch_leaves_no_reader(drivers: Drivers, options: dict[str, Any]) -> None:
    """A batch that is refused leaves no reader on the buffer, which would keep every message from being forgotten."""
    buffer: gs.Buffer[int] = gs.Buffer()
    with pytest.raises(gs.UsageError):
        drivers.batch(total, buffer, **options)
    assert buffer.statistics().readers == ()


def test_keyed_aggregate_teaches_about_one_command_alone(drivers: Drivers) -> None:
    """Also where the model's beginning has commands of its own."""

    def init() -> gs.Step[int, int]:
        return 0, [gs.Cmd.send(2)]

    def update(model: int, msg: int) -> gs.Step[int, int]:
        return model, gs.Cmd.send(3)  # type: ignore[return-value]

    with pytest.raises(gs.ProgramError, match="one command was returned alone"):
        drivers.aggregate(gs.Program(init, update), [1], store=gs.MemoryStore(), key=str)


async def test_signals_outside_the_main_thread() -> None:
    """The error says where the switch is made."""

    def use() -> None:
        with gs.signals():
            """Never reached."""

    with pytest.raises(gs.UsageError, match="main thread only"):
        await asyncio.to_thread(use)


@pytest.mark.parametrize(
    ("make", "teaches"),
    [
        (lambda: gs.SetAside([]), "SetAside takes a gs.Buffer"),
        (lambda: gs.Snapshots(every="1"), "every is a number of messages"),
        (lambda: gs.Snapshots(seconds="1"), "seconds is a number greater than 0"),
        (lambda: gs.LMDBStore("never.lmdb", map_size="1 GB"), "map_size is the most bytes"),
        (lambda: gs.sources.progress("manager.csv"), "give it a gs.sources.CSV"),
        (lambda: gs.Cmd.call(len("abc")), "fn of Cmd.call is a function, not a int: pass the function itself"),
        (lambda: gs.Cmd.call(len, "abc", ok=1), "ok of Cmd.call is a function"),
        (lambda: gs.Cmd.map([], "Wrap"), "Cmd.map wraps each message by a function or class"),
        (lambda: gs.testing.play(gs.Program(lambda: (0, [3]), lambda model, msg: (model, ()))), "a int is among the commands"),
    ],
)
def test_wrong_value(make: Callable[[], object], teaches: str) -> None:
    """A value that cannot serve is refused where it is made, not where it would be used."""
    with pytest.raises(gs.GoStateError, match=teaches):
        make()


@pytest.mark.parametrize("called", [gs.start_async, gs.start_keyed_async])
def test_a_task_needs_a_loop(called: Any) -> None:
    """Resources a coroutine the error names the call that needs none, and nothing has begun."""
    with pytest.raises(gs.UsageError, match=rf"{called.__name__}\(\) .* or use {called.__name__.removesuffix('_async')}\(\)"):
        called(gs.Program(lambda: (0, ()), lambda model, msg: (model, ())))


async def test_an_app_without_a_model_speaks_of_itself() -> None:
    """Before its block is entered there is no model, and the error says how to wait for one."""
    app = gs.start_async(gs.Program(lambda: (0, ()), lambda model, msg: (model, ())))
    with pytest.raises(gs.errors.Empty, match="the app has no model yet: enter its `with` block"):
        _ = app.model
    async with app:
        assert app.model == 0


@pytest.mark.parametrize("timeout", [float("nan"), "1"])
def test_a_timeout_of_an_app_is_a_number_of_seconds(timeout: Any) -> None:
    """Anything else is refused, and neither sends a message nor ends the app."""
    with gs.start(total) as app:
        waits = (partial(app.apply, 1), partial(app.ask, 1), app.ready, app.wait, app.stop, app.watch().get, app.changes().get)
        for wait in waits:
            with pytest.raises(gs.UsageError, match="timeout is a number of seconds"):
                wait(timeout=timeout)
        with pytest.raises(gs.UsageError, match="timeout is a number of seconds"):
            gs.testing.SimClock().advance(1, timeout=timeout)
        assert (app.state, app.apply(5)) == ("ready", 5)


NO_NUMBERS = ["1", None, float("nan"), True]


@pytest.mark.parametrize("wrong", NO_NUMBERS)
def test_what_is_no_number_is_refused_where_one_is_asked_for(wrong: Any) -> None:
    """A text, None, NaN or a truth value is no number of seconds or apps, and no library's exception says so."""
    for use in (
        lambda: gs.Value(1).watch(every=wrong),
        lambda: gs.Value(1).watch(since=wrong),
        lambda: gs.start_keyed(total, idle=wrong),
        lambda: gs.start_keyed(total, limit=wrong),
        lambda: gs.watch.throttle(print, hz=wrong),
    ):
        with pytest.raises(gs.UsageError):
            use()


@pytest.mark.parametrize("timeout", ["1", float("nan"), [1]])
def test_a_timeout_of_keyed_programs_is_checked_before_anything_is_sent(timeout: Any) -> None:
    """What is refused has not sent its message, nor asked for the end."""
    with gs.start_keyed(total) as rooms:
        room = rooms["a"]
        for use in (lambda: room.apply(1, timeout=timeout), lambda: room.ready(timeout), lambda: rooms.stop(timeout=timeout)):
            with pytest.raises(gs.UsageError, match="timeout is a number of seconds"):
                use()
        assert room.apply(2) == 2


def test_a_subscription_to_nothing_is_refused() -> None:
    """Changes are of a field, of all, or of what a function makes; what is none of these would never come."""
    with gs.start(total) as app:
        for wrong in ({"field": None}, {"field": 5}, {"since": "1"}, {"since": -1}):
            with pytest.raises(gs.UsageError):
                app.changes(**wrong)
        assert app.apply(1, timeout=10**400) == 1


def test_keyed_programs_take_texts() -> None:
    """What is no text begins no name in the store, and is no key."""
    with pytest.raises(gs.UsageError, match="prefix="):
        gs.start_keyed(total, prefix=5)  # type: ignore[arg-type]
    assert [] not in gs.start_keyed(total)


def test_select_is_of_values() -> None:
    """What is no value cannot be selected."""
    with pytest.raises(gs.UsageError, match="not of a int"):
        gs.watch.select(1)  # type: ignore[arg-type]
