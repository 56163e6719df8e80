"""One member of the group: what its client gives and says, told to the holder.

Everything happens within `poll` and `close`, in their thread. The client calls back from within its own calls: `assigned` claims the
partitions, asks whether what follows their positions is there, and has the client read from there; `revoked` has them saved and
tells the group how far.

Records that the client had collected when, in the same call, it let go of their partition and was given it again could be of before
or after. They are dropped, and the client begins once more where the holder has said.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Generic, TypeVar

from go_state.core.errors import SourceChanged
from go_state.core.ports import Position
from go_state.core.ports.partitions import Holder
from go_state.sources.streams.kafka.client import Group, Settings, given_up, log
from go_state.sources.streams.kafka.record import Records, offset_of, time_of
from go_state.sources.streams.kafka.starts import Starts
from go_state.sources.streams.kafka.topic import Described, Topic, Watch

if TYPE_CHECKING:
    from confluent_kafka import Message

Msg = TypeVar("Msg")

# Records of one poll. Those of one are let go of while the next are taken, so that with fewer than the 700 objects after which Python
# looks for garbage it looks for none. 400,000 messages, in CPU time of the loop by hand: 1.2 of it with 300 or 500, 1.4 with 1,000, 1.5 with
# 5,000, of which 0.4 were for garbage, mostly by looks through everything that the process has imported. Dropped: 5,000 that were decoded
# 500 at a time, 1.3 to 1.4; 5,000 with all that was there before left out by gc.freeze, which is not ours to call, 1.3.
_MOST = 500
_SHORTEST, _LONGEST = (
    0.001,
    0.05,
)  # seconds: the client cannot be woken, so it is asked in slices, which grow while nothing happens
_ASK = 5.0  # seconds for an answer about the group
_LAST = 1.0  # seconds for such an answer at the end
_ABSENT = 3.0  # seconds between two polls, after which this member may be out of the group and not know it


class KafkaReading(Generic[Msg]):
    """A pass through the partitions that the group gives this member; see `PartitionedReading`."""

    def __init__(
        self,
        name: str,
        topic: Topic,
        group: str,
        settings: Settings,
        starts: Starts,
        records: Records[Msg],
    ) -> None:
        self._name = name
        self._topic = topic
        self._group_name = group
        self._settings = settings
        self._is_classic = settings["group.protocol"] == "classic"
        self._starts = starts
        self.message, self.raw = records  #: see `PartitionedReading`; attributes, because each record is decoded by one call
        self._woken = threading.Event()
        self._next: dict[int, int] = {}  # the offset that each partition is given from next
        self._ends: dict[int, int] = {}  # the offset at which it ended when something of it was fetched last
        self._untold: dict[int, int] = {}  # offsets that are in the store, and the group was not told of
        self._thread = 0  # in which it is polled
        self._touched: set[int] = set()  # partitions that came or went during a call of the client
        self._polled_at = time.monotonic()
        self._read_at = 0.0  # when records were given last
        self._holder: Holder[Message] | None = None
        self._closed = False
        self.topic_id = topic.look().id  #: of the topic as it was begun with
        self._watch = Watch(topic, self._recognised)
        self._group = Group(topic.name, settings, self)

    # ------------------------------------------------------------------ what the holder calls

    def poll(self, seconds: float, holder: Holder[Message], /) -> None:
        """Wait up to `seconds` for records or news of the group; raises `SourceChanged` for a gap or another topic, `SourceError` if refused."""
        self._holder, self._thread = holder, threading.get_ident()
        self._tell()
        self._watch.look()
        fatal = self._group.errors.fatal
        if fatal is not None:
            raise given_up(f"the group {self._group_name!r} is closed to this client", fatal, fatal.str(), self._settings)
        absent, self._polled_at = time.monotonic() - self._polled_at > _ABSENT, time.monotonic()
        taken = self._take(seconds)
        self._give(self._without_foreign(taken) if absent and taken else taken)
        self._polled_at = time.monotonic()

    def _take(self, seconds: float) -> list[Message]:
        until, slice_ = time.monotonic() + seconds, _SHORTEST
        while True:
            self._touched.clear()
            left = max(until - time.monotonic(), 0.0)
            first = self._group.first(0.0 if self._woken.is_set() else min(left, slice_))
            if first is not None:
                break
            if self._touched or not left or self._woken.is_set():
                self._woken.clear()
                return []
            slice_ = min(2 * slice_, _LONGEST)
        self._touched.clear()  # what the client says before it gives a record is of before that record
        taken = [first, *self._group.more(_MOST - 1)]
        return self._without(taken, self._touched) if self._touched else taken

    def _without_foreign(self, taken: list[Message]) -> list[Message]:
        """Drop records of partitions that this process has lost while it stood still: their commands are for others to perform."""
        return self._without(taken, self._next.keys() - self._held())

    def _without(self, taken: list[Message], partitions: Set[int]) -> list[Message]:
        """Drop records of the partitions, and have the client give those again that are held."""
        dropped = {record.partition() for record in taken} & partitions
        for partition in self._next.keys() & dropped:
            self._begin({partition: self._next[partition]}, again=True)
        return [record for record in taken if record.partition() not in dropped]

    def _give(self, taken: list[Message]) -> None:
        holder = self._holder
        by_partition: dict[int, list[Message]] = {}
        said: list[Message] = []
        assert holder is not None
        for record in taken:
            if record.error() is not None:
                said.append(record)
                continue
            partition: object = record.partition()  # a number, as those of records from a broker are
            if partition in by_partition:
                by_partition[partition].append(record)
            elif partition in self._next:
                by_partition[partition] = [record]
        if by_partition:
            self._read_at = time.monotonic()
        for partition, records in by_partition.items():
            self._next[partition] = offset_of(records[-1]) + 1
            self._ends[partition] = self._group.end(partition)
            holder.give(str(partition), records)
        for record in said:
            self._said(record)

    def _said(self, record: Message) -> None:
        """Act on what the client says about a partition, or about itself."""
        from confluent_kafka import KafkaError

        error, partition = record.error(), record.partition()
        assert error is not None
        code = error.code()
        if code == KafkaError._PARTITION_EOF:
            if partition in self._next:
                end = max(self._next[partition], record.offset() or 0)  # past what is no record
                self._next[partition] = self._ends[partition] = end
        elif code == KafkaError._AUTO_OFFSET_RESET:
            if partition in self._next:
                self._check_again(partition)
        elif code in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION):
            self._recognised(self._topic.look(patiently=True))
        elif code == KafkaError._LOG_TRUNCATION:
            raise SourceChanged(self._name, f"the end of partition {partition}, which was read, is lost: {error.str()}")
        elif error.fatal() or not (error.retriable() or code in _passing()):
            raise given_up(f"the topic {self._name!r} cannot be read", error, error.str(), self._settings)
        else:
            log.info("%s: %s", self._name, error.str())

    def _check_again(self, partition: int) -> None:
        """Raise `SourceChanged` if what comes next of the partition is not there; or else begin there once more."""
        offset = self._next[partition]
        self._recognised(self._topic.look(patiently=True))
        self._starts.check(
            partition, offset, self._topic.firsts([partition])[partition], self._topic.ends([partition])[partition]
        )
        self._begin({partition: offset}, again=True)

    def _recognised(self, described: Described) -> None:
        """Raise `SourceChanged` unless this is the topic that was begun with."""
        if described.id != self.topic_id:
            raise SourceChanged(self._name, "its topic was deleted and made anew while it was read")

    def _begin(self, offsets: Mapping[int, int], *, again: bool = False) -> None:
        if again:  # seek would fail for what the client has not begun to fetch yet
            self._group.unassign(offsets)
        self._group.assign(offsets)
        self._next.update(offsets)

    def wake(self) -> None:
        """End the `poll` that is running, or else the next one, soon."""
        self._woken.set()

    def position(self, record: Message, /) -> Position:
        """Return the offset of a record, once it is known that it is of the topic that was begun with; `SourceChanged` if not.

        Asked from elsewhere, such as an event loop, it does not wait for that: the topic is looked after at every second or third second.
        """
        if threading.get_ident() == self._thread:
            self._watch.confirm(self._read_at)
        return offset_of(record)

    def time(self, record: Message, /) -> float | None:
        """Return when the record was written, in seconds since 1970."""
        return time_of(record)

    def lag(self, partition: str, /) -> int | None:
        """Return how many offsets follow the record given last, by what was known when something was fetched last."""
        end, offset = self._ends.get(int(partition)), self._next.get(int(partition))
        return None if end is None or offset is None or end < 0 else max(end - offset, 0)

    def holds(self, partition: str, /) -> bool:
        """Ask the group whether the partition is this member's; while that is being settled, what was last known counts."""
        return int(partition) in self._next and int(partition) in self._held()

    def _held(self) -> Set[int]:
        if self._is_classic:
            members = self._topic.members(self._group_name, _ASK)
            return self._next.keys() if members is None else members.get(self._group.member() or "", frozenset())
        is_out = self._group.is_member(min(self._next), _ASK) is False if self._next else False
        return frozenset() if is_out else self._next.keys()

    def seek(self, partition: str, after: Position | None, /) -> None:
        """Give the partition again from the offset that follows `after`, or from its beginning; raises `SourceChanged` for a gap."""
        number = int(partition)
        if number in self._next:
            self._begin(self._offsets({number: after}), again=True)

    def pause(self, partition: str, /) -> None:
        """Give nothing of the partition until `resume`."""
        if int(partition) in self._next:
            self._group.pause(int(partition))

    def resume(self, partition: str, /) -> None:
        """Give the partition again, on from the record given last."""
        if int(partition) in self._next:
            self._group.resume(int(partition))

    def saved(self, positions: Mapping[str, Position], /) -> None:
        """Note how far its partitions are in the store, for the group, whose tools show lag; it is told at the next poll."""
        self._untold.update((int(each), position + 1) for each, position in positions.items() if position is not None)

    def _tell(self) -> None:
        """Tell the group what it was not told, one commit at a time; nothing is waited for."""
        if self._untold and not self._group.unanswered:
            self._group.commit(self._untold)
            self._untold = {}

    def close(self, holder: Holder[Message], /) -> None:
        """Leave the group; what is left is saved before.

        While its members join anew, or its broker hangs, the coordinator answers no commit, and the client leaves only when it has all
        answers: then the group is not told how far this member was.
        """
        if not self._closed:
            self._closed, self._holder = True, holder
            if self._untold and self._is_answered():
                self._tell()
            self._group.close()

    def _is_answered(self) -> bool:
        if self._is_classic:
            return self._topic.members(self._group_name, _LAST) is not None
        return self._group.is_answered(min(self._untold), _LAST)

    # ------------------------------------------------------------------ what the client calls, from within its calls

    def assigned(self, partitions: list[int], /) -> None:
        """Claim partitions, and read them from where the store says."""
        assert self._holder is not None
        self._touched.update(partitions)
        after = self._holder.assigned([str(partition) for partition in partitions])
        self._begin(self._offsets({int(partition): position for partition, position in after.items()}))
        for partition in partitions:  # the client keeps the pause of a partition that went away meanwhile
            self._group.resume(partition)

    def revoked(self, partitions: list[int], /) -> None:
        """Read partitions no more; what came of them is saved, and the group is told how far."""
        assert self._holder is not None
        self._touched.update(partitions)
        stored = self._holder.revoked([str(partition) for partition in partitions])
        if not self._closed:
            self.saved(stored)
            self._tell()
        self._forget(partitions)

    def lost(self, partitions: list[int], /) -> None:
        """Read partitions no more that are somebody else's."""
        assert self._holder is not None
        self._touched.update(partitions)
        self._holder.lost([str(partition) for partition in partitions])
        self._forget(partitions)

    def _forget(self, partitions: Sequence[int]) -> None:
        for partition in partitions:
            self._next.pop(partition, None)
            self._ends.pop(partition, None)
            self._untold.pop(partition, None)
        self._group.unassign(partitions)

    def _offsets(self, after: Mapping[int, Position | None]) -> dict[int, int]:
        assert self._holder is not None
        described = self._topic.look(patiently=True)
        self._recognised(described)
        return self._starts.offsets(self._topic, described, after, self._holder)


def _passing() -> frozenset[int]:
    """Return the codes of errors that the client mends itself, besides those that it calls retriable."""
    from confluent_kafka import KafkaError as Codes

    return frozenset(
        (
            Codes._ALL_BROKERS_DOWN,
            Codes._MAX_POLL_EXCEEDED,
            Codes._RESOLVE,
            Codes._TIMED_OUT,
            Codes._TRANSPORT,
            Codes.ILLEGAL_GENERATION,
            Codes.UNKNOWN_MEMBER_ID,
            Codes.REBALANCE_IN_PROGRESS,
        )
    )
