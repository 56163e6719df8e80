"""A queue of one's own: put before commit, at least once, rolled back when a turn fails."""

import asyncio
from collections.abc import Callable
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers
from loop_support import AsyncQueue, Queue

import go_state as gs

drivers = both_drivers.drivers

Wrap = Callable[[Queue], Any]


def program(log: list[Any] | None = None, **special: Any) -> gs.Program[tuple[Any, ...], Any]:
    """Return a program that collects its messages; a message in `special` returns those commands, or raises."""

    def update(model: tuple[Any, ...], msg: Any) -> gs.Step[tuple[Any, ...], Any]:
        if log is not None:
            log.append(("update", msg))
        commands = special.get(msg, ())
        if isinstance(commands, BaseException):
            raise commands
        return (*model, msg), commands

    view = None if log is None else lambda model: log.append(("view", model))
    return gs.Program(lambda: ((), ()), update, view=view)


def ports(queue: Any) -> dict[str, Any]:
    """Return the queue as both ports."""
    return {"producer": queue, "consumer": queue}


def test_put_then_commit_then_view(drivers: Drivers) -> None:
    """A turn is get, update, put, commit, view; turn 0 does not touch the consumer."""
    log: list[Any] = []
    drivers.run(program(log, a=[gs.Cmd.send("x", "y")]), **ports(Queue("a", log=log)))
    assert log[:6] == [("view", ()), "get", ("update", "a"), ("put", "x", "y"), "commit", ("view", ("a",))]
    assert log[6:9] == ["get", ("update", "x"), "commit"]
    assert log[-1] == "get"


def test_turn_zero_only_puts(drivers: Drivers) -> None:
    """Init's messages are put, and nothing is committed or rolled back."""
    queue = Queue()
    sending = gs.Program(lambda: ((), [gs.Cmd.send("i")]), lambda model, msg: ((*model, msg), ()))
    assert drivers.run(sending, **ports(queue)) == ("i",)
    assert queue.log == [("put", "i"), "get", "commit", "get"]


def test_failing_init_calls_no_consumer(drivers: Drivers) -> None:
    """A failing init leaves the queue untouched: no get, commit or rollback."""
    queue = Queue("a")
    with pytest.raises(ZeroDivisionError):
        drivers.run(gs.Program(lambda: 1 // 0, lambda model, msg: (model, ())), **ports(queue))
    assert queue.log == []


def test_none_message_is_committed_without_a_turn(drivers: Drivers) -> None:
    """A None of the consumer is through without update and view."""
    log: list[Any] = []
    drivers.run(program(log), **ports(Queue(None, log=log)))
    assert log == [("view", ()), "get", "commit", "get"]


@pytest.mark.parametrize(
    ("fails", "until"),
    [
        ({"get": OSError("get")}, ["get"]),
        ({"put": OSError("put")}, ["get", ("put", "x")]),
        ({"commit": OSError("commit")}, ["get", ("put", "x"), "commit"]),
    ],
)
def test_failing_port_rolls_back(drivers: Drivers, fails: dict[str, Exception], until: list[Any]) -> None:
    """A failing get, put or commit is followed by one rollback and reaches the caller."""
    queue = Queue("a", **fails)
    shown: list[Any] = []
    base = program(a=[gs.Cmd.send("x")])
    with pytest.raises(OSError, match=next(iter(fails))):
        drivers.run(gs.Program(base.init, base.update, view=shown.append), **ports(queue))
    assert queue.log == [*until, "rollback"]
    assert shown == [()]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_failing_update_rolls_back(drivers: Drivers, error: BaseException) -> None:
    """A failing update puts and commits nothing, and the message comes again."""
    queue = Queue("a", "b")
    with pytest.raises(type(error)):
        drivers.run(program(b=error), **ports(queue))
    assert queue.log == ["get", "commit", "get", "rollback"]
    assert queue.get() == "b"


def test_a_none_whose_commit_fails_is_rolled_back(drivers: Drivers) -> None:
    """A message without a turn that cannot be committed is given again, as any other."""
    queue = Queue(None, commit=OSError("commit"))
    with pytest.raises(OSError, match="commit"):
        drivers.run(program(), **ports(queue))
    assert queue.log == ["get", "commit", "rollback"]


@pytest.mark.parametrize("fails", ["get", "put", "commit", "update"])
def test_failing_rollback_becomes_a_note(drivers: Drivers, fails: str) -> None:
    """The error that ended the turn reaches the caller; the rollback's own is noted on it."""
    first = ValueError("first")
    queue = Queue("a", rollback=OSError("second"), **({} if fails == "update" else {fails: first}))
    with pytest.raises(ValueError, match="first") as caught:
        drivers.run(program(a=first if fails == "update" else [gs.Cmd.send("x")]), **ports(queue))
    assert any("OSError: second" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("fails", ["get", "update"])
def test_failing_rollback_of_a_batch_becomes_a_note(drivers: Drivers, fails: str) -> None:
    """In a batch as well."""
    first = ValueError("first")
    queue = Queue("a", rollback=OSError("second"), **({} if fails == "update" else {fails: first}))
    with pytest.raises(ValueError, match="first") as caught:
        drivers.batch(program(a=first), [], **ports(queue))
    assert any("OSError: second" in note for note in caught.value.__notes__)


def test_rollback_with_nothing_pending_is_no_error(drivers: Drivers) -> None:
    """A consumer that says NothingPending to a rollback is believed."""
    with pytest.raises(OSError, match="get") as caught:
        drivers.run(program(), **ports(Queue(get=OSError("get"), rollback=gs.errors.NothingPending())))
    assert not hasattr(caught.value, "__notes__")


def test_failing_view_does_not_roll_back(drivers: Drivers) -> None:
    """The turn is committed when its model is shown."""
    queue = Queue("a")
    base = program()
    with pytest.raises(ZeroDivisionError):
        drivers.run(gs.Program(base.init, base.update, view=lambda model: model and 1 // 0), **ports(queue))
    assert queue.log == ["get", "commit"]


def test_set_aside_commits_the_message(drivers: Drivers) -> None:
    """A message that was set aside is done with: it is committed, and its turn puts nothing."""
    queue = Queue("bad", "b")
    assert drivers.run(program(bad=ValueError()), **ports(queue), on_error=gs.SetAside(gs.Buffer())) == ("b",)
    assert queue.log == ["get", "commit", "get", "commit", "get"]


def test_coroutine_methods_are_awaited() -> None:
    """On an event loop each method may be a coroutine function."""
    queue = Queue("a")
    model = asyncio.run(gs.run_async(program(a=[gs.Cmd.send("x")]), **ports(AsyncQueue(queue))))
    assert model == ("a", "x")
    assert queue.log == ["get", ("put", "x"), "commit", "get", "commit", "get"]


def test_coroutine_methods_roll_back() -> None:
    """A failing turn awaits the rollback."""
    queue = Queue("a")
    with pytest.raises(ValueError, match="no"):
        asyncio.run(gs.run_async(program(a=ValueError("no")), **ports(AsyncQueue(queue))))
    assert queue.log == ["get", "rollback"]


def test_async_twins_are_preferred() -> None:
    """Where a port has both get and get_async, the loop awaits get_async."""

    class Both(Queue):
        async def get_async(self) -> Any:
            self.log.append("get_async")
            return Queue.get(self)

        async def put_async(self, *messages: Any) -> None:
            self.log.append("put_async")
            Queue.put(self, *messages)

    queue = Both("a")
    asyncio.run(gs.run_async(program(a=[gs.Cmd.send("x")]), **ports(queue)))
    assert queue.log[:5] == ["get_async", "get", "put_async", ("put", "x"), "commit"]


def test_coroutine_method_in_a_thread_teaches() -> None:
    """A blocking mode says that an async queue needs the twin."""
    with pytest.raises(gs.UsageError, match="_async"):
        gs.run(program(), **ports(AsyncQueue(Queue("a"))))


async def test_cancelled_get_rolls_back() -> None:
    """A run that is cancelled while its consumer waits asks it once to roll back."""
    waiting, log = asyncio.Event(), []

    class Endless(Queue):
        async def get_async(self) -> Any:
            waiting.set()
            await asyncio.Event().wait()

    queue = Endless(log=log)
    task = asyncio.create_task(gs.run_async(program(), **ports(queue)))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["rollback"]


async def test_a_cancel_whose_rollback_fails_is_a_cancel() -> None:
    """The rollback's own error is a note of the CancelledError, which ends the task as cancelled."""
    waiting = asyncio.Event()

    class Endless(AsyncQueue):
        async def get(self) -> Any:
            waiting.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(gs.run_async(program(), **ports(Endless(Queue(rollback=OSError("gone"))))))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert task.cancelled()
    assert "OSError: gone" in caught.value.__notes__[0]


@pytest.mark.parametrize("port", ["get", "put", "commit"])
def test_a_generator_exit_of_a_port_is_a_failure(port: str) -> None:
    """Raised by a coroutine of a queue of one's own it ends the run as a ProgramError, and the message is given again."""
    queue = Queue("a", **{port: GeneratorExit()})  # type: ignore[arg-type]
    with pytest.raises(gs.ProgramError, match="raised GeneratorExit"):
        asyncio.run(gs.run_async(program(a=[gs.Cmd.send("b")]), **ports(AsyncQueue(queue))))
    assert queue.log[-1] == "rollback"


def test_abandoned_run_closes_quietly() -> None:
    """A run whose event loop is gone can be closed, also when its consumer's rollback would have to wait."""

    class Endless(AsyncQueue):
        async def get(self) -> Any:
            await never

        async def rollback(self) -> None:
            await never

    loop = asyncio.new_event_loop()
    never = loop.create_future()
    run = gs.run_async(program(), **ports(Endless(Queue())))
    run.send(None)
    run.close()
    loop.close()


@pytest.mark.parametrize("make_port", [lambda queue: queue, AsyncQueue])
def test_batch_over_a_queue_of_ones_own(drivers: Drivers, make_port: Any) -> None:
    """A batch puts the source's messages into the queue one at a time, and drains it before the next."""
    queue = Queue("old")
    port = queue if drivers.name == "thread" else make_port(queue)  # coroutines need a loop
    result = drivers.batch(program(a=[gs.Cmd.send("x")]), ["a", "b"], **ports(port))
    assert result.model == ("old", "a", "x", "b")
    assert (result.processed, result.ended) == (4, "exhausted")
    assert queue.log[2:5] == [("put", "a"), "get", ("put", "x")]


def test_fetched_messages_are_put_together(drivers: Drivers) -> None:
    """What one fetch returns enters a queue of one's own in one put."""
    queue = Queue()
    result = drivers.batch(program(a=[gs.Cmd.send("x")]), lambda: (["a", None, "b"], False), **ports(queue))
    assert result.model == ("a", "b", "x")
    assert queue.log[0] == ("put", "a", "b")


def test_batch_needs_empty(drivers: Drivers) -> None:
    """A batch over a consumer without empty() says that it has to know when the queue is drained."""

    class NoEmpty:
        put = get = commit = rollback = Queue.commit

    with pytest.raises(gs.UsageError, match=r"empty\(\)"):
        drivers.batch(program(), [1], **ports(NoEmpty()))


def test_batch_on_a_buffer_as_queue(drivers: Drivers) -> None:
    """A Buffer and its consumer serve as the queue of a batch, and hold nothing afterwards."""
    with gs.Buffer() as buffer, buffer.consumer() as consumer:
        result = drivers.batch(program(a=[gs.Cmd.send("x")]), ["a", "b"], producer=buffer, consumer=consumer)
        assert result.model == ("a", "x", "b")
        assert consumer.empty()


def closing(what: Any) -> gs.Program[int, int]:
    """Return a program whose second message closes something."""

    def update(model: int, msg: int) -> int:
        if msg == 2:
            what.close()
        return model + msg

    return gs.reducer(int, update)


@pytest.mark.parametrize("queued", [(1, 2, 3), ()])
@pytest.mark.parametrize("close", ["buffer", "consumer"])
def test_a_queue_that_is_closed_under_a_batch_ends_it(drivers: Drivers, close: str, queued: tuple[int, ...]) -> None:
    """A batch whose queue is closed before it is done says Closed instead of exhausted, and saves nothing."""
    store, buffer = gs.MemoryStore(), gs.Buffer[int]()
    consumer = buffer.consumer()
    buffer.put(*queued)
    program, source = closing(buffer if close == "buffer" else consumer), [1, 2, 3] if not queued else [4]
    with pytest.raises(gs.Closed):
        drivers.aggregate(program, source, store=store, key="k", producer=buffer, consumer=consumer)
    assert store.load("k") is None


def test_a_consumer_of_ones_own_that_closes_under_a_batch_ends_it(drivers: Drivers) -> None:
    """A consumer that is not empty and gives no more raises Closed out of the batch, which saves nothing."""

    class Cut(Queue):
        def empty(self) -> bool:
            return False

    store = gs.MemoryStore()
    with pytest.raises(gs.Closed):
        drivers.aggregate(gs.reducer(int, _add), [], store=store, key="k", **ports(Cut(1, 2)))
    assert store.load("k") is None


def _add(model: int, msg: int) -> int:
    return model + msg
