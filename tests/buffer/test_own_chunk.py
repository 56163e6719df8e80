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
from interrupts import Interrupt, at_every_point

from go_state.buffer.buffer import Buffer
from go_state.buffer.cursor import Cursor
from go_state.buffer.own_chunk import OwnChunk
from go_state.buffer.retained import Place
from go_state.core.errors import Closed


@pytest.fixture
def often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Chain:
    """A run that processes its chunk message by message, as a loop does, and appends to it when it may."""

    def __init__(self, buffer: Buffer[Any]) -> None:
        self.cursor: Cursor[Any] = Cursor.open(buffer.log)
        self.own: OwnChunk[Any] = OwnChunk(self.cursor)
        self.chunk: list[Any] = []
        self.given = self.committed = 0  # of the chunk

    def take(self, limit: int = 64) -> list[Any]:
        self.chunk, self.given, self.committed = self.own.take(limit), 0, 0
        return self.chunk

    def turn(self, *messages: object) -> bool:
        """Process one message, which sends these; return whether they were appended without a lock."""
        self.given += 1
        own = self.own.own
        if own is None:
            self.commit(messages)
            return False
        own += messages
        if self.own.own is None:
            self.own.append_late()
        return True

    def commit(self, messages: tuple[object, ...] = ()) -> None:
        count = self.given - self.committed
        following = self.own.settle(count, messages, True)
        self.committed += count
        self.chunk += following


def opened(*messages: object) -> tuple[Buffer[Any], Chain]:
    """Return a buffer and its only reader, who has taken these messages."""
    buffer: Buffer[Any] = Buffer()
    chain = Chain(buffer)
    buffer.put(*messages)
    assert chain.take() == list(messages)
    return buffer, chain


def test_own_messages_count_as_read() -> None:
    """Whoever looks sees them retained, and the reader behind them; a rollback gives those again whose turns were not processed."""
    buffer, chain = opened("a")
    assert chain.turn("b", "c")
    assert chain.chunk == ["a", "b", "c"]
    assert (buffer.slice(), buffer.statistics().end, chain.cursor.position) == (["a", "b", "c"], 3, 3)
    assert chain.turn("d")
    chain.commit()
    assert (chain.cursor.position, chain.cursor.committed) == (4, 2)
    assert chain.cursor.rollback() == 2
    assert chain.take() == ["c", "d"]
    assert chain.turn("e")


def test_what_others_have_put_comes_first() -> None:
    """Then nothing enters by the way without a lock until the reader has read it."""
    buffer, chain = opened("a")
    buffer.put("other")
    assert not chain.turn("b")
    chain.commit()
    assert chain.take() == ["other", "b"]
    assert chain.turn("c")
    assert buffer.slice() == ["other", "b", "c"]


def test_a_position_that_is_told_is_the_message_s() -> None:
    """A sender who is told the position of a message finds it there, and what the run sends later is behind it."""
    buffer, chain = opened("a")
    assert chain.turn("b")
    told: list[int] = []
    buffer.log.put_known("known", told.append)
    assert not chain.turn("c")
    chain.commit()
    assert told == [2]
    assert buffer.slice() == ["known", "c"]
    assert chain.chunk == ["a", "b"]


def test_what_is_appended_too_late_is_moved() -> None:
    """A run that has looked just before the log was shared appends to its chunk; its second look moves that behind the others'."""
    buffer, chain = opened("a")
    own = chain.own.own
    assert own is not None
    buffer.log.put_known("known", lambda position: None)
    own += ["late"]
    assert chain.own.own is None
    chain.own.append_late()
    chain.own.append_late()
    assert (chain.chunk, buffer.slice()) == (["a"], ["a", "known", "late"])


def test_a_put_that_is_seen_late_comes_behind() -> None:
    """A put between the look and the append is not before the turn that had begun to commit."""
    buffer, chain = opened("a")
    own = chain.own.own
    assert own is not None
    buffer.put("other")
    own += ["b"]
    chain.own.append_late()
    assert buffer.slice() == ["a", "b", "other"]
    assert chain.chunk == ["a", "b"]


def test_a_put_that_attends_while_the_chunk_is_taken_leaves_the_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its message is in the chunk already; the next put still ends the time alone, and is not overtaken."""
    buffer: Buffer[Any] = Buffer()
    chain = Chain(buffer)
    buffer.log.append("X")  # a put that was interrupted before it looked at the flag
    take = buffer.log.take

    def take_and_attend(cursor: Place, limit: int) -> list[Any]:
        messages = take(cursor, limit)
        buffer.log.attend(("X",))
        return messages

    monkeypatch.setattr(buffer.log, "take", take_and_attend)
    assert chain.take() == ["X"]
    monkeypatch.undo()
    buffer.put("Y")
    assert not chain.turn("M")
    chain.commit()
    assert chain.take() == ["Y", "M"]


@pytest.mark.parametrize("share", ["consumer", "close", "refuse"])
def test_a_log_is_alone_no_more(share: str) -> None:
    """A second reader has everything from where it begins, and a closed log takes the run's own messages."""
    buffer, chain = opened("a")
    assert chain.turn("b")
    second = None
    if share == "consumer":
        second = buffer.consumer("newest")
    else:
        (buffer.close if share == "close" else buffer.log.refuse)()
    assert not chain.turn("c")
    assert chain.chunk == ["a", "b", "c"]
    assert (chain.cursor.position, chain.cursor.committed, buffer.log.retained.end) == (3, 2, 3)
    if second is not None:
        assert second.get(timeout=0) == "c"


def test_a_closed_log_is_alone_as_well() -> None:
    """A chain that drains it needs no lock; nobody else can put."""
    buffer, chain = opened()
    buffer.put("a")
    buffer.close()
    assert chain.take() == ["a"]
    assert chain.turn("b")
    assert buffer.slice() == ["a", "b"]
    with pytest.raises(Closed):
        buffer.put("x")


@pytest.mark.parametrize("options", [{"maxsize": 9}, {"retention": lambda size, offsets: 0}])
def test_a_log_that_counts_is_nobody_s_own(options: dict[str, Any]) -> None:
    """Its puts have to act each time."""
    buffer: Buffer[int] = Buffer(**options)
    chain = Chain(buffer)
    buffer.put(1)
    chain.take()
    assert chain.own.own is None


def test_a_reader_that_is_behind_needs_no_lock_either() -> None:
    """What its turns send comes behind what it has yet to read, and is not read by itself."""
    buffer, chain = opened()
    buffer.put(1, 2, 3)
    assert chain.take(1) == [1]
    assert chain.turn("own")
    assert (chain.chunk, chain.cursor.position, buffer.statistics().end) == ([1], 1, 4)
    buffer.put("other")
    assert not chain.turn()
    chain.commit()
    assert chain.take() == [2, 3, "own", "other"]


def test_a_commit_does_not_end_the_time_alone() -> None:
    """What turns send after it, and after messages that no turn has sent, comes behind those, and what others put behind that."""
    buffer, chain = opened("a", "b")
    assert chain.turn("c")
    chain.commit()
    chain.own.settle(0, ["of an effect"], False)
    assert chain.turn("d")
    assert chain.chunk == ["a", "b", "c"]
    chain.turn()
    chain.commit()
    buffer.put("other")
    assert chain.take() == ["of an effect", "d", "other"]


def test_a_commit_does_not_bring_it_back_to_a_reader_that_is_not_alone() -> None:
    """A second reader that has come, or a close of the first, ends it."""
    buffer, chain = opened("a")
    with buffer.consumer():
        chain.commit()
        assert chain.own.own is None
    chain.commit()
    assert chain.own.own is not None
    chain.cursor.close()
    buffer.consumer()
    chain.own.settle(0, (), False)
    assert chain.own.own is None


def test_with_two_readers_nobody_is_alone() -> None:
    """Once the other has gone the one that is left may be."""
    buffer, chain = opened("a")
    second = buffer.consumer()
    chain.commit()
    buffer.put("b")
    chain.take()
    assert chain.own.own is None
    second.close()
    buffer.put("c")
    chain.commit()
    chain.take()
    assert chain.own.own is not None
    chain.cursor.close()
    assert chain.own.own is None


def test_own_messages_are_old_enough() -> None:
    """Their age is never less than the truth."""
    clock = itertools.count()
    buffer: Buffer[int] = Buffer(clock=lambda: float(next(clock)))
    chain = Chain(buffer)
    buffer.put(0)
    chain.take()
    chain.turn()
    entered = next(clock)
    assert chain.turn(1)
    chain.commit()
    age = buffer.statistics().oldest_age
    assert age is None or age >= next(clock) - 1 - entered


@pytest.mark.parametrize("share", [False, True])
def test_interrupted_at_every_point_nothing_is_lost_or_there_twice(share: bool) -> None:
    """Ctrl-C in a chain or in what begins to share it: what has entered is in the log in order, once, and what came late comes last."""

    def interrupted(interrupt: Interrupt) -> None:
        buffer, chain = opened(0)
        with interrupt:
            for turn in range(3):
                chain.turn(turn + 1)
                if share and turn == 1:
                    buffer.consumer("newest").close()
                buffer.statistics()
        chain.own.append_late()
        found = buffer.statistics()
        assert found.end <= 4
        everything = list(range(found.end))
        assert buffer.slice() == everything[found.start :]
        assert len(chain.chunk) <= found.end

    at_every_point(interrupted)


def disturbed(buffer: Buffer[tuple[str, int]], chance: random.Random, over: threading.Event, followed: list[Any]) -> None:
    """Put, look, and read for a while, again and again."""
    number = 0
    while not over.is_set():
        match chance.randrange(5):
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
                told = ("other", number)
                buffer.log.put_known(told, lambda position, told=told: followed.append((position, told)))
                number += 1
            case 4:
                assert buffer.log.size() >= 0


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("seed", range(6))
def test_a_chain_while_others_look_put_open_and_close(seed: int) -> None:
    """Every message is read once, each sender's in order, at the position that it has for every other reader."""
    buffer: Buffer[tuple[str, int]] = Buffer()
    chain, over = Chain(buffer), threading.Event()
    read: list[tuple[str, int]] = []
    followed: list[tuple[int, tuple[str, int]]] = []
    with ThreadPoolExecutor(1) as pool:
        disturbing = pool.submit(disturbed, buffer, random.Random(seed), over, followed)
        own = 0
        for turn in range(600):
            buffer.put(("seed", turn))
            first = chain.cursor.committed
            assert first == len(read)
            for message in chain.take():
                read.append(message)
                if len(chain.chunk) < 40 and message[0] != "other":
                    chain.turn(("own", own))
                    own += 1
                else:
                    chain.turn()
            chain.commit()
            assert chain.cursor.committed == len(read)
        over.set()
        last = itertools.count()
        while not disturbing.done():
            buffer.put(("last", next(last)))  # whoever still waits has something to read
        disturbing.result()
    while more := chain.take(100):
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
        buffer, chain = opened(0)
        closing = threading.Thread(target=buffer.close)
        closing.start()
        read: list[object] = []
        while chain.chunk:
            for message in chain.chunk:
                read.append(message)
                chain.turn(*[len(read)] if len(read) <= 50 else [])
            chain.commit()
            chain.take()
        closing.join()
        assert read == list(range(51))
        assert (chain.cursor.committed, chain.cursor.position, buffer.statistics().end) == (51, 51, 51)
