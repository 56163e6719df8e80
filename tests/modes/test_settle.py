"""`settle` waits until an app has nothing to do: what was sent before it is through, and so is all that it led to."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any, Self

import pytest

import go_state as gs
from go_state.testing import SimClock


def count_down(model: int, msg: int) -> gs.Step[int, int]:
    """Go on by a message, a call in a thread and one after the other, until nothing is left."""
    match msg % 3:
        case _ if msg == 0:
            return model + 1, ()
        case 0:
            return model + 1, [gs.Cmd.send(msg - 1)]
        case 1:
            return model + 1, [gs.Cmd.call(lambda: msg - 1, ok=int, thread=True)]
        case _:
            return model + 1, [gs.Cmd.seq(gs.Cmd.call(int, ok=lambda _: None, thread=True), gs.Cmd.send(msg - 1))]


program: gs.Program[int, int] = gs.Program(lambda: (0, ()), count_down)


@pytest.mark.slow
@pytest.mark.parametrize("durability", [None, "group", "put"])
def test_all_that_it_led_to_is_done(tmp_path: Path, durability: Any) -> None:
    """Messages, calls and what follows them have had their turns, and with a journal the disk knows."""
    with gs.LMDBStore(tmp_path / "s") as store:
        options: Any = {} if durability is None else {"store": store, "key": "a", "durability": durability}
        with gs.start(program, **options) as app:
            for number in range(3):
                app.send(20, 5)
                app.settle(20)
                assert app.model == (number + 1) * 27
                assert app.statistics().queue_size == 0
            if durability:
                assert store.journal("a").cursors()["program"] == app.model


async def test_on_an_event_loop(tmp_path: Path) -> None:
    """`settle_async` waits there, for an app with a journal and one without."""
    with gs.LMDBStore(tmp_path / "s") as store:
        for options in ({}, {"store": store, "key": "a"}):
            async with gs.start_async(program, **options) as app:  # type: ignore[arg-type]
                app.send(20)
                await app.settle_async(20)
                assert app.model == 21


def test_one_that_has_nothing_to_do_is_settled() -> None:
    """It returns at once, also again and again."""
    with gs.start(program) as app:
        for _ in range(100):
            app.settle(5)


def test_timers_are_not_waited_for() -> None:
    """A timer of a day is no work; its turn, once it has come, is."""

    def nap(model: int, msg: str) -> gs.Step[int, str]:
        return model + 1, [gs.Cmd.after(86400, "woken")] if msg == "nap" else ()

    clock = SimClock()
    with gs.start(gs.Program(lambda: (0, ()), nap), clock=clock) as app:
        app.send("nap")
        app.settle(5)
        assert app.model == 1
        clock.advance(86400)
        app.settle(5)
        assert app.model == 2
        app.stop(drain=False)


def test_it_keeps_to_its_time_and_says_what_is_left() -> None:
    """A call that does not return is named by how many run."""
    go_on = threading.Event()

    def wait(model: int, msg: int) -> gs.Step[int, int]:
        return model, [gs.Cmd.call(go_on.wait, 10, ok=lambda _: None, thread=True)]

    with gs.start(gs.Program(lambda: (0, ()), wait)) as app:
        app.send(1)
        with pytest.raises(gs.TimedOut, match=r"still busy after 0\.05 seconds"):
            app.settle(0.05)
        go_on.set()
        app.settle(5)


def test_within_a_turn_or_a_command_it_is_refused() -> None:
    """It would wait for itself."""
    errors: list[Exception] = []
    apps: list[Any] = []

    def settle() -> None:
        try:
            apps[0].settle(1)
        except gs.UsageError as error:
            errors.append(error)

    def update(model: int, msg: int) -> gs.Step[int, int]:
        settle()
        return model, [gs.Cmd.call(settle, thread=True)]

    with gs.start(gs.Program(lambda: (0, ()), update)) as app:
        apps.append(app)
        app.send(1)
        app.settle(5)
    assert ["this one is not over" in str(error) for error in errors] == [True, False]
    assert "no command is running, and this one is" in str(errors[1])


@pytest.mark.parametrize("how", ["fails", "is stopped"])
def test_an_app_that_ends_before_says_so(how: str) -> None:
    """Whoever waits is told that not everything was done, and why."""
    entered, go_on = threading.Event(), threading.Event()

    def update(model: int, msg: int) -> gs.Step[int, int]:
        entered.set()
        go_on.wait(10)
        if how == "fails":
            raise ValueError(msg)
        return model, ()

    app = gs.start(gs.Program(lambda: (0, ()), update))
    app.send(1, 2)
    assert entered.wait(10)
    found: list[BaseException] = []

    def settle() -> None:
        try:
            app.settle(10)
        except gs.Closed as error:
            found.append(error)

    waiting = threading.Thread(target=settle)
    waiting.start()
    while not app.life.settling.waiting:
        pass
    if how == "is stopped":
        app.life.ask_to_end(drain=False)
    go_on.set()
    waiting.join(10)
    assert len(found) == 1
    assert isinstance(found[0].__cause__, ValueError if how == "fails" else gs.Closed)
    with pytest.raises(gs.Closed):
        app.settle()


def test_one_that_has_drained_is_settled() -> None:
    """After an end in which everything was done there is nothing to wait for."""
    with gs.start(program) as app:
        app.send(20)
    app.settle()
    assert app.model == 21


def test_it_is_cancelled_and_interrupted_without_a_trace() -> None:
    """A task that waits no longer is in nobody's list."""

    async def main() -> None:
        go_on = asyncio.Event()

        def wait(model: int, msg: int) -> gs.Step[int, int]:
            return model, [gs.Cmd.call(go_on.wait, ok=lambda _: None)]

        async with gs.start_async(gs.Program(lambda: (0, ()), wait)) as app:
            app.send(1)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(app.settle_async(), 0.05)
            assert not app.life.settling.waiting
            go_on.set()

    asyncio.run(main())


def model(app: Any) -> Any:
    """Return a program's model, once there is one."""
    app.ready(10)
    return app.model


@pytest.mark.slow
def test_keyed_programs_that_send_each_other_are_waited_for(tmp_path: Path) -> None:
    """What one sends to another, at rest or running, is done as well, and nobody is started by it who has nothing to do."""
    with gs.LMDBStore(tmp_path / "s") as store:
        rooms: list[Any] = []

        def pass_on(key: str, number: int) -> None:
            rooms[0].send(key, number)

        def init(key: str) -> gs.Step[tuple[str, int], int]:
            return (key, 0), ()

        def update(model: tuple[str, int], msg: int) -> gs.Step[tuple[str, int], int]:
            key, got = model
            following = str((int(key) + 1) % 5)
            return (key, got + 1), [gs.Cmd.call(pass_on, following, msg - 1, thread=True)] if msg else ()

        with gs.start_keyed(gs.Program(init, update), store=store, idle=0.01) as apps:
            rooms.append(apps)
            apps.settle(5)
            assert list(apps) == []
            apps.send("0", 49)
            apps.settle(30)
            assert [model(apps[str(key)])[1] for key in range(5)] == [10] * 5


def test_a_key_at_rest_is_settled_and_stays_there() -> None:
    """It is not started; one whose program has failed says so."""
    with gs.start_keyed(program) as apps:
        apps["a"].settle(1)
        assert list(apps) == []
        apps.send("a", 20)
        apps["a"].settle(10)
        assert apps["a"].model == 21


# ---------------------------------------------------------------------- while others keep sending


class Traffic:
    """Threads that keep a program busy with calls, of which one always runs, until the block is left."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(3)]

    def _run(self) -> None:
        while not self._over.is_set():
            self._app.apply(1000)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def seen(model: frozenset[int], msg: int) -> gs.Step[frozenset[int], int]:
    """Remember messages below a thousand, each of which goes on by another way; those from a thousand on are the others'."""
    if msg >= 1000:
        return model, [gs.Cmd.call(time.sleep, 0.02, ok=lambda _: None, thread=True)]
    return model | {msg}, count_down(0, msg)[1]


busy: gs.Program[frozenset[int], int] = gs.Program(lambda: (frozenset(), ()), seen)


@pytest.mark.parametrize("durability", [None, "group", "put"])
def test_it_returns_while_others_keep_sending(tmp_path: Path, durability: Any) -> None:
    """What was sent before is done, with all that it led to, and the rest, whose calls never all end, is not waited for."""
    with gs.LMDBStore(tmp_path / "s") as store:
        options: Any = {} if durability is None else {"store": store, "key": "a", "durability": durability}
        with gs.start(busy, **options) as app, Traffic(app):
            for number in (5, 8):
                app.send(number)
                app.settle(30)
                assert app.model >= set(range(number + 1))
                if durability:
                    kept = gs.peek(busy, store, key="a")
                    assert kept is not None
                    assert kept.model >= set(range(number + 1))


async def test_it_returns_on_an_event_loop_while_others_keep_sending(tmp_path: Path) -> None:
    """So it does where the others are tasks, and a moment without a call never comes."""
    with gs.LMDBStore(tmp_path / "s") as store:
        for options in ({}, {"store": store, "key": "a"}, {"store": store, "key": "b", "durability": "put"}):
            async with gs.start_async(busy, **options) as app:  # type: ignore[arg-type]

                async def send() -> None:
                    while True:
                        await app.apply_async(1000)

                others = [asyncio.create_task(send()) for _ in range(3)]
                for number in (5, 8):
                    app.send(number)
                    await app.settle_async(30)
                    assert app.model >= set(range(number + 1))
                for task in others:
                    task.cancel()
                await asyncio.gather(*others, return_exceptions=True)
            assert not app.life.settling.waiting


async def test_keyed_programs_are_settled_while_others_keep_sending(tmp_path: Path) -> None:
    """What was sent to each key is done, with what the keys have sent each other of it, however much comes meanwhile."""
    rooms: list[Any] = []

    def update(model: frozenset[int], msg: int) -> gs.Step[frozenset[int], int]:
        if msg >= 1000:
            return model, [gs.Cmd.call(asyncio.sleep, 0.02, ok=lambda _: None)]
        return model | {msg}, [gs.Cmd.call(rooms[0].send, str(msg % 3), msg - 1)] if msg else ()

    async def keep_sending(key: str) -> None:
        while True:
            await rooms[0][key].apply_async(1000)

    with gs.LMDBStore(tmp_path / "s") as store:
        async with gs.start_keyed_async(gs.Program(lambda: (frozenset(), ()), update), store=store) as apps:
            rooms.append(apps)
            others = [asyncio.create_task(keep_sending(key)) for key in "012012"]
            for number in (5, 12):
                apps.send("2", number)
                await apps.settle_async(30)
                assert frozenset().union(*(apps[key].model for key in "012")) >= set(range(number + 1))
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
