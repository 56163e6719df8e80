"""The program of one key at the moments between its lives: what is sent then comes once, and nobody is left without an answer."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import go_state as gs
from go_state.modes.app.pending_replies import PendingReply
from go_state.waking.waker import ThreadWaker

LONG = 30.0  # seconds: what hangs fails here
Words = tuple[str, ...]


class Shop:
    """A program that notes what it is told, and can be held up in a turn, or made to fail."""

    def __init__(self) -> None:
        self.begun = 0
        self.taken: list[str] = []
        self.may_begin = threading.Event()
        self.may_begin.set()
        self.held = threading.Semaphore(0)  # released when a turn is held up
        self.go_on = threading.Event()
        self.program = gs.Program(self.init, self.update)

    def init(self) -> gs.Step[Words, str]:
        assert self.may_begin.wait(LONG)
        self.begun += 1
        return (), ()

    def update(self, model: Words, msg: str) -> gs.Step[Words, str]:
        self.taken.append(msg)
        if msg == "hold":
            self.held.release()
            assert self.go_on.wait(LONG)
        if msg == "fail":
            raise OSError("out of paper")
        if msg == "quit":
            raise SystemExit("had enough")
        return (*model, msg), [gs.Cmd.reply(len(model))]


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.go_on.set()
    shop.may_begin.set()


@contextmanager
def resting(rooms: gs.KeyedApps[Words, str], shop: Shop) -> Iterator[None]:
    """Have the program of "a" be put to rest meanwhile, and not come to its end before the block does."""
    rooms["a"].send("hold")
    assert shop.held.acquire(timeout=LONG)
    rooms.directory.places["a"].present.life.ask_to_end()
    try:
        yield
    finally:
        shop.go_on.set()


def rest_while_putting(rooms: gs.KeyedApps[Any, Any]) -> None:
    """Have the program of "a" find itself idle while the next message is on its way to the disk."""
    app = rooms.directory.places["a"].present
    stage = app.life.run.journal.parts.stage
    enter = stage.enter

    def enter_and_rest(staged: Any) -> bool:
        stage.enter = enter
        leads = enter(staged)
        app.life.run.idled()
        if app.life.is_draining:
            app.life.observers.ended.watch().get(LONG)
        return leads  # type: ignore[no-any-return]

    stage.enter = enter_and_rest


@pytest.mark.parametrize("use", ["send", "apply", "ask"])
def test_what_is_being_put_while_the_program_falls_idle_counts_once(tmp_path: Path, use: str) -> None:
    """A message that is on its way to the disk when its program would be put to rest has its turn, and one only."""
    program = gs.Program(Shop().init, Shop().update)
    with gs.LMDBStore(tmp_path / "s") as store:
        with gs.start_keyed(program, store=store, durability="put") as rooms:
            rooms["a"].apply("first")
            rest_while_putting(rooms)
            getattr(rooms["a"], use)("second")
        assert gs.load_model(program, store=store, key="a") == ("first", "second")


def test_what_is_sent_to_a_resting_program_comes_to_the_next_life_once_and_in_order(shop: Shop) -> None:
    """Messages with and without somebody who waits, sent while a program ends, have their turns in the next life, in order."""
    with gs.start_keyed(shop.program) as rooms, ThreadPoolExecutor(2) as pool:
        with resting(rooms, shop):
            for word in ("one", "two"):
                rooms["a"].send(word)
            place = rooms.directory.places["a"]
            waiting = pool.submit(rooms["a"].ask, "three", timeout=LONG)
            while len(place._backlog) < 3:
                threading.Event().wait(0.001)
            rooms["a"].send("four")
        assert waiting.result(LONG) == 2
        assert rooms["a"].apply("five", timeout=LONG) == ("one", "two", "three", "four", "five")


def test_apply_keeps_to_its_time_while_the_program_rests(shop: Shop) -> None:
    """A wait for a program that is being put to rest ends in time, and its message comes to the next life all the same."""
    with gs.start_keyed(shop.program) as rooms:
        with resting(rooms, shop), pytest.raises(gs.TimedOut, match="within"):
            rooms["a"].apply("late", timeout=0.01)
        assert rooms["a"].apply("next", timeout=LONG) == ("late", "next")


async def test_apply_async_keeps_to_its_time_while_the_program_begins(shop: Shop) -> None:
    """The same of a program that is being begun anew, on an event loop whose programs have threads."""
    rooms = gs.start_keyed(shop.program)
    async with rooms:
        with resting(rooms, shop):
            shop.may_begin.clear()
            with pytest.raises(gs.TimedOut):
                await rooms["a"].apply_async("late", timeout=0.01)
        with pytest.raises(gs.TimedOut):
            await rooms["a"].ask_async("later", timeout=0.01)
        shop.may_begin.set()
        assert await rooms["a"].apply_async("last", timeout=LONG) == ("late", "later", "last")


def test_stop_without_drain_begins_nothing(shop: Shop) -> None:
    """What waits for the next life when all is stopped without draining has none: nothing runs afterwards, and who waits is told."""
    rooms = gs.start_keyed(shop.program)
    with ThreadPoolExecutor(2) as pool:
        with resting(rooms, shop):
            waiting = pool.submit(rooms["a"].apply, "second", timeout=LONG)
            while not rooms.directory.places["a"]._backlog:
                threading.Event().wait(0.001)
            rooms["a"].send("third")
            stopping = pool.submit(rooms.stop, drain=False)
            while not rooms.directory.is_closed:
                threading.Event().wait(0.001)
        stopping.result(LONG)
        assert isinstance(waiting.exception(LONG), gs.Closed)
    assert (shop.begun, len(rooms), threading.active_count()) == (1, 0, 1)


def test_stop_with_drain_gives_the_rest_its_turns(shop: Shop) -> None:
    """What waits for the next life when all is stopped has it, and all of that ends with the block."""
    with gs.start_keyed(shop.program) as rooms, resting(rooms, shop):
        rooms["a"].send("second")
    assert shop.taken == ["hold", "second"]
    assert threading.active_count() == 1


@pytest.mark.parametrize("on_loop", [False, True])
async def test_a_program_that_has_failed_takes_nothing_more(shop: Shop, on_loop: bool) -> None:
    """Whoever uses a key whose program has failed is told so, with the cause, and nothing is kept for nobody."""
    rooms = (gs.start_keyed_async if on_loop else gs.start_keyed)(shop.program)
    await rooms["a"].ready_async(LONG)
    place = rooms.directory.places["a"]
    with pytest.raises(OSError, match="paper"):
        await rooms["a"].apply_async("fail", timeout=LONG)
    await place.over.watch().get_async(LONG)
    uses: list[Callable[[], object]] = [lambda: rooms["a"].send("x"), lambda: rooms["a"].model, rooms["a"].watch]
    for use in uses:
        with pytest.raises(gs.Closed, match="'a' has failed") as raised:
            use()
        assert isinstance(raised.value.__cause__, OSError)
    with pytest.raises(gs.Closed, match="'a' has failed"):
        await rooms["a"].apply_async("x")
    with pytest.raises(ExceptionGroup):
        async with rooms:
            assert (list(rooms), len(rooms), "a" in rooms) == ([], 0, False)


def test_who_waits_for_the_next_life_hears_of_a_failure(shop: Shop) -> None:
    """Where a program fails while it is put to rest, whoever waits for its next life gets that as the cause."""
    rooms = gs.start_keyed(shop.program)
    rooms["a"].send("hold")
    rooms["a"].send("fail")
    assert shop.held.acquire(timeout=LONG)
    place = rooms.directory.places["a"]
    place.present.life.ask_to_end()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(rooms["a"].apply, "second", timeout=LONG)
        while not place._backlog:
            threading.Event().wait(0.001)
        shop.go_on.set()
        error = waiting.exception(LONG)
    assert (type(error), type(error and error.__cause__)) == (gs.errors.AppEnded, OSError)
    with pytest.raises(ExceptionGroup), rooms:
        pass


@pytest.mark.parametrize("on_loop", [False, True])
def test_system_exit_of_a_program_leaves_the_block(shop: Shop, on_loop: bool) -> None:
    """SystemExit that a program raises is raised from the block, as it is, with what others have failed with as notes."""

    async def main() -> None:
        async with (gs.start_keyed_async if on_loop else gs.start_keyed)(shop.program) as rooms:
            rooms["a"].send("quit")
            rooms["b"].send("fail")

    with pytest.raises(SystemExit, match="had enough") as raised:
        asyncio.run(main())
    assert any("paper" in note for note in raised.value.__notes__)


def test_a_stop_that_takes_too_long_tells_every_program(shop: Shop) -> None:
    """When the time of a stop is over, each program ends after the turn under way, not the first alone."""
    rooms = gs.start_keyed(shop.program)
    for key in "abc":
        rooms[key].send("hold")
        rooms[key].send("never")
        assert shop.held.acquire(timeout=LONG)
    apps = [rooms.directory.places[key].present for key in "abc"]
    with pytest.raises(gs.TimedOut, match="3 programs"):
        rooms.stop(timeout=0.01)
    shop.go_on.set()
    assert [app.wait(LONG) for app in apps] == [("hold",)] * 3
    rooms.stop()
    assert threading.active_count() == 1


def test_a_stop_has_one_deadline_for_all() -> None:
    """However many programs there are, a stop takes the time that it was given once."""
    given: list[float] = []
    with gs.start_keyed(gs.reducer(int, lambda model, msg: model + msg)) as rooms:
        for key in "abc":
            rooms[key].apply(1)
            over: Any = rooms.directory.places[key].over

            class Over(gs.watch.Watcher[bool]):
                def get(self, timeout: float | None = None, **_: Any) -> bool:
                    given.append(timeout or 0.0)
                    return super().get(LONG)

            over.watch = lambda over=over, kind=Over: kind(over._slots, over._read, seen=(0,))
        rooms.stop(timeout=20)
    assert given[0] > given[1] > given[2]


def stopped_inside(begin: Callable[[gs.Program[Any, Any]], Any], how: str) -> Any:
    """Return programs, one of which stops all of them when it is told to quit."""
    held: list[Any] = []

    async def stop_async() -> None:
        await held[0].stop_async()

    commands: dict[str, Any] = {
        "turn": lambda: held[0].stop(),
        "thread": gs.Cmd.call(lambda: held[0].stop(), thread=True),
        "task": gs.Cmd.call(stop_async),
    }
    held.append(begin(gs.Program(lambda: (0, ()), lambda model, msg: (model + 1, [commands[how]] if msg == "quit" else []))))
    return held[0]


@pytest.mark.parametrize("how", ["turn", "thread", "task"])
def test_a_stop_within_a_program_only_asks(how: str) -> None:
    """Called in a turn or a command of one of the programs, `stop` has all of them end, and returns."""
    rooms = stopped_inside(gs.start_keyed, how)
    with rooms:
        rooms["b"].apply(1)
        apps = [rooms.directory.places["b"].present, rooms.live("a")]
        rooms["a"].send("quit")
        assert [app.wait(LONG) for app in apps] == [1, 1]
        with pytest.raises(gs.Closed, match="stopped"):
            rooms["a"].send("x")
    assert threading.active_count() == 1


async def test_a_stop_within_a_program_on_a_loop_only_asks() -> None:
    """The same of a command that awaits `stop_async`."""
    async with stopped_inside(gs.start_keyed_async, "task") as rooms:
        await rooms["b"].apply_async(1)
        rooms["a"].send("quit")
        async with asyncio.timeout(LONG):
            assert await rooms.directory.places["b"].present.wait_async() == 1


def test_a_message_is_one_message(shop: Shop) -> None:
    """`send` of all programs takes the key, and one message or several, of whatever type."""
    with gs.start_keyed(shop.program) as rooms:
        rooms.send("a", "hello")
        rooms.send("a", "you", "there")
        rooms.send("a")
        assert rooms["a"].apply("!", timeout=LONG) == ("hello", "you", "there", "!")
        with pytest.raises(gs.UsageError, match="a string"):
            rooms.send(1, "x")  # type: ignore[arg-type]


async def test_a_program_on_a_loop_can_be_begun_from_any_thread(shop: Shop) -> None:
    """Who first uses a key in another thread than that of the event loop has its program begun there."""
    async with gs.start_keyed_async(shop.program) as rooms:
        assert await asyncio.to_thread(rooms["a"].apply, "one", timeout=LONG) == ("one",)
        await asyncio.to_thread(rooms["b"].ready, LONG)
        await asyncio.to_thread(rooms["c"].send, "one")
        assert rooms["c"].version == 0 or rooms["c"].model is not None
        assert await rooms["c"].apply_async("two", timeout=LONG) == ("one", "two")


def test_programs_on_a_closed_loop_take_nothing(shop: Shop) -> None:
    """After the end of their event loop programs refuse what is sent."""

    async def begin() -> gs.KeyedApps[Words, str]:
        return gs.start_keyed_async(shop.program)

    rooms = asyncio.run(begin())
    with pytest.raises(gs.Closed, match="event loop"):
        rooms["a"].send("x")


async def test_threads_of_programs_are_no_block_of_a_loop(shop: Shop) -> None:
    """A plain `with` block of programs, which could not be left there, is not entered on an event loop."""
    entered = []
    with pytest.raises(gs.errors.InsideLoop), gs.start_keyed(shop.program):
        entered.append(True)
    assert not entered


def test_a_message_that_cannot_be_stored_does_not_take_others_along(tmp_path: Path, shop: Shop) -> None:
    """Of what was sent while a program rests, a message that no journal can hold is raised from the block, and the others count."""
    models: list[Words] = []

    def use(rooms: gs.KeyedApps[Words, Any]) -> None:
        with rooms:
            with resting(rooms, shop):
                for word in ("one", 2.5j, "two"):
                    rooms["a"].send(word)
            models.append(rooms["a"].apply("three", timeout=LONG))

    with gs.LMDBStore(tmp_path / "s") as store, pytest.raises(ExceptionGroup) as raised:
        use(gs.start_keyed(shop.program, store=store))
    assert [type(error) for error in raised.value.exceptions] == [gs.errors.NotStorable]
    assert models == [("hold", "one", "two", "three")]


def test_what_would_wait_for_itself_is_refused() -> None:
    """A turn that waits for another turn of its program is refused, and so is a command that waits for the next life."""
    refused: list[BaseException] = []
    rooms: Any = None
    rests, over = threading.Event(), threading.Event()

    def use() -> None:
        try:
            rooms["a"].apply("x", timeout=LONG)
        except BaseException as error:
            refused.append(error)

    def late() -> None:
        rests.wait(LONG)
        use()
        over.set()

    commands: dict[Any, Any] = {"turn": [use], "command": [gs.Cmd.call(late, thread=True)]}
    rooms = gs.start_keyed(gs.Program(lambda: ((), ()), lambda model, msg: ((*model, msg), commands.get(msg, []))))
    with rooms:
        rooms["a"].apply("turn")
        rooms["a"].apply("command")
        rooms.directory.places["a"].ask_to_rest()
        rests.set()
        assert over.wait(LONG)
    assert [type(error) for error in refused] == [gs.UsageError] * 2


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["put", "group", None])
def test_threads_at_keys_that_keep_falling_idle(tmp_path: Path, durability: Any) -> None:
    """Six threads, that take turns all the time, use two keys that fall idle at once: each message once, in order."""
    seen: Counter[tuple[int, int]] = Counter()
    last: dict[int, int] = {}
    wrong: list[tuple[int, int]] = []

    def update(model: int, msg: list[int]) -> gs.Step[int, list[int]]:
        who, number = msg
        seen[who, number] += 1
        if last.get(who, -1) != number - 1:
            wrong.append((who, number))
        last[who] = number
        return model + 1, ()

    def use(rooms: gs.KeyedApps[int, list[int]], who: int) -> None:
        for number in range(150):
            if number % 3:
                rooms[str(who % 2)].send([who, number])
            else:
                rooms[str(who % 2)].apply([who, number], timeout=LONG)
            if number % 5 == 0:
                threading.Event().wait(0.001 + who * 0.0001)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with gs.LMDBStore(tmp_path / "s") as store, ThreadPoolExecutor(6) as pool:
            kept = {} if durability is None else {"store": store, "durability": durability}
            with gs.start_keyed(gs.Program(lambda: (0, ()), update), idle=0.001, limit=1, **kept) as rooms:
                assert list(pool.map(lambda who: use(rooms, who), range(6))) == [None] * 6
    finally:
        sys.setswitchinterval(before)
    assert (set(seen.values()), len(seen), wrong) == ({1}, 900, [])


def test_a_program_that_falls_idle_while_it_is_begun_is_given_what_was_sent(shop: Shop) -> None:
    """An app that is idle before anybody has it is not put to rest."""
    with gs.start_keyed(shop.program) as rooms:
        make = rooms.directory.make_app

        def idle_at_once(key: str, idled: Any, *told: Any) -> Any:
            app = make(key, idled, *told)
            idled(app)
            return app

        rooms.directory.make_app = idle_at_once
        rooms["a"].apply("first", timeout=LONG)
        assert not rooms.directory.places["a"].present.life.is_draining


def test_whom_an_app_refuses_at_its_end_another_tells(tmp_path: Path, shop: Shop) -> None:
    """Who waits for a turn hears nothing of the app that has not taken the message, and of the turn by the one that has."""
    waker = ThreadWaker()
    waiting = PendingReply(waker, asks=False)
    with gs.LMDBStore(tmp_path / "s") as store:
        with gs.start(shop.program, store=store, key="a") as app:
            put = app.life.run.durable.entrance.put_known

            def put_at_the_end(*args: Any) -> None:
                app.stop()
                put(*args)

            app.life.run.durable.entrance.put_known = put_at_the_end
            with pytest.raises(gs.Closed):
                app.life.put_for(waiting, "first")
        with gs.start(shop.program, store=store, key="a") as app:
            app.life.put_for(waiting, "first")
            assert waker.sleep(time.monotonic() + LONG)
            assert waiting.outcome() == ("first",)


def test_a_program_whose_beginning_is_interrupted_has_another_life(tmp_path: Path, shop: Shop) -> None:
    """Ctrl-C between an app's beginning and its use leaves no app that keeps the journal, and no failed program."""
    with gs.LMDBStore(tmp_path / "s") as store, gs.start_keyed(shop.program, store=store) as rooms:
        make = rooms.directory.make_app

        def begin_and_interrupt(*how: Any) -> Any:
            rooms.directory.make_app = make
            make(*how)
            raise KeyboardInterrupt

        rooms.directory.make_app = begin_and_interrupt
        with pytest.raises(KeyboardInterrupt):
            rooms["a"].send("first")
        assert rooms["a"].apply("second", timeout=LONG)[-1] == "second"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_others_have_sent_outlives_an_interrupted_beginning(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C for one who begins a program, when it is about to be given what was sent, leaves that to the next life."""

    def interrupted(batch: Any) -> Any:
        monkeypatch.undo()
        raise KeyboardInterrupt

    with gs.start_keyed(shop.program) as rooms:
        with resting(rooms, shop):
            rooms["a"].send("second")
            monkeypatch.setattr("go_state.modes.keyed_apps.sent.joined", interrupted)
        rooms.directory.places["a"].present.wait(LONG)
        rooms["a"].apply("third", timeout=LONG)
    assert shop.taken == ["hold", "second", "third"]
