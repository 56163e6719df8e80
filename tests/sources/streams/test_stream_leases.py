"""Who reads what, agreed on in the store: balanced, without a gap, and in the end by one worker each, whatever happens on the way."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

import go_state as gs
from go_state.core.ports import Write
from go_state.sources.streams.leases import Sharing, shares

SECONDS = 10.0
ROUND = SECONDS / 4


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Worker:
    """A worker that does what its leases say; what it holds is what it believes to."""

    def __init__(self, store: gs.abc.Store, clock: Clock, program: str = "Tally") -> None:
        self.sharing = Sharing(store, program, "orders", SECONDS, clock)
        self.holds: set[str] = set()

    def step(self, there: Iterable[str]) -> None:
        moves = self.sharing.step(list(there))
        self.holds -= set(moves.lost)
        self.holds |= set(moves.take)
        if moves.give:
            self.holds -= set(moves.give)
            self.sharing.let_go(moves.give)


def shards(number: int) -> list[str]:
    return [f"shard-{n:03}" for n in range(number)]


def rounds(clock: Clock, workers: list[Worker], there: list[str], number: int = 1) -> None:
    for _ in range(number):
        clock.now += ROUND
        for worker in workers:
            worker.step(there)


def are_shared(workers: list[Worker], there: list[str]) -> bool:
    """Return whether each partition is read by one worker, and none has two more than another."""
    numbers = sorted(len(worker.holds) for worker in workers)
    held = [partition for worker in workers for partition in worker.holds]
    return sorted(held) == sorted(there) and numbers[-1] - numbers[0] <= 1


def test_who_is_alone_takes_all_at_once(clock: Clock) -> None:
    """There is nobody to wait for, so the first round takes everything."""
    worker = Worker(gs.MemoryStore(), clock)
    worker.step(shards(7))
    assert worker.holds == set(shards(7))


def test_five_workers_share_a_hundred_shards_within_a_few_rounds(clock: Clock) -> None:
    """Those who come later have their part after three rounds, and then nothing moves any more."""
    store, there = gs.MemoryStore(), shards(100)
    workers = [Worker(store, clock)]
    rounds(clock, workers, there)
    workers += [Worker(store, clock) for _ in range(4)]
    rounds(clock, workers, there, 3)
    assert are_shared(workers, there)
    before = [set(worker.holds) for worker in workers]
    rounds(clock, workers, there, 5)
    assert [worker.holds for worker in workers] == before


def test_workers_that_begin_at_once_come_to_an_agreement(clock: Clock) -> None:
    """They may all take the same at first; the leases say who keeps it."""
    store, there = gs.MemoryStore(), shards(12)
    workers = [Worker(store, clock) for _ in range(3)]
    crew = [threading.Thread(target=worker.step, args=(there,)) for worker in workers]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    rounds(clock, workers, there, 4)
    assert are_shared(workers, there)


def test_a_dead_worker_is_replaced_after_its_seconds(clock: Clock) -> None:
    """Until then its partitions are left alone; afterwards the others have them, and its record is gone."""
    store, there = gs.MemoryStore(), shards(8)
    workers = [Worker(store, clock) for _ in range(2)]
    rounds(clock, workers, there, 4)
    assert are_shared(workers, there)
    left = workers[:1]
    rounds(clock, left, there, 4)
    assert len(left[0].holds) == 4
    rounds(clock, left, there, 2)
    assert left[0].holds == set(there)
    assert len(list(store.keys("@leases/"))) == 1


def test_a_worker_that_ends_is_replaced_at_the_next_round(clock: Clock) -> None:
    """It says so, and nobody waits for its seconds."""
    store, there = gs.MemoryStore(), shards(8)
    workers = [Worker(store, clock) for _ in range(2)]
    rounds(clock, workers, there, 4)
    workers[1].sharing.close()
    rounds(clock, workers[:1], there)
    assert workers[0].holds == set(there)


def test_what_is_let_go_of_is_taken_only_afterwards(clock: Clock) -> None:
    """A hand-over is graceful: the next worker takes a partition when the one before has saved it and said so."""
    store, there = gs.MemoryStore(), shards(4)
    first, second = Worker(store, clock), Worker(store, clock)
    first.step(there)
    second.step(there)
    moves = first.sharing.step(there)
    assert len(moves.give) == 2
    for _ in range(3):
        clock.now += 1
        second.step(there)
        assert not second.holds
    first.sharing.let_go(moves.give)
    second.step(there)
    assert second.holds == set(moves.give)


def test_one_that_was_stopped_finds_out_that_it_has_lost(clock: Clock) -> None:
    """It comes back with what it held in mind; the leases say that this is somebody else's, and give it a part again."""
    store, there = gs.MemoryStore(), shards(6)
    stopped, other = Worker(store, clock), Worker(store, clock)
    rounds(clock, [stopped, other], there, 4)
    rounds(clock, [other], there, 6)
    assert other.holds == set(there)
    assert len(stopped.holds) == 3
    assert not any(stopped.sharing.holds(partition) for partition in stopped.holds)
    stopped.holds.clear()
    rounds(clock, [stopped, other], there, 4)
    assert are_shared([other, stopped], there)


def test_one_that_was_stopped_does_not_count_the_others_as_dead(clock: Clock) -> None:
    """For the time in which it did not look it cannot say that they were silent."""
    store, there = gs.MemoryStore(), shards(6)
    one, other = Worker(store, clock), Worker(store, clock)
    rounds(clock, [one, other], there, 4)
    one.step(there)
    clock.now += 100 * SECONDS
    one.step(there)
    assert len(list(store.keys("@leases/"))) == 2
    rounds(clock, [one, other], there, 3)
    assert are_shared([one, other], there)


def test_programs_do_not_share_leases(clock: Clock) -> None:
    """Two programs in one store each read everything."""
    store = gs.MemoryStore()
    one, other = Worker(store, clock), Worker(store, clock, "Other")
    rounds(clock, [one, other], shards(3), 3)
    assert one.holds == other.holds == set(shards(3))


def test_what_was_read_is_known_to_those_who_come_after(clock: Clock) -> None:
    """Also if the worker that has noted it is dead, or has ended, and if all have."""
    store, there = gs.MemoryStore(), shards(2)
    first = Worker(store, clock)
    first.step(there)
    first.sharing.note(there[0], 41)
    first.step(there)
    second = Worker(store, clock)
    second.step(there)
    assert second.sharing.known == {there[0]: 41}
    rounds(clock, [second], there, 6)
    second.sharing.close()
    third = Worker(store, clock)
    third.step(there)
    assert third.sharing.known[there[0]] == 41
    assert third.holds == set(there)


def test_a_partition_that_has_ended_is_forgotten(clock: Clock) -> None:
    """Nothing is left of it in the store once all know."""
    store, there = gs.MemoryStore(), shards(2)
    worker = Worker(store, clock)
    worker.step(there)
    worker.sharing.note(there[0], 1)
    worker.sharing.ended(there[0])
    worker.step(there[1:])
    assert not worker.sharing.known
    (key,) = store.keys("@leases/")
    stored = store.load(key)
    assert stored is not None
    assert there[0].encode() not in stored.data


def test_the_first_says_where_all_begin() -> None:
    """Whoever comes later begins where the first has, however long ago that was."""
    store = gs.MemoryStore()
    assert Sharing(store, "Tally", "orders", SECONDS).agree_on_start(7) == 7
    assert Sharing(store, "Tally", "orders", SECONDS).agree_on_start(9) == 7
    assert Sharing(store, "Other", "orders", SECONDS).agree_on_start(9) == 9


def test_a_record_that_was_deleted_is_written_again(clock: Clock) -> None:
    """Such as by others that have heard nothing of this worker for long; it goes on as if it had come anew."""
    store, there = gs.MemoryStore(), shards(3)
    worker = Worker(store, clock)
    worker.step(there)
    for key in list(store.keys("@leases/")):
        stored = store.load(key)
        assert stored is not None
        store.store({key: Write(None, stored.version)})
    rounds(clock, [worker], there, 2)
    assert worker.holds == set(there)
    assert len(list(store.keys("@leases/"))) == 1


def test_names_that_are_long_or_hold_slashes(clock: Clock) -> None:
    """Programs and sources may have any name that a store's key cannot hold."""
    store = gs.MemoryStore()
    for program in ("a/b", "a", "x" * 600, "ä" * 300):
        worker = Worker(store, clock, program)
        worker.step(shards(2))
        assert worker.holds == set(shards(2))


@pytest.mark.parametrize("seed", range(40))
def test_random_histories_end_in_an_agreement(seed: int, clock: Clock) -> None:
    """Workers come, die, end, are stopped and go on; when that is over, each partition has one reader, and nobody two too many."""
    chance, store, there = random.Random(seed), gs.MemoryStore(), shards(9)
    workers, stopped = [Worker(store, clock)], []
    for _ in range(60):
        clock.now += chance.uniform(0, ROUND)
        for worker in chance.sample(workers, len(workers)):
            if worker.sharing.is_due:
                worker.step(there)
        match chance.randrange(12):
            case 0 if len(workers) < 5:
                workers.append(Worker(store, clock))
            case 1 if len(workers) > 1:
                workers.pop(chance.randrange(len(workers)))
            case 2 if len(workers) > 1:
                stopped.append(workers.pop(chance.randrange(len(workers))))
            case 3 if stopped:
                workers.append(stopped.pop())
            case 4 if len(workers) > 1:
                workers.pop().sharing.close()
            case 5:
                there = shards(chance.randint(3, 15))
    for worker in workers:
        worker.holds &= set(there)
    rounds(clock, workers, there, 12)
    for worker in workers:
        worker.holds &= set(there)
    assert are_shared(workers, there)


@pytest.mark.slow
def test_processes_that_write_at_once_do_not_stop_each_other(tmp_path: Path, clock: Clock) -> None:
    """On a file, with real transactions: every round comes about, and the agreement holds."""
    there = shards(20)
    with gs.LMDBStore(tmp_path / "s") as store:
        workers = [Worker(store, clock) for _ in range(6)]

        def work(worker: Worker) -> None:
            for _ in range(30):
                worker.step(there)

        crew = [threading.Thread(target=work, args=(worker,)) for worker in workers]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()
        rounds(clock, workers, there, 3)
        assert are_shared(workers, there)


@pytest.mark.parametrize(
    ("there", "held"),
    [
        (10, {"a": 10, "b": 0, "c": 0}),
        (10, {"a": 4, "b": 3, "c": 3}),
        (2, {"a": 0, "b": 1, "c": 1}),
        (0, {"a": 0}),
        (7, {"a": 3, "b": 0}),
    ],
)
def test_shares_move_as_little_as_they_can(there: int, held: Mapping[str, int]) -> None:
    """Who has no more than its part keeps all of it, and nobody takes what is held."""
    names = iter(shards(there))
    has = {worker: {next(names) for _ in range(number)} for worker, number in held.items()}
    moves = shares(shards(there), has)
    taken = [partition for take, _ in moves.values() for partition in take]
    assert not set(taken) & {partition for each in has.values() for partition in each}
    assert len(taken) == len(set(taken))
    assert all(not (take and give) for take, give in moves.values())
    after = sorted(len(has[worker]) - len(give) for worker, (_, give) in moves.items())
    assert all(number <= -(-there // len(held)) for number in after)
    assert sum(len(give) for _, give in moves.values()) == sum(
        max(0, number - part)
        for number, part in zip(sorted(held.values(), reverse=True), _parts(there, len(held)), strict=True)
    )


def _parts(there: int, workers: int) -> list[int]:
    least, more = divmod(there, workers)
    return [least + (n < more) for n in range(workers)]


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "10", None])
def test_wrong_seconds_are_refused(seconds: object) -> None:
    """The error names what was given."""
    with pytest.raises(gs.UsageError, match="a number of seconds above 0"):
        gs.Leases(seconds)  # type: ignore[arg-type]
