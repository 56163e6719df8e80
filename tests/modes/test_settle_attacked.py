"""`settle` and `run_async` under attack: threads that change at every step, and a cancellation at every await."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from app_support import KINDS
from cancels import CancelledAt, at_every_await

import go_state as gs

Msg = tuple[int, int]
"""Who has sent it, and how many follow from it."""
Counts = dict[int, int]
"""How many messages each sender's have come to."""


async def go_on(who: int, left: int) -> Msg:
    return who, left


def count(model: Counts, msg: Msg) -> gs.Step[Counts, Msg]:
    """Go on by a message, a call, and one after the other, until nothing is left."""
    who, left = msg
    model = {**model, who: model.get(who, 0) + 1}
    match left % 3:
        case _ if left == 0:
            return model, ()
        case 0:
            return model, [gs.Cmd.send((who, left - 1))]
        case 1:
            return model, [gs.Cmd.call(lambda: (who, left - 1), thread=True)]
        case _:
            return model, [gs.Cmd.seq(gs.Cmd.call(int, ok=lambda _: None, thread=True), gs.Cmd.send((who, left - 1)))]


program: gs.Program[Counts, Msg] = gs.Program(lambda: ({}, ()), count)


@pytest.fixture
def often_switched() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("name", KINDS)
def test_threads_that_change_at_every_step(name: str, tmp_path: Path, often_switched: None) -> None:
    """Four threads send and settle at once: each finds its own messages done, with all that they led to, and none waits for ever."""
    wrong: list[object] = []

    def work(app: gs.App[Counts, Msg], who: int) -> None:
        try:
            for number in range(1, 11):
                app.send((who, 4))
                app.settle(60)
                if app.model[who] != number * 5:
                    wrong.append((who, number, app.model))
        except Exception as error:
            wrong.append(error)

    def attack(app: gs.App[Counts, Msg]) -> None:
        threads = [threading.Thread(target=work, args=(app, who)) for who in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert not any(thread.is_alive() for thread in threads)

    async def on_a_loop() -> None:
        async with gs.start_async(program, **options) as app:
            await asyncio.to_thread(attack, app)
            assert not app.life.settling.waiting

    with gs.LMDBStore(tmp_path / "s") as store:
        options: Any = {"store": store, "key": "k"} if "journal" in name else {}
        if "loop" in name:
            asyncio.run(on_a_loop())
        else:
            with gs.start(program, **options) as app:
                attack(app)
                assert not app.life.settling.waiting
    assert wrong == []


def hand_on(model: Counts, msg: Msg) -> gs.Step[Counts, Msg]:
    """Go on by a task on the event loop, or by a message."""
    who, left = msg
    model = {**model, who: model.get(who, 0) + 1}
    sent = gs.Cmd.call(go_on, who, left - 1) if left % 2 else gs.Cmd.send((who, left - 1))
    return model, [sent] if left else ()


tasks: gs.Program[Counts, Msg] = gs.Program(lambda: ({}, ()), hand_on)


@pytest.mark.parametrize("stored", [False, True])
async def test_a_settle_that_is_cancelled_at_every_await(stored: bool, tmp_path: Path) -> None:
    """It leaves nobody in the list, the app goes on, and the next one returns when all is done."""
    with gs.LMDBStore(tmp_path / "s") as store:
        options: Any = {"store": store, "key": "k"} if stored else {}
        async with gs.start_async(tasks, **options) as app:
            done = 0

            async def settle(cancelled: CancelledAt) -> None:
                nonlocal done
                app.send((0, 5))
                done += 6
                try:
                    await cancelled(app.settle_async(60))
                except asyncio.CancelledError:
                    assert cancelled.came
                assert not app.life.settling.waiting
                await app.settle_async(60)
                assert app.model[0] == done

            await at_every_await(settle, least=1)
            for turns in range(
                40
            ):  # of the event loop, after which somebody who waits is cancelled, however far the app is by then
                app.send((0, 5))
                done += 6
                waiting = asyncio.create_task(app.settle_async(60))
                for _ in range(turns):
                    await asyncio.sleep(0)
                waiting.cancel()
                await asyncio.wait([waiting])
                assert not app.life.settling.waiting
                await app.settle_async(60)
                assert app.model[0] == done


def noting(model: tuple[int, ...], msg: int) -> gs.Step[tuple[int, ...], int]:
    return (*model, msg), [gs.Cmd.call(again, msg)] if msg < 100 else ()


async def again(msg: int) -> int:
    for _ in range(5 * msg):
        await asyncio.sleep(0)
    return 100 + msg


async def test_a_run_that_is_cancelled_at_every_await() -> None:
    """What was committed is not given again, and the next run has the others, each once, in order."""

    async def run(cancelled: CancelledAt) -> None:
        shown: list[tuple[int, ...]] = [()]
        program: gs.Program[tuple[int, ...], int] = gs.Program(lambda: ((), ()), noting, view=shown.append)
        buffer: gs.Buffer[int] = gs.Buffer()
        buffer.put(*range(5))
        buffer.close()
        try:
            await cancelled(gs.run_async(program, buffer))
        except asyncio.CancelledError:
            assert cancelled.came
            first = shown[-1]
            await gs.run_async(program, buffer)
            shown[-1] = first + shown[-1]
        assert [each for each in shown[-1] if each < 100] == [*range(5)]

    await at_every_await(run, least=5)


async def test_a_durable_run_that_is_cancelled_at_every_await(tmp_path: Path) -> None:
    """The next one goes on where it was: every message has its turn once, and what its calls bring is there at least once."""
    numbers = iter(range(10_000))

    async def run(cancelled: CancelledAt) -> None:
        key = str(next(numbers))
        journal = store.journal(key, of=Msg)
        journal.put(*((who, 3) for who in range(4)))
        try:
            await cancelled(drained(key, journal))
        except asyncio.CancelledError:
            assert cancelled.came
            again = store.journal(key, of=Msg)
            model = await drained(key, again)
        else:
            model = gs.load_model(tasks, store=store, key=key)
        assert model is not None
        assert model.keys() == {0, 1, 2, 3}
        assert all(each >= 4 for each in model.values())
        assert gs.verify(tasks, store.journal(key, of=Msg)).ok
        store.journal(key, of=Msg).close()

    async def drained(key: str, journal: gs.Journal[Msg]) -> Counts:
        journal.close()
        return await gs.run_async(tasks, journal, store=store, key=key)

    with gs.LMDBStore(tmp_path / "s") as store:
        await at_every_await(run, least=5)
