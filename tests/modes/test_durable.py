"""Durable runs: what a restart finds, what it repeats and what not, and what it says when it cannot go on."""

import asyncio
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import both_drivers
import lmdb
import pytest
from both_drivers import Drivers
from hooked_writes import Writes

import go_state as gs

ROOT = Path(gs.__file__).parents[1]
drivers = both_drivers.drivers


@dataclass(frozen=True)
class Add:
    by: int


@dataclass(frozen=True)
class Twice:
    by: int


@dataclass(frozen=True)
class Bad:
    pass


Msg = Add | Twice | Bad


@dataclass(frozen=True)
class Sum:
    total: int = 0
    trail: tuple[int, ...] = ()


class Life:
    """The summing program, and all that one process sees of it: Twice sends its number, and every turn has a command."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.program = gs.Program(self.init, self.update, view=self.view, on_restore=self.on_restore)

    def init(self) -> gs.Step[Sum, Msg]:
        self.events.append("init")
        return Sum(), ()

    def update(self, model: Sum, msg: Msg) -> gs.Step[Sum, Msg]:
        if isinstance(msg, Bad):
            raise ValueError("bad")
        after = replace(model, total=model.total + msg.by, trail=(*model.trail, msg.by))
        sent = [gs.Cmd.send(Add(msg.by))] if isinstance(msg, Twice) else []
        return after, [lambda: self.events.append(("command", msg.by)), *sent]

    def on_restore(self, model: Sum) -> Any:
        self.events.append(("restored", model.total))
        return ()

    def view(self, model: Sum) -> None:
        self.events.append(("view", model.total))

    def commands(self) -> list[int]:
        return [event[1] for event in self.events if event[0] == "command"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bot.lmdb"


def live(drivers: Drivers, path: Path, *messages: Msg, program: Any = None, map_size: int = 1 << 30, **how: Any) -> Any:
    """Put the messages and run the program until all are processed, as a process would from its start to its end."""
    with gs.LMDBStore(path, map_size=map_size) as store:
        journal = store.journal("bot", of=Msg)
        if messages:
            journal.put(*messages)
        journal.close()
        return drivers.run(program or Life().program, journal, store=store, key="bot", **how)


def killed(path: Path, *messages: Msg, program: Any = None, **how: Any) -> Path:
    """Return a copy of the file as kill -9 would leave it after the messages, each seen by the view with all that it has sent."""
    program, copy = program or Life().program, path.with_name(f"{path.name}-killed")
    seen = threading.Semaphore(0)

    def view(model: Any) -> None:
        if program.view:
            program.view(model)
        found = journal.statistics()
        if found.readers[0].committed == found.end:
            seen.release()

    watched = replace(program, view=view)
    with gs.LMDBStore(path) as store:
        journal = store.journal("bot", of=Msg)
        thread = threading.Thread(target=gs.run, args=(watched, journal), kwargs={"store": store, "key": "bot", **how})
        thread.start()
        assert seen.acquire(timeout=10)
        for message in messages:
            journal.put(message)
            assert seen.acquire(timeout=10)
        shutil.copy(path, copy)
        journal.close()
        thread.join()
    return copy


def entries(path: Path, key: str = "bot") -> tuple[list[Any], dict[str, int], list[int]]:
    """Return the messages on disk, the readers' cursors, and the positions of the earlier snapshots."""
    with gs.LMDBStore(path) as store:
        journal = store.journal(key, of=Msg)
        return [each.message for each in journal.read()], journal.parts.records.cursors(), store.keyframes(key)


def damage(path: Path, name: bytes) -> None:
    """Flip the last bit of a record."""
    with lmdb.open(str(path), subdir=False, max_dbs=0) as environment, environment.begin(write=True) as transaction:
        record = bytearray(transaction.get(name))
        record[-1] ^= 1
        transaction.put(name, bytes(record))


# ------------------------------------------------------------------ restart


def test_a_first_run_is_an_ordinary_one(drivers: Drivers, path: Path) -> None:
    """The first run begins with init, performs every command in order and comes to the model that any run comes to."""
    life = Life()
    assert live(drivers, path, Add(1), Twice(2), Add(3), program=life.program) == Sum(8, (1, 2, 3, 2))
    assert life.events[0] == "init"
    assert life.commands() == [1, 2, 3, 2]
    assert not any(event[0] == "restored" for event in life.events)


def test_a_restart_goes_on_where_the_last_run_ended(drivers: Drivers, path: Path) -> None:
    """It runs no init, repeats no command and no view of the old messages, and processes the new ones."""
    live(drivers, path, Add(1), Twice(2))
    life = Life()
    assert live(drivers, path, Add(3), program=life.program) == Sum(8, (1, 2, 2, 3))
    assert life.events[0] == ("restored", 5)
    assert life.commands() == [3]
    assert [event for event in life.events if event[0] == "view"][-1] == ("view", 8)


def test_a_killed_run_is_replayed_silently(drivers: Drivers, path: Path) -> None:
    """After a kill the messages since the snapshot are folded with no command and no view, and on_restore comes after."""
    copy = killed(path, Add(1), Twice(2), Add(3))
    life = Life()
    assert live(drivers, copy, program=life.program).total == 8
    assert life.events == [("restored", 8), ("view", 8)]


def test_init_runs_once_and_on_restore_at_each_restart(drivers: Drivers, path: Path) -> None:
    """Over four processes init runs in the first, and on_restore in the other three."""
    lives = [Life() for _ in range(4)]
    for life in lives:
        live(drivers, path, Add(1), program=life.program)
    assert [life.events[0] for life in lives] == ["init", ("restored", 1), ("restored", 2), ("restored", 3)]


def test_what_init_and_on_restore_send_enters(drivers: Drivers, path: Path) -> None:
    """Their messages are the program's own: each enters once for each time that they run."""
    life = Life()
    program = replace(
        life.program, init=lambda: (Sum(), [gs.Cmd.send(Add(10))]), on_restore=lambda model: [gs.Cmd.send(Add(100))]
    )
    assert live(drivers, path, Add(1), program=program).total == 11
    assert live(drivers, path, Add(1), program=program).total == 112


def test_what_init_sends_enters_with_the_first_snapshot(drivers: Drivers, path: Path) -> None:
    """Where the first model cannot be stored nothing that init has sent enters, so the next init does not double it."""
    broken = replace(Life().program, init=lambda: (Sum(total="many"), [gs.Cmd.send(Add(10))]))  # type: ignore[arg-type]
    mended = replace(Life().program, init=lambda: (Sum(), [gs.Cmd.send(Add(10))]))
    for _ in range(2):
        with pytest.raises(gs.errors.NotStorable):
            live(drivers, path, program=broken)
    assert live(drivers, path, program=mended) == Sum(10, (10,))


def test_messages_put_without_a_run_wait_for_one(drivers: Drivers, path: Path) -> None:
    """A journal that others have filled is processed from its beginning by the first run."""
    with gs.LMDBStore(path) as store:
        store.journal("bot", of=Msg).put(Add(1), Add(2))
    assert live(drivers, path) == Sum(3, (1, 2))


@pytest.mark.parametrize("durability", ["group", "put"])
def test_a_run_opens_its_journal_by_its_key(path: Path, durability: Any) -> None:
    """Without a journal given the run opens the one of its key, into which others put meanwhile."""
    seen = threading.Semaphore(0)
    program = replace(Life().program, view=lambda model: seen.release())
    found: list[Any] = []
    with gs.LMDBStore(path) as store:
        how: Any = {"store": store, "key": "bot", "durability": durability}
        thread = threading.Thread(target=lambda: found.append(gs.run(program, **how)))
        thread.start()
        assert seen.acquire(timeout=10)
        journal = store.journal("bot")
        journal.put(Add(4))
        journal.close()
        thread.join()
    assert found == [Sum(4, (4,))]


def test_programs_of_one_store_do_not_meet(drivers: Drivers, path: Path) -> None:
    """Each key has its own messages, cursor and snapshots."""
    live(drivers, path, Add(1), Add(2))
    with gs.LMDBStore(path) as store:
        other = store.journal("other", of=Msg)
        other.put(Add(5))
        other.close()
        assert drivers.run(Life().program, other, store=store, key="other") == Sum(5, (5,))
    assert live(drivers, path) == Sum(3, (1, 2))


# ------------------------------------------------------------------ what is on disk together


def test_messages_cursor_and_snapshot_agree(drivers: Drivers, path: Path) -> None:
    """After a run the cursor stands behind all that was put and sent, and so does the snapshot."""
    live(drivers, path, Add(1), Twice(2), Add(3))
    messages, cursors, _ = entries(path)
    assert messages == [Add(1), Twice(2), Add(3), Add(2)]
    assert cursors["program"] == 4
    with gs.LMDBStore(path) as store:
        stored = store.load("bot")
        assert stored is not None
        assert b'"journal":[4,' in stored.data


def test_a_turns_messages_and_its_cursor_are_one_transaction(path: Path) -> None:
    """In every transaction of a run, as many messages were sent as the cursor has passed messages that send one."""
    found = []
    with gs.LMDBStore(path) as store:
        journal = store.journal("bot", of=Msg)
        writes = Writes(journal)
        on_disk: list[Any] = []

        def spy(entry: Any) -> int:
            number = writes.write(entry)
            on_disk.extend(entry.messages)
            cursor = journal.parts.records.cursors().get("program", 0)
            passed = sum(b"Twice" in bytes(each) for each in on_disk[:cursor])
            found.append(sum(b"Add" in bytes(each) for each in on_disk) == passed)
            return number

        writes.replace(spy)
        journal.put(*[Twice(number) for number in range(3000)])
        journal.close()
        gs.run(Life().program, journal, store=store, key="bot", snapshots=gs.Snapshots(every=700))
    assert len(found) > 5
    assert all(found)


@pytest.mark.parametrize("durability", ["group", "put"])
def test_the_view_is_shown_what_is_on_disk(drivers: Drivers, path: Path, durability: Any) -> None:
    """When the view is called, the cursor on disk has passed all the messages in the model."""
    found: list[bool] = []
    with gs.LMDBStore(path) as store:
        journal = store.journal("bot", of=Msg, durability=durability)

        def view(model: Sum) -> None:
            found.append(journal.parts.records.cursors().get("program", 0) == len(model.trail))
            if len(model.trail) < 10:
                journal.put(Add(1), Add(1))
            else:
                journal.close()

        drivers.run(replace(Life().program, view=view), journal, store=store, key="bot")
    assert len(found) > 3
    assert all(found)


def test_the_view_is_shown_the_last_model_of_a_full_group(drivers: Drivers, path: Path) -> None:
    """After exactly as many messages as a group holds, the view is shown the model although nothing more comes."""
    with gs.LMDBStore(path) as store:
        journal = store.journal("bot", of=Msg)
        journal.put(*[Add(1)] * 4096)
        program = gs.Program(
            lambda: (0, ()), typed_count(lambda model: model + 1), view=lambda n: journal.close() if n == 4096 else None
        )
        assert drivers.run(program, journal, store=store, key="bot") == 4096


def typed_count(count: Callable[[int], int]) -> Callable[..., Any]:
    def annotated(model: int, msg: Msg) -> gs.Step[int, Msg]:
        return count(model), ()

    return annotated


def test_a_failing_view_leaves_its_turn_done(drivers: Drivers, path: Path) -> None:
    """The error of a view is raised, and a restart neither repeats the turn nor loses it."""

    def view(model: Sum) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        live(drivers, path, Add(1), program=replace(Life().program, view=view))
    life = Life()
    assert live(drivers, path, Add(2), program=life.program) == Sum(3, (1, 2))


# ------------------------------------------------------------------ the turn


@dataclass(frozen=True)
class Seen:
    turns: tuple[tuple[float, int, float, str], ...] = ()


def see(model: Seen, msg: Msg, turn: gs.Turn) -> gs.Step[Seen, Msg]:
    """Keep all that the turn tells."""
    position: Any = turn.position
    after = Seen((*model.turns, (turn.at, position, turn.random(), str(turn.uuid()))))
    return after, [gs.Cmd.send(Add(0))] if isinstance(msg, Twice) else ()


def seeing(view: Any = None) -> Any:
    return gs.Program(lambda: (Seen(), ()), see, view=view)


def test_a_turn_is_the_same_when_replayed(drivers: Drivers, path: Path) -> None:
    """Time, position and chance of each turn, of messages sent by commands too, are the live run's after a kill and in replay."""
    copy = killed(path, Add(1), Twice(2), Add(3), program=seeing())
    with gs.LMDBStore(path) as store:
        lived = gs.load_model(seeing(), store=store, key="bot")
        assert lived is not None
        replayed = [gs.replay(seeing(), store.journal("bot"), until=until) for until in range(5)]
    assert live(drivers, copy, program=seeing()) == lived
    assert replayed == [Seen(lived.turns[:until]) for until in range(5)]
    assert [turn[1] for turn in lived.turns] == [0, 1, 2, 3]


def test_every_turn_has_its_own_chance(drivers: Drivers, path: Path) -> None:
    """Numbers and UUIDs differ between turns, and between journals."""
    lived = live(drivers, path, *[Add(1)] * 50, program=seeing())
    other = live(drivers, path.with_name("other"), *[Add(1)] * 50, program=seeing())
    assert len({each for turn in (*lived.turns, *other.turns) for each in turn[2:]}) == 200
    assert all(uuid.UUID(turn[3]).version == 4 for turn in lived.turns)


def test_a_turn_is_dated_when_its_message_entered(drivers: Drivers, path: Path) -> None:
    """`turn.at` is the journal's time of entry, however much later the turn is."""
    lived = live(drivers, path, *[Add(number) for number in range(100)], program=seeing())
    with gs.LMDBStore(path) as store:
        assert [turn[0] for turn in lived.turns] == [each.at for each in store.journal("bot").read()]


# ------------------------------------------------------------------ messages that fail


def test_a_message_set_aside_stays_so(drivers: Drivers, path: Path) -> None:
    """It reaches the buffer in the run that fails on it, and is passed over by every later one and by replay."""
    aside: gs.Buffer[Any] = gs.Buffer(retention=gs.retention.keep_all)
    expected = Sum(3, (1, 2))
    assert live(drivers, path, Add(1), Bad(), Add(2), on_error=gs.SetAside(aside)) == expected
    assert [(failed.position, failed.message) for failed in aside.slice()] == [(1, Bad())]
    assert live(drivers, path, restore=0) == expected
    with gs.LMDBStore(path) as store:
        assert gs.replay(Life().program, store.journal("bot")) == expected
        assert store.journal("bot").set_aside() == {1: "ValueError"}


def test_set_aside_needs_no_buffer(drivers: Drivers, path: Path) -> None:
    """The journal has the message, so a durable run may set aside without a buffer, also by a function that decides."""
    live(drivers, path, Bad(), Add(1), on_error=gs.SetAside())
    assert live(drivers, path, Bad(), Add(2), on_error=lambda message, position, error: gs.SetAside()).total == 3


def test_what_the_buffer_refuses_is_not_set_aside(drivers: Drivers, path: Path) -> None:
    """Where the buffer of SetAside takes nothing the run raises, and the message is there for the next one."""
    full: gs.Buffer[Any] = gs.Buffer(maxsize=1)
    full.put("something")
    with pytest.raises(gs.Full):
        live(drivers, path, Add(1), Bad(), on_error=gs.SetAside(full))
    aside: gs.Buffer[Any] = gs.Buffer()
    assert live(drivers, path, on_error=gs.SetAside(aside)) == Sum(1, (1,))
    assert [failed.position for failed in aside.slice()] == [1]


def test_a_kill_leaves_set_aside_what_was(drivers: Drivers, path: Path) -> None:
    """After a kill the replay passes over what the live run has set aside, with Stop as well."""
    life = Life()
    copy = killed(path, Add(1), Add(2), program=life.program)
    live(drivers, copy, Bad(), on_error=gs.SetAside())
    assert live(drivers, killed(copy, Add(4), program=life.program)) == Sum(7, (1, 2, 4))


def test_stop_raises_again_at_the_same_position(drivers: Drivers, path: Path) -> None:
    """The turns before the failing message are kept, and every restart raises at it until the program is mended."""
    for events in (["init", ("command", 1)], [("restored", 1)]):
        life = Life()
        with pytest.raises(ValueError, match="bad") as failed:
            live(drivers, path, *([Add(1), Bad(), Add(2)] if events[0] == "init" else []), program=life.program)
        assert "position 1" in failed.value.__notes__[0]
        assert [event for event in life.events if event[0] != "view"] == events
    mended = replace(Life().program, update=lambda model, msg: (replace(model, total=model.total + getattr(msg, "by", 40)), ()))
    assert live(drivers, path, program=gs.Program(Life().init, typed(mended.update))).total == 43


def typed(update: Callable[..., Any]) -> Callable[..., Any]:
    """Give a lambda the annotations that a stored program has."""

    def annotated(model: Sum, msg: Msg) -> gs.Step[Sum, Msg]:
        step: gs.Step[Sum, Msg] = update(model, msg)
        return step

    return annotated


def test_a_skipped_message_is_passed_over(drivers: Drivers, path: Path) -> None:
    """Who gives up a message that stops the program skips its position, and the next run goes on behind it."""
    with pytest.raises(ValueError, match="bad"):
        live(drivers, path, Add(1), Bad(), Add(2))
    with gs.LMDBStore(path) as store:
        store.journal("bot", of=Msg).skip(1)
    assert live(drivers, path) == Sum(3, (1, 2))


# ------------------------------------------------------------------ snapshots


@pytest.mark.parametrize("keep", [1, 2, 3, 5])
def test_so_many_snapshots_are_kept(drivers: Drivers, path: Path, keep: int) -> None:
    """Of the snapshots written every ten messages the newest `keep` stay, the last of them at the end."""
    live(drivers, path, *[Add(1)] * 95, snapshots=gs.Snapshots(every=10, keep=keep))
    assert entries(path)[2] == [50, 60, 70, 80, 90][6 - keep :]


def test_a_run_that_changes_nothing_writes_no_snapshot(drivers: Drivers, path: Path) -> None:
    """A restart without a message leaves the snapshots as they were."""
    live(drivers, path, Add(1), Add(2))
    before = entries(path)
    live(drivers, path)
    assert entries(path) == before


def test_a_snapshot_is_due_after_seconds(drivers: Drivers, path: Path) -> None:
    """With seconds= snapshots are written between messages, without an end of the run."""
    with gs.LMDBStore(path) as store:
        journal = store.journal("bot", of=Msg)

        def view(model: Sum) -> None:
            if len(store.keyframes("bot")) < 3:
                journal.put(Add(1))
            else:
                journal.close()

        how: Any = {"store": store, "key": "bot", "snapshots": gs.Snapshots(seconds=0.001, keep=9)}
        drivers.run(replace(Life().program, view=view), journal, **how)
        assert len(store.keyframes("bot")) >= 3


def test_a_damaged_snapshot_names_the_earlier_one(drivers: Drivers, path: Path) -> None:
    """The run refuses it and names the position before; with restore= it goes on from there to the same model."""
    model = live(drivers, path, *[Add(number) for number in range(25)], snapshots=gs.Snapshots(every=10))
    damage(path, b"s/bot")
    with pytest.raises(gs.errors.Corrupt, match="run with restore=20 to go on from it"):
        live(drivers, path)
    life = Life()
    assert live(drivers, path, program=life.program, restore=20) == model
    assert life.commands() == []
    assert live(drivers, path) == model


def test_a_damaged_snapshot_without_an_earlier_one_says_so(drivers: Drivers, path: Path) -> None:
    """Where one snapshot is kept there is nothing to go back to, and the error says that."""
    live(drivers, path, Add(1), snapshots=gs.Snapshots(keep=1))
    damage(path, b"s/bot")
    with pytest.raises(gs.errors.Corrupt, match="there is no earlier one"):
        live(drivers, path)


def test_restore_names_the_positions_there_are(drivers: Drivers, path: Path) -> None:
    """A position at which no snapshot was kept is refused with those at which one was, and nothing is lost."""
    model = live(drivers, path, *[Add(1)] * 25, snapshots=gs.Snapshots(every=10, keep=3))
    with pytest.raises(gs.UsageError, match=r"no snapshot of 'bot' was kept at position 7: there are \[10, 20\]"):
        live(drivers, path, restore=7)
    assert live(drivers, path) == model


def test_restore_may_be_given_again(drivers: Drivers, path: Path) -> None:
    """A run that failed after it went back goes back with the same arguments, so a supervisor may repeat them."""
    live(drivers, path, Add(1), Add(2))
    for messages in ([Add(3), Bad()], [], []):
        with pytest.raises(ValueError, match="bad"):
            live(drivers, path, *messages, restore=2)
    assert live(drivers, path, restore=2, on_error=gs.SetAside()) == Sum(6, (1, 2, 3))


def test_what_no_snapshot_covers_is_not_forgotten(path: Path) -> None:
    """Messages that the program has passed and that no snapshot has cannot be truncated: a replay needs them."""
    copy = killed(path, *[Add(number) for number in range(10)])
    with gs.LMDBStore(copy) as store, pytest.raises(gs.UsageError, match="the newest snapshot stands at 0"):
        store.journal("bot", of=Msg).truncate(8)


def test_what_is_no_durable_programs_is_not_taken_for_one(drivers: Drivers, path: Path) -> None:
    """A snapshot that an aggregate has stored under the key is refused."""
    program = Life().program
    with gs.LMDBStore(path) as store:
        drivers.aggregate(program, iter([Add(1)]), store=store, key="bot")
    with pytest.raises(gs.UsageError, match="give the program another key="):
        live(drivers, path)


# ------------------------------------------------------------------ owners

OTHER = """
import sys
import go_state as gs
from modes.test_durable import Add, Life, Msg

with gs.LMDBStore(sys.argv[1]) as store:
    journal = store.journal("bot", of=Msg)
    journal.put(Add(1))
    journal.flush()
    print("owns", flush=True)
    sys.stdin.readline()
    journal.close()
    gs.run(Life().program, journal, store=store, key="bot")
"""


@contextmanager
def another_owner(path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Start a process that owns the journal until a line comes, and then runs the program to its end."""
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r})\n{OTHER}", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "owns\n"
        yield process
        process.kill()


@pytest.mark.slow
def test_a_second_process_is_refused(drivers: Drivers, path: Path) -> None:
    """While another process owns the key a run raises LeaseHeld, and says how to wait."""
    with another_owner(path), pytest.raises(gs.errors.LeaseHeld, match='lease="wait"'):
        live(drivers, path)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["ends", "is killed"])
def test_who_waits_starts_when_the_other(drivers: Drivers, path: Path, how: str) -> None:
    """With lease="wait" the run starts when the owner ends or is killed, and goes on from what it has left."""
    with gs.LMDBStore(path) as store, another_owner(path) as other:
        assert other.stdin is not None
        seen = threading.Event()
        program = replace(Life().program, view=lambda model: seen.set())
        found: list[Any] = []
        options: Any = {"store": store, "key": "bot", "lease": "wait"}
        thread = threading.Thread(target=lambda: found.append(drivers.run(program, **options)))
        thread.start()
        assert not seen.wait(0.2)
        other.kill() if how == "is killed" else other.stdin.write("\n") and other.stdin.flush()
        assert seen.wait(10)
        store.journal("bot").put(Add(2))
        store.journal("bot").close()
        thread.join()
    assert found == [Sum(3, (1, 2))]


@pytest.mark.slow
def test_a_wait_for_the_owner_can_be_cancelled(path: Path) -> None:
    """On an event loop the wait ends when it is cancelled, and leaves the store usable."""

    async def wait(store: gs.LMDBStore) -> None:
        await asyncio.wait_for(gs.run_async(Life().program, store=store, key="bot", lease="wait"), 0.2)

    with gs.LMDBStore(path) as store, another_owner(path):
        with pytest.raises(TimeoutError):
            asyncio.run(wait(store))
        assert [each.message for each in store.journal("bot", of=Msg).read()] == [Add(1)]


def test_a_cancelled_run_goes_on_later(path: Path) -> None:
    """A run cancelled on its loop has kept the turns it showed; the next, in the same process, goes on behind them."""

    async def cancelled(store: gs.LMDBStore) -> None:
        shown = asyncio.Event()
        program = replace(Life().program, view=lambda model: shown.set() if model.total == 3 else None)
        task = asyncio.create_task(gs.run_async(program, store=store, key="bot"))
        await shown.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    life = Life()
    with gs.LMDBStore(path) as store:
        journal = store.journal("bot", of=Msg)
        journal.put(Add(1), Add(2))
        asyncio.run(cancelled(store))
        journal.put(Add(4))
        journal.close()
        assert gs.run(life.program, journal, store=store, key="bot") == Sum(7, (1, 2, 4))
    assert life.events[:2] == [("restored", 3), ("view", 3)]
    assert life.commands() == [4]


# ------------------------------------------------------------------ a full store


def test_a_full_store_loses_and_doubles_nothing(drivers: Drivers, path: Path) -> None:
    """A run that finds no room raises StoreFull; with a larger map the next goes on with each message once and every command."""
    first, second = Life(), Life()
    with gs.LMDBStore(path) as store:
        store.journal("bot", of=Msg).put(*map(Twice, range(1500)))
    little = path.stat().st_size + 8 * 4096  # room for the messages there are, and not for all that they send
    with pytest.raises(gs.errors.StoreFull, match="map_size"):
        live(drivers, path, program=first.program, map_size=little, snapshots=gs.Snapshots(every=10))
    model = live(drivers, path, program=second.program)
    assert sorted(model.trail) == sorted([*range(1500), *range(1500)])
    assert {*first.commands(), *second.commands()} == set(range(1500))


# ------------------------------------------------------------------ wrong use


@pytest.mark.parametrize(
    ("how", "taught"),
    [
        ({"key": None}, "both a store= and a key="),
        ({"store": None}, "both a store= and a key="),
        ({"key": 5}, "key= is the name"),
        ({"store": gs.MemoryStore()}, "an open gs.LMDBStore"),
        ({"durability": "disk"}, '"group" or "put"'),
        ({"lease": "me"}, '"fail" or "wait"'),
        ({"replaying": lambda: False}, "leave producer=, consumer= and replaying= out"),
        ({"buffer": gs.Buffer()}, r"leave it out, or give store.journal\('bot'\)"),
    ],
    ids=lambda each: str(next(iter(each))) if isinstance(each, dict) else "",
)
def test_wrong_arguments_teach(drivers: Drivers, path: Path, how: dict[str, Any], taught: str) -> None:
    """Each error says what a durable run takes instead."""
    with gs.LMDBStore(path) as store, pytest.raises(gs.UsageError, match=taught):
        drivers.run(Life().program, **{"store": store, "key": "bot", **how})


def test_an_init_with_a_key_is_refused(drivers: Drivers, path: Path) -> None:
    """A program with one model per key is the aggregate's."""
    program = gs.Program(lambda key: (Sum(), ()), Life().update)
    with gs.LMDBStore(path) as store, pytest.raises(gs.UsageError, match="use aggregate with key="):
        drivers.run(program, store=store, key="bot")


def test_the_journal_of_another_key_is_refused(drivers: Drivers, path: Path) -> None:
    """A run reads the journal of its own key alone."""
    with gs.LMDBStore(path) as store, pytest.raises(gs.UsageError, match=r"give store.journal\('bot'\)"):
        drivers.run(Life().program, store.journal("other", of=Msg), store=store, key="bot")


def test_the_journal_of_another_store_is_refused(drivers: Drivers, path: Path) -> None:
    """Messages and snapshots lie in one file, or they could not be written together."""
    with gs.LMDBStore(path) as store, gs.LMDBStore(path.with_name("other")) as other:
        journal = other.journal("bot", of=Msg)
        assert "another store" in str(refusal(store, journal, drivers))


def test_a_program_without_types_is_refused(drivers: Drivers, path: Path) -> None:
    """What cannot be read back is not written: update has to say what its model and messages are."""
    program = gs.reducer(int, lambda model, msg: model + msg)
    with gs.LMDBStore(path) as store, pytest.raises(gs.errors.NotStorable):
        drivers.run(program, store=store, key="bot")


def test_two_runs_of_a_key_in_one_process_are_refused(drivers: Drivers, path: Path) -> None:
    """While a run goes on, a second one of its key raises, and the first is none the worse."""
    found: list[Any] = []

    def view(model: Sum) -> None:
        if model.total == 1:
            second = threading.Thread(target=lambda: found.append(refusal(store, journal)))
            second.start()
            second.join()
            journal.put(Add(2))
            journal.close()

    with gs.LMDBStore(path) as store:
        journal = store.journal("bot", of=Msg)
        journal.put(Add(1))
        assert drivers.run(replace(Life().program, view=view), journal, store=store, key="bot").total == 3
    assert isinstance(found[0], gs.errors.ConcurrentGet)


def refusal(store: gs.LMDBStore, journal: Any, drivers: Drivers = both_drivers.THREAD) -> Any:
    """Return what a run raises."""
    try:
        return drivers.run(Life().program, journal, store=store, key="bot")
    except gs.GoStateError as error:
        return error


# ------------------------------------------------------------------ a journal alone


def test_a_run_of_a_journal_is_durable(drivers: Drivers, path: Path) -> None:
    """The journal knows its store and its name: neither has to be given again, and nothing is run without being kept."""
    for total in (3, 6):
        with gs.LMDBStore(path) as store:
            journal = store.journal("bot", of=Msg)
            journal.put(Add(1), Add(2))
            journal.close()
            assert drivers.run(Life().program, journal).total == total
    assert entries(path)[1]["program"] == 4


def test_an_app_of_a_journal_is_durable(path: Path) -> None:
    """As a run of it is."""
    for total in (2, 4):
        with gs.LMDBStore(path) as store:
            with gs.start(Life().program, store.journal("bot")) as app:
                assert app.apply(Add(2)).total == total
            assert store.load("bot") is not None
