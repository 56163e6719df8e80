"""Writes of many journals share a transaction, and what fails of one takes no other along."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import go_state as gs
from go_state.storage.records.backend import Transaction
from go_state.storage.records.writes.together import Job, Together, write_together


@contextmanager
def often_switched() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class Faulty:
    """A backend of a real file that counts its transactions, and fails where it is told to."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.transactions = 0
        self.fail: Callable[[str], object] = lambda point: None

    @contextmanager
    def transaction(self, *, write: bool = False, of: Collection[bytes] | None = None) -> Iterator[Transaction]:
        self.fail("begin")
        with self._backend.transaction(write=write, of=of) as transaction:
            self.transactions += 1
            yield transaction
            self.fail("commit")
        self.fail("committed")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[gs.LMDBStore]:
    with gs.LMDBStore(tmp_path / "s") as store:
        yield store


def put(name: bytes) -> Job[bytes]:
    def fill(transaction: Transaction) -> bytes:
        transaction.put(name, b"here")
        return name

    return Job(fill)


def failing(error: Exception, name: bytes = b"undone") -> Job[bytes]:
    def fill(transaction: Transaction) -> bytes:
        transaction.put(name, b"here")
        raise error

    return Job(fill)


def there(store: gs.LMDBStore, *names: bytes) -> list[bool]:
    with store.backend.transaction() as transaction:
        return [transaction.get(name) is not None for name in names]


def test_many_are_one_transaction(store: gs.LMDBStore) -> None:
    """What was given together is written together, in order, and each has what it has returned."""
    backend: Any = Faulty(store.backend)
    jobs = [put(b"%d" % number) for number in range(50)]
    write_together(backend, jobs)
    assert [job.outcome() for job in jobs] == [b"%d" % number for number in range(50)]
    assert backend.transactions == 1


def test_one_that_fails_is_undone_alone(store: gs.LMDBStore) -> None:
    """Its sender has the error, nothing of it is kept, and all others are written."""
    backend: Any = Faulty(store.backend)
    bad = [failing(gs.Conflict("bad", 0, 1), b"u1"), failing(ValueError("of its own"), b"u2")]
    good = [put(b"a"), put(b"b"), put(b"c")]
    write_together(backend, [good[0], bad[0], good[1], bad[1], good[2]])
    assert [job.outcome() for job in good] == [b"a", b"b", b"c"]
    for job, kind in zip(bad, (gs.Conflict, ValueError), strict=True):
        with pytest.raises(kind):
            job.outcome()
    assert there(store, b"a", b"b", b"c", b"u1", b"u2") == [True] * 3 + [False] * 2


@pytest.mark.parametrize("point", ["begin", "commit", "committed"])
def test_a_store_that_fails_fails_for_all(store: gs.LMDBStore, point: str) -> None:
    """None is told that it is written: whether it is, each finds out by itself."""
    backend: Any = Faulty(store.backend)

    def fail(at: str) -> None:
        if at == point:
            raise gs.errors.StoreUnavailable("lost")

    backend.fail = fail
    jobs = [put(b"a"), put(b"b")]
    write_together(backend, jobs)
    for job in jobs:
        with pytest.raises(gs.errors.StoreUnavailable):
            job.outcome()


def test_a_full_disk_fails_for_those_alone_that_need_the_room(store: gs.LMDBStore) -> None:
    """What does not fit together is tried one by one."""
    backend: Any = Faulty(store.backend)
    size = [0]

    def fail(at: str) -> None:
        if at == "begin":
            size[0] = 0
        if at == "commit" and size[0] > 1:
            raise gs.errors.StoreFull("no room")

    def sized(name: bytes, by: int) -> Job[bytes]:
        def fill(transaction: Transaction) -> bytes:
            size[0] += by
            transaction.put(name, b"here")
            return name

        return Job(fill)

    backend.fail = fail
    small, large, last = sized(b"small", 1), sized(b"large", 2), sized(b"last", 1)
    write_together(backend, [small, large, last])
    assert (small.outcome(), last.outcome()) == (b"small", b"last")
    with pytest.raises(gs.errors.StoreFull):
        large.outcome()
    assert there(store, b"small", b"large", b"last") == [True, False, True]


def test_a_record_too_large_for_the_file_takes_no_other_along(tmp_path: Path) -> None:
    """A message that does not fit into the store is refused, and what others put at that moment is on disk."""
    with gs.LMDBStore(tmp_path / "s", map_size=1 << 20) as store:
        journals = [store.journal(str(number), of=str, durability="put") for number in range(8)]
        refused: list[int] = []

        def send(number: int) -> None:
            try:
                journals[number].put("x" * (2 << 20) if number == 3 else "small")
            except gs.errors.StoreFull:
                refused.append(number)

        threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert refused == [3]
        assert [len(journal.slice()) for journal in journals] == [1, 1, 1, 0, 1, 1, 1, 1]


def test_a_leader_that_is_ended_leaves_nobody_asleep(store: gs.LMDBStore) -> None:
    """What ends the leading thread, such as SystemExit in its write, is told to the others as a failure of the store."""
    together = Together(store.backend)
    outcomes: list[object] = []
    entered, go_on = threading.Event(), threading.Event()

    def hold(transaction: Transaction) -> None:
        entered.set()
        go_on.wait(10)

    def end(transaction: Transaction) -> None:
        raise SystemExit

    def send(job: Job[Any]) -> None:
        try:
            together.write(job)
            outcomes.append(job.error)
        except SystemExit:
            outcomes.append(SystemExit)

    threads = [threading.Thread(target=send, args=(Job(hold),))]
    threads[0].start()
    assert entered.wait(10)
    threads += [threading.Thread(target=send, args=(each,)) for each in (Job(end), put(b"a"), put(b"b"))]
    for thread in threads[1:]:
        thread.start()
    while len(together._waiting) < 3:
        pass
    go_on.set()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert len(outcomes) == 4
    together.write(last := put(b"last"))
    assert last.outcome() == b"last"


@pytest.mark.parametrize("faults", [False, True])
def test_threads_at_many_journals(store: gs.LMDBStore, faults: bool) -> None:
    """With a switch at every step, and writes that fail now and then: what a put has said is there, once and in order, and no more."""
    backend = store.backend
    together: Any = store.together
    faulty = Faulty(backend)
    rng = random.Random(7)

    def fail(at: str) -> None:
        if faults and rng.random() < 0.05:
            raise (gs.errors.StoreFull if at == "begin" else gs.errors.StoreUnavailable)(f"at {at}")

    faulty.fail = fail
    together._backend = faulty

    def send(name: str) -> None:
        for number in range(40):
            for _ in range(50):
                try:
                    journals[name].put(number)
                except gs.GoStateError:
                    if number not in journals[name].slice():  # or it was committed, and nobody knew when the put was told
                        continue
                break

    names = [str(number) for number in range(12)]
    journals = {name: store.journal(name, of=int, durability="put") for name in names}
    with often_switched():
        threads = [threading.Thread(target=send, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    together._backend = backend
    for journal in journals.values():
        journal.close()
    for name in names:
        assert [each.message for each in store.journal(name, of=int).read()] == list(range(40))


async def test_keyed_programs_on_a_loop_share_their_writes(tmp_path: Path) -> None:
    """Two hundred programs that are sent a message each need a few transactions, not two hundred."""
    with gs.LMDBStore(tmp_path / "s") as store:

        def add(model: int, msg: int) -> gs.Step[int, int]:
            return model + msg, ()

        program: gs.Program[int, int] = gs.Program(lambda: (0, ()), add)
        faulty = Faulty(store.backend)
        async with gs.start_keyed_async(program, store=store) as apps:
            await asyncio.gather(*(apps[str(key)].ready_async() for key in range(200)))
            together: Any = store.together
            together._backend = faulty
            await asyncio.gather(*(apps[str(key)].apply_async(1) for key in range(200)))
            await apps.settle_async(10)
            assert faulty.transactions < 100
            assert [apps[str(key)].model for key in range(200)] == [1] * 200
