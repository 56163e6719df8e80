"""Who reads which partition, agreed on in the store: for streams whose engine does not say, such as Kinesis and JetStream.

    @leases/<program>/<source>/<worker>   what the worker holds, and how far it has read of what has nothing new
    @starts/<program>/<source>            where partitions begin of which nothing was read yet, once somebody has said so

Each worker has one record, which it rewrites each quarter of `seconds`, and reads those of all others. What is to be done follows
from these alone: whoever has more than its part lets go of some, and whoever has less takes, in an order that all know, what nobody
has. A record whose version has not moved for `seconds`, by the clock of whoever looks, is that of a dead worker: the first who sees
it deletes it in the transaction of its own.

A lease is for liveness: that two do not work for nothing. It guards nothing. What is true is decided by the claim, which each save
names; so clocks may differ, a lease may be late and two may hold the same for a while, and nothing but work is lost.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from uuid import uuid4

from go_state.core.errors import Conflict, UsageError
from go_state.core.ports import Store, Write, load_many_of
from go_state.storage.codec.codecs import json_codec
from go_state.storage.records.keys import MAX_KEY_BYTES, reserved_key
from go_state.storage.snapshots.snapshot import Schema

_ROUNDS = 4  # in the seconds after which a worker counts as dead
_TRIES = 5  # of one round, when others write at the same time
_WORKER = 90  # bytes of a key that name the worker


@dataclass(frozen=True, slots=True)
class Leases:
    """Who reads which partition is agreed on in the store: each worker reads as many as the others.

    `seconds` is after how long a worker of which nothing is heard is replaced; more than its longest save and its longest update
    take. One that was only slow loses the work since its last save, and nothing else. Raises `UsageError`.
    """

    seconds: float = 10.0

    def __post_init__(self) -> None:
        if not isinstance(self.seconds, (int, float)) or not math.isfinite(self.seconds) or self.seconds <= 0:
            raise UsageError(f"Leases(seconds=...) takes a number of seconds above 0, not {self.seconds!r}")


@dataclass(frozen=True, slots=True)
class Lease:
    """The record of a worker: since when it holds what, until where it has read what has nothing new, and whether it has ended."""

    holds: dict[str, int]
    read: dict[str, int]
    is_over: bool


class Moves(NamedTuple):
    """What a round has come to: the partitions to take, to save and then let go of, and those that somebody else has."""

    take: list[str]
    give: list[str]
    lost: list[str]


class Sharing:
    """One worker's part of an agreement; of one thread. Every call but `read_until` and `note` asks the store."""

    def __init__(
        self, store: Store, program: str, source: str, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store, self._clock, self._seconds = store, clock, seconds
        self._prefix = reserved_key("leases", program, source, most=MAX_KEY_BYTES - _WORKER) + "/"
        self._start = reserved_key("starts", program, source)
        self._me = self._prefix + _this_worker()
        self._leases: Schema[Lease] = Schema((f"leases of {program}",), 1, json_codec(Lease))
        self._starts: Schema[int] = Schema((f"start of {program}",), 1, json_codec(int))
        self._version = 0
        self._holds: dict[str, int] = {}
        self._read: dict[str, int] = {}
        self._last: dict[str, int] = {}  # the highest number under which a partition was ever seen to be held
        self._seen: dict[str, tuple[int, float]] = {}  # the version of a record, and when it was first seen at it
        self._looked = -math.inf
        self._due = -math.inf
        self._gone: dict[str, int] = {}  # records of workers that are dead or have ended, and their versions
        self._others: dict[str, Lease] = {}  # of workers that are alive

    # ------------------------------------------------------------------ rounds

    @property
    def is_due(self) -> bool:
        """Whether it is time for the next round."""
        return self._clock() >= self._due

    @property
    def wait(self) -> float:
        """In how many seconds the next round is due."""
        return max(0.0, self._due - self._clock())

    def step(self, there: Collection[str]) -> Moves:
        """Do a round: note that this worker is alive, and return what is to be done for each worker to have its part of `there`."""
        if not self._version:
            self._publish()  # so that of two who begin at once, at least one sees the other
        for _ in range(_TRIES):
            self._look()
            lost = [partition for partition in self._holds if self._is_outbid(partition)]
            held = {key: set(lease.holds).intersection(there) for key, lease in self._others.items()}
            held[self._me] = set(self._holds).intersection(there).difference(lost)
            take, give = shares(there, held)[self._me]
            holds = {partition: since for partition, since in self._holds.items() if partition not in lost}
            holds |= {partition: self._next(partition) for partition in take}
            if self._publish(holds):
                self._due = self._clock() + self._seconds / _ROUNDS
                return Moves(take, give, lost)
        self._due = self._clock()
        return Moves([], [], [])

    def let_go(self, partitions: Iterable[str]) -> None:
        """Hold the partitions no more, and say so at once: they were saved, and somebody waits for them."""
        for partition in partitions:
            self._holds.pop(partition, None)
        self._publish_surely()

    def ended(self, partition: str) -> None:
        """Hold a partition no more that nobody will read again, and forget how far it was read."""
        self._holds.pop(partition, None)
        self._read.pop(partition, None)

    def holds(self, partition: str) -> bool:
        """Look who has the partition, and return whether this worker has; if not it holds it no more."""
        if partition in self._holds:
            self._look()
            if self._is_outbid(partition):
                self.let_go((partition,))
        return partition in self._holds

    def close(self) -> None:
        """Say that this worker has ended, so that the others need not wait for its lease to be over."""
        self._holds.clear()
        self._publish_surely(is_over=True)

    # ------------------------------------------------------------------ what is known of partitions

    @property
    def known(self) -> Mapping[str, int]:
        """The partitions that somebody has begun to read and not ended, and until where they were read."""
        known = dict(self._read)
        for lease in self._others.values():
            for partition, until in lease.read.items():
                known[partition] = max(known.get(partition, until), until)
        return known

    def note(self, partition: str, until: int) -> None:
        """Note, for the next round to store, that there is nothing new of the partition until there."""
        self._read[partition] = max(self._read.get(partition, until), until)

    def agree_on_start(self, start: int) -> int:
        """Return where all workers begin, which is what the first of them has said."""
        with_version = Write(self._starts.seal(self._start, start, {}), 0)
        while (stored := self._store.load(self._start)) is None:
            try:
                self._store.store({self._start: with_version})
            except Conflict:
                continue
            return start
        return self._starts.loaded(self._store, self._start, stored).model

    # ------------------------------------------------------------------ records

    def _publish(self, holds: Mapping[str, int] | None = None, is_over: bool = False) -> bool:
        """Write this worker's record, and delete those of workers that are no more; return False if somebody else has written one."""
        holds = self._holds if holds is None else holds
        lease = Lease(dict(holds), self._read, is_over)
        writes = {key: Write(None, version) for key, version in self._gone.items()}
        writes[self._me] = Write(self._leases.seal(self._me, lease, {}), self._version)
        try:
            versions = self._store.store(writes)
        except Conflict:
            stored = self._store.load(
                self._me
            )  # deleted by somebody who has heard nothing of this worker for long, or as it was
            self._version, self._gone = 0 if stored is None else stored.version, {}
            return False
        self._version, self._gone, self._holds = versions[self._me], {}, dict(holds)
        return True

    def _publish_surely(self, is_over: bool = False) -> None:
        for _ in range(_TRIES):
            if self._publish(is_over=is_over):
                return
        self._due = -math.inf

    def _look(self) -> None:
        """Read the records of all, and take over what is known from those of workers that are no more."""
        now = self._clock()
        if (
            now - self._looked > self._seconds
        ):  # this process was stopped, or slow: it cannot say of others that they were silent
            self._seen.clear()
        self._looked = now
        self._others, self._gone = {}, {}
        found = load_many_of(self._store)([key for key in self._store.keys(self._prefix) if key != self._me])
        for key, stored in found.items():
            lease = self._leases.loaded(self._store, key, stored).model
            for partition, number in lease.holds.items():
                self._last[partition] = max(self._last.get(partition, 0), number)
            version, since = self._seen.get(key, (0, now))
            if version != stored.version:
                self._seen[key] = stored.version, now
            elif now - since > self._seconds:
                lease = Lease(lease.holds, lease.read, is_over=True)
            if not lease.is_over:
                self._others[key] = lease
                continue
            self._gone[key] = stored.version
            for partition, until in lease.read.items():
                self.note(partition, until)
            for partition in lease.holds:
                self.note(partition, 0)
        self._seen = {key: self._seen[key] for key in found if key in self._seen}

    def _is_outbid(self, partition: str) -> bool:
        mine = self._holds[partition], self._me
        return any((lease.holds.get(partition, 0), key) > mine for key, lease in self._others.items())

    def _next(self, partition: str) -> int:
        """Return the number under which to hold a partition from now on: whoever has taken it last has the highest, mostly."""
        return max(self._last.get(partition, 0) + 1, int(time.time()))


def shares(there: Collection[str], held: Mapping[str, Collection[str]]) -> dict[str, tuple[list[str], list[str]]]:
    """Return for each worker what it is to take and to let go of, so that in the end the numbers differ by one at most.

    `held` are the workers and what each holds. Nothing is moved that need not be, and what nobody holds is dealt out in order, so
    that all who see the same come to the same.
    """
    least, more = divmod(len(there), len(held))
    by_number = sorted(held, key=lambda worker: (-len(held[worker]), worker))
    part = {worker: least + (n < more) for n, worker in enumerate(by_number)}
    taken = {partition for each in held.values() for partition in each}
    free = iter(sorted(partition for partition in there if partition not in taken))
    moves: dict[str, tuple[list[str], list[str]]] = {}
    for worker in sorted(held):
        has = sorted(held[worker])
        take = [partition for _, partition in zip(range(part[worker] - len(has)), free, strict=False)]
        moves[worker] = take, has[part[worker] :]
    return moves


def _this_worker() -> str:
    import socket

    return f"{socket.gethostname()[:40]}:{os.getpid()}:{uuid4().hex[:8]}"
