"""What a command knows of its run: the environment, its name, and how often it is tried."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import both_drivers
import pytest
from both_drivers import Drivers
from effects_support import closed, heard

import go_state as gs
from go_state.testing import SimClock

drivers = both_drivers.drivers


@dataclass
class Env:
    greeting: str


class Greets(Protocol):
    greeting: str


def greet() -> str:
    return gs.env(Env).greeting


async def greet_async() -> str:
    return gs.env(Greets).greeting


@pytest.mark.parametrize("mode", ["run", "batch", "aggregate"])
def test_commands_get_the_environment_of_their_run(drivers: Drivers, mode: str) -> None:
    """Inline, in a task, in a thread, and from a timer's sequence; another run has another."""
    commands = [greet, gs.Cmd.call(greet_async), gs.Cmd.call(greet, thread=True), gs.Cmd.seq(gs.Cmd.after(0), greet)]
    for greeting in ("hello", "hi"):
        assert greeted(drivers, mode, commands, Env(greeting)) == [greeting] * 4
    with pytest.raises(gs.UsageError, match="there is no environment here"):
        gs.env(Env)


def greeted(drivers: Drivers, mode: str, commands: list[Any], env: Env) -> list[str]:
    said: list[str] = []

    def update(model: Env | None, msg: str) -> gs.Step[Env | None, str]:
        said.append(msg)
        return None, ()

    program = gs.Program(lambda: (None, commands), update)
    if mode == "run":
        drivers.run(program, closed(), env=env)
    elif mode == "batch":
        drivers.batch(program, [], env=env)
    else:
        with gs.MemoryStore() as store:
            drivers.aggregate(program, [], store=store, key="k", env=env)
    return said


def test_apps_have_environments(tmp_path: Path) -> None:
    """In memory, in a store, and for every key."""
    said = []

    def update(model: int, msg: int) -> gs.Step[int, int]:
        return model, [lambda: said.append(greet())]

    program = gs.Program(lambda: (0, ()), update)
    with gs.start(program, env=Env("a")) as app:
        app.send(1)
    with gs.LMDBStore(tmp_path / "s") as store, gs.start(program, store=store, key="k", env=Env("b")) as app:
        app.send(1)
    with gs.start_keyed(program, env=Env("c")) as apps:
        apps["x"].send(1)
    assert said == ["a", "b", "c"]


@pytest.mark.parametrize(("given", "teaches"), [(None, "there is no environment"), ("text", "was given a str as env=")])
def test_a_wrong_environment_teaches(drivers: Drivers, given: Any, teaches: str) -> None:
    """None, or another than the command asks for, is said."""
    with pytest.raises(gs.UsageError, match=teaches):
        drivers.batch(heard(greet), [], env=given)


trace: ContextVar[str] = ContextVar("trace", default="none")


def test_commands_have_the_context_of_the_run(drivers: Drivers) -> None:
    """A context variable of the caller's, such as a trace, reaches tasks and threads."""

    async def traced() -> str:
        return trace.get()

    token = trace.set("t1")
    try:
        assert drivers.batch(heard(gs.Cmd.call(traced), gs.Cmd.call(trace.get, thread=True)), []).model == ("t1", "t1")
    finally:
        trace.reset(token)


# ---------------------------------------------------------------------- names


def test_every_command_has_a_name_of_its_own(drivers: Drivers) -> None:
    """Inline and under way, in a sequence, of one turn and of the next."""

    async def named() -> str:
        return gs.effect_id()

    def commands(name: str) -> Any:
        own = [gs.effect_id, gs.Cmd.call(named), gs.Cmd.call(gs.effect_id, thread=True)]
        return [*own, gs.Cmd.seq(*own), gs.Cmd.all(*own)] if name == "go" else ()

    model = drivers.run(heard(on=commands), closed("go", "go"))
    assert len(model) == 2 + 2 * 9 == len(set(model)) + 1


def test_a_name_outlives_tries() -> None:
    """Each try of a call has its name, and so has what its thread calls."""
    names: list[str] = []
    clock = SimClock(jumps=True)

    def flaky() -> str:
        names.append(gs.effect_id())
        if len(names) % 3:
            raise LookupError("not yet")
        return "there"

    async def flaky_async() -> str:
        return flaky()

    retry = gs.Retry(attempts=3, wait=10.0, jitter=0)
    calls = [gs.Cmd.call(flaky_async, retry=retry), gs.Cmd.call(flaky, retry=retry, thread=True)]
    assert gs.batch(heard(calls[0]), [], clock=clock).model == ("there",)
    assert gs.batch(heard(calls[1]), [], clock=clock).model == ("there",)
    assert clock.time() == 2 * (10 + 20)
    assert len(names) == 6
    assert len(set(names)) == 2


def test_a_message_that_comes_again_has_commands_of_the_same_name(tmp_path: Path, drivers: Drivers) -> None:
    """After a failed aggregate over a source with positions, what is read again asks under the names it had."""
    path = tmp_path / "lines.jsonl"
    path.write_text('{"n": 1}\n{"n": 2}\n')
    names: list[str] = []
    fails = [True]

    def note(n: int) -> None:
        names.append(f"{n} {gs.effect_id()}")
        if n == 2 and fails[0]:
            raise LookupError("no")

    def update(model: int, msg: Any) -> gs.Step[int, Any]:
        return model + 1, [gs.Cmd.call(note, msg["n"])]

    program: Any = gs.Program(lambda: (0, ()), update)
    with gs.MemoryStore() as store:
        how: Any = {"store": store, "key": "k"}
        with pytest.raises(LookupError):
            drivers.aggregate(program, gs.sources.JSONLines(path), **how)
        fails[0] = False
        assert drivers.aggregate(program, gs.sources.JSONLines(path), **how).model == 2
    assert names[:2] == names[2:]
    assert len(set(names)) == 2


# ---------------------------------------------------------------------- tries


@pytest.mark.parametrize("in_thread", [False, True])
def test_a_call_is_tried_so_often(drivers: Drivers, in_thread: bool) -> None:
    """After the last try the failure is the call's, and only the kinds asked for are tried again."""
    tried: list[str] = []
    clock = SimClock(jumps=True)

    def plain(kind: Any) -> None:
        tried.append("x")
        raise kind("no")

    async def task(kind: Any) -> None:
        plain(kind)

    def call(kind: Any) -> Any:
        retry = gs.Retry(attempts=4, wait=1, jitter=0, on=(LookupError,))
        fn: Any = plain if in_thread else task
        return gs.Cmd.call(fn, kind, retry=retry, thread=in_thread, err=lambda failure: failure.kind)

    assert drivers.batch(heard(call(KeyError)), [], clock=clock).model == ("KeyError",)
    assert (len(tried), clock.time()) == (4, 1 + 2 + 4)
    assert drivers.batch(heard(call(OSError)), [], clock=clock).model == ("OSError",)
    assert len(tried) == 5


@pytest.mark.parametrize("in_thread", [False, True])
def test_a_timeout_is_for_all_tries(drivers: Drivers, in_thread: bool) -> None:
    """The waits between the tries count."""
    clock = SimClock(jumps=True)

    def plain() -> None:
        raise LookupError("no")

    async def task() -> None:
        plain()

    fn: Any = plain if in_thread else task
    call = gs.Cmd.call(fn, retry=gs.Retry(99, wait=1, jitter=0), timeout=10, thread=in_thread, err=lambda failure: failure.kind)
    assert drivers.batch(heard(call), [], clock=clock).model == ("TimedOut",)
    assert clock.time() == 10


def test_a_cancelled_call_is_not_tried_again() -> None:
    """Neither in its wait between two tries, nor after."""
    clock = SimClock()
    tried = threading.Semaphore(0)

    def plain() -> None:
        tried.release()
        raise LookupError("no")

    retry = gs.Retry(99, wait=1, jitter=0)
    commands = {"go": [gs.Cmd.call(plain, key="k", retry=retry, thread=True)], "stop": [gs.Cmd.cancel("k")]}
    with gs.start(heard(on=lambda name: commands[name]), clock=clock) as app:
        app.send("go")
        clock.settle()
        app.apply("stop")
        clock.advance(100)
        assert tried.acquire(blocking=False)
        assert not tried.acquire(blocking=False)


@pytest.mark.parametrize(
    "make",
    [
        lambda: gs.Retry(attempts=0),
        lambda: gs.Retry(wait=-1),
        lambda: gs.Retry(on=[ValueError]),  # type: ignore[arg-type]
        lambda: gs.Retry(on=(ValueError, "ValueError")),  # type: ignore[arg-type]
        lambda: gs.Cmd.call(greet, retry=3),
        lambda: gs.Cmd.call(greet, timeout="5"),
        lambda: gs.Cmd.call(greet, busy="wait"),
        lambda: gs.Cmd.call(greet, key=[]),
        lambda: gs.Cmd.after(-1, "x"),
        lambda: gs.Cmd.after(float("inf"), "x"),
        lambda: gs.Cmd.seq([greet]),
    ],
)
def test_wrong_commands_are_refused_or_said(make: Any) -> None:
    """What cannot be performed is refused where it is written, or when it is performed."""
    with pytest.raises(gs.ProgramError):
        gs.batch(heard(make()), [])
