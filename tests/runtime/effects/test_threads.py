"""Calls in threads, which nobody can end: those that hang hold up neither others nor the end of the process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import Any

import pytest
from effects_support import Gate, heard, thread
from interrupts import Interrupt, at_every_point

import go_state as gs
from go_state.system.threads import Threads

pytestmark = pytest.mark.filterwarnings("ignore::go_state.core.errors.LeftRunning")


@pytest.fixture
def gate() -> Any:
    """Give a gate; at the end nothing is held by it."""
    gate = Gate()
    yield gate
    for held in gate._held.values():
        for let_go in held:
            let_go()


def test_calls_that_hang_leave_their_place_to_others(gate: Gate) -> None:
    """When they are cancelled, as many others begin, again and again."""
    commands = {
        "hang": [gs.Cmd.call(gate.hold_thread, "hang", thread=True)],
        "give up": [gs.Cmd.cancel()],
        "quick": [thread("done")],
    }
    with gs.start(heard(on=lambda name: commands.get(name, ())), effects=gs.Effects(at_once=2, grace=0)) as app:
        for count in (2, 4, 6):
            app.send("hang", "hang")
            gate.wait_for("hang", count)
            app.apply("give up")
        app.send("quick")
        assert app.watch().get(timeout=20, where=lambda model: "done" in model)[-1] == "done"


@pytest.mark.processes
def test_a_call_that_hangs_does_not_keep_the_process_from_ending() -> None:
    """It ends with the main thread, as the run has said that it would be left."""
    script = """if True:
        import threading, warnings
        import go_state as gs
        warnings.simplefilter("ignore")
        begun = threading.Event()
        def hang():
            begun.set()
            threading.Event().wait()
        with gs.start(gs.Program(lambda: (0, [gs.Cmd.call(hang, thread=True)]), lambda m, x: (m, ())), effects=gs.Effects(grace=0)) as app:
            begun.wait()
            app.stop(drain=False)
        print("ended")
    """
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert (ended.stdout, ended.returncode) == ("ended\n", 0), ended.stderr


def test_beyond_their_room_calls_wait_and_can_be_forgotten(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once; what is forgotten leaves nothing behind, and what is left begins when one ends."""
    threads: Threads[Any] = Threads(1)
    for number in range(65):
        threads.begin(number, lambda: gate.hold_thread("stuck"))
    gate.wait_for("stuck", 65)
    for number in range(1000):
        threads.begin(f"gone {number}", lambda: gate.hold_thread("gone"))
        threads.forget(f"gone {number}")
    threads.begin("left", lambda: gate.hold_thread("left"))
    gate.open("stuck")
    gate.wait_for("left")
    assert "gone" not in gate.begun
    assert "others wait for one to end" in caplog.text
    threads.close()


def test_replaced_commands_do_not_pile_up(gate: Gate) -> None:
    """While there is no room, the last one of a key waits, and what it has replaced is gone."""

    def on(name: str) -> Any:
        return [gs.Cmd.call(gate.hold, name, key="look", ok=lambda name: None)]

    with gs.start(heard(gs.Cmd.call(gate.hold, "first", ok=lambda name: None), on=on), effects=gs.Effects(at_once=1)) as app:
        gate.wait_for("first")
        app.send(*map(str, range(1000)))
        app.apply("last")
        assert [effect.command.args for effect in app.life.manager.waiting()] == [("last",)]
        gate.open("first")
        gate.open("last")
    assert gate.begun == ["first", "last"]


def test_tasks_that_a_command_has_begun_are_ended_with_the_run() -> None:
    """In a thread of its own a run ends them as asyncio.run does, and waits for them."""
    seen: list[str] = []
    begun = threading.Event()
    kept: list[Any] = []

    async def child() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            seen.append("cleaned up")
            kept.append(asyncio.create_task(grandchild()))

    async def grandchild() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("its child too")

    async def begin() -> None:
        kept.append(asyncio.create_task(child()))
        await asyncio.sleep(0)

    with gs.start(heard(gs.Cmd.call(begin))):
        assert begun.wait(20)
    assert [each.done() for each in kept] == [True, True]
    assert seen[0] == "cleaned up"


def test_tasks_that_begin_others_whenever_they_are_ended_are_left() -> None:
    """A run that is over leaves no event loop on which they would go on doing so for ever."""
    kept: list[Any] = []
    over = threading.Event()

    async def hydra() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            if not over.is_set():
                kept.append(asyncio.create_task(hydra()))

    async def begin() -> None:
        kept.append(asyncio.create_task(hydra()))
        await asyncio.sleep(0)

    gs.batch(heard(gs.Cmd.call(begin)), [], effects=gs.Effects(grace=0))
    over.set()
    assert [thread for thread in threading.enumerate() if thread.name == "go_state effects"] == []


def test_an_interrupted_beginning_loses_no_thread() -> None:
    """Wherever Ctrl-C comes, a thread that was to begin a call ends with the others."""

    def interrupted(interrupt: Interrupt) -> None:
        threads: Threads[str] = Threads(1)
        threads.begin("first", int)
        while threads.busy():
            pass
        with interrupt:
            threads.begin("second", int)
            threads.forget("second")
            threads.busy()
        ending = threading.Thread(target=threads.wait, args=(20,), daemon=True)
        ending.start()
        ending.join(20)
        assert not ending.is_alive()
        assert [thread for thread in threading.enumerate() if thread.name == "go_state effect"] == []

    at_every_point(interrupted)


def test_a_thread_that_hangs_does_not_keep_the_others_from_being_joined() -> None:
    """Work that no thread has taken yet is not waited for longer than asked, and all that have ended are joined."""
    hanging = threading.Event()
    threads: Threads[int] = Threads(3)
    for name in range(3):
        threads.begin(name, int)
    while threads.busy():
        pass
    threads.begin(3, hanging.wait)
    threads.wait(0)
    left = [thread for thread in threading.enumerate() if thread.name == "go_state effect"]
    assert (threads.busy(), len(left)) == ([3], 1)
    hanging.set()
    threads.wait(20)
    assert not [thread for thread in threading.enumerate() if thread.name == "go_state effect"]
