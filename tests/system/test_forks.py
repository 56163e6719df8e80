"""What a forked child has of its parent's: every use raises, nothing waits, and a block that is left is left."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

import go_state as gs
from go_state.system.forks import InParent

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # since 3.12, of a process with threads


def in_child(body: Callable[[], object]) -> int:
    """Run the body in a forked child; return 0 where it returns, the exit status of a `SystemExit`, and 1 for every other error."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    signal.alarm(20)
    status = 1
    try:
        body()
        status = 0
    except SystemExit as left:
        status = int(left.code or 0)
    finally:
        os._exit(status)


def all_raise(*calls: Callable[[], object]) -> Callable[[], object]:
    """Return a body in which each call has to raise `UsageError`; a coroutine is taken to its first wait."""

    def body() -> None:
        for call in calls:
            with pytest.raises(gs.UsageError, match="before this process was forked"):
                first_step(call())

    return body


def first_step(returned: Any) -> None:
    if asyncio.iscoroutine(returned):
        while returned.send(None) is None:  # it has given the event loop back, and waits for nothing
            pass


counter: gs.Program[int, int] = gs.Program(lambda: (0, ()), lambda model, msg: (model + msg, ()))


def uses_of_an_app(app: Any) -> list[Callable[[], object]]:
    return [
        lambda: app.send(1),
        lambda: app.apply(1),
        lambda: app.ask(1, timeout=0),
        lambda: app.apply_async(1),
        lambda: app.wait(),
        lambda: app.wait_async(),
        lambda: app.ready(),
        lambda: app.stop(),
        lambda: app.stop_async(),
        lambda: app.model,
        lambda: app.version,
        lambda: app.watch(),
        lambda: app.changes(),
        lambda: app.statistics(),
    ]


def test_an_app_is_its_parent_s() -> None:
    """In a child nothing is accepted or waited for; the parent's goes on."""
    with gs.start(counter) as app:
        watcher, changes = app.watch(), app.changes()
        uses = [
            *uses_of_an_app(app),
            lambda: watcher.get(),
            lambda: watcher.get_nowait(),
            lambda: changes.get(),
            lambda: list(watcher),
        ]
        assert in_child(all_raise(*uses)) == 0
        assert in_child(lambda: f"{app!r} {app.state}".index("another process")) == 0
        assert app.apply(1, timeout=20) == 1


async def test_an_app_on_a_loop_is_its_parent_s() -> None:
    """So is one that runs in a task."""
    async with gs.start_async(counter) as app:
        await app.apply_async(1)
        assert in_child(all_raise(lambda: app.send(1), lambda: app.apply_async(1), lambda: app.model)) == 0


@pytest.mark.parametrize("held", [False, True])
def test_the_block_of_an_app_is_left_in_a_child(held: bool) -> None:
    """It is left at once, with the error it is left with, also where a thread held the app's locks at the fork."""
    with gs.start(counter) as app, app.watch() as models, app.changes() as changes:
        app.apply(1)
        life: Any = app.life
        locks = [life.replies._lock, life.run.buffer.log.lock, life.observers.models.slot._lock] if held else []

        def leave() -> None:
            with ExitStack() as blocks:
                for each in (app, models, changes):
                    blocks.push(each)
                raise SystemExit(7)

        with_all(locks, lambda: results.append(in_child(leave)))
        assert results.pop() == 7


results: list[int] = []


def with_all(locks: list[Any], act: Callable[[], object]) -> None:
    """Act while another thread holds the locks."""
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        for lock in locks:
            lock.acquire()
        held.set()
        done.wait(20)
        for lock in locks:
            lock.release()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(20)
    try:
        act()
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("maxsize", [None, 9])
def test_a_buffer_is_its_parent_s(maxsize: int | None, held: bool) -> None:
    """A child neither puts nor gets; what it closes is closed for nobody."""
    with gs.Buffer[int](maxsize=maxsize) as buffer, buffer.consumer() as consumer:
        closed = buffer.consumer()
        closed.close()
        buffer.put(1)
        uses = [
            lambda: buffer.put(1),
            lambda: buffer.put(1, 2),
            lambda: buffer.log.put_known(1, print),
            lambda: buffer.slice(),
            lambda: buffer.statistics(),
            lambda: buffer.consumer(),
            lambda: consumer.get(),
            lambda: consumer.get_async(),
            lambda: consumer.get_nowait(),
            lambda: consumer.commit(),
            lambda: list(consumer),
        ]
        ends = [
            lambda: buffer.close(timeout=20),
            lambda: consumer.close(),
            lambda: closed.close(),
            lambda: asyncio.run(buffer.close_async()),
        ]
        with_all([buffer.log.lock] if held else [], lambda: results.append(in_child(all_raise(*uses))))  # type: ignore[arg-type]
        with_all([buffer.log.lock] if held else [], lambda: results.append(in_child(lambda: [end() for end in ends])))  # type: ignore[arg-type]
        assert (results.pop(), results.pop(), consumer.get(), buffer.closed) == (0, 0, 1, False)


@pytest.mark.parametrize("held", [False, True])
def test_a_value_is_its_parent_s(held: bool) -> None:
    """A child neither sets it nor looks at it, for it would look at what it was; what is made of it, the same."""
    value = gs.Value(1)
    doubled, watcher = value.map(lambda each: 2 * each), value.watch()
    uses = [
        lambda: value.set(2),
        lambda: value.update(str),  # type: ignore[arg-type, return-value]
        lambda: value.peek(),
        lambda: value.peek(None),
        lambda: value.version,
        lambda: value.watch().get(timeout=0),
        lambda: watcher.get(),
        lambda: watcher.get_async(),
        lambda: watcher.get_nowait(),
        lambda: doubled.peek(),
        lambda: doubled.watch().get(),
        lambda: gs.watch.select(value, doubled).peek(),
    ]
    ends = [lambda: value.close(), lambda: watcher.close(), lambda: repr(value)]
    with_all([value.slot._lock] if held else [], lambda: results.append(in_child(all_raise(*uses))))  # type: ignore[arg-type]
    with_all([value.slot._lock] if held else [], lambda: results.append(in_child(lambda: [end() for end in ends])))  # type: ignore[arg-type]
    assert (results.pop(), results.pop(), watcher.get()) == (0, 0, 1)


def test_what_a_child_makes_is_its_own() -> None:
    """After the fork everything can be made anew."""

    def body() -> None:
        with gs.start(counter) as app:
            assert app.apply(2, timeout=20) == 2
        with gs.Value(1).watch() as watcher:
            assert watcher.get(timeout=20) == 1

    with gs.start(counter):
        assert in_child(body) == 0


def test_programs_of_many_keys_are_their_parent_s() -> None:
    """A child can use none of them, and leaves their block."""
    with gs.start_keyed(counter) as apps:
        apps["a"].apply(1)
        assert in_child(lambda: refused(apps)) == 0
        assert in_child(lambda: apps.__exit__(None, None, None)) == 0
        assert apps["a"].apply(1) == 2


def refused(apps: Any) -> None:
    """Check that a use raises."""
    with pytest.raises(gs.Closed):
        apps["a"].send(1)


def test_a_view_that_is_throttled_begins_anew_in_a_child() -> None:
    """A child does not wait for what its parent shows."""
    shown, showing, go_on = [], threading.Event(), threading.Event()

    def view(model: int) -> None:
        shown.append(model)
        showing.set()
        go_on.wait(20)

    throttled = gs.watch.throttle(view, hz=1)
    thread = threading.Thread(target=throttled, args=(1,))
    thread.start()
    showing.wait(20)
    assert in_child(throttled.close) == 0
    go_on.set()
    thread.join()
    throttled.close()
    assert shown == [1]


def test_what_stands_for_the_parent_s_says_so() -> None:
    """It raises whatever it is used for."""
    stands = InParent("a thing")
    for use in (lambda: stands[0], lambda: list(stands), lambda: stands.anything):
        with pytest.raises(gs.UsageError, match="a thing was made before"):
            use()


def test_what_stands_for_the_parents_may_say_more() -> None:
    """With a check every use raises what that raises; a block, or a lock, that was entered before the fork is left."""

    def check() -> None:
        raise gs.errors.StoreUnavailable("opened before the fork")

    stands = InParent("a store", check)
    for use in (stands.__enter__, stands, lambda: stands.acquire, lambda: stands[0]):
        with pytest.raises(gs.errors.StoreUnavailable):
            use()
    stands.__exit__()
    stands.release()
