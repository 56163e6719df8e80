"""A source of many partitions from plain functions: which there are, and what follows a position in one of them.

A directory of files, a table by ranges, an HTTP API by shops: whatever can be asked for "what comes after this" is a source of an aggregate.
Each partition has its own position, and is claimed before it is read; if it moves to another process, it goes on there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

from go_state.core.errors import SourceChanged, UsageError
from go_state.core.ports import Position
from go_state.core.ports.partitions import Holder

Msg = TypeVar("Msg")

Read: TypeAlias = tuple[Any, Any]
"""The position of a record, any JSON value, and the record."""

_IDLE = 1.0  # seconds


class Partitions(Generic[Msg]):
    """A source for `gs.aggregate(..., key=fn)`, made of functions that are called in its thread.

    `partitions()` returns the names of those that this process is to read now, such as the files of a folder, or this worker's share of
    the ranges of a table. It is asked again each `idle` seconds: what is new is claimed, what is missing is saved and let go of.

    `read(partition, after)` returns pairs of position and message: those that follow the position, in order, some hundreds at a
    time; an empty list if there is nothing now. `after` is None at the beginning.

        def read(shop: str, after: int | None) -> list[tuple[int, Sale]]:
            question = "SELECT id, cents FROM sales WHERE shop = ? AND id > ? ORDER BY id LIMIT 500"
            rows = db.execute(question, (shop, after or 0))
            return [(number, Sale(shop, cents)) for number, cents in rows]

        sales = gs.sources.Partitions("sales", lambda: SHOPS, read)
        gs.aggregate(shops, sales, store=store, key=lambda sale: sale.shop)

    With `decode` the second of a pair is a record that it makes a message of; what it raises is a failure of that record, on which
    `on_error` decides. `fingerprint(partition)` describes a partition, to know it again by: another one later is a `SourceChanged`.
    A source that `ends` is exhausted when every partition has nothing more; otherwise it is read for ever.
    """

    def __init__(
        self,
        name: str,
        partitions: Callable[[], Iterable[str]],
        read: Callable[[str, Any], Sequence[tuple[Any, Any]]],  # Any: a position, and a message or a record of it
        *,
        decode: Callable[[Any], Msg] | None = None,
        fingerprint: Callable[[str], str] | None = None,
        idle: float = _IDLE,
        ends: bool = False,
    ) -> None:
        for word, function in (("partitions", partitions), ("read", read)):
            if not callable(function):
                raise UsageError(f"{word} is a function, not a {type(function).__qualname__}: see gs.sources.Partitions")
        if not isinstance(idle, (int, float)) or not idle > 0:
            raise UsageError(f"idle is a number of seconds greater than 0, not {idle!r}")
        self.name = name
        self.partitions = partitions
        self.read = read
        self.decode = decode
        self.idle = idle
        self.ends = ends
        self._fingerprint = fingerprint

    def fingerprint(self, partition: str) -> str:
        """Describe the partition."""
        return "" if self._fingerprint is None else self._fingerprint(partition)

    def recognise(self, partition: str, fingerprint: str) -> None:
        """Raise `SourceChanged` if it was described otherwise before."""
        if self._fingerprint is not None and fingerprint != self._fingerprint(partition):
            raise SourceChanged(f"{self.name}/{partition}", "its fingerprint is another one")

    def open_partitions(self) -> PartitionsReading[Msg]:
        """Begin to read."""
        return PartitionsReading(self)


class PartitionsReading(Generic[Msg]):
    """One pass: each poll asks one partition after the other for what follows."""

    def __init__(self, source: Partitions[Msg]) -> None:
        self._source = source
        self._after: dict[str, Position | None] = {}  # the positions given last, of the partitions that are held
        self._paused: set[str] = set()
        self._woken = threading.Event()
        self._look_at = 0.0  # when to ask for the partitions again
        self._wanted: frozenset[str] = frozenset()

    def poll(self, seconds: float, holder: Holder[Read]) -> bool:
        """Ask for the partitions when it is time, then each for what follows; sleep if there is nothing."""
        if time.monotonic() >= self._look_at:
            self._look(holder)
        if self._give(holder):
            return True
        if self._source.ends and not self._paused:
            return False
        self._woken.wait(min(seconds, self._source.idle))
        self._woken.clear()
        return True

    def _look(self, holder: Holder[Read]) -> None:
        self._look_at = time.monotonic() + self._source.idle
        names = list(dict.fromkeys(self._source.partitions()))
        for name in names:
            if not isinstance(name, str):
                raise UsageError(
                    f"partitions() of {self._source.name!r} returns names, which are strings, not a {type(name).__qualname__}"
                )
        self._wanted = frozenset(names)
        gone = [name for name in self._after if name not in self._wanted]
        if gone:
            self._forget(gone)
            holder.revoked(gone)
        new = [name for name in names if name not in self._after]
        if new:
            self._after.update(holder.assigned(new))

    def _give(self, holder: Holder[Read]) -> bool:
        found = False
        for partition in [name for name in self._after if name not in self._paused]:
            records = self._source.read(partition, self._after[partition])
            if records:
                found = True
                self._after[partition] = records[-1][0]
                holder.give(partition, records)
        return found

    def _forget(self, partitions: Collection[str]) -> None:
        for partition in partitions:
            self._after.pop(partition, None)
            self._paused.discard(partition)

    def wake(self) -> None:
        """End the sleep of a poll."""
        self._woken.set()

    def message(self, record: Read) -> Msg:
        """Return the message of a record."""
        message: Msg = record[1] if self._source.decode is None else self._source.decode(record[1])
        return message

    def raw(self, record: Read) -> bytes:
        """Return the record, as its bytes or its text."""
        return record[1] if isinstance(record[1], bytes) else str(record[1]).encode(errors="surrogatepass")

    def position(self, record: Read) -> Position:
        """Return the position of a record."""
        return record[0]

    def time(self, record: Read) -> None:
        """Return None: it is not known."""
        return

    def lag(self, partition: str) -> None:
        """Return None: it is not known."""
        return

    def holds(self, partition: str) -> bool:
        """Return whether `partitions()` names it, asked now."""
        return partition in self._after and partition in set(self._source.partitions())

    def seek(self, partition: str, after: Position | None) -> None:
        """Go on after the position."""
        if partition in self._after:
            self._after[partition] = after

    def pause(self, partition: str) -> None:
        """Do not read it for now."""
        self._paused.add(partition)

    def resume(self, partition: str) -> None:
        """Read it again."""
        self._paused.discard(partition)

    def saved(self, positions: Mapping[str, Position]) -> None:
        """Do nothing: whoever wants to know gives `on_commit`."""

    def close(self, holder: Holder[Read]) -> None:
        """Give everything back."""
        held = list(self._after)
        self._forget(held)
        if held:
            holder.revoked(held)
