"""`app.effects()`: what runs, waits, is tried again and is scheduled, asked from any thread."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

import go_state as gs

LONG = 20.0


class Gate:
    """Commands that begin when they are told to, and end when they are told to."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.open = threading.Event()

    def thread(self, text: str) -> str:
        self.begun.release()
        assert self.open.wait(LONG)
        return text

    async def task(self, text: str) -> str:
        self.begun.release()
        await asyncio.to_thread(self.open.wait, LONG)
        return text


def program(*commands: gs.Cmd[str]) -> gs.Program[int, str]:
    return gs.Program(lambda: (0, ()), lambda model, msg: (model + 1, commands if msg == "go" else ()))


def test_what_runs_and_what_waits() -> None:
    """In the order of their beginning: for its key, for room; each with its id, its function and since when."""
    gate, clock = Gate(), gs.testing.SimClock(100.0)
    commands = (
        gs.Cmd.call(gate.task, "a", key="k", timeout=50),
        gs.Cmd.call(gate.task, "b", key="k", busy="queue"),
        gs.Cmd.seq(gs.Cmd.call(gate.thread, "c", thread=True), gs.Cmd.call(gate.task, "d")),
        gs.Cmd.call(gate.thread, "e", thread=True),
        gs.Cmd.after(10, "f", key="t"),
    )
    with gs.start(program(*commands), clock=clock, effects=gs.Effects(at_once=2)) as app:
        assert app.effects() == []
        app.apply("go")
        for _ in range(2):
            assert gate.begun.acquire(timeout=LONG)
        found = app.effects()
        gate.open.set()
        app.stop(drain=False)  # its timer is not due before the clock is moved
    run_id = found[0].id.partition("/")[0]
    assert found == [
        gs.app.RunningEffect(f"{run_id}/0+0/0", "Gate.task", "k", None, "running", 100.0, 1, 150.0),
        gs.app.RunningEffect(f"{run_id}/0+0/1", "Gate.task", "k", None, "waiting", 100.0, 0, None),
        gs.app.RunningEffect(f"{run_id}/0+0/2.0", "Gate.thread", None, f"{run_id}/0+0/2", "running", 100.0, 1, None),
        gs.app.RunningEffect(f"{run_id}/0+0/3", "Gate.thread", None, None, "waiting", 100.0, 0, None),
        gs.app.RunningEffect(f"{run_id}/0+0/4", "after", "t", None, "scheduled", 100.0, 0, 110.0),
    ]
    assert app.effects() == []


def test_what_is_tried_again() -> None:
    """With how many tries were begun, and when the next one is."""
    tried = threading.Semaphore(0)

    def fail() -> str:
        tried.release()
        raise LookupError

    clock = gs.testing.SimClock(100.0)
    retry = gs.Retry(attempts=9, wait=8, jitter=0)
    with gs.start(program(gs.Cmd.call(fail, thread=True, retry=retry)), clock=clock) as app:
        app.apply("go")
        assert tried.acquire(timeout=LONG)
        clock.advance(0)
        (waits,) = app.effects()
        assert (waits.state, waits.tries, waits.since, waits.due) == ("retrying", 1, 100.0, 108.0)
        clock.advance(8)
        assert tried.acquire(timeout=LONG)
        clock.advance(0)
        (waits,) = app.effects()
        assert (waits.state, waits.tries, waits.due) == ("retrying", 2, 108.0 + 16)
        app.stop(drain=False)


async def test_on_an_event_loop_and_with_a_journal(tmp_path: Path) -> None:
    """The id is the one that a command asks for, also after a restart."""
    gate, ids = Gate(), list[str]()

    async def task() -> str:
        ids.append(gs.effect_id())
        return await gate.task("done")

    def update(model: int, msg: str) -> gs.Step[int, str]:
        return model + 1, [gs.Cmd.call(task)] if msg == "go" else ()

    kept: gs.Program[int, str] = gs.Program(lambda: (0, ()), update)
    with gs.LMDBStore(tmp_path / "s") as store:
        for again in (False, True):
            async with gs.start_async(kept, store=store, key="k") as app:
                if not again:
                    await app.apply_async("go")
                assert await asyncio.to_thread(gate.begun.acquire, timeout=LONG)
                assert [effect.id for effect in app.effects()] == ids[-1:]
                if again:
                    gate.open.set()
                else:
                    await app.stop_async(drain=False)
    assert len(set(ids)) == 1


def test_of_one_program_among_many() -> None:
    """A program at rest has none, and is not started to find that out."""
    gate = Gate()
    with gs.start_keyed(program(gs.Cmd.call(gate.thread, "x", thread=True))) as apps:
        assert apps["a"].effects() == []
        assert "a" not in apps
        apps["a"].send("go")
        assert gate.begun.acquire(timeout=LONG)
        assert [effect.function for effect in apps["a"].effects()] == ["Gate.thread"]
        assert apps["b"].effects() == []
        gate.open.set()


def test_asked_while_effects_come_and_go() -> None:
    """From other threads, however they are switched: each answer is a list, with ids of one run, and the run does not notice."""

    async def soon() -> str:
        await asyncio.sleep(0)
        return "done"

    over, seen, run_ids = threading.Event(), list[int](), set[str]()

    def look() -> None:
        while not over.is_set():
            found = app.effects()
            run_ids.update(effect.id.partition("/")[0] for effect in found)
            seen.append(len(found))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    lookers = [threading.Thread(target=look) for _ in range(3)]
    try:
        with gs.start(program(*[gs.Cmd.call(soon) for _ in range(5)])) as app:
            for each in lookers:
                each.start()
            for _ in range(100):
                app.send("go")
    finally:
        over.set()
        sys.setswitchinterval(interval)
        for each in lookers:
            each.join()
    assert app.model == 600
    assert max(seen) > 0
    assert len(run_ids) == 1
