"""Leaving an app's block: whatever cuts it short, nothing of the app runs on, and the error reaches whoever left."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from app_support import Kind

import go_state as gs
from go_state.modes.app.hosts.host import TaskHost, ThreadHost


def update(model: int, msg: int) -> gs.Step[int, int]:
    return model + msg, ()


counter: gs.Program[int, int] = gs.Program(lambda: (0, ()), update)


def divide(model: int, msg: int) -> gs.Step[int, int]:
    return msg // 0, ()


failing: gs.Program[int, int] = gs.Program(lambda: (0, ()), divide)


@pytest.fixture(params=["loop", "loop journal"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kind]:
    with ExitStack() as ends:
        yield Kind(request.param, tmp_path, ends)


def assert_over(app: Any) -> None:
    """Check that the app has ended, and its task or thread with it."""
    assert app.state in ("stopped", "failed")
    host = app.host
    assert not host.thread.is_alive() if isinstance(host, ThreadHost) else host.task.done()


def task_of(app: gs.App[Any, Any]) -> asyncio.Task[Any]:
    """Return the task in which the app's program runs."""
    assert isinstance(app.host, TaskHost)
    assert app.host.task is not None
    return app.host.task


async def cancelled_again_and_again(task: asyncio.Task[Any]) -> None:
    """Cancel the task in every round of the event loop until it is done."""
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)


async def test_a_block_that_a_scope_cuts_short_leaves_nothing(kind: Kind) -> None:
    """Anyio cancels again in every round; when the block is left the app has ended, and the scope is as it should be."""
    app = kind.start(counter)
    with anyio.CancelScope() as scope:
        async with app:
            app.send(*[1] * 2000)
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert_over(app)


@pytest.mark.parametrize("rounds", range(1, 9))
async def test_a_block_cancelled_at_any_moment_leaves_nothing(kind: Kind, rounds: int) -> None:
    """While it is entered, used and left, once or again and again; the task is cancelled then, and the app has ended."""
    app = kind.start(counter)

    async def block() -> None:
        async with app:
            app.send(*[1] * 100)

    task = asyncio.create_task(block())
    for _ in range(rounds):
        await asyncio.sleep(0)
    await cancelled_again_and_again(task)
    assert task.cancelled() or task.exception() is None
    assert_over(app)
    with pytest.raises(gs.Closed):
        app.send(1)


async def test_leaving_that_is_cancelled_does_not_drain(kind: Kind) -> None:
    """A timeout that is over while the block drains ends the app at the next turn's end."""
    begun = asyncio.Event()

    def slow(model: int, msg: int) -> gs.Step[int, int]:
        begun.set()
        return model + 1, [gs.Cmd.after(3600, 1)]

    app = kind.start(gs.Program(lambda: (0, ()), slow))

    async def block() -> None:
        async with app:
            app.send(1)

    task = asyncio.create_task(block())
    await begun.wait()
    await cancelled_again_and_again(task)
    assert task.cancelled()
    assert_over(app)


async def test_a_timeout_that_cuts_leaving_short_is_a_timeout(kind: Kind) -> None:
    """`asyncio.timeout` around a block raises `TimeoutError`, once the app has ended."""

    def endless(model: int, msg: int) -> gs.Step[int, int]:
        return model + 1, [gs.Cmd.send(1)]

    app = kind.start(gs.Program(lambda: (0, ()), endless))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05), app:
            app.send(1)
    assert_over(app)


async def test_what_the_app_fails_with_is_raised_from_a_cancelled_block(kind: Kind) -> None:
    """A cancellation is swallowed by what has asked for it; so the app's error is raised in its place."""
    app = kind.start(failing)

    async def block() -> None:
        async with asyncio.timeout(20) as timeout, app:
            app.send(1)
            with contextlib.suppress(ZeroDivisionError):
                await app.wait_async()
            timeout.reschedule(0)
            await asyncio.Event().wait()

    with pytest.raises(ZeroDivisionError):
        await block()


async def test_stop_that_is_cancelled_has_asked_for_the_end(kind: Kind) -> None:
    """Cancelled in its first moment, it leaves an app that drains and ends, and takes no more."""
    app = kind.start(counter)
    await app.ready_async()
    stopping = asyncio.create_task(app.stop_async())
    await asyncio.sleep(0)
    stopping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await stopping
    with pytest.raises(gs.Closed):
        app.send(1)
    await app.wait_async(20)
    assert_over(app)


async def test_a_task_that_is_cancelled_twice_ends_its_app(kind: Kind) -> None:
    """Whoever waits is freed, also where the end itself is cut short."""
    app = kind.start(counter)
    await app.ready_async()
    waiting = asyncio.create_task(app.watch(since=1).get_async())
    await asyncio.sleep(0)
    await cancelled_again_and_again(task_of(app))
    with pytest.raises(gs.Closed):
        await waiting
    assert app.state == "stopped"


@contextmanager
def interrupted_at(*moments: threading.Event, then: threading.Event) -> Iterator[None]:
    """Interrupt the main thread, as Ctrl-C does, each time the next event is set, and set the last one."""

    def interrupt() -> None:
        for moment in moments:
            assert moment.wait(20)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        then.set()

    thread = threading.Thread(target=interrupt)
    thread.start()
    yield
    thread.join()


def in_order(*functions: Callable[[], object]) -> None:
    """Call one after another."""
    for function in functions:
        function()


def send_and_wait(app: Any) -> None:
    """Send some messages and wait, again and again: a signal that comes just before a wait does not end it."""
    app.send(1, 1, 1)
    while True:
        threading.Event().wait(0.01)


@pytest.mark.parametrize("journal", [False, True])
def test_ctrl_c_while_a_block_is_left_waits_for_the_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, journal: bool
) -> None:
    """Ctrl-C in the block and again while it is left: the turn comes to its end, the next does not begin, and nothing is left."""
    in_turn, leaving, go_on = threading.Event(), threading.Event(), threading.Event()

    def slow(model: int, msg: int) -> gs.Step[int, int]:
        in_turn.set()
        go_on.wait(20)
        return model + 1, ()

    with ExitStack() as ends:
        app = Kind("thread journal" if journal else "thread", tmp_path, ends).start(gs.Program(lambda: (0, ()), slow))
        run = app.life.run
        refuse = run.refuse
        monkeypatch.setattr(run, "refuse", partial(in_order, refuse, leaving.set))
        with pytest.raises(KeyboardInterrupt), interrupted_at(in_turn, leaving, then=go_on), app:
            send_and_wait(app)
        assert_over(app)
        assert app.model == 1


async def test_a_with_block_in_a_coroutine_leaves_no_thread(tmp_path: Path) -> None:
    """It raises `InsideLoop`, which names the block to write there; the app has ended, and its journal is free."""
    with gs.LMDBStore(tmp_path / "s") as store:
        for options in ({}, {"store": store, "key": "k"}):
            app = gs.start(counter, **options)  # type: ignore[arg-type]
            with pytest.raises(gs.errors.InsideLoop, match=r"`async with gs.start_async\(\.\.\.\)`"), app:
                pytest.fail("the block was entered")
            assert_over(app)
        async with gs.start_async(counter, store=store, key="k") as other:
            assert await other.apply_async(1, timeout=20) == 1


async def test_a_stop_that_would_block_the_loop_asks_for_nothing(kind: Kind) -> None:
    """The app goes on as if `stop` had not been called."""
    async with kind.start(counter) as app:
        with pytest.raises(gs.errors.InsideLoop):
            app.stop()
        assert (app.state, await app.apply_async(1)) == ("ready", 1)


@pytest.mark.parametrize("journal", [False, True])
def test_a_loop_that_is_closed_under_its_app_tells_those_who_wait(tmp_path: Path, journal: bool) -> None:
    """A thread that waits for a turn is freed; what was through is on disk, and the journal is free for the next program."""
    with ExitStack() as ends:
        kind = Kind("loop journal" if journal else "loop", tmp_path, ends)
        loop = asyncio.new_event_loop()

        async def begin() -> Any:
            app = kind.start(counter)
            await app.apply_async(1)
            return app

        app = loop.run_until_complete(begin())
        told: list[BaseException] = []
        waiting = threading.Thread(target=lambda: told.append(raised_by(lambda: app.apply(1))))
        waiting.start()
        while not app.statistics().queue_size:
            pass
        loop.close()
        waiting.join(20)
        assert [type(error) for error in told] == [gs.errors.AppEnded]
        assert isinstance(told[0].__cause__, gs.UsageError)
        assert (app.state, app.model, "event loop" in str(app.error)) == ("failed", 1, True)
        if journal:
            with gs.start(counter, store=kind._store, key="k") as again:
                assert again.apply(0) == 2


def raised_by(call: Any) -> BaseException:
    """Return what the call raises."""
    with pytest.raises(BaseException) as raised:  # noqa: PT011
        call()
    return raised.value
