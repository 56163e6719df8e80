"""The buffer: what enters, in which order, what can be seen of it, and how it closes."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from go_state import Buffer, Closed, Consumer, Full, TimedOut, UsageError
from go_state.errors import Empty, NothingPending
from go_state.retention import keep_all

# ---------------------------------------------------------------------- putting


def test_order_across_kinds_of_put() -> None:
    """Messages put one by one and together keep the order in which they were put."""
    buffer: Buffer[int] = Buffer()
    buffer.put(1)
    buffer.put(2)
    buffer.put(3, 4)
    buffer.put()
    buffer.put(5)
    assert buffer.slice() == [1, 2, 3, 4, 5]


def test_order_across_threads(crew: Any) -> None:
    """Each thread's messages keep their order, and two readers see the same order of all."""
    buffer: Buffer[tuple[int, int]] = Buffer()
    readers = [buffer.consumer(), buffer.consumer()]

    def put(thread: int) -> None:
        for number in range(2000):
            buffer.put((thread, number))

    for thread in range(4):
        crew.start(put, thread)
    seen = [[reader.get(timeout=60) for _ in range(8000)] for reader in readers]
    assert seen[0] == seen[1]
    for thread in range(4):
        assert [number for by, number in seen[0] if by == thread] == list(range(2000))


def test_order_follows_causes(crew: Any) -> None:
    """A message put after another thread's put returned comes after it."""
    buffer: Buffer[int] = Buffer()
    turns = [threading.Semaphore(1), threading.Semaphore(0)]

    def put(mine: int) -> None:
        for number in range(mine, 2000, 2):
            turns[mine].acquire()
            buffer.put(*([number] if number % 3 else [number, -1]))
            turns[1 - mine].release()

    crew.start(put, 0)
    crew.start(put, 1)
    crew.join()
    assert [number for number in buffer.slice() if number >= 0] == list(range(2000))


def test_put_together_stays_together(crew: Any) -> None:
    """Messages of one put have no other thread's messages between them, and no reader sees half of them."""
    buffer: Buffer[int] = Buffer(retention=keep_all)
    consumer = buffer.consumer()

    def put(thread: int) -> None:
        for _ in range(500):
            buffer.put(thread, thread, thread)
            buffer.put(-1)

    for thread in range(3):
        crew.start(put, thread)
    while consumer.position < 6000:
        assert sum(message >= 0 for message in consumer.cursor.take(10_000)) % 3 == 0
    together = [message for message in buffer.slice() if message >= 0]
    assert all(len({*together[at : at + 3]}) == 1 for at in range(0, 4500, 3))
    inside = "".join("-" if message < 0 else "x" for message in buffer.slice())
    assert all(len(run) % 3 == 0 for run in inside.split("-"))


def test_none_and_falsy_values_are_messages() -> None:
    """The buffer gives back whatever was put, None too."""
    buffer: Buffer[object] = Buffer()
    with buffer.consumer() as consumer:
        for message in (None, 0, "", ()):
            buffer.put(message)
            assert consumer.get() is message


def test_every_reader_gets_all(crew: Any) -> None:
    """Eight readers in threads each get every message in order."""
    buffer: Buffer[int] = Buffer()
    for consumer in [buffer.consumer() for _ in range(8)]:
        crew.start(list, consumer)
    for number in range(3000):
        buffer.put(number)
    buffer.close()
    assert crew.join() == [list(range(3000))] * 8


# ---------------------------------------------------------------------- where readers start


def test_a_late_reader_starts_at_the_oldest() -> None:
    """It gets all that is retained, which is what some reader has yet to commit."""
    buffer: Buffer[str] = Buffer()
    early = buffer.consumer()
    buffer.put("a", "b", "c")
    early.get()
    early.commit()
    assert buffer.consumer().cursor.take(9) == ["b", "c"]


def test_a_reader_may_start_after_the_newest() -> None:
    """It gets only what is put after it was opened."""
    buffer: Buffer[str] = Buffer()
    buffer.put("old")
    consumer = buffer.consumer("newest")
    with pytest.raises(Empty):
        consumer.get_nowait()
    buffer.put("new")
    assert consumer.get_nowait() == "new"


@pytest.mark.parametrize(("start", "first"), [(0, "a"), (2, "c"), ("oldest", "a")])
def test_a_reader_may_start_at_a_position(start: Any, first: str) -> None:
    """Positions count from the first message ever put."""
    buffer: Buffer[str] = Buffer()
    buffer.put(*"abc")
    assert buffer.consumer(start).get_nowait() == first


@pytest.mark.parametrize("bad", [-1, 4, "latest", None, 1.5])
def test_a_bad_start_is_refused(bad: Any) -> None:
    """A position that does not exist yet, or is none, is refused by consumer and seek, and leaves no reader behind."""
    buffer: Buffer[str] = Buffer()
    buffer.put(*"abc")
    with pytest.raises(UsageError, match="position from 0 to 3"):
        buffer.consumer(bad)
    assert buffer.statistics().readers == ()
    consumer = buffer.consumer()
    with pytest.raises(UsageError):
        consumer.seek(bad)
    assert consumer.get() == "a"


def test_the_end_is_a_position() -> None:
    """A reader at the end of the buffer waits for the next message."""
    buffer: Buffer[str] = Buffer()
    buffer.put(*"abc")
    consumer = buffer.consumer(3)
    buffer.put("d")
    assert consumer.get() == "d"


# ---------------------------------------------------------------------- looking


def test_slice_is_a_copy() -> None:
    """Changing it does not change the buffer, and it is there after close; with nothing ever put it is empty."""
    buffer: Buffer[int] = Buffer()
    assert buffer.slice() == []
    buffer.put(1)
    buffer.slice().append(2)
    buffer.close()
    assert (buffer.slice(), buffer.size()) == ([1], 1)


def test_diff_counts_what_is_to_be_read() -> None:
    """As in the original: three messages and two uncommitted reads leave one, and three again after a rollback."""
    buffer: Buffer[int] = Buffer()
    consumer = buffer.consumer()
    buffer.put(1, 2, 3)
    consumer.cursor.take(2)
    assert buffer.diff(consumer) == consumer.diff() == 1
    consumer.rollback()
    assert buffer.diff(consumer) == consumer.diff() == 3
    assert not consumer.empty()


def test_diff_and_range_want_a_reader_of_their_own() -> None:
    """Another buffer's reader and a closed one are refused."""
    buffer: Buffer[int] = Buffer()
    closed = buffer.consumer()
    closed.close()
    for stranger in (closed, Buffer[int]().consumer()):
        with pytest.raises(UsageError):
            buffer.diff(stranger)
        with pytest.raises(UsageError):
            buffer.range(stranger, lambda index, message: True)


async def _async(index: int, message: int) -> bool:
    return True


@pytest.mark.parametrize("none", [None, 5, _async], ids=["none", "number", "coroutine"])
@pytest.mark.parametrize("filled", [True, False])
def test_diff_and_range_take_nothing_for_something(none: Any, filled: bool) -> None:
    """None or a number in place of a reader or a function is refused, also where there is nothing to read."""
    buffer: Buffer[int] = Buffer()
    consumer = buffer.consumer()
    buffer.put(*([1] if filled else []))
    for call in (
        lambda: buffer.diff(none), lambda: buffer.range(none, lambda index, message: True), lambda: buffer.range(consumer, none),
        lambda: consumer.range(none, wait=False),
    ):  # fmt: skip
        with pytest.raises(UsageError):
            call()
    assert consumer.committed == consumer.position == 0


def test_range_reads_what_is_there() -> None:
    """It calls fn with index and message, commits each, and ends when nothing is left; an empty buffer means no call."""
    buffer: Buffer[str] = Buffer()
    consumer = buffer.consumer()
    calls: list[tuple[int, str]] = []
    buffer.range(consumer, lambda index, message: calls.append((index, message)))
    assert calls == []
    buffer.put("a", "b")
    buffer.range(consumer, lambda index, message: calls.append((index, message)))
    assert calls == [(0, "a"), (1, "b")]
    assert buffer.size() == 0


def test_statistics_are_exact(clock: Any) -> None:
    """Size, positions, age of the oldest, rate and each reader's lag, by the injected clock."""
    buffer: Buffer[str] = Buffer(clock=clock)
    first, _ = buffer.consumer(), buffer.consumer()
    buffer.put("a")
    assert buffer.statistics().oldest_age == 0.0
    clock.now = 1.0
    buffer.put("b", "c")
    clock.now = 4.0
    first.cursor.take(2)
    first.commit()
    first.get()
    found = buffer.statistics()
    assert (found.size, found.start, found.end, found.oldest_age, found.rate, found.closed) == (3, 0, 3, 4.0, 0.75, False)
    assert [(r.position, r.committed, r.lag) for r in found.readers] == [(3, 2, 0), (0, 0, 3)]


def test_age_is_that_of_the_oldest_retained(clock: Any) -> None:
    """When the oldest is committed the next one's age counts, and with nothing retained there is none."""
    buffer: Buffer[str] = Buffer(clock=clock)
    consumer = buffer.consumer()
    for clock.now in (0.0, 1.0, 2.0):
        buffer.put("x", "y")
    clock.now = 10.0
    ages = [buffer.statistics().oldest_age]
    for _ in range(3):
        consumer.cursor.take(2)
        consumer.commit()
        ages.append(buffer.statistics().oldest_age)
    assert ages == [10.0, 9.0, 8.0, None]


def test_age_after_an_idle_time_is_not_the_last_messages(clock: Any) -> None:
    """A message is dated by its own entry also when a reader takes it in before its put has dated it."""

    class LateDating(Buffer[str]):
        def _attend(self, message: str) -> None:
            self.size()  # a reader comes between the append and the dating
            super()._attend(message)

    buffer = LateDating(clock=clock)
    with buffer.consumer() as consumer:
        ages = []
        for clock.now in (0.0, 100.0, 200.0):
            buffer.put("x")
            ages.append(buffer.statistics().oldest_age)
            consumer.get()
            consumer.commit()
    assert ages == [0.0, 0.0, 0.0]


def test_age_is_never_negative(crew: Any) -> None:
    """Messages that enter while the statistics are taken are not from the future."""
    buffer: Buffer[int] = Buffer(clock=itertools.count(step=2**-20).__next__)  # a step that adds up exactly
    stop = threading.Event()

    def put() -> None:
        while not stop.is_set():
            buffer.put(1, 2)

    with buffer.consumer() as consumer:
        crew.start(put)
        ages = []
        for _ in range(1000):
            consumer.seek("newest")
            ages.append(buffer.statistics().oldest_age)
        stop.set()
    assert min(age for age in [*ages, 0] if age is not None) == 0


def test_many_puts_in_a_short_time_leave_few_notes() -> None:
    """A thread that puts pairs in a tight loop makes no more work for the reader than the time that passed."""
    asked = itertools.count()
    buffer: Buffer[int] = Buffer(clock=lambda: next(asked) * 2**-20)
    for _ in range(50_000):
        buffer.put(1, 2)
    with buffer.consumer() as consumer:
        consumer.seek("newest")
        assert len(buffer.log.times.ages) <= 50_000 * 2**-20 / 0.01 + 1  # one for each hundredth of a second
        assert buffer.statistics().size == 0


# ---------------------------------------------------------------------- the bound


def test_full_refuses_all_of_a_put() -> None:
    """With a maxsize, a put that does not fit raises Full and none of it enters; a commit makes room."""
    buffer: Buffer[int] = Buffer(maxsize=3)
    consumer = buffer.consumer()
    buffer.put(1, 2)
    with pytest.raises(Full) as full:
        buffer.put(3, 4)
    assert full.value.maxsize == 3
    buffer.put(3)
    with pytest.raises(Full):
        buffer.put(4)
    consumer.get()
    consumer.commit()
    buffer.put(4)
    assert buffer.slice() == [2, 3, 4]


def test_settle_always_enters() -> None:
    """A reader's own messages enter a full buffer and a closed one, after all that is there."""
    buffer: Buffer[str] = Buffer(maxsize=1)
    consumer = buffer.consumer()
    buffer.put("outside")
    consumer.get()
    consumer.cursor.settle(0, ["own", "own too"])
    buffer.close()
    consumer.cursor.settle(1, ["last"])
    assert consumer.cursor.take(9) == ["own", "own too", "last"]
    assert buffer.slice() == ["own", "own too", "last"]


def test_settle_makes_room() -> None:
    """What a run has settled does not count against the bound."""
    buffer: Buffer[int] = Buffer(maxsize=1)
    with buffer.consumer() as consumer:
        for number in range(200):
            buffer.put(number)
            assert consumer.get() == number
            consumer.cursor.settle(1)


def test_settle_follows_only_what_is_next() -> None:
    """Own messages count as read where they are next, and are left to be read where others are before them."""
    buffer: Buffer[str] = Buffer()
    consumer = buffer.consumer()
    buffer.put("a")
    consumer.get()
    assert list(consumer.cursor.settle(1, ["b"], True)) == ["b"]
    assert (consumer.position, consumer.committed) == (2, 1)
    buffer.put("other")
    assert list(consumer.cursor.settle(1, ["c"], True)) == []
    assert consumer.cursor.take(9) == ["other", "c"]


@pytest.mark.parametrize("bad", [0, -1])
def test_a_maxsize_below_one_is_refused(bad: int) -> None:
    """A buffer that can hold nothing is a mistake."""
    with pytest.raises(UsageError, match="at least 1"):
        Buffer(maxsize=bad)


def test_the_bound_holds_across_threads(crew: Any) -> None:
    """However many threads put at once, exactly maxsize messages enter."""
    buffer: Buffer[int] = Buffer(maxsize=50)

    def put() -> int:
        for accepted in range(100):
            try:
                buffer.put(accepted)
            except Full:
                return accepted
        return 100

    for _ in range(4):
        crew.start(put)
    assert sum(crew.join()) == buffer.size() == 50


# ---------------------------------------------------------------------- closing


def test_close_is_idempotent() -> None:
    """Closing again is harmless, and every put is refused from then on."""
    with Buffer[int]() as buffer:
        buffer.close()
        buffer.close(timeout=0)
    assert buffer.closed
    assert buffer.statistics().closed
    for messages in ((), (1,), (1, 2)):
        with pytest.raises(Closed):
            buffer.put(*messages)
    assert buffer.slice() == []


def test_a_closed_buffer_is_drained() -> None:
    """Readers, also ones opened after close, get what is retained and then Closed; a rollback reads it again."""
    buffer: Buffer[int] = Buffer()
    buffer.put(1)
    buffer.close()
    with buffer.consumer() as consumer:
        assert consumer.get() == 1
        with pytest.raises(Closed):
            consumer.get_nowait()
        consumer.rollback()
        assert list(consumer) == [1]
    assert buffer.slice() == []


def test_close_wakes_threads_and_tasks(crew: Any, asleep: Callable[..., None]) -> None:
    """Every sleeping reader, in threads and in event loops, is freed with Closed."""
    buffer: Buffer[int] = Buffer()
    consumers = [buffer.consumer() for _ in range(4)]
    crew.start(lambda: list(consumers[0]))
    crew.start(lambda: list(consumers[1]))
    for consumer in consumers[2:]:

        async def read(consumer: Consumer[int]) -> list[int]:
            async with consumer:
                return [message async for message in consumer]

        crew.start(asyncio.run, read(consumer))
    for consumer in consumers:
        asleep(consumer)
    buffer.close()
    assert crew.join() == [[], [], [], []]


def test_close_without_a_timeout_waits_for_nobody() -> None:
    """An uncommitted read does not hold it up, which hung the original."""
    buffer: Buffer[int] = Buffer()
    consumer = buffer.consumer()
    buffer.put(1)
    consumer.get()
    buffer.close()
    assert consumer.commit() == 1


def test_close_with_a_timeout_says_who_is_slow() -> None:
    """An uncommitted read makes it raise TimedOut; the buffer is closed all the same, and a second try succeeds."""
    buffer: Buffer[int] = Buffer()
    consumer = buffer.consumer()
    buffer.put(1)
    consumer.get()
    with pytest.raises(TimedOut):
        buffer.close(timeout=0)
    assert buffer.closed
    consumer.commit()
    buffer.close(timeout=0)


@pytest.mark.parametrize("end", ["commit", "close", "settle", "seek"])
def test_close_with_a_timeout_waits_for_the_last_reader(crew: Any, end: str) -> None:
    """It returns when every open reader has committed all, by whichever way, or has gone."""
    buffer: Buffer[int] = Buffer()
    consumer = buffer.consumer()
    buffer.put(1)
    consumer.get()
    crew.start(lambda: buffer.close(timeout=60))
    while not buffer.log.closers:
        pass
    {
        "commit": consumer.commit,
        "close": consumer.close,
        "settle": lambda: consumer.cursor.settle(1),
        "seek": lambda: consumer.seek(1),
    }[end]()
    assert crew.join() == [None]


async def test_close_async_times_out_and_waits() -> None:
    """On an event loop, too, it raises TimedOut while a reader lags and returns when it is done."""
    buffer: Buffer[int] = Buffer()
    async with buffer.consumer() as consumer:
        buffer.put(1)
        await consumer.get_async()
        with pytest.raises(TimedOut):
            await buffer.close_async(timeout=0)
        closing = asyncio.create_task(buffer.close_async(timeout=60))
        while not buffer.log.closers:  # noqa: ASYNC110
            await asyncio.sleep(0)
        consumer.commit()
        await closing
        await buffer.close_async()


async def test_close_async_can_be_cancelled() -> None:
    """The buffer is closed and nobody is left behind who waits."""
    buffer: Buffer[int] = Buffer()
    consumer = buffer.consumer()
    buffer.put(1)
    closing = asyncio.create_task(buffer.close_async(timeout=60))
    while not buffer.log.closers:  # noqa: ASYNC110
        await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert (buffer.closed, buffer.log.closers) == (True, [])
    assert list(consumer) == [1]


async def test_blocks_close_the_buffer() -> None:
    """Both kinds of `with` close it, however they end."""
    with pytest.raises(KeyError), Buffer[int]() as plain:
        raise KeyError
    async with Buffer[int]() as other:
        pass
    assert plain.closed
    assert other.closed


def test_put_raises_nothing_after_a_readers_loop_was_closed() -> None:
    """A loop that is gone, with a task still asleep in it, is nobody to wake."""
    buffer: Buffer[int] = Buffer()
    consumer = buffer.consumer()
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(consumer.get_async())
    for _ in range(5):
        loop.run_until_complete(asyncio.sleep(0))
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    buffer.put(1)
    buffer.put(2)
    buffer.close()
    assert buffer.slice() == [1, 2]
    del waiting
    assert list(consumer) == [1, 2]


# ---------------------------------------------------------------------- against a model


class BufferAgainstAList(RuleBasedStateMachine):
    """Whatever is done to it, the buffer is a list with one cursor pair per reader."""

    readers = Bundle("readers")

    def __init__(self) -> None:
        super().__init__()
        self.buffer: Buffer[int] = Buffer()
        self.items: list[int] = []
        self.start = 0
        self.closed = False
        self.cursors: dict[Consumer[int], list[int]] = {}  # position, committed

    def trim(self) -> None:
        if self.cursors:
            self.start = max(self.start, min(committed for _, committed in self.cursors.values()))

    @rule(count=st.integers(0, 4))
    def put(self, count: int) -> None:
        messages = [*range(len(self.items), len(self.items) + count)]
        if self.closed:
            with pytest.raises(Closed):
                self.buffer.put(*messages)
        else:
            self.buffer.put(*messages)
            self.items += messages

    @rule(target=readers, where=st.sampled_from(["oldest", "newest"]) | st.floats(0, 1))
    def open(self, where: Any) -> Any:
        at = {"oldest": self.start, "newest": len(self.items)}.get(where)
        if at is None:
            where = at = self.start + round(where * (len(self.items) - self.start))
        consumer = self.buffer.consumer(where)
        self.cursors[consumer] = [at, at]
        self.trim()
        return consumer

    @rule(reader=readers)
    def get(self, reader: Any) -> None:
        if reader not in self.cursors:
            return
        cursor = self.cursors[reader]
        if cursor[0] < len(self.items):
            assert reader.get() == self.items[cursor[0]]
            cursor[0] += 1
        else:
            with pytest.raises(Closed if self.closed else Empty):
                reader.get_nowait()

    @rule(reader=readers, limit=st.integers(1, 5))
    def take(self, reader: Any, limit: int) -> None:
        if reader in self.cursors:
            position = self.cursors[reader][0]
            taken = reader.cursor.take(limit)
            assert taken == self.items[position : position + limit]
            self.cursors[reader][0] += len(taken)

    @rule(reader=readers, commit=st.booleans())
    def finish(self, reader: Any, commit: bool) -> None:
        if reader not in self.cursors:
            return
        position, committed = self.cursors[reader]
        if position == committed:
            with pytest.raises(NothingPending):
                reader.commit() if commit else reader.rollback()
            return
        assert (reader.commit() if commit else reader.rollback()) == position - committed
        self.cursors[reader] = [position, position] if commit else [committed, committed]
        self.trim()

    @rule(reader=readers, part=st.floats(0, 1), own=st.integers(0, 2), follow=st.booleans())
    def settle(self, reader: Any, part: float, own: int, follow: bool) -> None:
        if reader not in self.cursors:
            return
        position, committed = self.cursors[reader]
        count = round(part * (position - committed))
        messages = [*range(len(self.items), len(self.items) + own)]
        follows = follow and position == len(self.items)
        assert list(reader.cursor.settle(count, messages, follow)) == (messages if follows else [])
        self.items += messages
        self.cursors[reader] = [position + own * follows, committed + count]
        self.trim()

    @rule(reader=readers, where=st.sampled_from(["oldest", "newest"]))
    def seek(self, reader: Any, where: Any) -> None:
        if reader in self.cursors:
            reader.seek(where)
            self.cursors[reader] = [self.start, self.start] if where == "oldest" else [len(self.items)] * 2
            self.trim()

    @rule(reader=consumes(readers))
    def close_reader(self, reader: Any) -> None:
        if reader in self.cursors:
            reader.close()
            del self.cursors[reader]
            self.trim()
            with pytest.raises(Closed):
                reader.get()

    @precondition(lambda self: len(self.items) > 10)
    @rule()
    def close(self) -> None:
        self.buffer.close()
        self.closed = True

    @rule()
    def look(self) -> None:
        found = self.buffer.statistics()
        assert (found.start, found.end, found.size) == (self.start, len(self.items), len(self.items) - self.start)
        assert self.buffer.slice() == self.items[self.start :]

    @invariant()
    def cursors_agree(self) -> None:
        assert [[r.position, r.committed] for r in self.cursors] == [*self.cursors.values()]


BufferAgainstAList.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestBufferAgainstAList = pytest.mark.slow(BufferAgainstAList.TestCase)
