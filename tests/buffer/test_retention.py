"""Retention: what may be forgotten, as pure functions and at work in a buffer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from go_state import Buffer, Closed, UsageError
from go_state.errors import Lagged
from go_state.retention import drop_committed, fixed, keep_all

BIGBUFF = [([], 0), ([0, 3], 0), ([3, 2], 2), ([-1, 4], 4), ([-1], 0), ([9], 5)]


@pytest.mark.parametrize(("offsets", "drop"), BIGBUFF)
def test_drop_committed_has_the_originals_numbers(offsets: list[int], drop: int) -> None:
    """Five retained messages are dropped as bigbuff's DefaultCleaner drops them."""
    assert drop_committed(5, offsets) == drop


@pytest.mark.parametrize(("offsets", "drop"), BIGBUFF)
def test_fixed_drops_committed_below_its_maximum(offsets: list[int], drop: int) -> None:
    """As long as the maximum is not passed a fixed policy is the default one."""
    assert fixed(5, 1)(5, offsets) == drop


def test_fixed_trims_to_its_target() -> None:
    """Beyond the maximum all but `target` messages go, committed or not."""
    assert [fixed(4, 2)(size, [0]) for size in (4, 5, 9)] == [0, 3, 7]
    assert [fixed(4)(size, [0]) for size in (4, 5, 9)] == [0, 1, 5]
    assert fixed(1, 0)(2, []) == 2


@pytest.mark.parametrize("bad", [(0,), (-1, -1), (4, 5), (4, -1)])
def test_fixed_refuses_bad_numbers(bad: tuple[int, ...]) -> None:
    """A maximum below one and a target outside of 0..maximum are refused, which the original accepted."""
    with pytest.raises(UsageError, match="target"):
        fixed(*bad)


def test_keep_all_drops_nothing() -> None:
    """Whatever was committed, everything stays."""
    assert keep_all(5, [5, 5]) == 0


def test_the_callback_sees_each_trimming() -> None:
    """The callback gets maximum, target, size, offsets and what goes, and nothing below the maximum."""
    seen: list[Any] = []
    policy = fixed(4, 2, callback=seen.append)
    assert policy(4, [1]) == 1
    assert policy(6, [1, -2]) == 4
    (trimming,) = seen
    assert (trimming.maximum, trimming.target, trimming.size, trimming.offsets, trimming.trim) == (4, 2, 6, (1, -2), 4)


@given(st.integers(0, 50), st.lists(st.integers(-50, 60)), st.integers(1, 40), st.integers(0, 40))
def test_policies_stay_in_bounds(size: int, offsets: list[int], maximum: int, target: int) -> None:
    """No policy drops less than nothing or more than there is, nor an uncommitted message that it may keep."""
    dropped = drop_committed(size, offsets)
    assert 0 <= dropped <= size
    assert all(dropped <= offset for offset in offsets if offset >= 0)
    trimmed = fixed(maximum, min(target, maximum))(size, offsets)
    assert 0 <= trimmed <= size
    assert size - trimmed <= maximum


def test_messages_wait_for_the_slowest_reader() -> None:
    """A message goes when the last reader has committed it, and no sooner."""
    buffer: Buffer[int] = Buffer()
    fast, slow = buffer.consumer(), buffer.consumer()
    buffer.put(1, 2, 3)
    fast.cursor.take(3)
    fast.commit()
    assert buffer.slice() == [1, 2, 3]
    slow.get()
    assert buffer.slice() == [1, 2, 3]
    slow.commit()
    assert buffer.slice() == [2, 3]
    slow.close()
    assert buffer.slice() == []


def test_without_readers_everything_is_kept() -> None:
    """What is put before the first reader comes waits for it, also after another has gone."""
    buffer: Buffer[int] = Buffer()
    buffer.put(1, 2)
    with buffer.consumer() as first:
        assert (first.get(), first.commit()) == (1, 1)
    buffer.put(3)
    with buffer.consumer() as second:
        assert second.cursor.take(9) == [2, 3]


def test_keep_all_serves_late_readers_from_the_beginning() -> None:
    """A reader that opens after all was committed still gets every message."""
    buffer: Buffer[int] = Buffer(retention=keep_all)
    with buffer.consumer() as early:
        buffer.put(1, 2)
        early.cursor.take(2)
        early.commit()
    assert buffer.consumer().cursor.take(9) == [1, 2]


def test_a_trimmed_reader_is_told_and_goes_on() -> None:
    """It gets Lagged with what it missed from every read, and reads on after a seek; in bigbuff it was dead for good."""
    buffer: Buffer[int] = Buffer(retention=fixed(4, 2))
    consumer = buffer.consumer()
    buffer.put(*range(5))
    for read in (consumer.get, consumer.get_nowait, lambda: consumer.cursor.take(1)):
        with pytest.raises(Lagged) as lagged:
            read()
        assert (lagged.value.missed, lagged.value.oldest) == (3, 3)
    consumer.seek(lagged.value.oldest)
    assert [consumer.get(), consumer.get()] == [3, 4]
    consumer.seek("newest")
    buffer.put(5)
    assert (consumer.get(), consumer.commit()) == (5, 1)


async def test_a_trimmed_reader_is_told_in_a_task() -> None:
    """Waiting on the event loop raises Lagged as well, and a rollback to what is gone is noticed."""
    buffer: Buffer[int] = Buffer(retention=fixed(2, 1))
    async with buffer.consumer() as consumer:
        buffer.put(0)
        assert await consumer.get_async() == 0
        buffer.put(1, 2)
        assert consumer.rollback() == 1
        with pytest.raises(Lagged):
            await consumer.get_async()
        consumer.seek("oldest")
        assert await consumer.get_async() == 2


def test_a_trimmed_reader_holds_nothing_back() -> None:
    """Readers that keep up go on to have their committed messages dropped."""
    buffer: Buffer[int] = Buffer(retention=fixed(3))
    lagging, reading = buffer.consumer(), buffer.consumer()
    buffer.put(*range(5))
    reading.seek("oldest")
    assert (reading.cursor.take(9), reading.commit()) == ([2, 3, 4], 3)
    assert buffer.size() == 0
    with pytest.raises(Lagged):
        lagging.get()


def test_the_callback_may_use_the_buffer() -> None:
    """It runs under no lock and before the trimming; in bigbuff such a call hung."""
    seen: list[object] = []

    def look(trimming: object) -> None:
        seen.append((buffer.slice(), buffer.size(), buffer.statistics().size, consumer.diff()))

    buffer: Buffer[int] = Buffer(retention=fixed(2, 1, callback=look))
    consumer = buffer.consumer()
    buffer.put(1, 2, 3)
    assert seen == [([1, 2, 3], 3, 3, 3)]
    assert buffer.slice() == [3]


def test_a_policy_may_be_the_users() -> None:
    """A function of the user's is asked after put, commit, settle and close of a reader, and may use the buffer."""
    asked: list[tuple[int, list[int]]] = []

    def policy(size: int, offsets: Sequence[int]) -> int:
        asked.append((buffer.size(), list(offsets)))
        return 0

    buffer: Buffer[int] = Buffer(retention=policy)
    consumer = buffer.consumer()
    buffer.put(1)
    buffer.put(2, 3)
    consumer.cursor.take(2)
    consumer.commit()
    consumer.cursor.settle(0, [4])
    consumer.close()
    assert asked == [(1, [0]), (3, [0]), (3, [2]), (4, [2]), (4, [])]


@pytest.mark.parametrize(("answer", "left"), [(-5, 3), (0, 3), (2, 1), (3, 0), (99, 0)])
def test_a_policys_answer_is_clamped(answer: int, left: int) -> None:
    """Less than nothing is nothing and more than there is is all."""

    def policy(size: int, offsets: Sequence[int]) -> int:
        return answer if size == 3 else 0

    buffer: Buffer[int] = Buffer(retention=policy)
    buffer.put(1, 2, 3)
    assert buffer.size() == left


def test_what_is_settled_is_forgotten_when_the_reader_goes() -> None:
    """Messages that a run has settled are not given again to the next reader of the buffer."""
    buffer: Buffer[int] = Buffer()
    buffer.put(*range(10))
    with buffer.consumer() as consumer:
        consumer.cursor.take(10)
        consumer.cursor.settle(6)
    assert buffer.slice() == [6, 7, 8, 9]


def test_oldest_is_what_nobody_has_settled() -> None:
    """A seek to the oldest message finds what a look at the buffer would."""
    buffer: Buffer[int] = Buffer()
    buffer.put(*range(10))
    with buffer.consumer() as consumer:
        consumer.cursor.take(10)
        consumer.cursor.settle(6)
        consumer.seek("oldest")
        assert consumer.position == 6


def test_forgotten_messages_cost_nothing() -> None:
    """A buffer through which many messages went keeps none of them, and its positions go on."""
    buffer: Buffer[int] = Buffer()
    with buffer.consumer() as consumer:
        for number in range(5000):
            buffer.put(number, number)
            assert consumer.cursor.take(2) == [number, number]
            consumer.commit()
        assert len(buffer.log.retained.items) == 0
        assert consumer.position == 10_000


def test_a_closed_buffer_still_trims() -> None:
    """Draining after close forgets what was committed, and a reader finds Closed when all is gone."""
    buffer: Buffer[int] = Buffer()
    consumer = buffer.consumer()
    buffer.put(1, 2)
    buffer.close()
    consumer.get()
    consumer.commit()
    assert buffer.slice() == [2]
    consumer.get()
    consumer.commit()
    with buffer.consumer() as late, pytest.raises(Closed):
        late.get()


def test_a_reader_trimmed_past_by_a_users_policy_goes_on() -> None:
    """A policy of the user's that drops what a slow reader has not read: it gets Lagged, seeks, and the fast one misses nothing."""

    def newest_two(size: int, offsets: Sequence[int]) -> int:
        return size - 2

    buffer: Buffer[int] = Buffer(retention=newest_two)
    slow, fast = buffer.consumer(), buffer.consumer()
    assert [(buffer.put(number), fast.get_nowait())[1] for number in range(5)] == [0, 1, 2, 3, 4]  # type: ignore[func-returns-value]
    with pytest.raises(Lagged) as lagged:
        slow.get_nowait()
    assert (lagged.value.missed, lagged.value.oldest) == (3, 3)
    with pytest.raises(Lagged):
        slow.seek(2)
    slow.seek("oldest")
    assert (slow.cursor.take(9), slow.commit(), fast.commit()) == ([3, 4], 2, 5)
