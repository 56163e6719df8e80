"""Programs at rest are woken when they have something to do by themselves, by times that their store keeps."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import go_state as gs
from go_state.storage.records.writes.wakes import WakeTimes, read_all_wakes, read_wake, wake_name
from go_state.testing import SimClock

IDLE = 0.01


@dataclass(frozen=True)
class Guild:
    name: str
    due: tuple[float, ...] = ()
    reminded: tuple[float, ...] = ()
    beats: int = 0
    every: float = 0.0


@dataclass(frozen=True)
class Remind:
    at: float


@dataclass(frozen=True)
class Due:
    at: float


@dataclass(frozen=True)
class Nap:
    seconds: float


@dataclass(frozen=True)
class Beat:
    pass


@dataclass(frozen=True)
class BeatEach:
    seconds: float


Msg = Remind | Due | Nap | Beat | BeatEach


def init(name: str) -> gs.Step[Guild, Msg]:
    return Guild(name), ()


def update(model: Guild, msg: Msg) -> gs.Step[Guild, Msg]:
    match msg:
        case Remind(at):
            return replace(model, due=(*model.due, at)), ()
        case Due(at):
            left = tuple(each for each in model.due if each != at)
            return replace(model, due=left, reminded=(*model.reminded, at)), ()
        case Nap(seconds):
            return model, [gs.Cmd.after(seconds, Due(-seconds))]
        case Beat():
            return replace(model, beats=model.beats + 1), ()
        case BeatEach(seconds):
            return replace(model, every=seconds), ()


def subscriptions(model: Guild) -> list[gs.Sub[Msg]]:
    beats = [gs.Sub.every(model.every, Beat())] if model.every else []
    return [*beats, *(gs.Sub.at(at, Due(at), key=at) for at in model.due)]


guild: gs.Program[Guild, Msg] = gs.Program(init, update, subscriptions=subscriptions)


def rest(guilds: gs.KeyedApps[Guild, Msg], key: str) -> None:
    """Wait until the key's program is at rest."""
    place: Any = guilds.directory.places.get(key)
    if place is not None:
        place.over.watch().get(10)


def rested(store: gs.LMDBStore, key: str, *messages: Msg, clock: SimClock) -> None:
    """Give a program messages and put it to rest."""
    with gs.start_keyed(guild, store=store, clock=clock) as guilds:
        for message in messages:
            guilds[key].apply(message)


def due(store: gs.LMDBStore, key: str) -> float | None:
    return read_wake(store.backend, wake_name("", key)).due


def model_of(store: gs.LMDBStore, key: str) -> Guild:
    found = gs.load_model(gs.Program(lambda: init(key), update), store=store, key=key)
    assert found is not None
    return found


def test_one_at_rest_is_woken_at_its_time(tmp_path: Path) -> None:
    """A program that fell idle is started when its reminder is due, gets it once, and rests again."""
    clock = SimClock()
    with gs.LMDBStore(tmp_path / "s") as store, gs.start_keyed(guild, store=store, idle=IDLE, clock=clock) as guilds:
        guilds["a"].apply(Remind(100.0))
        rest(guilds, "a")
        assert "a" not in guilds
        assert due(store, "a") == 100.0
        clock.advance(99)
        assert "a" not in guilds
        clock.advance(2)
        rest(guilds, "a")
        assert due(store, "a") is None
        assert model_of(store, "a").reminded == (100.0,)


@pytest.mark.parametrize(("message", "says"), [(Remind(50.0), (50.0,)), (Nap(50.0), (-50.0,))], ids=["Sub.at", "Cmd.after"])
def test_a_new_process_wakes_what_rests_in_the_store(tmp_path: Path, message: Msg, says: tuple[float, ...]) -> None:
    """What was left at rest is found by one scan, nothing else is started, and each timer ends when it would have ended."""
    clock = SimClock()
    with gs.LMDBStore(tmp_path / "s") as store:
        rested(store, "a", message, clock=clock)
        rested(store, "b", clock=clock)
        clock.advance(20)
        with gs.start_keyed(guild, store=store, idle=IDLE, clock=clock) as guilds:
            clock.advance(29)
            assert list(guilds) == []
            clock.advance(2)
            rest(guilds, "a")
            assert list(guilds) == []
            clock.advance(1000)
            assert list(guilds) == []
        assert model_of(store, "a").reminded == says


def test_what_was_due_meanwhile_comes_at_the_start(tmp_path: Path) -> None:
    """A reminder whose time has come while no process ran is given when there is one."""
    clock = SimClock()
    with gs.LMDBStore(tmp_path / "s") as store:
        rested(store, "a", Remind(10.0), Remind(20.0), clock=clock)
        clock.advance(1000)
        with gs.start_keyed(guild, store=store, clock=clock) as guilds:
            clock.settle()
            guilds.settle(10)
            assert guilds["a"].model.reminded in ((10.0, 20.0), (20.0, 10.0))


def test_beats_go_on_while_the_program_rests(tmp_path: Path) -> None:
    """What beats each ten minutes is started for each beat, at the times that it would have had anyway."""
    clock = SimClock()
    with gs.LMDBStore(tmp_path / "s") as store:
        with gs.start_keyed(guild, store=store, idle=IDLE, clock=clock) as guilds:
            guilds["a"].apply(BeatEach(600.0))
            for _ in range(3):
                rest(guilds, "a")
                clock.advance(600)
            rest(guilds, "a")
        assert model_of(store, "a").beats == 3
        assert read_wake(store.backend, wake_name("", "a")) == WakeTimes(2400.0, {600.0: 2400.0})


def test_beyond_the_limit_they_rest_with_their_timers(tmp_path: Path) -> None:
    """Least recently used programs are put to rest although they wait for something, and are woken for that."""
    clock = SimClock()
    with gs.LMDBStore(tmp_path / "s") as store, gs.start_keyed(guild, store=store, limit=3, clock=clock) as guilds:
        for number in range(12):
            guilds[str(number)].apply(Remind(100.0 + number) if number % 2 else Nap(100.0 + number))
        for number in range(9):
            rest(guilds, str(number))
        clock.advance(200)
        guilds.settle(10)
        for number in range(12):
            handle = guilds[str(number)]
            handle.ready(10)
            assert handle.model.reminded == ((100.0 + number) * (1 if number % 2 else -1),), number


async def test_programs_on_an_event_loop_are_woken_there(tmp_path: Path) -> None:
    """The alarm's thread starts nothing itself."""
    clock = SimClock()
    with gs.LMDBStore(tmp_path / "s") as store:
        async with gs.start_keyed_async(guild, store=store, idle=IDLE, clock=clock) as guilds:
            await guilds["a"].apply_async(Remind(100.0))
            over: Any = guilds.directory.places["a"].over
            await over.watch().get_async(10)
            await clock.advance_async(101)
            await guilds.settle_async(10)
        assert model_of(store, "a").reminded == (100.0,)
    assert threading.active_count() == 1


def test_what_is_not_processed_is_started_at_once(tmp_path: Path) -> None:
    """Messages that were durable when a process ended have their turns in the next, whether or not anybody uses their key."""
    with gs.LMDBStore(tmp_path / "s") as store:
        entered, go_on = threading.Event(), threading.Event()

        def held(model: Guild, msg: Msg) -> gs.Step[Guild, Msg]:
            entered.set()
            go_on.wait(10)
            return update(model, msg)

        stopping = gs.start_keyed(gs.Program(init, held, subscriptions=subscriptions), store=store, durability="put")
        stopping["a"].send(Remind(1.0))
        assert entered.wait(10)
        stopping["a"].send(Remind(2.0))
        ending = threading.Thread(target=lambda: stopping.stop(drain=False))
        ending.start()
        while not stopping.directory.is_closed or not stopping.directory.places["a"].present.life.is_draining:
            pass
        go_on.set()
        ending.join(10)
        assert due(store, "a") == 0.0
        with gs.start_keyed(guild, store=store, idle=IDLE) as guilds:
            while due(store, "a") is not None:
                guilds.settle(10)
        assert sorted(model_of(store, "a").reminded) == [1.0, 2.0]


def test_nothing_is_woken_that_has_nothing_due(tmp_path: Path) -> None:
    """Programs without timers leave no record behind, and a start reads nothing of them."""
    clock = SimClock()
    with gs.LMDBStore(tmp_path / "s") as store:
        rested(store, "a", Remind(5.0), clock=clock)
        for name in "bcd":
            rested(store, name, Remind(1.0), Due(1.0), clock=clock)
        assert read_all_wakes(store.backend, "") == {"a": 5.0}


def test_prefixes_are_groups_of_their_own(tmp_path: Path) -> None:
    """Programs of another prefix in the same store are left alone, though their names begin alike."""
    clock = SimClock()
    with gs.LMDBStore(tmp_path / "s") as store:
        for prefix in ("", "a", "ab"):
            with gs.start_keyed(guild, store=store, prefix=prefix, clock=clock) as guilds:
                guilds["bc"].apply(Remind(5.0))
        assert [list(read_all_wakes(store.backend, prefix)) for prefix in ("", "a", "ab", "abc")] == [["bc"]] * 3 + [[]]


def test_without_a_store_nothing_is_lost_to_rest() -> None:
    """A program in memory is not put to rest by idleness while it waits for something."""
    clock = SimClock()
    with gs.start_keyed(guild, idle=IDLE, clock=clock) as guilds:
        guilds["a"].apply(Remind(100.0))
        over: Any = guilds.directory.places["a"].over
        with pytest.raises(gs.TimedOut):
            over.watch().get(0.1)
        clock.advance(101)
        over.watch().get(10)


@pytest.mark.parametrize("use", ["apply", "stop"])
def test_leaving_does_not_wait_for_timers_that_are_stored(tmp_path: Path, use: str) -> None:
    """The end of the block waits for calls, not for a timer of a day: that is for the next life."""
    with gs.LMDBStore(tmp_path / "s") as store:
        with gs.start_keyed(guild, store=store) as guilds:
            guilds["a"].apply(Nap(86400.0))
            if use == "stop":
                guilds.stop(timeout=5)
        times = read_wake(store.backend, wake_name("", "a"))
        assert list(times.timers.values()) == [pytest.approx(times.due, abs=0.1)]


def test_a_reminder_that_is_in_the_journal_is_not_made_again(tmp_path: Path) -> None:
    """A time that is over begins nothing while the message about it waits for its turn, however many wait before it."""
    clock = SimClock()
    with gs.LMDBStore(tmp_path / "s") as store:
        rested(store, "a", Remind(10.0), clock=clock)
        with store.journal("a", of=Msg) as journal:
            journal.put(*[Beat()] * 50, Due(10.0))
        clock.advance(100)
        with gs.start_keyed(guild, store=store, clock=clock) as guilds:
            guilds["a"].settle(10)
            guilds["a"].ready(10)
            guilds["a"].settle(10)
            assert (guilds["a"].model.reminded, guilds["a"].model.beats) == ((10.0,), 50)


def test_a_call_that_was_running_is_begun_again(tmp_path: Path) -> None:
    """A key whose command was interrupted is started by the next process, which performs it."""
    began, done = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        done.wait(10)

    def start_work(model: int, msg: int) -> gs.Step[int, int]:
        return model + msg, [gs.Cmd.call(work, thread=True, ok=lambda _: 10)] if msg == 1 else ()

    program: gs.Program[int, int] = gs.Program(lambda: (0, ()), start_work)
    with gs.LMDBStore(tmp_path / "s") as store:
        rooms = gs.start_keyed(program, store=store)
        rooms["a"].apply(1)
        assert began.wait(10)
        threading.Timer(0.05, done.set).start()
        rooms.stop(drain=False)
        assert due(store, "a") == 0.0
        with gs.start_keyed(program, store=store) as rooms:
            while due(store, "a") is not None:
                rooms.settle(10)
            assert rooms["a"].model == 11


def test_a_timer_that_is_cancelled_wakes_nobody(tmp_path: Path) -> None:
    """What the model or a command takes back is taken back in the store."""

    def nap(model: int, msg: str) -> gs.Step[int, str]:
        return model + 1, [gs.Cmd.after(10.0, "woken", key="n") if msg == "nap" else gs.Cmd.cancel("n")]

    program: gs.Program[int, str] = gs.Program(lambda: (0, ()), nap)
    clock = SimClock()
    with gs.LMDBStore(tmp_path / "s") as store, gs.start_keyed(program, store=store, idle=IDLE, clock=clock) as rooms:
        rooms["a"].apply("nap")
        rooms["a"].apply("cancel")
        rooms.settle(10)
        assert due(store, "a") is None
        over: Any = rooms.directory.places.get("a")
        if over is not None:
            over.over.watch().get(10)
        clock.advance(100)
        assert list(rooms) == []
