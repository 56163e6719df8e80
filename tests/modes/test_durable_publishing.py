"""When the model of a durable run is shown: at once if a replay makes it again, and once it is marked if that would repeat an effect."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import go_state as gs
from go_state.modes.durable.feed import have_effects, noting_effects


def passed(store: gs.LMDBStore) -> int:
    """Return how far the program has come, on disk."""
    return int(store.journal("k").cursors().get("program", 0))


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        ((), False),
        ([], False),
        (None, False),
        ([None], False),
        ([gs.Cmd.send(1)], False),
        ([gs.Cmd.reply(1)], False),
        ([gs.Cmd.send(1), gs.Cmd.call(print)], True),
        ([lambda: None], True),
        ([gs.Cmd.after(1.0, 1)], True),
        ([gs.Cmd.cancel("k")], True),
        ([gs.Cmd.map([gs.Cmd.send(1)], tuple)], True),
        ("not commands", False),
    ],
)
def test_which_commands_a_replay_would_repeat(commands: Any, expected: bool) -> None:
    assert have_effects(commands) is expected


def test_a_wrapped_update_keeps_its_signature_and_its_steps() -> None:
    """With the turn or without, and also a return value that is not a step."""
    noted: list[int] = []
    steps: list[Any] = [(1, ()), (1, [print]), (1, [gs.Cmd.send(1)]), None, (1,), 7]
    wrapped: Callable[..., Any] = noting_effects(lambda model, msg, turn: steps[msg], lambda: noted.append(1))
    assert [wrapped(None, number, None) for number in range(len(steps))] == steps
    assert noted == [1]
    assert gs.Program(lambda: (0, ()), wrapped).takes_turn


def adding(commands: Callable[[], Any] = tuple, **more: Any) -> gs.Program[int, int]:
    def update(model: int, msg: int) -> gs.Step[int, int]:
        return model + msg, commands()

    return gs.Program(lambda: (0, ()), update, **more)


RETURNED: dict[str, Callable[[], Any]] = {
    "none": tuple,
    "reply": lambda: [gs.Cmd.reply(1)],
    "call": lambda: [lambda: None],
}


@pytest.mark.parametrize("commands", RETURNED)
def test_apply_waits_for_one_sync_unless_a_command_waits_for_its_mark(tmp_path: Path, commands: str) -> None:
    """When apply returns, the cursor on disk is behind the message, unless its turn has called a function."""
    program = adding(RETURNED[commands])
    with gs.LMDBStore(tmp_path / "s") as store, gs.start(program, store=store, key="k") as app:
        app.apply(1)
        behind = sum(app.apply(1) - passed(store) for _ in range(20))
    assert behind == 0 if commands == "call" else behind > 10


async def test_apply_on_a_loop_waits_for_one_sync(tmp_path: Path) -> None:
    with gs.LMDBStore(tmp_path / "s") as store:
        async with gs.start_async(adding(), store=store, key="k") as app:
            await app.apply_async(1)
            behind = sum([(await app.apply_async(1)) - passed(store) for _ in range(20)])
    assert behind > 10


def test_the_cursor_is_written_when_no_message_comes(tmp_path: Path) -> None:
    """It does not wait for the next message, nor for the end."""
    with gs.LMDBStore(tmp_path / "s") as store, gs.start(adding(), store=store, key="k") as app:
        app.apply(1)
        written = threading.Event()
        for _ in range(1000):
            if passed(store) == 1:
                written.set()
                break
            written.wait(0.005)
        assert written.is_set()


def test_a_middleware_acts_on_what_is_marked(tmp_path: Path) -> None:
    """What it does after its yield is an effect, which is not done again for a turn that the disk knows to be processed."""
    seen: list[bool] = []
    with gs.LMDBStore(tmp_path / "s") as store:

        def watching(proposal: Any) -> Any:
            yield
            seen.append(passed(store) > proposal.turn.position)

        with gs.start(adding(middleware=[watching]), store=store, key="k") as app:
            for _ in range(10):
                app.apply(1)
    assert seen == [True] * 10


def test_the_end_of_a_command_is_written_when_no_message_comes(tmp_path: Path) -> None:
    """Also of one that sends nothing: a crash that comes long after must not start it again."""
    path, done = tmp_path / "s", threading.Event()

    def running() -> list[str]:
        copy = shutil.copy(path, tmp_path / "copy")
        with gs.LMDBStore(copy) as copied:
            return copied.journal("k").run_record.running()

    def work() -> None:
        assert done.wait(10)

    program = adding(lambda: [gs.Cmd.call(work, thread=True)])
    with gs.LMDBStore(path) as store, gs.start(program, store=store, key="k") as app:
        app.apply(1)
        assert len(running()) == 1
        done.set()
        for _ in range(500):
            if not running():
                break
            threading.Event().wait(0.01)
        assert running() == []


def chained(commands: Callable[[], Any], **more: Any) -> gs.Program[int, int]:
    """A program that sends itself 2 for each 1, and returns the commands for a 2."""

    def update(model: int, msg: int) -> gs.Step[int, int]:
        return model + 1, [gs.Cmd.send(2)] if msg == 1 else commands() if msg == 2 else ()

    return gs.Program(lambda: (0, ()), update, **more)


@pytest.mark.parametrize("durability", ["group", "put"])
def test_a_model_is_shown_when_its_own_messages_are_on_disk(tmp_path: Path, durability: Any) -> None:
    """After a crash another message may come before one that a turn has sent, if that is not on disk."""
    seen: list[tuple[int, int]] = []
    with gs.LMDBStore(tmp_path / "s") as store:
        journal = store.journal("k", of=int, durability=durability)
        program = chained(tuple, view=lambda model: seen.append((model, journal.parts.tail.durable)))
        with gs.start(program, journal) as app:
            for _ in range(10):
                app.apply(1)
    assert seen
    assert all(model <= durable for model, durable in seen)


@pytest.mark.parametrize("name", ["inline", "thread", "task"])
@pytest.mark.parametrize("on_loop", [False, True])
def test_a_command_begins_when_its_message_is_on_disk(tmp_path: Path, name: str, on_loop: bool) -> None:
    """Also if the message was sent by a turn: a crash must not give its position, and so its effect's id, to another."""
    seen: list[int] = []

    def work() -> None:
        seen.append(journal.parts.tail.durable - int(gs.effect_id().split("/")[1]))

    async def work_async() -> None:
        work()

    commands: dict[str, Any] = {"inline": work, "thread": gs.Cmd.call(work, thread=True), "task": gs.Cmd.call(work_async)}
    program = chained(lambda: [commands[name]])
    with gs.LMDBStore(tmp_path / "s") as store:
        journal = store.journal("k", of=int)

        async def on_a_loop() -> None:
            async with gs.start_async(program, journal) as opened:
                for _ in range(10):
                    await opened.apply_async(1)

        if on_loop:
            asyncio.run(on_a_loop())
        else:
            with gs.start(program, journal) as app:
                for _ in range(10):
                    app.apply(1)
        found = [each.message for each in journal.history.exactly(0, 20)]
    assert len(seen) == 10
    assert min(seen) >= 1
    assert found == [1, 2] * 10


def test_a_turn_that_waits_for_the_disk_is_taken_once(tmp_path: Path) -> None:
    """In a backlog of messages that send others, each has one turn, in the order in which they entered."""
    done: list[str] = []

    def update(model: tuple[int, ...], msg: int) -> gs.Step[tuple[int, ...], int]:
        commands = [gs.Cmd.send(msg + 100), gs.Cmd.send(msg + 200)] if msg < 100 else [lambda: done.append(gs.effect_id())]
        return (*model, msg), commands

    with gs.LMDBStore(tmp_path / "s") as store:
        journal = store.journal("k", of=int)
        journal.put(*range(50))
        with gs.start(gs.Program(lambda: ((), ()), update), journal) as app:
            app.send(50)
        order = [each.message for each in store.journal("k", of=int).history.exactly(0, 153)]
        assert app.model == tuple(order)
    assert len(set(done)) == len(done) == 102


def test_a_model_after_a_message_that_was_set_aside_is_shown_when_that_is_on_disk(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    aside: gs.Buffer[Any] = gs.Buffer()

    def update(model: int, msg: int) -> gs.Step[int, int]:
        if msg == 3:
            raise ValueError("three")
        return model + 1, ()

    def view(model: int) -> None:
        if model:
            seen.append((model, len(journal.parts.records.set_aside())))

    with gs.LMDBStore(tmp_path / "s") as store:
        journal = store.journal("k", of=int)
        with gs.start(gs.Program(lambda: (0, ()), update, view=view), journal, on_error=gs.SetAside(aside)) as app:
            for _ in range(5):
                app.send(3)
                app.apply(1)
    assert seen == [(number, number) for number in range(1, 6)]
