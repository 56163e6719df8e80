"""The promises of a value as a test suite, for `gs.Value`, for values elsewhere and for yours; see `contracts.py` for how it is used."""

from __future__ import annotations

import threading
from typing import Any

from go_state.core.errors import Closed, ConcurrentGet, Empty, TimedOut, UsageError
from go_state.core.ports import Value
from go_state.testing.contracts import refuses

_SECONDS = 20.0  # until what was set is seen everywhere


class ValueContract:
    """What every `Value` keeps, whether it is here or on a server."""

    def make(self) -> Value[int]:
        """Return a fresh, open value that is not set."""
        raise NotImplementedError("a ValueContract says in make() how to make a fresh value")

    def another(self, value: Value[int]) -> Value[int]:
        """Return what another process would have of the same value; the value itself if there is nothing of the kind."""
        return value

    def end(self, value: Value[int]) -> None:
        """End the value, such as by closing its connection."""
        raise NotImplementedError("a ValueContract says in end() how a value ends")

    def test_unset_holds_nothing(self) -> None:
        """A value that was never set has no version and cannot be updated."""
        value = self.make()
        assert value.version == 0
        assert value.peek(7) == 7
        for read in (value.peek, value.versioned):
            with refuses(Empty):
                read()
        with refuses(Empty):
            value.update(lambda number: number + 1)
        with refuses(Empty):
            value.watch().get_nowait()
        self.end(value)

    def test_set_is_read_at_once(self) -> None:
        """Who has set a value reads it, or a newer one, and versions only grow."""
        value = self.make()
        last = 0
        for number in range(5):
            version = value.set(number)
            assert version > last
            assert value.versioned() == (version, number)
            assert value.version == version
            last = version
        self.end(value)

    def test_newest_only(self) -> None:
        """A watcher that has not looked for a while is given the newest value, once."""
        value = self.make()
        watcher = value.watch()
        for number in range(10):
            value.set(number)
        assert watcher.get(_SECONDS) == 9
        assert watcher.version == value.version
        with refuses(Empty):
            watcher.get_nowait()
        with refuses(TimedOut):
            watcher.get(0.001)
        self.end(value)

    def test_never_older(self) -> None:
        """While others set it, a watcher never gets an older value than before, and ends at the newest."""
        value = self.make()
        watcher = self.another(value).watch()
        writer = threading.Thread(target=lambda: [value.set(number) for number in range(100)])
        writer.start()
        seen: list[tuple[int, int]] = []
        while not seen or seen[-1][1] != 99:
            number = watcher.get(_SECONDS)
            seen.append((watcher.version, number))
        writer.join()
        assert seen == sorted(set(seen))
        self.end(value)

    def test_since(self) -> None:
        """A watcher that begins after a version is given newer ones only."""
        value = self.make()
        version = value.set(1)
        watcher = value.watch(since=version)
        with refuses(Empty):
            watcher.get_nowait()
        value.set(2)
        assert watcher.get(_SECONDS) == 2
        assert value.watch(since=version).get(_SECONDS) == 2
        bad: tuple[Any, ...] = (-1, 1.5, True, "1")
        for since in bad:
            with refuses(UsageError):
                value.watch(since=since)
        self.end(value)

    def test_updates_lose_none(self) -> None:
        """Many threads that update it at once are all counted, whichever came in between."""
        value = self.make()
        value.set(0)
        other = self.another(value)
        update = [value.update, other.update]
        threads = [threading.Thread(target=update[n % 2], args=(lambda number: number + 1,)) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert value.update(lambda number: number) == 20
        self.end(value)

    def test_update_calls_again(self) -> None:
        """An update that was overtaken calls its function with what was set meanwhile; what the function raises sets nothing."""
        value = self.make()
        value.set(1)
        seen: list[int] = []

        def overtaken(number: int) -> int:
            seen.append(number)
            if len(seen) == 1:
                self.another(value).set(10)
            return number + 1

        assert value.update(overtaken) == 11
        assert seen == [1, 10]
        with refuses(ZeroDivisionError):
            value.update(lambda number: number // 0)
        assert value.peek() == 11
        self.end(value)

    def test_one_get_at_a_time(self) -> None:
        """A second get on one watcher is refused, and leaves the first alone."""
        value = self.make()
        watcher = value.watch()
        got: list[int] = []

        def wait() -> None:
            while not got:
                try:
                    got.append(watcher.get(_SECONDS))
                except ConcurrentGet:  # the other was here first, and will be gone
                    continue

        thread = threading.Thread(target=wait)
        thread.start()
        refused = False
        while not refused:
            try:
                watcher.get(0.001)
            except TimedOut:  # the other does not wait yet
                continue
            except ConcurrentGet:
                refused = True
        value.set(3)
        thread.join()
        assert got == [3]
        self.end(value)

    def test_the_end(self) -> None:
        """At its end watchers get what they have not seen and then `Closed`, who waits is freed, and nothing can be set."""
        value = self.make()
        value.set(1)
        late, waiting = value.watch(), value.watch(since=value.version)
        freed = threading.Event()

        def wait() -> None:
            with refuses(Closed):
                waiting.get(60)
            freed.set()

        thread = threading.Thread(target=wait)
        thread.start()
        self.end(value)
        assert freed.wait(_SECONDS)
        thread.join()
        assert value.closed
        assert late.get(_SECONDS) == 1
        with refuses(Closed):
            late.get(_SECONDS)
        with refuses(Closed):
            value.set(2)
        with refuses(Closed):
            value.update(lambda number: number + 1)
