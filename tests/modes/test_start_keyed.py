"""One program for each key: begun at first use, one at a time, at rest when idle, and nothing that was sent is lost."""

from __future__ import annotations

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import go_state as gs


@dataclass(frozen=True)
class Room:
    name: str
    said: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Say:
    who: int
    number: int


def init(name: str) -> gs.Step[Room, Say]:
    return Room(name), ()


def update(model: Room, msg: Say) -> gs.Step[Room, Say]:
    if msg.number < 0:
        raise ValueError("negative")
    return replace(model, said=(*model.said, (msg.who, msg.number))), [gs.Cmd.reply(len(model.said))]


room: gs.Program[Room, Say] = gs.Program(init, update)


def loaded(store: gs.LMDBStore, key: str) -> Room:
    found = gs.load_model(gs.Program(lambda: (Room(key), ()), update), store=store, key=key)
    assert found is not None
    return found


def in_order(model: Room) -> bool:
    """Tell whether what each one has said is there once and in order."""
    by_sender: dict[int, list[int]] = {}
    for who, number in model.said:
        by_sender.setdefault(who, []).append(number)
    return all(numbers == list(range(len(numbers))) for numbers in by_sender.values())


def test_a_key_has_its_own_program() -> None:
    """Each key has a model of its own, begun with the key at its first use."""
    with gs.start_keyed(room) as rooms:
        assert len(rooms) == 0
        assert rooms["a"].apply(Say(1, 0)) == Room("a", ((1, 0),))
        assert rooms["b"].ask(Say(1, 0)) == 0
        rooms["a"].send(Say(1, 1))
        assert rooms["a"].ask(Say(1, 2)) == 2
        assert list(rooms) == ["b", "a"]
        assert (rooms["a"].model.name, rooms["a"].version) == ("a", 4)
    with pytest.raises(gs.Closed):
        rooms["a"].send(Say(1, 3))
    with pytest.raises(gs.UsageError, match="a string"):
        rooms[1]  # type: ignore[index]


@pytest.mark.parametrize("snapshots", [gs.Snapshots(), gs.Snapshots(seconds=60)])
def test_idle_programs_rest_and_come_back(tmp_path: Path, snapshots: gs.Snapshots) -> None:
    """A program that nobody uses ends, saved, whenever its next snapshot would be due; the next use goes on where it was."""
    with gs.LMDBStore(tmp_path / "s") as store, gs.start_keyed(room, store=store, idle=0.01, snapshots=snapshots) as rooms:
        rooms["a"].apply(Say(1, 0))
        resting = rooms.directory.places["a"].present
        resting.wait(10)
        assert "a" not in rooms
        assert rooms["a"].apply(Say(1, 1)) == Room("a", ((1, 0), (1, 1)))
        assert rooms.directory.places["a"].present is not resting
    assert threading.active_count() == 1


def test_a_watched_program_does_not_rest() -> None:
    """While somebody waits for its models, a program is not idle; afterwards it is, and the watcher of the next one begins anew."""
    with gs.start_keyed(room, idle=0.01) as rooms, ThreadPoolExecutor(1) as pool:
        watcher = rooms["a"].watch()
        watcher.get()
        app = rooms.directory.places["a"].present
        waiting = pool.submit(watcher.get)
        with pytest.raises(gs.TimedOut):
            app.wait(0.1)
        rooms["a"].send(Say(1, 0))
        assert waiting.result(5).said == ((1, 0),)
        app.wait(10)
        with pytest.raises(gs.Closed):
            watcher.get()


def test_a_program_with_something_under_way_does_not_rest() -> None:
    """It rests only after its commands have landed and its subscriptions are over; those that it then ends are let go."""
    clock = gs.testing.SimClock()

    def update_nap(model: tuple[str, ...], msg: str) -> gs.Step[tuple[str, ...], str]:
        return (*model, msg), [gs.Cmd.after(60, "woken")] if msg == "nap" else ()

    def alarms(model: tuple[str, ...]) -> list[gs.Sub[str]]:
        return [gs.Sub.at(90, "alarm")] if "alarm" not in model and "nap" in model else []

    nap = gs.Program(lambda: ((), ()), update_nap, subscriptions=alarms)
    with gs.start_keyed(nap, idle=0.01, clock=clock) as rooms:
        assert rooms["a"].apply("nap") == ("nap",)
        app = rooms.directory.places["a"].present
        for seconds in (0, 60):
            clock.advance(seconds)
            with pytest.raises(gs.TimedOut):
                app.wait(0.05)
        clock.advance(30)
        app.wait(10)
        assert app.model == ("nap", "woken", "alarm")
        assert "a" not in rooms


def test_their_number_is_bounded(tmp_path: Path) -> None:
    """Beyond the limit the least recently used is put to rest, and everything is there in the end."""
    with gs.LMDBStore(tmp_path / "s") as store:
        with gs.start_keyed(room, store=store, limit=3) as rooms:
            for number in range(20):
                rooms[str(number % 10)].apply(Say(1, number // 10))
            assert len(rooms) <= 5
        assert all(loaded(store, str(key)).said == ((1, 0), (1, 1)) for key in range(10))


def test_a_failing_program_is_its_own_affair() -> None:
    """A program that fails refuses further use and is raised from the block; others go on."""
    rooms = gs.start_keyed(room)
    with pytest.raises(ValueError, match="negative"):
        rooms["bad"].apply(Say(1, -1))
    with pytest.raises(gs.Closed, match="'bad' has failed"):
        rooms["bad"].send(Say(1, 0))
    assert rooms["good"].apply(Say(1, 0)).said == ((1, 0),)
    with pytest.raises(ExceptionGroup) as raised, rooms:
        pass
    assert [type(error) for error in raised.value.exceptions] == [ValueError]


def hammer(rooms: Any, who: int, keys: int) -> dict[str, int]:
    """Send to random keys, with pauses in which they fall idle; return how many messages each got."""
    chance, sent = random.Random(who), dict.fromkeys(map(str, range(keys)), 0)
    for _ in range(300):
        key = str(chance.randrange(keys))
        say = Say(who, sent[key])
        if chance.random() < 0.2:
            rooms[key].apply(say, timeout=30)
        else:
            rooms[key].send(say)
        sent[key] += 1
        if chance.random() < 0.05:
            threading.Event().wait(chance.random() / 100)
    return sent


@pytest.mark.slow
def test_threads_at_few_keys(tmp_path: Path) -> None:
    """Eight threads use four keys that keep falling idle: each message is applied once and in order, on a journal."""
    with gs.LMDBStore(tmp_path / "s") as store:
        with gs.start_keyed(room, store=store, idle=0.001, limit=3) as rooms, ThreadPoolExecutor(8) as pool:
            sent = list(pool.map(lambda who: hammer(rooms, who, 4), range(8)))
        for key in map(str, range(4)):
            model = loaded(store, key)
            assert in_order(model)
            assert len(model.said) == sum(each[key] for each in sent)


@pytest.mark.slow
async def test_a_thousand_keys_at_once(tmp_path: Path) -> None:
    """Fifty tasks use a thousand keys with a short idle time: each message once, in order, one instance, a bounded number."""
    running: dict[str, int] = {}
    most = 0

    def counted(name: str) -> gs.Step[Room, Say]:
        running[name] = running.get(name, 0) + 1
        return Room(name), ()

    program = gs.Program(counted, update)
    sent: dict[str, int] = {}

    async def use(rooms: gs.KeyedApps[Room, Say], who: int) -> None:
        nonlocal most
        chance = random.Random(who)
        mine: dict[str, int] = {}
        for _ in range(60):
            key = str(chance.randrange(1000))
            say = Say(who, mine.get(key, 0))
            mine[key] = mine.get(key, 0) + 1
            sent[key] = sent.get(key, 0) + 1
            if chance.random() < 0.3:
                await rooms[key].apply_async(say, timeout=60)
            else:
                rooms[key].send(say)
                await asyncio.sleep(0)
            most = max(most, len(rooms))

    with gs.LMDBStore(tmp_path / "s") as store:
        async with gs.start_keyed_async(program, store=store, idle=0.02, limit=200) as rooms:
            await asyncio.gather(*[use(rooms, who) for who in range(50)])
        assert all(count == 1 for count in running.values())  # with a store a program begins once, and is loaded after that
        for key, count in sent.items():
            model = loaded(store, key)
            assert in_order(model)
            assert len(model.said) == count
    assert most <= 1000


async def test_what_is_sent_while_it_ends_goes_to_the_next(tmp_path: Path) -> None:
    """Messages that come while a program is being put to rest are kept, in order, for the next one."""
    with gs.LMDBStore(tmp_path / "s") as store:
        async with gs.start_keyed_async(room, store=store) as rooms:
            await rooms["a"].apply_async(Say(1, 0))
            first = rooms.directory.places["a"].present
            first.life.ask_to_end()
            rooms["a"].send(Say(1, 1))
            rooms["a"].send(Say(1, 2))
            assert await rooms["a"].ask_async(Say(1, 3)) == 3
            assert rooms.directory.places["a"].present is not first


def test_wrong_arguments_teach() -> None:
    """A limit, an idle time and what belongs to a store are looked at."""
    for wrong in ({"idle": 0}, {"limit": 0}, {"snapshots": gs.Snapshots(every=1)}):
        with pytest.raises(gs.UsageError):
            gs.start_keyed(room, **wrong)  # type: ignore[arg-type]
