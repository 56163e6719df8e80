"""The journal: what it keeps, who may write it, and what it says of wrong use and of damage."""

from __future__ import annotations

import asyncio
import itertools
import random
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmdb
import pytest

import go_state as gs
from go_state.storage.journal.journal import Journal
from go_state.storage.records.layout import pack

ROOT = Path(gs.__file__).parents[1]
DURABILITIES = pytest.mark.parametrize("durability", ["group", "put"])


@dataclass(frozen=True)
class Add:
    by: int


@dataclass(frozen=True)
class Clear:
    pass


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


def filled(path: Path, count: int, **options: Any) -> None:
    """Leave a journal "j" of so many integers at the path."""
    with gs.LMDBStore(path) as store, store.journal("j", of=int, **options) as journal:
        for number in range(count):
            journal.put(number)


def messages(path: Path, kind: Any = int) -> list[Any]:
    """Return what is on disk."""
    with gs.LMDBStore(path) as store:
        return [recorded.message for recorded in store.journal("j", of=kind).read()]


def together(*works: Callable[[], object]) -> None:
    """Do all at once, each in a thread of its own, and raise what one of them raises."""
    errors: list[BaseException] = []

    def guarded(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]


class Other:
    """Another process with the store open, which does what it is told, a line of Python at a time."""

    SCRIPT = """
import os, sys, go_state as gs
store = gs.LMDBStore(sys.argv[1])
journal = store.journal("j", of=int, durability="put")
for line in sys.stdin:
    try:
        answer = eval(line)
    except gs.GoStateError as error:
        answer = type(error).__name__
    print(answer, flush=True)
"""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", self.SCRIPT, str(path)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def do(self, line: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n")


@pytest.fixture
def other(path: Path) -> Iterator[Other]:
    other = Other(path)
    yield other
    other.process.communicate(timeout=60)


# ---------------------------------------------------------------------- what is stored


@DURABILITIES
def test_what_was_put_is_there_after_reopening(path: Path, durability: Any) -> None:
    """Messages come back equal and in order, and positions count on without a gap."""
    for first in (0, 3, 6):
        with gs.LMDBStore(path) as store, store.journal("j", of=Add | Clear, durability=durability) as journal:
            journal.put(Add(first))
            journal.put(Clear(), Add(first + 2))
    with gs.LMDBStore(path) as store:
        recorded = list(store.journal("j", of=Add | Clear).read())
    assert [r.position for r in recorded] == list(range(9))
    assert [r.message for r in recorded] == [Add(0), Clear(), Add(2), Add(3), Clear(), Add(5), Add(6), Clear(), Add(8)]
    assert [r.at for r in recorded] == sorted(r.at for r in recorded)


def test_a_message_is_stored_under_its_name(path: Path) -> None:
    """The file holds JSON that says what each message is, also where there is but one class."""
    with gs.LMDBStore(path) as store, store.journal("j", of=Add) as journal:
        journal.put(Add(1))
    assert b'["Add",{"by":1}]' in path.read_bytes()


def test_a_journal_is_read_without_its_type(path: Path) -> None:
    """Without `of` messages are what JSON says, and none can be put."""
    with gs.LMDBStore(path) as store, store.journal("j", of=Add | Clear) as journal:
        journal.put(Add(1), Clear())
    with gs.LMDBStore(path) as store:
        journal = store.journal("j")
        assert [r.message for r in journal.read()] == [["Add", {"by": 1}], ["Clear", {}]]
        with pytest.raises(gs.UsageError, match="of=Msg"):
            journal.put(Add(1))


def test_a_journal_has_one_type(path: Path) -> None:
    """A journal that is open is the same object for everybody, and another type is refused."""
    with gs.LMDBStore(path) as store:
        journal = store.journal("j", of=int)
        assert store.journal("j") is store.journal("j", of=int) is journal
        with pytest.raises(gs.UsageError, match="another type"):
            store.journal("j", of=str)


@DURABILITIES
def test_a_message_that_cannot_be_stored_enters_not_at_all(path: Path, durability: Any) -> None:
    """NotStorable takes all messages of its put along, and nothing else."""
    with gs.LMDBStore(path) as store, store.journal("j", of=int | float, durability=durability) as journal:
        for wrong in (float("nan"), "text", None):
            with pytest.raises(gs.errors.NotStorable):
                journal.put(1, wrong)
            with pytest.raises(gs.errors.NotStorable):
                journal.put(wrong)
        journal.put(2)
        assert journal.slice() == [2]


def test_journals_of_one_store_do_not_meet(path: Path) -> None:
    """Journals whose names begin alike, and those of readers and of each other, keep apart."""
    names = ["a", "ab", "a/b", "b", "c", "m", "x", "é", "a\x01"]
    with gs.LMDBStore(path) as store:
        for name, reader in itertools.product(names, ["r", "b", "rr"]):
            journal = store.journal(name, of=str)
            journal.put(name)
            with journal.consumer(name=reader) as consumer:
                consumer.cursor.take(1)
                consumer.commit()
    with gs.LMDBStore(path) as store:
        assert {name: store.journal(name, of=str).slice() for name in names} == {name: [name] * 3 for name in names}
        assert all(key.startswith("@types/") for key in store.keys())  # noqa: SIM118  - a store is no mapping


def test_a_name_with_a_nul_is_refused(path: Path) -> None:
    """A name that could be taken for another's record raises InvalidKey."""
    with gs.LMDBStore(path) as store, pytest.raises(gs.errors.InvalidKey, match="NUL"):
        store.journal("a\0b")


def test_a_durability_that_is_none_is_refused(path: Path) -> None:
    """A misspelt durability is told so."""
    with gs.LMDBStore(path) as store, pytest.raises(gs.UsageError, match="durability"):
        store.journal("j", durability="always")  # type: ignore[arg-type]


def test_statistics_count_what_is_on_disk(path: Path) -> None:
    """After reopening, size, start and end are those of the file, and the oldest is as old as it was."""
    filled(path, 3000)
    with gs.LMDBStore(path) as store, store.journal("j", of=int) as journal, journal.consumer(2990, name="r") as reader:
        reader.cursor.take(4)
        statistics = journal.statistics()
        assert (statistics.size, statistics.start, statistics.end) == (3000, 0, 3000)
        assert statistics.oldest_age is not None
        assert 0 < statistics.oldest_age < 600
        assert statistics.readers == ((2994, 2990, 6),)
        assert (journal.size(), journal.diff(reader)) == (3000, 6)


def test_an_empty_journal_has_no_age(path: Path) -> None:
    """A journal that nobody has written is empty, and reading it writes nothing."""
    with gs.LMDBStore(path) as store:
        journal = store.journal("j", of=int)
        assert (journal.statistics().oldest_age, list(journal.read()), journal.journal_id) == (None, [], "")
        with journal.consumer() as consumer, pytest.raises(gs.errors.Empty):
            consumer.get_nowait()
        assert not list(path.parent.glob("*owner*"))


def test_the_salt_is_given_once(path: Path) -> None:
    """The journal_id and the turns of a journal stay the same however often it is opened."""
    seen = []
    for _ in range(3):
        with gs.LMDBStore(path) as store, store.journal("j", of=int) as journal:
            journal.put(1)
            journal.flush()
            turn = journal.run_record.turn(0)
            seen.append((journal.journal_id, turn.at, turn.random(), turn.uuid()))
    assert seen == [seen[0]] * 3


# ---------------------------------------------------------------------- on disk before it is read


@DURABILITIES
def test_a_message_is_on_disk_before_it_is_read(path: Path, durability: Any) -> None:
    """When a reader has a message, another look into the file finds it."""
    with gs.LMDBStore(path) as store:
        journal = store.journal("j", of=int, durability=durability)
        consumer = journal.consumer()
        for number in range(20):
            journal.put(number, number)
            consumer.get()
            consumer.get()
            assert [r.message for r in journal.read()][-2:] == [number, number]


def test_put_is_on_disk_when_it_returns(path: Path) -> None:
    """With the durability "put" no reader and no flush is needed."""
    with gs.LMDBStore(path) as store:
        journal = store.journal("j", of=int, durability="put")
        for number in range(5):
            journal.put(number)
            assert [r.message for r in journal.read()] == list(range(number + 1))


def test_a_group_waits_in_memory(path: Path) -> None:
    """With the durability "group" nothing is written before 4,096 messages wait, a reader reads, or somebody flushes."""
    with gs.LMDBStore(path) as store:
        journal = store.journal("j", of=int)
        for number in range(4096):
            journal.put(number)
        assert list(journal.read()) == []
        journal.put(4096)
        assert len(list(journal.read())) == 4096
        assert journal.flush() == len(list(journal.read())) == 4097


def transaction_number(store: gs.LMDBStore) -> int:
    assert store.backend.file.environment is not None
    return int(store.backend.file.environment.info()["last_txnid"])


@DURABILITIES
def test_a_flush_is_one_transaction(path: Path, durability: Any) -> None:
    """Messages over many blocks, and cursors of several readers, are written together."""
    with gs.LMDBStore(path) as store:
        journal = store.journal("j", of=int, durability=durability)
        a, b = journal.consumer(name="a"), journal.consumer(name="b")
        journal.put(*range(10))
        a.cursor.take(3)
        b.cursor.take(5)
        a.cursor.settle(3, list(range(10, 3010)))
        b.cursor.settle(5)
        before = transaction_number(store)
        journal.flush()
        assert transaction_number(store) == before + 1
        journal.flush()  # there is nothing to write
        assert transaction_number(store) == before + 1
    assert messages(path) == list(range(3010))


def test_senders_share_a_sync(path: Path) -> None:
    """Sixteen threads that put at once need fewer transactions than messages."""
    with gs.LMDBStore(path) as store:
        journal = store.journal("j", of=int, durability="put")
        journal.put(-1)
        before = transaction_number(store)

        def put(thread: int) -> None:
            for number in range(20):
                journal.put(thread * 20 + number)

        together(*(lambda thread=thread: put(thread) for thread in range(16)))
        assert transaction_number(store) - before < 320
        assert sorted(journal.slice()) == list(range(-1, 320))


# ---------------------------------------------------------------------- readers


@DURABILITIES
def test_a_named_reader_goes_on_where_it_committed(path: Path, durability: Any) -> None:
    """The committed position of each name is durable; what was read and not committed is given again."""
    filled(path, 100)
    for begin in range(0, 60, 20):
        with gs.LMDBStore(path) as store:
            journal = store.journal("j", of=int, durability=durability)
            a, b = journal.consumer(name="a"), journal.consumer("newest", name="b")
            assert (a.cursor.take(20), b.position) == (list(range(begin, begin + 20)), 100)
            a.commit()
            a.cursor.take(7)


def test_a_name_is_used_by_one_reader_at_a_time(path: Path) -> None:
    """A second reader of a name raises ConcurrentGet until the first is closed."""
    with gs.LMDBStore(path) as store:
        journal = store.journal("j", of=int)
        with journal.consumer(name="r"), pytest.raises(gs.errors.ConcurrentGet, match="'r'"):
            journal.consumer(name="r")
        journal.consumer(name="r").close()


def test_a_rollback_stores_nothing(path: Path) -> None:
    """A reader that went back is given the same after reopening."""
    filled(path, 5)
    with gs.LMDBStore(path) as store, store.journal("j", of=int) as journal, journal.consumer(name="r") as reader:
        assert reader.cursor.take(2) == [0, 1]
        reader.commit()
        reader.cursor.take(2)
        reader.rollback()
    with gs.LMDBStore(path) as store, store.journal("j", of=int).consumer(name="r") as reader:
        assert reader.get() == 2


def test_a_sought_position_is_durable(path: Path) -> None:
    """A named reader that seeks goes on there after reopening, forwards and backwards."""
    filled(path, 50)
    for position in (30, 10, 50, 0):
        with gs.LMDBStore(path) as store, store.journal("j", of=int).consumer(name="r") as reader:
            reader.seek(position)
        with gs.LMDBStore(path) as store, store.journal("j", of=int).consumer(name="r") as reader:
            assert reader.position == position


@DURABILITIES
def test_settle_stores_messages_and_cursor_together(path: Path, durability: Any) -> None:
    """Whatever transaction is the last one, as many answers are stored as messages are settled."""
    with gs.LMDBStore(path) as store, store.journal("j", of=str, durability=durability) as journal:
        journal.put(*["ask"] * 50)
        with journal.consumer(name="r") as reader:
            for turn in range(50):
                assert reader.get() == "ask"
                reader.cursor.settle(1, [f"answer {turn}"])
                if turn % 7 == 0:
                    journal.flush()
                stored = [r.message for r in journal.read()]
                assert len(stored) - 50 == journal.parts.records.cursors().get("r", 0)
    assert messages(path, str) == ["ask"] * 50 + [f"answer {turn}" for turn in range(50)]


def test_readers_far_behind_read_from_disk(path: Path) -> None:
    """Over many blocks and from many places, `take`, `get` and `read` give the same."""
    filled(path, 30_000)
    chance = random.Random(1)
    with gs.LMDBStore(path) as store:
        journal = store.journal("j", of=int)
        for start in (0, 1, 1023, 1024, 4095, 4096, 29_999, 30_000):
            with journal.consumer(start) as reader:
                seen: list[int] = []
                while more := reader.cursor.take(chance.randrange(1, 3000)):
                    seen += more
            assert seen == [r.message for r in journal.read(start)] == list(range(start, 30_000))


@pytest.mark.parametrize("bounds", [(0, 0), (5, 5), (0, 1), (1000, 1030), (2047, 2049), (2990, 9999), (7, 3)])
def test_read_gives_what_lies_between(path: Path, bounds: tuple[int, int]) -> None:
    """`read` keeps to its bounds, at the edges of blocks too, and gives nothing beyond the end."""
    filled(path, 3000)
    with gs.LMDBStore(path) as store:
        found = [(r.position, r.message) for r in store.journal("j", of=int).read(*bounds)]
    assert found == [(number, number) for number in range(bounds[0], min(bounds[1], 3000))]


def test_readers_in_many_places_share_the_journal(path: Path) -> None:
    """Ten readers, each a message at a time from its own block while more is put, see all in order."""
    filled(path, 10_240)
    with gs.LMDBStore(path) as store, store.journal("j", of=int) as journal:
        readers = [journal.consumer(start * 1024) for start in range(10)]
        for step in range(200):
            journal.put(10_240 + step)
            assert [reader.get_nowait() for reader in readers] == [start * 1024 + step for start in range(10)]


@pytest.mark.slow
def test_a_million_messages_do_not_stay_in_memory(path: Path) -> None:
    """A million messages that nobody reads leave a few megabytes, and are all there."""
    with gs.LMDBStore(path) as store, store.journal("j", of=int) as journal:
        for number in range(20_000):
            journal.put(number)
        tracemalloc.start()
        for number in range(20_000, 1_000_000):
            journal.put(number)
        grown = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert grown < 4_000_000
        journal.flush()
        assert all(r.position == r.message for r in journal.read())
        assert journal.size() == 1_000_000


# ---------------------------------------------------------------------- threads and loops


@pytest.mark.slow
@DURABILITIES
def test_threads_and_loops_see_one_order(path: Path, durability: Any) -> None:
    """Four putters and four readers, two of them in event loops: one order for all, nothing lost or doubled."""
    each = 2000 if durability == "group" else 200
    with gs.LMDBStore(path) as store:
        journal = store.journal("j", of=int, durability=durability)
        seen: list[list[int]] = [[] for _ in range(4)]
        consumers = [journal.consumer(name=f"r{number}" if number % 2 else "") for number in range(4)]

        def put(thread: int) -> None:
            for number in range(0, each, 2):
                journal.put(thread * each + number)
                journal.put(*[thread * each + number + 1])

        def read(number: int) -> None:
            for message in consumers[number]:
                seen[number].append(message)

        async def read_async(number: int) -> None:
            async for message in consumers[number]:
                seen[number].append(message)

        def put_all() -> None:
            together(*(lambda thread=thread: put(thread) for thread in range(4)))
            journal.close()

        together(put_all, *(lambda n=n: read(n) for n in (0, 1)), *(lambda n=n: asyncio.run(read_async(n)) for n in (2, 3)))
        stored = [r.message for r in journal.read()]
        assert seen == [stored] * 4
        for thread in range(4):
            mine = [message for message in stored if message // each == thread]
            assert mine == list(range(thread * each, (thread + 1) * each))


@pytest.mark.slow
@DURABILITIES
def test_a_sleeping_reader_is_woken(path: Path, durability: Any) -> None:
    """Two threads that answer each other through one journal each come to the end."""
    with gs.LMDBStore(path) as store:
        there = store.journal("there", of=int, durability=durability)
        back = store.journal("back", of=int, durability=durability)

        def echo() -> None:
            with there.consumer() as consumer:
                for message in consumer:
                    back.put(message)

        def ask() -> None:
            with back.consumer() as consumer:
                for number in range(100):
                    there.put(number)
                    assert consumer.get(timeout=60) == number
            there.close()

        together(echo, ask)


# ---------------------------------------------------------------------- closing


@DURABILITIES
def test_close_drains(path: Path, durability: Any) -> None:
    """What was put before close is on disk and is still read; what comes later is refused."""
    with gs.LMDBStore(path) as store:
        journal = store.journal("j", of=int, durability=durability)
        reader = journal.consumer(name="r")
        for number in range(10):
            journal.put(number)
        journal.close()
        assert [r.message for r in journal.read()] == list(range(10))
        for refused in ([10], [10, 11]):
            with pytest.raises(gs.Closed):
                journal.put(*refused)
        assert list(reader) == list(range(10))
        reader.close()
        assert store.journal("j", of=int).consumer(name="r").position == 10
    assert messages(path) == list(range(10))


def test_a_journal_is_opened_anew_after_its_end(path: Path) -> None:
    """A closed journal with no reader left gives the lease back, and the store opens another."""
    with gs.LMDBStore(path) as store:
        for number in range(3):
            with store.journal("j", of=int) as journal:
                journal.put(number)
        assert store.journal("j").slice() == [0, 1, 2]


def test_a_closed_store_is_refused(path: Path) -> None:
    """After the store is closed, the journal is closed too, and reading from disk says why it cannot."""
    store = gs.LMDBStore(path)
    journal = store.journal("j", of=int)
    journal.put(1)
    store.close()
    assert journal.closed
    with pytest.raises(gs.errors.StoreUnavailable, match="closed"):
        list(journal.read())
    assert messages(path) == [1]


# ---------------------------------------------------------------------- truncating


def test_truncate_forgets_the_beginning(path: Path) -> None:
    """Positions stay what they were, also after reopening and when nothing is left."""
    filled(path, 5000)
    for before, start in ((0, 0), (1, 1), (1024, 1024), (3000, 3000), (10, 3000), (9999, 5000)):
        with gs.LMDBStore(path) as store:
            journal = store.journal("j", of=int)
            journal.lease.acquire()
            assert journal.truncate(before) == start
        with gs.LMDBStore(path) as store:
            journal = store.journal("j", of=int)
            assert [r.position for r in journal.read()] == list(range(start, 5000))
            assert (journal.statistics().start, journal.size(), journal.consumer().position) == (start, 5000 - start, start)
    with gs.LMDBStore(path) as store, store.journal("j", of=int) as journal:
        journal.put(5000)
        assert journal.flush() == 5001
        assert [(r.position, r.message) for r in journal.read(0)] == [(5000, 5000)]


def test_truncate_passes_no_named_reader(path: Path) -> None:
    """What a named reader has not committed is kept, whether it is open or not; a nameless one finds that it lagged."""
    filled(path, 100)
    with gs.LMDBStore(path) as store, store.journal("j", of=int) as journal:
        nameless = journal.consumer()
        with journal.consumer(name="r") as reader:
            reader.cursor.take(50)
            with pytest.raises(gs.UsageError, match="'r' has only come to 0"):
                journal.truncate(1)
            reader.commit()
        with pytest.raises(gs.UsageError, match="'r' has only come to 50"):
            journal.truncate(51)
        assert journal.truncate(50) == 50
        with pytest.raises(gs.errors.Lagged) as raised:
            nameless.get_nowait()
        assert (raised.value.missed, raised.value.oldest) == (50, 50)
        assert journal.consumer(name="r").get() == 50


# ---------------------------------------------------------------------- the lease


@pytest.mark.processes
def test_two_processes_do_not_write_one_journal(path: Path, other: Other) -> None:
    """The second gets LeaseHeld for every write and may read; other journals are nobody's; the first's death frees it."""
    assert other.do("journal.put(1)") == "None"
    with gs.LMDBStore(path) as store:
        journal = store.journal("j", of=int, durability="put")
        for write in (lambda: journal.put(2), lambda: journal.put(2, 3), journal.lease.acquire):
            with pytest.raises(gs.errors.LeaseHeld) as raised:
                write()
            assert raised.value.name == "j"
        assert [r.message for r in journal.read()] == [1]
        assert journal.consumer().get() == 1
        store.journal("k", of=int).put(1)
        other.process.kill()
        other.process.wait(60)
        journal.put(2)
        assert journal.slice() == [1, 2]


@pytest.mark.processes
def test_the_lease_goes_from_one_to_the_other(path: Path, other: Other) -> None:
    """Who closes the journal gives the lease away, and who takes it continues after the other's messages."""
    with gs.LMDBStore(path) as store:
        for number in range(0, 6, 2):
            with store.journal("j", of=int) as journal:
                journal.put(number)
                assert other.do("journal.put(-1)") == "LeaseHeld"
            assert other.do(f"journal.put({number + 1})") == "None"
            assert other.do("(journal.close(), journal := store.journal('j', of=int, durability='put')) and 1") == "1"
        assert store.journal("j").slice() == list(range(6))


@pytest.mark.processes
def test_who_waits_gets_the_lease(path: Path, other: Other) -> None:
    """With lease="wait" a put blocks until the owner has ended."""
    assert other.do("journal.put(1)") == "None"
    with gs.LMDBStore(path) as store:
        journal = store.journal("j", of=int, durability="put", lease="wait")
        waiting = threading.Thread(target=journal.put, args=(2,))
        waiting.start()
        assert other.do("journal.put(3)") == "None"
        assert other.do("journal.close()") == "None"
        waiting.join(60)
        assert journal.slice() == [1, 3, 2]


@pytest.mark.processes
def test_a_reader_opened_before_the_lease_sees_all(path: Path, other: Other) -> None:
    """Readers that were there when another process wrote are given its messages once this one has taken the lease."""
    filled(path, 10)
    with gs.LMDBStore(path) as store:
        journal = store.journal("j", of=int)
        readers = [journal.consumer(start) for start in ("oldest", "newest", 5)]
        assert readers[0].cursor.take(2) == [0, 1]
        assert other.do("journal.put(*range(10, 3000))") == "None"
        assert other.do("journal.close()") == "None"
        journal.put(3000)
        for reader, start in zip(readers, (2, 10, 5), strict=True):
            seen: list[int] = []
            while more := reader.cursor.take(700):
                seen += more
            assert seen == list(range(start, 3001))


@pytest.mark.processes
def test_read_sees_what_another_process_writes(path: Path, other: Other) -> None:
    """`read` without a lease looks anew each time."""
    with gs.LMDBStore(path) as store:
        journal = store.journal("j", of=int)
        for number in range(5):
            assert other.do(f"journal.put({number})") == "None"
            assert [r.message for r in journal.read()] == list(range(number + 1))


def test_a_forked_child_writes_nothing_of_its_parent(path: Path) -> None:
    """A child cannot write its parent's journal, opens the file anew, and leaves the parent's lease and messages alone."""
    script = """
import os, sys, go_state as gs
store = gs.LMDBStore(sys.argv[1])
journal = store.journal("j", of=int, durability="put")
journal.put(1)
if (child := os.fork()) == 0:
    try:
        journal.put(2)
    except gs.errors.StoreError:
        print("refused")
    with gs.LMDBStore(sys.argv[1]) as anew:
        print([r.message for r in anew.journal("j", of=int).read()])
        try:
            anew.journal("j", of=int).put(3)
        except gs.errors.LeaseHeld:
            print("owned")
    sys.stdout.flush()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
journal.put(4)
print(journal.slice())
store.close()
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, str(path)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.stderr, done.stdout.splitlines()) == ("", ["refused", "[1]", "owned", "[1, 4]"])


# ---------------------------------------------------------------------- a full store


def test_a_full_store_refuses_the_message_alone(path: Path) -> None:
    """With the durability "put" what raised StoreFull has not entered, all before it is there, and a larger map goes on."""
    kept: list[str] = []

    def fill(journal: Journal[str]) -> None:
        for number in range(1000):
            journal.put(f"{number}" * 1000)
            kept.append(f"{number}" * 1000)

    with gs.LMDBStore(path, map_size=1 << 18) as store:
        journal = store.journal("j", of=str, durability="put")
        with pytest.raises(gs.errors.StoreFull, match="map_size"):
            fill(journal)
        with journal.consumer() as reader:
            assert [r.message for r in journal.read()] == [reader.get() for _ in kept] == kept
    with gs.LMDBStore(path, map_size=1 << 24) as store:
        journal = store.journal("j", of=str, durability="put")
        journal.put("more")
        assert journal.slice() == [*kept, "more"]


def test_a_message_too_large_leaves_room_for_others(path: Path) -> None:
    """A put that does not fit is refused as a whole, and a smaller one enters after it."""
    with gs.LMDBStore(path, map_size=1 << 18) as store:
        journal = store.journal("j", of=str, durability="put")
        journal.put("before")
        with pytest.raises(gs.errors.StoreFull):
            journal.put("small", "x" * 400_000)
        journal.put("after")
        with journal.consumer() as reader:
            assert reader.cursor.take(10) + reader.cursor.take(10) == journal.slice() == ["before", "after"]


# ---------------------------------------------------------------------- damage


def records(path: Path) -> dict[bytes, bytes]:
    """Return the journal's records as they lie in the file."""
    with lmdb.open(str(path), subdir=False) as env, env.begin() as transaction:
        return {bytes(name): bytes(record) for name, record in transaction.cursor()}


def overwrite(path: Path, name: bytes, record: bytes) -> None:
    with lmdb.open(str(path), subdir=False) as env, env.begin(write=True) as transaction:
        transaction.put(name, record)


def everything(path: Path) -> None:
    """Read all that there is, in every way."""
    with gs.LMDBStore(path) as store:
        journal = store.journal("j", of=Add | Clear)
        with journal.consumer() as reader:
            taken = list(iter(lambda: reader.cursor.take(1000), []))
        assert [m for more in taken for m in more] == [r.message for r in journal.read()] == [Add(n) for n in range(3000)]
        journal.consumer(name="r")
        journal.set_aside()


@pytest.mark.slow
def test_a_flipped_bit_is_found(path: Path) -> None:
    """One flipped bit in any record raises Corrupt, in a block with its first position, and gives no message of it."""
    chance = random.Random(5)
    with gs.LMDBStore(path) as store, store.journal("j", of=Add | Clear) as journal, journal.consumer(name="r") as reader:
        journal.put(*(Add(number) for number in range(3000)))
        reader.cursor.take(5)
        reader.commit()
        journal.run_record.set_aside(3, "ValueError")
    stored = records(path)
    assert stored.pop(next(name for name in stored if name.startswith(b"s/@types/")))  # read only when types have changed
    assert len(stored) == 6  # three blocks, a cursor, a message set aside, and where the journal begins
    for name, record in stored.items():
        for bit in chance.sample(range(len(record) * 8), 12) + chance.sample(range(96), 12):
            damaged = bytearray(record)
            damaged[bit // 8] ^= 1 << bit % 8
            overwrite(path, name, bytes(damaged))
            with pytest.raises(gs.errors.Corrupt) as raised:
                everything(path)
            if name.startswith(b"j/j\0b"):
                assert raised.value.position == int.from_bytes(name[5:], "big")
        overwrite(path, name, record)
    everything(path)


def test_a_damaged_block_leaves_the_others_readable(path: Path) -> None:
    """What lies before a damaged block is read, the block raises its position each time, and a seek past it goes on."""
    filled(path, 3000)
    name = b"j/j\0b" + (1024).to_bytes(8, "big")
    overwrite(path, name, records(path)[name][:-1] + b" ")
    with gs.LMDBStore(path) as store, store.journal("j", of=int).consumer() as reader:
        assert reader.cursor.take(5000) == list(range(1024))
        for _ in range(2):
            with pytest.raises(gs.errors.Corrupt) as raised:
                reader.get()
            assert (raised.value.position, reader.position) == (1024, 1024)
        reader.seek(2048)
        assert reader.get() == 2048


def test_a_missing_block_is_found(path: Path) -> None:
    """A gap between the positions raises Corrupt for readers and for `read`."""
    filled(path, 3000)
    with lmdb.open(str(path), subdir=False) as env, env.begin(write=True) as transaction:
        assert transaction.delete(b"j/j\0b" + (1024).to_bytes(8, "big"))
    with gs.LMDBStore(path) as store:
        journal = store.journal("j", of=int)
        with pytest.raises(gs.errors.Corrupt, match="1024"):
            list(journal.read())
        with journal.consumer(1500) as reader, pytest.raises(gs.errors.Corrupt):
            reader.get()


def test_a_block_in_anothers_place_is_found(path: Path) -> None:
    """The checksum covers where a block lies: one that was moved is not read."""
    filled(path, 3000)
    first, second = (b"j/j\0b" + (1024 * number).to_bytes(8, "big") for number in (0, 1))
    overwrite(path, first, records(path)[second])
    with gs.LMDBStore(path) as store, pytest.raises(gs.errors.Corrupt) as raised:
        list(store.journal("j", of=int).read())
    assert raised.value.position == 0


HOSTILE = [
    b'["os.system",{"command":"true"}]', b'["Path",{}]', b'["Add",{"by":"1"}]', b'["Add",{"by":null}]', b'["Add",[1]]', b'["Add"]',
    b'{"by":1}', b"null", b"1", b'["Clear",{},{}]', b'["__class__",{}]', b'[["Add"],{"by":1}]', b'["add",{"by":1}]',
]  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE, ids=bytes.decode)
def test_a_stored_message_of_another_kind_is_refused(path: Path, hostile: bytes) -> None:
    """JSON with a right checksum that is none of the messages raises Incompatible with its position, and makes no object."""
    with gs.LMDBStore(path) as store, store.journal("j", of=Add | Clear) as journal:
        journal.put(Add(1), Add(12345), Clear())
    name = b"j/j\0b" + bytes(8)
    record = records(path)[name]
    overwrite(path, name, pack(name, int.from_bytes(record[:8], "big"), record[12:].replace(b'["Add",{"by":12345}]', hostile)))
    with gs.LMDBStore(path) as store:
        journal = store.journal("j", of=Add | Clear)
        with pytest.raises(gs.errors.Incompatible, match="position 1"):
            list(journal.read())
        with journal.consumer() as reader:
            assert reader.cursor.take(3) == [Add(1)]
            with pytest.raises(gs.errors.Incompatible, match="position 1"):
                reader.cursor.take(3)


def test_a_reader_gets_no_further_than_the_disk(path: Path) -> None:
    """While there is something on disk to read, what is not there yet is not given with it."""
    with gs.LMDBStore(path) as store, store.journal("j", of=int) as journal, journal.consumer() as reader:
        journal.put(1)
        journal.put(2)
        journal.flush()
        journal.put(3)
        assert reader.cursor.take(10) == [1, 2]
        assert [recorded.message for recorded in journal.read()] == [1, 2]
        assert reader.cursor.take(10) == [3]


def test_a_field_that_is_gone_is_not_lost_silently(path: Path) -> None:
    """A class that has lost a field, under the schema that it had, is refused where a message holds one."""

    @gs.stored_as("Note")
    @dataclass(frozen=True)
    class Before:
        by: int
        text: str

    @gs.stored_as("Note")
    @dataclass(frozen=True)
    class After:
        by: int

    with gs.LMDBStore(path) as store:
        store.journal("j", of=Before).put(Before(1, "kept"))
    with gs.LMDBStore(path) as store, pytest.raises(gs.errors.Incompatible, match="message at position 0"):
        list(store.journal("j", of=After).read())


def test_blocks_that_overlap_are_damage(path: Path) -> None:
    """A block that begins inside the one before it, whole as it is, is no part of a journal without gaps."""
    filled(path, 10)
    with gs.LMDBStore(path) as store:
        store.journal("j", of=int).put(*range(10))
        store.journal("j").flush()
        records = store.journal("j").parts.records
        block = records.block(10)
        assert block is not None
        with store.backend.transaction(write=True) as transaction:
            data = b"%d %d\n%b" % (block.number, block.schema, block.data)
            transaction.delete(records.prefix + b"b" + (10).to_bytes(8, "big"))
            records._put(transaction, b"b" + (5).to_bytes(8, "big"), data)
            records._put(transaction, b"b" + (15).to_bytes(8, "big"), data)
        with pytest.raises(gs.errors.Corrupt) as raised:
            list(store.journal("j").read())
    assert raised.value.position in (5, 15)
