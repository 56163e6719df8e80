"""`Closed` is the end of what is read only if what is read says so; of anything else it is a failure, and raised."""

from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers
from loop_support import AsyncQueue, Queue

import go_state as gs

drivers = both_drivers.drivers
counter: gs.Program[int, int] = gs.reducer(int, lambda model, msg: model + msg)


@pytest.fixture
def ended() -> gs.App[int, int]:
    """Give an app that has ended."""
    with gs.start(counter) as app:
        pass
    return app


@pytest.fixture
def failing(ended: gs.App[int, int]) -> gs.Program[int, int]:
    """Give a program that fails on 2, because it sends to an app that has ended."""

    def update(model: int, msg: int) -> gs.Step[int, int]:
        if msg == 2:
            ended.send(msg)
        return model + msg, ()

    return gs.Program(lambda: (0, ()), update)


def test_a_reader_that_is_closed_is_no_end_of_a_run(drivers: Drivers) -> None:
    """Messages are left in its buffer, and the run says why."""
    buffer = gs.Buffer[int]()
    buffer.put(1)
    consumer = buffer.consumer()
    consumer.close()
    with pytest.raises(gs.errors.UsedAfterClose):
        drivers.run(counter, producer=buffer, consumer=consumer)


def test_a_get_that_uses_what_has_ended_is_no_end_of_a_run(drivers: Drivers, ended: gs.App[int, int]) -> None:
    """The consumer's own failure is raised, and it is asked to give the message again."""
    wrap: Any = AsyncQueue if drivers.name == "loop" else lambda queue: queue
    with pytest.raises(gs.errors.AppEnded) as found:
        ended.send(1)
    queue = Queue(1, get=found.value)
    with pytest.raises(gs.errors.AppEnded):
        drivers.run(counter, producer=wrap(queue), consumer=wrap(queue))
    assert queue.log == ["get", "rollback"]


@pytest.mark.parametrize("kind", [gs.Closed, gs.errors.Ended])
def test_a_queue_of_ones_own_ends_a_run(drivers: Drivers, kind: type[gs.Closed]) -> None:
    """By the error that says so, or the one of a buffer that it is made of."""
    queue = Queue(get=kind("the end"))
    assert drivers.run(counter, producer=queue, consumer=queue) == 0


def test_who_watches_an_app_that_fails_by_a_closed_is_told(failing: gs.Program[int, int]) -> None:
    """Iterating over models and changes raises the program's error, whichever it is."""
    app = gs.start(failing)
    app.ready(20)
    models, changes, of_all = app.watch(), app.changes(), app.changes(lambda model: model)
    app.send(1, 2)
    with pytest.raises(gs.errors.AppEnded):
        app.wait(20)
    for watching in (models, changes, of_all):
        seen: list[Any] = []
        with pytest.raises(gs.errors.AppEnded) as told:
            seen.extend(watching)
        assert told.value is app.error
        with pytest.raises(gs.errors.AppEnded):
            watching.get()


async def test_who_watches_on_a_loop_is_told(failing: gs.Program[int, int]) -> None:
    """The same, iterated on an event loop."""
    app = gs.start_async(failing)
    await app.ready_async(20)
    models, changes = app.watch(), app.changes()
    app.send(1, 2)
    with pytest.raises(gs.errors.AppEnded):
        await app.wait_async(20)
    for watching in (models, changes):
        with pytest.raises(gs.errors.AppEnded) as told:
            [each async for each in watching]
        assert told.value is app.error


def test_a_function_of_a_value_that_fails_by_a_closed_ends_no_watching(ended: gs.App[int, int]) -> None:
    """What `map` or a selector raises is raised from the loop over a watcher, also if it is somebody else's `Closed`."""
    value = gs.Value(1)
    with pytest.raises(gs.errors.AppEnded):
        list(value.map(lambda number: ended.send(number)).watch())
    with gs.start(counter) as app:
        changes = app.changes(lambda model: ended.send(model) if model else None)
        app.send(1)
        with pytest.raises(gs.errors.AppEnded):
            list(changes)


def test_a_watcher_that_is_closed_ends_its_loop() -> None:
    """Closing a watcher or a subscription, or its value, stays the way to end a loop over it."""
    value = gs.Value(1)
    watcher = value.watch()
    assert [watcher.close() for _ in watcher] == [None]
    value.close()
    assert list(value.watch()) == [1]
    with gs.start(counter) as app:
        changes = app.changes(initial=True)
        assert [changes.close() for _ in changes] == [None]
