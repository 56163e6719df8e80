"""The table of `go_state.runtime.raised`: what each place may raise, and what becomes of it, in a thread and on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from effects_support import closed, soon

import go_state as gs
from tests.both_drivers import THREAD, Drivers, drivers  # noqa: F401  - a fixture

LEAKS = [asyncio.CancelledError, StopIteration, StopAsyncIteration, GeneratorExit]
ENDS = [KeyboardInterrupt, SystemExit]
Boom = Callable[..., Any]


def program(boom: Boom, **parts: Any) -> gs.Program[tuple[str, ...], str]:
    return gs.Program(lambda: ((), ()), lambda model, name: ((*model, name), ()), **parts)


def returning(command: Callable[[Boom], Any]) -> Callable[[Boom], gs.Program[Any, str]]:
    """Return what makes a program whose first message has the command performed."""

    def make(boom: Boom) -> gs.Program[Any, str]:
        return gs.Program(lambda: ((), ()), lambda model, name: ((*model, name), [command(boom)] if name == "bad" else ()))

    return make


def of_update(boom: Boom) -> gs.Program[Any, str]:
    return gs.Program(lambda: ((), ()), lambda model, name: boom() if name == "bad" else ((*model, name), ()))


def asking(boom: Boom) -> gs.Program[Any, str]:
    def middleware(proposal: Any) -> Generator[Any, Any, None]:
        if proposal.message == "bad":
            boom()
        yield

    return program(boom, middleware=[middleware])


def hearing(boom: Boom) -> gs.Program[Any, str]:
    def middleware(proposal: Any) -> Generator[Any, Any, None]:
        yield
        boom()

    return program(boom, middleware=[middleware])


async def failing_task(boom: Boom) -> None:
    await asyncio.sleep(0)
    boom()


async def failing_stream(boom: Boom) -> Any:
    boom()
    yield "never"


ROLLED_BACK: dict[str, Callable[[Boom], gs.Program[Any, str]]] = {
    "update": of_update,
    "an inline command": returning(lambda boom: boom),
    "a call that is inline, with err": returning(lambda boom: gs.Cmd.call(boom, err=lambda failure: failure.kind)),
    "ok of an inline call": returning(lambda boom: gs.Cmd.call(str, ok=boom)),
    "middleware before its yield": asking,
}
TURN_STAYS: dict[str, Callable[[Boom], gs.Program[Any, str]]] = {
    "a task": returning(lambda boom: gs.Cmd.call(failing_task, boom, err=lambda failure: failure.kind)),
    "a thread": returning(lambda boom: gs.Cmd.call(boom, thread=True, err=lambda failure: failure.kind)),
    "ok of a task": returning(lambda boom: gs.Cmd.call(soon, "x", ok=boom)),
    "ok of a thread": returning(lambda boom: gs.Cmd.call(str, thread=True, ok=boom)),
    "err of a thread": returning(lambda boom: gs.Cmd.call(int, "x", thread=True, err=boom)),
    "a command after another": returning(lambda boom: gs.Cmd.seq(gs.Cmd.call(soon, "x", ok=lambda name: None), boom)),
}
ENDS_THE_RUN: dict[str, Callable[[Boom], gs.Program[Any, str]]] = {
    "init": lambda boom: gs.Program(boom, lambda model, name: (model, ())),
    "view": lambda boom: program(boom, view=lambda model: boom() if model else None),
    "subscriptions": lambda boom: program(boom, subscriptions=lambda model: boom() if model else ()),
    "middleware after its yield": hearing,
}


def boom_of(kind: type[BaseException]) -> Boom:
    def boom(*_: Any) -> Any:
        raise kind("x")

    return boom


def leak_of(error: BaseException) -> type[BaseException]:
    """Return what the ProgramError comes from, or what Python has made a RuntimeError of."""
    assert isinstance(error, gs.ProgramError)
    cause = error.__cause__
    if isinstance(cause, RuntimeError):
        cause = cause.__cause__
    assert cause is not None
    return type(cause)


def in_app(mode: Drivers, made: gs.Program[Any, str], *messages: str, **how: Any) -> Any:
    """Run the program as an app that is sent the messages, and return its last model."""
    if mode is THREAD:
        with gs.start(made, **how) as app:
            app.send(*messages)
        return app.model

    async def main() -> Any:
        try:
            async with gs.start_async(made, **how) as app:
                app.send(*messages)
            return app.model
        except (KeyboardInterrupt, SystemExit) as error:
            return error  # asyncio.run would have it pass through its own loop

    found = asyncio.run(main())
    if isinstance(found, BaseException):
        raise found
    return found


@pytest.mark.parametrize("kind", LEAKS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("place", ROLLED_BACK | TURN_STAYS)
def test_a_leak_is_a_failure_for_on_error(drivers: Drivers, place: str, kind: type[BaseException]) -> None:  # noqa: F811
    """It is a ProgramError that comes from it, its message is set aside, and the next message has its turn."""
    aside: gs.Buffer[Any] = gs.Buffer()
    made = (ROLLED_BACK | TURN_STAYS)[place](boom_of(kind))
    model = in_app(drivers, made, "bad", "good", on_error=gs.SetAside(aside))
    failed = aside.slice()
    assert [each.message for each in failed] == ["bad"]
    assert leak_of(failed[0].error) is kind
    assert model == (("good",) if place in ROLLED_BACK else ("bad", "good"))


@pytest.mark.parametrize("kind", LEAKS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("place", ROLLED_BACK | TURN_STAYS | ENDS_THE_RUN)
def test_a_leak_never_ends_an_app_in_silence(drivers: Drivers, place: str, kind: type[BaseException]) -> None:  # noqa: F811
    """Where nothing else was decided it is raised from the block, as a ProgramError that comes from it."""
    made = (ROLLED_BACK | TURN_STAYS | ENDS_THE_RUN)[place](boom_of(kind))
    with pytest.raises(gs.ProgramError, match=f"raised {kind.__name__}") as caught:
        in_app(drivers, made, "bad")
    assert leak_of(caught.value) is kind


@pytest.mark.parametrize("kind", ENDS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("place", ROLLED_BACK | TURN_STAYS | ENDS_THE_RUN)
def test_the_end_of_the_process_reaches_who_leaves_the_block(
    drivers: Drivers,  # noqa: F811
    place: str,
    kind: type[BaseException],
) -> None:
    """Neither err nor on_error is given it, and it is raised as it is."""
    aside: gs.Buffer[Any] = gs.Buffer()
    made = (ROLLED_BACK | TURN_STAYS | ENDS_THE_RUN)[place](boom_of(kind))
    with pytest.raises(kind):
        in_app(drivers, made, "bad", on_error=gs.SetAside(aside))
    assert aside.slice() == []


@pytest.mark.parametrize("kind", [asyncio.CancelledError, GeneratorExit, SystemExit], ids=lambda each: each.__name__)
@pytest.mark.parametrize("place", ["a message", "a stream", "on_error"])
def test_subscriptions_and_on_error_end_nothing_in_silence(
    drivers: Drivers,  # noqa: F811
    place: str,
    kind: type[BaseException],
) -> None:
    """What they raise is raised from the block."""
    boom = boom_of(kind)
    subs = {"a message": [gs.Sub.at(0.0, boom, key="x")], "a stream": [gs.Sub.stream(failing_stream, boom)], "on_error": []}[
        place
    ]
    made = gs.Program(lambda: ((), ()), lambda model, name: [][1], subscriptions=lambda model: subs)
    with pytest.raises(kind if kind is SystemExit else gs.ProgramError):
        until_it_ends(drivers, made, boom, *(["bad"] if place == "on_error" else []))


def until_it_ends(mode: Drivers, made: gs.Program[Any, str], on_error: Boom, *messages: str) -> None:
    """Start the app, send the messages, and wait until it has ended by itself."""
    if mode is THREAD:
        app = gs.start(made, on_error=on_error)
        if messages:
            app.send(*messages)
        app.wait(10)
        return

    async def main() -> BaseException | None:
        app = gs.start_async(made, on_error=on_error)
        if messages:
            app.send(*messages)
        try:
            await app.wait_async(10)
        except BaseException as error:
            return error
        return None

    if (error := asyncio.run(main())) is not None:
        raise error


@pytest.mark.parametrize("kind", [*LEAKS, *ENDS], ids=lambda each: each.__name__)
@pytest.mark.parametrize("place", ["iterable", "fetch", "prefetch"])
def test_a_source_ends_nothing_in_silence(drivers: Drivers, place: str, kind: type[BaseException]) -> None:  # noqa: F811
    """What it raises is raised from the batch; the end of an iterator is its end."""
    boom = boom_of(kind)

    def messages() -> Iterator[str]:
        yield "good"
        boom()

    source: Any = boom if place == "fetch" else messages()
    with pytest.raises(kind if kind in ENDS else gs.ProgramError):
        drivers.batch(program(boom), source, prefetch=2 if place == "prefetch" else 0)


@pytest.mark.parametrize("kind", [asyncio.CancelledError, SystemExit], ids=lambda each: each.__name__)
def test_a_queue_of_ones_own_ends_nothing_in_silence(drivers: Drivers, kind: type[BaseException]) -> None:  # noqa: F811
    """What its get raises, while nobody has cancelled it, is raised from the run."""

    class Queue:
        async def get_async(self) -> Any:
            raise kind("x")

        def get(self) -> Any:
            raise kind("x")

        def put(self, *messages: Any) -> None: ...
        def commit(self) -> None: ...
        def rollback(self) -> None: ...

    async def busy() -> str:
        await asyncio.sleep(60)
        return "never"

    queue = Queue()
    with pytest.raises(kind if kind is SystemExit else gs.ProgramError):
        drivers.run(program(boom_of(kind)), producer=queue, consumer=queue)
    begun = gs.Program(lambda: ((), [gs.Cmd.call(busy)]), lambda model, name: (model, ()))
    with pytest.raises(kind if kind is SystemExit else gs.ProgramError):
        drivers.run(begun, producer=queue, consumer=queue)


def test_a_cancelled_run_is_cancelled() -> None:
    """A cancel of the task that a run is part of stays one, and its commands are cancelled with it."""
    seen: list[str] = []

    async def command() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("cancelled")
        return "never"

    async def main() -> None:
        made = gs.Program(lambda: (0, [gs.Cmd.call(command)]), lambda model, name: (model, ()))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await gs.run_async(made, gs.Buffer())

    asyncio.run(main())
    assert seen == ["cancelled"]


def test_what_a_leak_leaves_in_a_run_is_rolled_back(drivers: Drivers) -> None:  # noqa: F811
    """The message is given again, as after any other failure."""
    buffer = closed("bad")
    consumer = buffer.consumer()
    with pytest.raises(gs.ProgramError):
        drivers.run(of_update(boom_of(asyncio.CancelledError)), producer=buffer, consumer=consumer)
    assert consumer.get_nowait() == "bad"
