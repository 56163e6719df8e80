r"""When programs at rest have something to do by themselves: a record for each, so that none of their journals has to be opened.

    t/<group>\0<key>    {"due": 1767225600.0, "beats": [[600.0, 1767225600.0]], "timers": [["<effect id>", 1767225600.0]]}

A group is the programs that are started together, such as those of one `start_keyed`, known by their prefix. The record is written in
the transaction that makes it true: with messages that are not processed yet it says "at once".
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from go_state.core.errors import Corrupt
from go_state.storage.records.keys import key_bytes
from go_state.storage.records.layout import pack, unpack

if TYPE_CHECKING:
    from go_state.storage.records.backend import Backend, Transaction

Key = TypeVar("Key")

NOW = 0.0  # a time that is over: whoever starts programs starts this one at once
_NEAR = 0.01  # second: times of one timer, calculated from two clocks again and again, differ by less


class WakeTimes(NamedTuple):
    """When a program has something to do by itself, in seconds since 1970.

    `due` is the earliest of all, None if there is nothing. `beats` says when the next beat is of the subscriptions that beat each so
    many seconds, and `timers` when the timers are over that commands have set, by their effect ids: so they go on where they were.
    """

    due: float | None = None
    beats: Mapping[float, float] = MappingProxyType({})
    timers: Mapping[str, float] = MappingProxyType({})

    @property
    def is_empty(self) -> bool:
        """Whether the program has nothing to do by itself."""
        return self.due is None and not self.beats and not self.timers

    def is_near(self, other: WakeTimes) -> bool:
        """Return whether the two say the same, but for what clocks differ by."""
        if (self.due is None) is not (other.due is None) or abs((self.due or 0.0) - (other.due or 0.0)) >= _NEAR:
            return False
        return _are_near(self.beats, other.beats) and _are_near(self.timers, other.timers)


def _are_near(one: Mapping[Key, float], other: Mapping[Key, float]) -> bool:
    return one.keys() == other.keys() and all(abs(at - other[key]) < _NEAR for key, at in one.items())


class WakeRecord(NamedTuple):
    """What one transaction writes of it."""

    name: bytes
    times: WakeTimes

    def write(self, transaction: Transaction) -> None:
        """Write the record, or delete it if it says nothing."""
        if self.times.is_empty:
            transaction.delete(self.name)
            return
        import orjson

        due, beats, timers = self.times
        data = orjson.dumps({"due": due, "beats": list(beats.items()), "timers": list(timers.items())})
        transaction.put(self.name, pack(self.name, transaction.id(), data))


def wake_name(group: str, key: str) -> bytes:
    """Return the name of the record of a key's program."""
    return b"t/" + key_bytes(group) + b"\0" + key_bytes(key)


def read_wake(backend: Backend, name: bytes) -> WakeTimes:
    """Return what the record says; `Corrupt` if it is damaged."""
    with backend.transaction() as transaction:
        record = transaction.get(name)
    return WakeTimes() if record is None else _times(name, record)


def read_all_wakes(backend: Backend, group: str) -> dict[str, float]:
    """Return, by key, when each program of the group has something to do by itself: one scan."""
    prefix = wake_name(group, "")
    with backend.transaction() as transaction:
        found = [(name, record) for name, record in transaction.items(prefix)]
    times = [(name[len(prefix) :].decode(), _times(name, record).due) for name, record in found]
    return {key: due for key, due in times if due is not None}


def _times(name: bytes, record: bytes) -> WakeTimes:
    import orjson

    key = name[2:].replace(b"\0", b"").decode(errors="replace")
    try:
        found = orjson.loads(unpack(key, name, record).data)
        beats = {float(seconds): float(at) for seconds, at in found["beats"]}
        timers = {str(effect): float(at) for effect, at in found["timers"]}
        return WakeTimes(None if found["due"] is None else float(found["due"]), beats, timers)
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt(key, f"when it is to be woken cannot be read: {type(error).__name__}") from None
