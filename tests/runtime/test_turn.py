"""The turn, rule by rule, in Run over a Buffer: laws 1 to 7."""

import asyncio
import threading
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers

import go_state as gs

drivers = both_drivers.drivers


def filled(*messages: Any) -> gs.Buffer[Any]:
    """Return a closed buffer that holds the messages."""
    buffer: gs.Buffer[Any] = gs.Buffer(retention=gs.retention.keep_all)
    buffer.put(*messages)
    buffer.close()
    return buffer


def tracing(trace: list[Any], **special: Any) -> gs.Program[tuple[Any, ...], Any]:
    """Return a program that notes all it does; a message found in `special` does what is there."""

    def note(*what: Any) -> None:
        trace.append(what)

    def init() -> gs.Step[tuple[Any, ...], Any]:
        note("init")
        return (), [lambda: note("init's command")]

    def update(model: tuple[Any, ...], msg: Any) -> gs.Step[tuple[Any, ...], Any]:
        note("update", msg)
        commands = special.get(msg, ())
        if isinstance(commands, Exception):
            raise commands
        return (*model, msg), commands

    return gs.Program(init, update, view=lambda model: note("view", model))


def test_init_is_turn_zero(drivers: Drivers) -> None:
    """Init, its commands and its view come before the first message."""
    trace: list[Any] = []
    assert drivers.run(tracing(trace), filled("a")) == ("a",)
    assert trace == [("init",), ("init's command",), ("view", ()), ("update", "a"), ("view", ("a",))]


def test_command_messages_enter_after_all_that_is_queued(drivers: Drivers) -> None:
    """What a turn sends is processed after what was queued before, in order."""
    program = tracing([], a=[gs.Cmd.send("x", "y"), lambda: "z"])
    assert drivers.run(program, filled("a", "b", "c")) == ("a", "b", "c", "x", "y", "z")


def test_view_follows_the_commands_and_the_commit(drivers: Drivers) -> None:
    """The view shows only committed models: after the turn's commands, and after its messages are in the queue."""
    trace: list[Any] = []
    buffer: gs.Buffer[Any] = filled("a")
    program = tracing(trace, a=[lambda: trace.append("command"), gs.Cmd.send("b")])
    watched = gs.Program(program.init, program.update, view=lambda model: trace.append((model, buffer.size())))
    drivers.run(watched, buffer)
    assert trace[2:5] == [((), 1), ("update", "a"), "command"]
    assert trace[5:] == [(("a",), 2), ("update", "b"), (("a", "b"), 2)]


@pytest.mark.parametrize("message", ["update fails", "command fails"])
def test_failing_turn_is_rolled_back(drivers: Drivers, message: str) -> None:
    """An exception up to the commit shows nothing, sends nothing and leaves the message to be read again."""
    trace: list[Any] = []
    error = LookupError("no")

    def fail() -> None:
        raise error

    program = tracing(trace, **{"update fails": error, "command fails": [gs.Cmd.send("lost"), fail]})
    buffer = filled("a", message, "b")
    consumer = buffer.consumer()
    with pytest.raises(LookupError):
        drivers.run(program, producer=buffer, consumer=consumer)
    assert trace[-1] == ("update", message)
    assert consumer.committed == 1
    assert [consumer.get_nowait(), consumer.get_nowait()] == [message, "b"]
    assert consumer.empty()


def test_failing_view_ends_the_run_and_not_the_turn(drivers: Drivers) -> None:
    """After an exception in the view the message is through, and its commands' messages are in the queue."""

    def view(model: tuple[Any, ...]) -> None:
        if model:
            raise OSError("no screen")

    program = tracing([], a=[gs.Cmd.send("x")])
    buffer = filled("a", "b")
    consumer = buffer.consumer()
    with pytest.raises(OSError, match="no screen"):
        drivers.run(gs.Program(program.init, program.update, view=view), producer=buffer, consumer=consumer)
    assert consumer.committed == 1
    assert [consumer.get_nowait() for _ in range(2)] == ["b", "x"]


def test_error_note_has_type_and_position_but_no_contents(drivers: Drivers) -> None:
    """The note of a failing turn says which message it was, and nothing of what is in it."""
    program = tracing([], secret=ValueError("bad"))
    with pytest.raises(ValueError, match="bad") as caught:
        drivers.run(program, filled("a", "secret"))
    (note,) = caught.value.__notes__
    assert "type str, position 1" in note
    assert "secret" not in note


def test_none_messages_are_no_turns(drivers: Drivers) -> None:
    """None in the queue calls neither update nor view."""
    trace: list[Any] = []
    drivers.run(tracing(trace), filled(None, "a", None))
    assert trace[3:] == [("update", "a"), ("view", ("a",))]


def test_nobody_runs_at_the_same_time(drivers: Drivers) -> None:
    """Update, commands and view run in one thread, the caller's."""
    threads: set[int] = set()

    def note(*_: Any) -> None:
        threads.add(threading.get_ident())

    def update(model: int, msg: int) -> gs.Step[int, int]:
        note()
        return model, [note]

    drivers.run(gs.Program(lambda: (0, [note]), update, view=note), filled(1, 2, 3))
    assert threads == {threading.get_ident()}


def test_run_drains_what_its_own_commands_put_after_close(drivers: Drivers) -> None:
    """Close refuses outsiders; the run's own messages still enter, a chain of twenty here."""
    program: gs.Program[int, int] = gs.Program(
        lambda: (0, ()), lambda model, msg: (model + 1, [gs.Cmd.send(msg - 1)] if msg else ())
    )
    assert drivers.run(program, filled(20)) == 21


def test_init_commands_enter_the_queue(drivers: Drivers) -> None:
    """What init's commands send is processed after what was queued before the run."""
    program = gs.Program(lambda: ((), [gs.Cmd.send("init")]), lambda model, msg: ((*model, msg), ()))
    assert drivers.run(program, filled("a")) == ("a", "init")


def test_run_of_a_drained_buffer_is_turn_zero_alone(drivers: Drivers) -> None:
    """Over a buffer that is closed and drained, a run is init and its end, not an error."""
    assert drivers.run(tracing([]), filled()) == ()


def test_drained_buffer_still_takes_what_init_sends(drivers: Drivers) -> None:
    """Init's own messages enter a buffer that is closed and drained, and are processed."""
    program = gs.Program(lambda: ((), [gs.Cmd.send("init")]), lambda model, msg: ((*model, msg), ()))
    assert drivers.run(program, filled()) == ("init",)


def test_set_aside_goes_on_with_the_next(drivers: Drivers) -> None:
    """A message that was set aside leaves the model and is found in the buffer given, with position and error."""
    aside: gs.Buffer[gs.FailedMessage[Any]] = gs.Buffer(retention=gs.retention.keep_all)
    error = ValueError("bad")
    program = tracing([], bad=error)
    assert drivers.run(program, filled("a", "bad", "b"), on_error=gs.SetAside(aside)) == ("a", "b")
    assert aside.slice() == [gs.FailedMessage("bad", 1, error)]


def test_set_aside_turn_sends_nothing(drivers: Drivers) -> None:
    """The commands that were performed before the failing one send nothing."""
    program = tracing([], bad=[gs.Cmd.send("lost"), int.__call__, lambda: int("x")])
    assert drivers.run(program, filled("bad", "b"), on_error=gs.SetAside(gs.Buffer())) == ("b",)


def test_closed_aside_buffer_ends_the_run(drivers: Drivers) -> None:
    """A message that cannot be set aside is not lost: the run ends and the message is given back."""
    aside: gs.Buffer[Any] = gs.Buffer()
    aside.close()
    buffer = filled("a", "bad")
    consumer = buffer.consumer()
    with pytest.raises(gs.Closed):
        drivers.run(tracing([], bad=ValueError()), producer=buffer, consumer=consumer, on_error=gs.SetAside(aside))
    assert consumer.get_nowait() == "bad"


def test_stop_iteration_is_an_error_like_others(drivers: Drivers) -> None:
    """A StopIteration that escapes update does not end the run as if it were done."""
    with pytest.raises(gs.ProgramError, match="update or one of its commands raised StopIteration") as raised:
        drivers.run(tracing([], a=StopIteration("its value")), filled("a"))
    assert "its value" not in str(raised.value)


def test_replaying_silences_exactly_its_turns(drivers: Drivers) -> None:
    """While the predicate is true the model moves on, and no command runs and no view is shown."""
    trace: list[Any] = []
    left = [True, True, False, True, False]
    program = tracing(trace, **{name: [lambda name=name: trace.append(f"command {name}")] for name in "abcd"})
    assert drivers.run(program, filled(*"abcd"), replaying=lambda: left.pop(0)) == tuple("abcd")
    assert left == []
    shown = [what for what in trace if what[0] not in ("init", "update")]
    assert shown == ["command b", ("view", ("a", "b")), "command d", ("view", tuple("abcd"))]


def test_long_chain_runs_in_flat_memory(drivers: Drivers) -> None:
    """A program that sends itself 100,000 messages, one a turn, keeps only those that are yet to come."""
    sizes: set[int] = set()
    buffer: gs.Buffer[int] = gs.Buffer()
    buffer.put(100_000)
    buffer.close()

    def update(model: int, msg: int) -> gs.Step[int, int]:
        if msg % 1000 == 0:
            sizes.add(buffer.size())
        return model + 1, [gs.Cmd.send(msg - 1)] if msg else ()

    assert drivers.run(gs.Program(lambda: (0, ()), update), buffer) == 100_001
    assert max(sizes) < 10_000


async def test_loop_is_given_back_between_messages() -> None:
    """However long the queue, another task of the loop gets its turn: here it alone can end the chain."""
    seen = threading.Event()

    async def other() -> None:
        seen.set()

    def update(model: int, msg: int) -> gs.Step[int, int]:
        assert model < 5_000_000, "the loop was never given back"
        return model + 1, () if seen.is_set() else [gs.Cmd.send(msg)]

    with gs.Buffer() as buffer:
        buffer.put(1)
    task = asyncio.create_task(other())
    await gs.run_async(gs.Program(lambda: (0, ()), update), buffer)
    await task


async def test_cancelled_run_leaves_its_buffer_usable() -> None:
    """A run that waits is freed by task.cancel and loses nothing that is put later."""
    buffer: gs.Buffer[str] = gs.Buffer()
    shown = asyncio.Event()
    program = gs.Program(lambda: ((), ()), lambda model, msg: ((*model, msg), ()), view=lambda model: model and shown.set())
    task = asyncio.create_task(gs.run_async(program, buffer))
    buffer.put("a")
    await shown.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    buffer.put("b")
    buffer.close()
    assert await gs.run_async(program, buffer) in [("b",), ("a", "b")]


def test_two_runs_on_one_buffer_see_the_same(drivers: Drivers) -> None:
    """Each run reads every message, one after the other here."""
    buffer = filled("a", "b")
    assert drivers.run(tracing([]), buffer) == drivers.run(tracing([]), buffer) == ("a", "b")


def test_keyboard_interrupt_rolls_back_and_passes(drivers: Drivers) -> None:
    """Ctrl-C inside update is no poison message: it ends the run and the message stays in the queue."""
    buffer = filled("a", "b")
    consumer = buffer.consumer()

    def update(model: int, msg: str) -> gs.Step[int, str]:
        if msg == "b":
            raise KeyboardInterrupt
        return model + 1, ()

    with pytest.raises(KeyboardInterrupt):
        drivers.run(gs.Program(lambda: (0, ()), update), producer=buffer, consumer=consumer, on_error=gs.SetAside(gs.Buffer()))
    assert consumer.committed == 1
    assert consumer.get_nowait() == "b"


class Later:
    """Takes dead letters, but not at once."""

    def __init__(self) -> None:
        self.got: list[gs.FailedMessage[Any]] = []

    async def put(self, *messages: gs.FailedMessage[Any]) -> None:
        await asyncio.sleep(0)
        self.got.extend(messages)


@pytest.mark.parametrize("mode", [gs.run_async, gs.batch_async])
async def test_set_aside_waits_for_a_put_that_takes_time(mode: Any) -> None:
    """On a loop a put that returns an awaitable is awaited before the next message is processed."""
    aside, trace, error = Later(), [], ValueError("bad")
    program = tracing([], bad=error)

    def update(model: Any, msg: Any) -> Any:
        trace.append((msg, len(aside.got)))
        return program.update(model, msg)

    await mode(gs.Program(program.init, update), filled("a", "bad", "b"), on_error=gs.SetAside(aside))
    assert trace == [("a", 0), ("bad", 0), ("b", 1)]
    assert aside.got == [gs.FailedMessage("bad", 1, error)]


@pytest.mark.parametrize("mode", [gs.run, gs.batch])
def test_set_aside_in_a_thread_teaches_about_a_put_that_takes_time(mode: Any) -> None:
    """In a thread nothing can be awaited: the error says so, and no dead letter is taken for put."""
    aside = Later()
    with pytest.raises(gs.UsageError, match=r"put of SetAside's buffer .*_async"):
        mode(tracing([], bad=ValueError("bad")), filled("a", "bad", "b"), on_error=gs.SetAside(aside))
    assert aside.got == []


@pytest.mark.parametrize("on_error", [gs.SetAside(), lambda *_: gs.SetAside()], ids=["policy", "function"])
def test_set_aside_of_a_run_needs_a_buffer(drivers: Drivers, on_error: Any) -> None:
    """A run has no result to list a message in: it ends with an error that tells the first one, and the message is given back."""
    buffer, error = filled("a", "bad"), ValueError("bad")
    consumer = buffer.consumer()
    with pytest.raises(gs.UsageError, match=r"give it a buffer, gs.SetAside\(gs.Buffer\(\)\)") as raised:
        drivers.run(tracing([], bad=error), producer=buffer, consumer=consumer, on_error=on_error)
    assert raised.value.__cause__ is error
    assert consumer.get_nowait() == "bad"
