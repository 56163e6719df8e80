"""The promises of a store and a buffer as test suites, for go_state's own backends and for yours.

Subclass one in a test module and say how to make a fresh backend; pytest finds the tests by their names.

    class TestMyStore(StoreContract):
        def make(self) -> MyStore:
            return MyStore(...)
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from go_state.core.errors import Closed, Conflict, Empty, InvalidKey, NothingPending, TimedOut
from go_state.core.ports import Store, Stored, Write, load_many_of


@contextmanager
def refuses(*errors: type[Exception]) -> Iterator[list[Exception]]:
    """Assert that the block raises one of the errors, and give it in a list."""
    raised: list[Exception] = []
    try:
        yield raised
    except errors as error:
        raised.append(error)
    else:
        raise AssertionError(f"nothing was raised, expected {' or '.join(error.__name__ for error in errors)}")


class StoreContract:
    """What every `Store` keeps."""

    def make(self) -> Store:
        """Return a fresh, empty, open store."""
        raise NotImplementedError("a StoreContract says in make() how to open a fresh store")

    def test_missing_key_is_none(self) -> None:
        """A key that was never stored holds nothing."""
        store = self.make()
        assert store.load("nothing") is None
        store.close()

    def test_stored_bytes_come_back(self) -> None:
        """What is stored comes back byte for byte, under the version that the store returned."""
        store = self.make()
        for key, data in {"": b"empty key", "a": b"", "b": bytes(range(256)), "ünïcode/\U0001f600 \n": b"x" * 100_000}.items():
            version = store.store({key: Write(data, 0)})[key]
            assert store.load(key) == Stored(data, version)
            assert version > 0
        store.close()

    def test_stale_version_conflicts(self) -> None:
        """A write that names another version than the key has raises Conflict with both, and changes nothing."""
        store = self.make()
        first = store.store({"k": Write(b"1", 0)})["k"]
        second = store.store({"k": Write(b"2", first)})["k"]
        for stale in (0, first, second + 1):
            with refuses(Conflict) as raised:
                store.store({"k": Write(b"3", stale)})
            assert isinstance(raised[0], Conflict)
            assert (raised[0].key, raised[0].expected, raised[0].found) == ("k", stale, second)
        assert store.load("k") == Stored(b"2", second)
        store.close()

    def test_all_or_nothing(self) -> None:
        """One conflict among many writes undoes all of them."""
        store = self.make()
        store.store({"taken": Write(b"old", 0)})
        with refuses(Conflict):
            store.store({"new": Write(b"x", 0), "taken": Write(b"y", 0), "other": Write(b"z", 0)})
        assert list(store.keys()) == ["taken"]
        store.close()

    def test_version_never_comes_back(self) -> None:
        """A key that was deleted and made again is not at a version it had before."""
        store = self.make()
        seen = set()
        version = 0
        for _ in range(3):
            version = store.store({"k": Write(b"x", 0)})["k"]
            assert version not in seen
            seen.add(version)
            assert store.store({"k": Write(None, version)})["k"] == 0
            assert store.load("k") is None
        with refuses(Conflict):
            store.store({"k": Write(b"y", version)})
        store.close()

    def test_keys_in_order(self) -> None:
        """Keys come in the order of their bytes, by prefix."""
        store = self.make()
        store.store({key: Write(b"", 0) for key in ("b", "a/2", "a/10", "a", "é", "c")})
        assert list(store.keys()) == ["a", "a/10", "a/2", "b", "c", "é"]
        assert list(store.keys("a/")) == ["a/10", "a/2"]
        assert list(store.keys("zz")) == []
        store.close()

    def test_bad_keys_are_refused(self) -> None:
        """A key that is not a string, too long or not UTF-8 is refused in reading and writing."""
        store = self.make()
        bad: tuple[Any, ...] = (1, b"bytes", "x" * 481, "é" * 241, "\ud800")
        for key in bad:
            with refuses(InvalidKey):
                store.load(key)
            with refuses(InvalidKey):
                store.store({"good": Write(b"", 0), key: Write(b"", 0)})
        longest = "é" * 240
        store.store({longest: Write(b"x", 0)})
        assert list(store.keys()) == [longest]
        store.close()

    def test_many_are_loaded_as_one(self) -> None:
        """A store that loads many keys at once gives for each what load gives, and leaves out those that hold nothing."""
        store = self.make()
        store.store({key: Write(key.encode(), 0) for key in ("", "a", "é", "b")})
        gone = store.load("b")
        assert gone is not None
        store.store({"b": Write(None, gone.version)})
        for keys in ([], ["b"], ["a", "", "nothing", "é", "b", "a"]):
            expected = {key: stored for key in keys if (stored := store.load(key)) is not None}
            assert load_many_of(store)(keys) == expected
        with refuses(InvalidKey):
            load_many_of(store)(["a", "x" * 481])
        store.close()

    def test_writers_of_many_keys_lose_nothing(self) -> None:
        """Threads that write the same keys, each in an order of its own, end, and every write counts once."""
        store = self.make()
        keys = [f"k{number}" for number in range(6)]
        made: list[int] = []

        def work(number: int) -> None:
            chance, count = random.Random(number), 0
            while count < 25:
                some = chance.sample(keys, 3)
                found = {key: store.load(key) or Stored(b"0", 0) for key in some}
                with suppress(Conflict):
                    store.store({key: Write(b"%d" % (int(found[key].data) + 1), found[key].version) for key in some})
                    count += 1
            made.append(count * 3)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(int(stored.data) for stored in load_many_of(store)(keys).values()) == sum(made) == 4 * 25 * 3
        store.close()

    def test_one_of_many_writers_wins(self) -> None:
        """Of threads that write one version at once exactly one succeeds."""
        store = self.make()
        wins: list[int] = []
        barrier = threading.Barrier(8)

        def write(number: int) -> None:
            barrier.wait()
            try:
                store.store({"k": Write(b"%d" % number, 0)})
            except Conflict:
                return
            wins.append(number)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(wins) == 1
        stored = store.load("k")
        assert stored is not None
        assert stored.data == b"%d" % wins[0]
        store.close()

    def test_close_twice(self) -> None:
        """Closing twice is harmless."""
        store = self.make()
        store.close()
        store.close()


class BufferContract:
    """What every buffer and its consumers keep."""

    def make(self) -> Any:
        """Return a fresh, empty, open buffer."""
        raise NotImplementedError("a BufferContract says in make() how to open a fresh buffer")

    def test_in_order_to_every_reader(self) -> None:
        """Every reader gets every message, in the order they were put."""
        buffer = self.make()
        buffer.put(1)
        buffer.put(2, 3)
        for _ in range(2):
            with buffer.consumer() as consumer:
                assert [consumer.get(timeout=5) for _ in range(3)] == [1, 2, 3]
        buffer.close()

    def test_commit_and_rollback(self) -> None:
        """Uncommitted reads are given again after a rollback, committed ones are not."""
        buffer = self.make()
        buffer.put("a", "b", "c")
        with buffer.consumer() as consumer:
            consumer.get()
            assert consumer.commit() == 1
            assert [consumer.get(), consumer.get()] == ["b", "c"]
            assert consumer.rollback() == 2
            assert [consumer.get(), consumer.get()] == ["b", "c"]
            with refuses(Empty):
                consumer.get_nowait()
        buffer.close()

    def test_nothing_pending(self) -> None:
        """Committing or rolling back without a read is refused."""
        buffer = self.make()
        with buffer.consumer() as consumer:
            with refuses(NothingPending):
                consumer.commit()
            with refuses(NothingPending):
                consumer.rollback()
        buffer.close()

    def test_timeout_loses_nothing(self) -> None:
        """A get that times out has read nothing."""
        buffer = self.make()
        with buffer.consumer() as consumer:
            with refuses(TimedOut):
                consumer.get(timeout=0.001)
            buffer.put("late")
            assert consumer.get(timeout=5) == "late"
        buffer.close()

    def test_close_lets_readers_drain(self) -> None:
        """After close nothing enters, what was put can be read, and then comes Closed."""
        buffer = self.make()
        consumer = buffer.consumer()
        buffer.put("last")
        buffer.close()
        with refuses(Closed):
            buffer.put("refused")
        with refuses(Closed):
            buffer.put("refused", "together")
        assert consumer.get(timeout=5) == "last"
        with refuses(Closed):
            consumer.get(timeout=5)
        consumer.close()
        buffer.close()

    def test_close_wakes_a_waiting_get(self) -> None:
        """A get that waits in another thread ends when the buffer is closed."""
        buffer = self.make()
        ended = threading.Event()

        def wait() -> None:
            with buffer.consumer() as consumer, refuses(Closed):
                consumer.get(timeout=30)
            ended.set()

        thread = threading.Thread(target=wait)
        thread.start()
        buffer.close()
        thread.join(30)
        assert ended.is_set()

    def test_settle_is_one_step(self) -> None:
        """A reader's own messages follow all that was put before, also after close, and its cursor moves with them."""
        buffer = self.make()
        buffer.put(1, 2)
        with buffer.consumer() as consumer:
            assert consumer.cursor.take(10) == [1, 2]
            buffer.close()
            consumer.cursor.settle(1, ("own",))
            assert consumer.committed == 1
            assert consumer.cursor.take(10) == ["own"]
            consumer.rollback()
            assert consumer.cursor.take(10) == [2, "own"]

    def test_positions(self) -> None:
        """A reader starts at the oldest message, after the newest or at a position, and can seek."""
        buffer = self.make()
        with buffer.consumer() as holding:
            buffer.put(*"abcd")
            with buffer.consumer(2) as consumer:
                assert consumer.get_nowait() == "c"
                consumer.seek("oldest")
                assert consumer.get_nowait() == "a"
                consumer.seek("newest")
                with refuses(Empty):
                    consumer.get_nowait()
            assert holding.diff() == 4
        buffer.close()
