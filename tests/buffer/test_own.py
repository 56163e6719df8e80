"""A run's own messages in a log that it has alone: no lock, and everything as exact as with one."""

from __future__ import annotations

import itertools
import random
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from buffer.test_interrupts import Interrupt, at_every_point

from go_state.buffer.buffer import Buffer
from go_state.buffer.cursor import Cursor
from go_state.core.errors import Closed, NothingPending


@pytest.fixture
def often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def opened(*messages: object) -> tuple[Buffer[object], Cursor[object]]:
    """Return a buffer and its only reader, who has read these messages."""
    buffer: Buffer[object] = Buffer()
    cursor = Cursor.open(buffer.log)
    buffer.put(*messages)
    assert cursor.take(len(messages)) == list(messages)
    return buffer, cursor


def test_own_messages_count_as_read() -> None:
    """Whoever looks sees them retained, and the reader behind them; a rollback gives those again whose turns were not processed."""
    buffer, cursor = opened("a")
    assert cursor.claim()
    assert cursor.settle_own(0, ["b", "c"]) == ["b", "c"]
    assert (buffer.slice(), buffer.statistics().end, cursor.position, cursor.committed) == (["a", "b", "c"], 3, 3, 0)
    assert cursor.settle_own(2, ["d"]) == ["d"]
    assert (cursor.committed, cursor.processed) == (0, 2)
    cursor.settle(0)
    assert (cursor.position, cursor.committed, cursor.processed) == (4, 2, 2)
    assert cursor.settle_own(0, ["e"]) == ["e"]
    assert cursor.rollback() == 3
    assert cursor.take(9) == ["c", "d", "e"]
    assert cursor.commit() == 3
    with pytest.raises(NothingPending):
        cursor.rollback()


def test_what_others_have_put_comes_first() -> None:
    """Then nothing enters by the way without a lock until the reader has read it."""
    buffer, cursor = opened("a")
    assert cursor.claim()
    buffer.put("other")
    assert cursor.settle_own(1, ["b"]) == ()
    assert cursor.settle_own(0, ["c"]) == ()
    assert (cursor.take(9), cursor.committed) == (["other", "b", "c"], 1)
    assert cursor.claim()
    assert cursor.settle_own(3, ["d"]) == ["d"]
    assert (buffer.log.size(), cursor.processed) == (4, 4)


@pytest.mark.parametrize("share", ["consumer", "close", "refuse"])
def test_a_log_is_alone_no_more(share: str) -> None:
    """A second reader has everything from where it begins, and a closed log is settled in."""
    buffer, cursor = opened("a")
    assert cursor.claim()
    assert cursor.settle_own(0, ["b"])
    second = None
    if share == "consumer":
        second = buffer.consumer("newest")
    else:
        (buffer.close if share == "close" else buffer.log.refuse)()
    assert buffer.log.is_shared
    assert list(cursor.settle_own(1, ["c"])) == ["c"]
    assert not cursor.claim()
    assert (cursor.position, cursor.committed, buffer.log.retained.end) == (3, 1, 3)
    if second is not None:
        assert second.get(timeout=0) == "c"


@pytest.mark.parametrize("options", [{"maxsize": 9}, {"retention": lambda size, offsets: 0}])
def test_a_log_that_counts_is_nobody_s_own(options: dict[str, Any]) -> None:
    """Its puts have to act each time."""
    buffer: Buffer[int] = Buffer(**options)
    assert not Cursor.open(buffer.log).claim()


def test_with_two_readers_nobody_is_alone() -> None:
    """Once the other has gone the one that is left may be."""
    buffer, cursor = opened("a")
    second = buffer.consumer()
    assert not cursor.claim()
    second.close()
    assert cursor.claim()
    cursor.close()
    assert buffer.log.is_shared


def test_own_messages_are_old_enough() -> None:
    """Their age is never less than the truth."""
    clock = itertools.count()
    buffer: Buffer[int] = Buffer(clock=lambda: float(next(clock)))
    cursor = Cursor.open(buffer.log)
    assert cursor.claim()
    entered = next(clock)
    assert cursor.settle_own(0, [1])
    age = buffer.statistics().oldest_age
    assert age is not None
    assert age >= next(clock) - 1 - entered


@pytest.mark.parametrize("share", [False, True])
def test_interrupted_at_every_point_nothing_is_lost_or_there_twice(share: bool) -> None:
    """Ctrl-C in a chain or in who begins to share it, then a rollback: what has entered is given again, in order, once."""

    def interrupted(interrupt: Interrupt) -> None:
        buffer, cursor = opened(0)
        chunk: list[object] = [0]
        with interrupt:
            cursor.claim()
            for turn in range(3):
                chunk += cursor.settle_own(turn > 0, [turn + 1])
                if share and turn == 1:
                    buffer.consumer("newest").close()
                buffer.statistics()
        processed = cursor.processed
        if buffer.statistics().readers[0].lag == 0 and cursor.position != cursor.processed:
            cursor.rollback()
        assert cursor.committed == processed
        again = cursor.take(9)
        assert again == list(range(processed, processed + len(again)))
        assert len(chunk) <= processed + len(again) <= len(chunk) + 1
        assert buffer.statistics().end == processed + len(again)

    at_every_point(interrupted)


def disturbed(buffer: Buffer[tuple[str, int]], chance: random.Random, over: threading.Event, followed: list[Any]) -> None:
    """Put, look, and read for a while, again and again."""
    number = 0
    while not over.is_set():
        match chance.randrange(4):
            case 0:
                buffer.put(("other", number))
                number += 1
            case 1:
                found = buffer.statistics()
                for reader in found.readers:
                    assert found.start <= reader.committed <= reader.position <= found.end
            case 2:
                with buffer.consumer("newest") as second:
                    first = second.position
                    followed.append((first, second.get(timeout=20)))
            case 3:
                assert buffer.log.size() >= 0


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("seed", range(6))
def test_a_chain_while_others_look_put_open_and_close(seed: int) -> None:
    """Every message is read once, each sender's in order, at the position that it has for every other reader."""
    buffer: Buffer[tuple[str, int]] = Buffer()
    cursor, over = Cursor.open(buffer.log), threading.Event()
    read: list[tuple[str, int]] = []
    followed: list[tuple[int, tuple[str, int]]] = []
    with ThreadPoolExecutor(1) as pool:
        disturbing = pool.submit(disturbed, buffer, random.Random(seed), over, followed)
        own = 0
        for turn in range(600):
            buffer.put(("seed", turn))
            chunk, first = cursor.take(64), cursor.committed
            assert first == len(read)
            cursor.claim()
            for index in itertools.count():
                if index >= len(chunk):
                    break
                read.append(chunk[index])
                if len(chunk) < 40 and chunk[index][0] != "other":
                    own += 1
                    chunk += cursor.settle_own(index + 1 - (cursor.processed - first), [("own", own - 1)])
            cursor.settle(len(chunk) - (cursor.processed - first))
            assert cursor.position == cursor.committed == len(read)
        over.set()
        last = itertools.count()
        while not disturbing.done():
            buffer.put(("last", next(last)))  # whoever still waits has something to read
        disturbing.result()
    while more := cursor.take(100):
        read += more
    for sender in ("seed", "own", "other", "last"):
        numbers = [number for who, number in read if who == sender]
        assert numbers == list(range(len(numbers)))
    assert [read[first] for first, _ in followed] == [message for _, message in followed]
    assert len(read) == buffer.statistics().end


@pytest.mark.usefixtures("often")
def test_a_close_in_the_middle_of_a_chain() -> None:
    """The run's own messages enter still, and are read."""
    for _ in range(200):
        buffer, cursor = opened(0)
        closing = threading.Thread(target=buffer.close)
        cursor.claim()
        closing.start()
        read: list[object] = [0]
        for turn in range(1, 51):
            read += cursor.settle_own(1, [turn])
        closing.join()
        read += cursor.take(99)
        assert (read, cursor.committed, cursor.position, buffer.statistics().end) == (list(range(51)), 50, 51, 51)
        with pytest.raises(Closed):
            buffer.put(1)
