"""One flow, two drivers: each fulfils waits, passes errors in, and closes what it leaves."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from go_state.core.errors import InsideLoop
from go_state.runtime.flow.driver import drive, drive_async
from go_state.runtime.flow.waits import Answer, Blocking, Checkpoint, Flow
from go_state.system.own_thread import OwnThread


def drive_on_loop(flow: Flow[Any]) -> Any:
    """Drive the flow on an event loop of its own."""
    return asyncio.run(drive_async(flow))


both = pytest.mark.parametrize("driver", [drive, drive_on_loop])


@both
def test_flow_returns_what_it_returns(driver: Any) -> None:
    """Answers are sent in, and the return value comes out."""
    thread = OwnThread("test")

    def flow() -> Iterator[Any]:
        one = yield Answer(1, "one")
        two = yield Blocking(lambda: 2, thread)
        yield Checkpoint()
        return one + two

    assert driver(flow()) == 3
    thread.close()


@both
@pytest.mark.parametrize("error", [ValueError("no"), StopIteration("no"), KeyboardInterrupt()])
def test_error_of_a_wait_reaches_the_flow(driver: Any, error: BaseException) -> None:
    """The flow sees a wait's error where it waits and may go on."""
    seen: list[BaseException] = []

    def fail() -> None:
        raise error

    class Failing:
        def in_thread(self) -> None:
            fail()

        async def on_loop(self) -> None:
            fail()

    def flow() -> Iterator[Any]:
        try:
            yield Failing()
        except BaseException as caught:
            seen.append(caught)
        return (yield Answer("after", "after"))

    assert driver(flow()) == "after"
    assert len(seen) == 1


@both
def test_failing_flow_is_closed(driver: Any) -> None:
    """What a flow holds is released when it fails."""
    closed: list[str] = []

    def flow() -> Iterator[Any]:
        try:
            yield Answer(1, "one")
            raise ValueError("no")
        finally:
            closed.append("closed")

    with pytest.raises(ValueError, match="no"):
        driver(flow())
    assert closed == ["closed"]


async def test_cancelled_transaction_is_finished_first() -> None:
    """A cancelled wait for a transaction ends only when the transaction has, however often it is cancelled."""
    begun, go, done = threading.Event(), threading.Event(), []

    def transaction() -> None:
        begun.set()
        assert go.wait(30)
        done.append(True)

    def flow() -> Iterator[Any]:
        yield Blocking(transaction, thread)

    thread = OwnThread("test")
    task = asyncio.create_task(drive_async(flow()))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await thread.aclose()
    assert done == [True]


async def test_transaction_does_not_begin_after_cancel() -> None:
    """A cancellation asked for before the wait began keeps the transaction from beginning."""
    done: list[bool] = []

    def flow() -> Iterator[Any]:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        yield Blocking(lambda: done.append(True), OwnThread("test"))

    task = asyncio.create_task(drive_async(flow()))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == []


def test_inside_loop_names_the_twin() -> None:
    """The error for a blocking mode in a running loop says what to write."""
    error = InsideLoop("run")
    assert "await run_async(...)" in str(error)
    assert error.called == "run"
