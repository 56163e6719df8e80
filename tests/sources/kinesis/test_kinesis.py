"""A Kinesis stream as a source: shards, leases, positions, and what it refuses. kinesalite stands for AWS here."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from kinesis_server import KinesisServer, kinesis_server
from small_holder import SmallHolder
from tallies import TALLY, Add, encoded, key_of, lasts

import go_state as gs

__all__ = ["kinesis_server"]

_names = itertools.count()
_SECONDS = 30.0  # until what has to happen has, on a busy machine


class Calls:
    """A client that counts its calls, and fails as it is told to."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.counts: Counter[str] = Counter()
        self.threads: set[int] = set()
        self.failures: dict[str, list[Exception]] = {}
        self.may_read = threading.Event()  # while it is not set, pages are on their way
        self.may_read.set()
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)

        def counted(**arguments: Any) -> Any:
            with self._lock:
                self.counts[name] += 1
                self.threads.add(threading.get_ident())
                if failures := self.failures.get(name):
                    raise failures.pop(0)
            answer = call(**arguments)
            if name == "get_records":
                assert self.may_read.wait(_SECONDS)
            return answer

        return counted


class Stream:
    """A stream of a test's own, and what is put into it."""

    def __init__(self, server: KinesisServer, shards: int) -> None:
        self.server, self.name = server, f"stream_{next(_names)}"
        self.client = Calls(server.client())
        server.create(self.name, shards)

    def put(self, count: int, first: int = 0, keys: int = 8) -> None:
        for n in range(first, first + count):
            records = [{"PartitionKey": f"k{k}", "Data": encoded(f"k{k}", n)} for k in range(keys)]
            self.client.put_records(StreamName=self.name, Records=records)

    def source(self, of: Any = Add, **options: Any) -> Any:
        options.setdefault("share", gs.Leases(seconds=1))
        return gs.sources.Kinesis(self.name, of, client=self.client, **options)

    def open_shards(self) -> list[Any]:
        shards = self.client.list_shards(StreamName=self.name)["Shards"]
        return [shard for shard in shards if "EndingSequenceNumber" not in shard["SequenceNumberRange"]]

    def split(self, at: int = 0) -> None:
        shard = self.open_shards()[at]
        low, high = (int(shard["HashKeyRange"][end]) for end in ("StartingHashKey", "EndingHashKey"))
        middle = str((low + high) // 2)
        self.client.split_shard(StreamName=self.name, ShardToSplit=shard["ShardId"], NewStartingHashKey=middle)
        self.server.settle(self.name)

    def merge(self) -> None:
        one, other = self.open_shards()[:2]
        self.client.merge_shards(StreamName=self.name, ShardToMerge=one["ShardId"], AdjacentShardToMerge=other["ShardId"])
        self.server.settle(self.name)


@pytest.fixture
def stream(kinesis_server: KinesisServer) -> Stream:
    return Stream(kinesis_server, 2)


@pytest.fixture
def holders() -> Iterator[list[SmallHolder]]:
    """Holders that a test leaves open are closed."""
    made: list[SmallHolder] = []
    yield made
    for holder in made:
        holder.reading.close(holder)


def until(done: Callable[[], bool], *holders: SmallHolder, save: bool = True) -> None:
    end = time.monotonic() + _SECONDS
    while not done():
        assert time.monotonic() < end, "it does not come about"
        for holder in holders:
            holder.poll(0.05)
            if save:
                holder.save()


def in_order(holders: list[SmallHolder], count: int, keys: int = 8) -> bool:
    """Return whether each key was read to its end, in order by each of the holders."""
    found: Counter[str] = Counter()
    for holder in holders:
        for _, message in holder.messages:
            found[message.key] += 1
    return found == {f"k{k}": count for k in range(keys)}


def test_an_aggregate_reads_a_stream(stream: Stream) -> None:
    """To a limit, and on from there; the positions are sequence numbers of shards."""
    store = gs.MemoryStore()
    stream.put(20)
    for _ in range(2):
        result = gs.aggregate(TALLY, stream.source(), store=store, key=key_of, limit=80)
        assert (result.ended, result.processed) == ("limit", 80)
    assert lasts(store, ["k0", "k7"]) == {"k0": 19, "k7": 19}
    assert set(result.position) == {shard["ShardId"] for shard in stream.open_shards()}
    assert all(position.isdecimal() for position in result.position.values())


async def test_an_aggregate_on_an_event_loop_reads_a_stream(stream: Stream) -> None:
    store = gs.MemoryStore()
    stream.put(20)
    result = await gs.aggregate_async(TALLY, stream.source(), store=store, key=key_of, limit=160)
    assert result.processed == 160
    assert lasts(store, ["k0", "k7"]) == {"k0": 19, "k7": 19}


def test_poison_ends_one_shard_alone_or_is_set_aside(stream: Stream) -> None:
    """A record that is no message has a position as any other, and its bytes are kept."""
    store = gs.MemoryStore()
    stream.put(5)
    stream.client.put_record(StreamName=stream.name, PartitionKey="k0", Data=b"{")
    stream.put(5, 5)
    result = gs.aggregate(TALLY, stream.source(), store=store, key=key_of, on_error=gs.SetAside(), limit=81)
    assert [failed.message for failed in result.set_aside] == [b"{"]
    assert lasts(store, ["k0", "k7"]) == {"k0": 9, "k7": 9}


def test_two_readers_share_the_shards_and_one_takes_over(stream: Stream, holders: list[SmallHolder]) -> None:
    """The second has its part soon, and all of it when the first has ended."""
    store = gs.MemoryStore()
    holders += [SmallHolder(stream.source(), store), SmallHolder(stream.source(), store)]
    until(lambda: [len(holder.held) for holder in holders] == [1, 1], *holders)
    stream.put(10)
    until(lambda: in_order(holders, 10), *holders)
    holders[0].close()
    until(lambda: len(holders[1].held) == 2, holders[1])


def test_a_reader_that_dies_is_replaced(stream: Stream, holders: list[SmallHolder]) -> None:
    """After its seconds; what it had read and not saved is read again, and it can save nothing any more."""
    store = gs.MemoryStore()
    dead = SmallHolder(stream.source(), store)
    holders.append(dead)
    stream.put(10)
    until(lambda: len(dead.messages) == 80, dead, save=False)
    other = SmallHolder(stream.source(), store)
    holders.append(other)
    until(lambda: len(other.messages) == 80, other)
    dead.save()
    assert sorted(dead.lost_ones) == sorted(other.held)
    assert not any(dead.reading.holds(shard) for shard in other.held)


def test_children_are_read_after_the_ends_of_their_parents_are_stored(stream: Stream, holders: list[SmallHolder]) -> None:
    """A parent that was read is not enough: what it gave could still be lost."""
    store = gs.MemoryStore()
    (holder,) = holders[:] = [SmallHolder(stream.source(), store)]
    stream.put(5)
    stream.split()
    stream.put(5, 5)
    until(lambda: len(holder.ending) == 1, holder, save=False)
    for _ in range(30):
        holder.poll(0.05)
    assert len(holder.held) == 2
    holder.save()
    until(lambda: in_order(holders, 10), holder)
    assert len(holder.held) == 3
    assert [message.n for _, message in holder.messages if message.key == "k0"] == list(range(10))


def test_a_merged_shard_waits_for_both_its_parents(kinesis_server: KinesisServer, holders: list[SmallHolder]) -> None:
    """Whoever reads them: order by key holds over splits and merges, with two readers."""
    stream, store = Stream(kinesis_server, 2), gs.MemoryStore()
    stream.put(5)
    stream.merge()
    stream.put(5, 5)
    stream.split()
    stream.put(5, 10)
    holders += [SmallHolder(stream.source(), store), SmallHolder(stream.source(), store)]
    until(lambda: in_order(holders, 15), *holders)
    for holder in holders:
        holder.close()
    again = SmallHolder(stream.source(), store)
    holders.append(again)
    until(lambda: len(again.held) == 2, again)
    assert again.messages == []


def test_the_newest_is_what_came_after_the_first_reader(stream: Stream, holders: list[SmallHolder]) -> None:
    """A reader that comes later, to a shard of which nothing is stored, begins where the first one said."""
    store = gs.MemoryStore()
    stream.put(5)
    time.sleep(0.01)  # the server's clock counts in milliseconds
    first = SmallHolder(stream.source(start="newest"), store)
    holders.append(first)
    stream.put(5, 5)
    until(lambda: len(first.messages) == 40, first, save=False)
    second = SmallHolder(stream.source(start="newest"), store)
    holders.append(second)
    until(lambda: len(second.messages) == 40, second)
    assert {message.n for _, message in second.messages} == set(range(5, 10))


def test_a_time_to_start_at(stream: Stream, holders: list[SmallHolder]) -> None:
    stream.put(5)
    time.sleep(0.01)
    now = datetime.now(UTC)
    stream.put(5, 5)
    for start, first in ((now, 5), (now - timedelta(hours=1), 0)):
        holder = SmallHolder(stream.source(start=start), gs.MemoryStore())
        holders.append(holder)
        until(lambda holder=holder, first=first: len(holder.messages) == 8 * (10 - first), holder)  # type: ignore[misc]


def test_a_stream_that_was_made_again_is_refused(stream: Stream) -> None:
    """Its shards have the same names, and positions of the one before say nothing about it."""
    store = gs.MemoryStore()
    stream.put(5)
    gs.aggregate(TALLY, stream.source(), store=store, key=key_of, limit=40)
    stream.client.delete_stream(StreamName=stream.name)
    end = time.monotonic() + _SECONDS
    while stream.name in stream.client.list_streams()["StreamNames"]:
        assert time.monotonic() < end
    second = int(time.time())
    while int(time.time()) == second:  # the time at which a stream was made is known in seconds
        time.sleep(0.05)
    stream.server.create(stream.name, 2)
    with pytest.raises(gs.errors.SourceChanged, match="made again"):
        gs.aggregate(TALLY, stream.source(), store=store, key=key_of, limit=40)


def test_a_stream_that_is_made_again_while_it_is_read_is_refused(stream: Stream, holders: list[SmallHolder]) -> None:
    """The shards' iterators are those of the old one."""
    holder = SmallHolder(stream.source(), gs.MemoryStore())
    holders.append(holder)
    until(lambda: len(holder.held) == 2, holder)
    stream.client.delete_stream(StreamName=stream.name)
    with pytest.raises(gs.errors.SourceError):
        until(lambda: False, holder)


def test_a_position_whose_record_is_gone_is_a_gap(stream: Stream, holders: list[SmallHolder]) -> None:
    """Records after it may be gone with it, so nothing is read; unless it is known that there were none."""
    store = gs.MemoryStore()
    stream.put(5)
    holder = SmallHolder(stream.source(), store)
    holders.append(holder)
    until(lambda: len(holder.messages) == 40, holder)
    shard = next(iter(holder.held))
    holder.reading.close(holder)
    for other in (True, False):
        reader = SmallHolder(stream.source(), store)
        holders.append(reader)
        until(lambda reader=reader: len(reader.held) == 2, reader)  # type: ignore[misc]
        if other:
            reader.reading.close(reader)
            _forget_leases(store)
    record = reader.held[shard]
    assert record.mark is not None
    before = str(int(record.mark.position) - 1)  # a number that no record has, as if the record had been removed
    record.saved(record.mark, store.store({record.key: record.write(record.mark._replace(position=before))}))
    _forget_leases(store)
    late = SmallHolder(stream.source(), store)
    holders.append(late)
    with pytest.raises(gs.errors.SourceChanged, match="stored sequence number"):
        until(lambda: bool(late.messages), late)


def _forget_leases(store: gs.abc.Store) -> None:
    for key in list(store.keys("@leases/")):
        stored = store.load(key)
        assert stored is not None
        store.store({key: gs.abc.Write(None, stored.version)})


def test_an_expired_iterator_is_made_anew(stream: Stream, holders: list[SmallHolder]) -> None:
    """After the record that was given last: nothing is given twice, and nothing passed over."""
    holder = SmallHolder(stream.source(), gs.MemoryStore())
    holders.append(holder)
    stream.put(5)
    until(lambda: len(holder.messages) == 40, holder)
    made = stream.client.counts["get_shard_iterator"]
    stream.client.failures["get_records"] = [_refused("ExpiredIteratorException") for _ in range(4)]
    stream.put(5, 5)
    until(lambda: len(holder.messages) == 80, holder)
    assert stream.client.counts["get_shard_iterator"] >= made + 4
    assert in_order(holders, 10)


@pytest.mark.parametrize("call", ["get_records", "get_shard_iterator", "list_shards"])
def test_what_was_throttled_or_not_reached_is_tried_again(stream: Stream, holders: list[SmallHolder], call: str) -> None:
    """The stream is read on as if nothing had happened."""
    failures = [
        _refused("ProvisionedThroughputExceededException"),
        EndpointConnectionError(endpoint_url="x"),
        _refused("Other", 503),
    ]
    stream.client.failures[call] = failures
    holder = SmallHolder(stream.source(), gs.MemoryStore())
    holders.append(holder)
    stream.put(5)
    until(lambda: len(holder.messages) == 40, holder)
    assert not failures


def _refused(code: str, status: int = 400) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "x")  # type: ignore[typeddict-item]


def test_what_is_refused_for_good_is_raised(stream: Stream, holders: list[SmallHolder]) -> None:
    """A missing stream and a missing right are named."""
    missing = gs.sources.Kinesis("nowhere", client=stream.client)
    with pytest.raises(gs.errors.SourceError, match="ResourceNotFoundException"):
        missing.open_partitions()
    stream.client.failures["get_records"] = [_refused("AccessDeniedException")]
    holder = SmallHolder(stream.source(), gs.MemoryStore())
    holders.append(holder)
    with pytest.raises(gs.errors.SourceError, match="AccessDeniedException"):
        until(lambda: False, holder)


def test_many_shards_cost_few_threads_and_few_calls(kinesis_server: KinesisServer, holders: list[SmallHolder]) -> None:
    """An idle shard is asked once a second, by one of a few threads."""
    stream = Stream(kinesis_server, 40)
    holder = SmallHolder(stream.source(), gs.MemoryStore())
    holders.append(holder)
    until(lambda: stream.client.counts["get_records"] >= 5 * 40, holder)
    stream.client.counts.clear()
    began = time.monotonic()
    until(lambda: stream.client.counts["get_records"] >= 2 * 40, holder)
    assert time.monotonic() - began >= 0.9
    assert len(stream.client.threads) <= 9


def test_a_paused_shard_gives_nothing_until_it_is_resumed(stream: Stream, holders: list[SmallHolder]) -> None:
    """And loses nothing that was on its way."""
    holder = SmallHolder(stream.source(), gs.MemoryStore())
    holders.append(holder)
    until(lambda: len(holder.held) == 2, holder)
    for shard in holder.held:
        holder.reading.pause(shard)
    holder.reading.pause("none of ours")
    stream.put(5)
    for _ in range(20):
        holder.poll(0.05)
    assert not holder.messages
    for shard in holder.held:
        holder.reading.resume(shard)
    until(lambda: len(holder.messages) == 40, holder)


def test_seek_gives_what_follows_the_position(stream: Stream, holders: list[SmallHolder]) -> None:
    """Once more, and what was asked for before it is dropped."""
    holder = SmallHolder(stream.source(), gs.MemoryStore())
    holders.append(holder)
    stream.put(5)
    until(lambda: len(holder.messages) == 40, holder)
    for shard in holder.held:
        assert holder.reading.lag(shard) == 0
        holder.reading.seek(shard, None)
    until(lambda: len(holder.messages) == 80, holder)
    assert holder.messages[:40] != []


def test_a_page_that_was_on_its_way_at_a_seek_is_dropped(stream: Stream, holders: list[SmallHolder]) -> None:
    """It would come before the records that were asked for."""
    holder = SmallHolder(stream.source(), gs.MemoryStore())
    holders.append(holder)
    stream.put(5)
    until(lambda: len(holder.messages) == 40, holder)
    stream.client.may_read.clear()
    stream.put(5, 5)
    asked = stream.client.counts["get_records"]
    until(lambda: stream.client.counts["get_records"] >= asked + 2, holder)
    for shard in holder.held:
        holder.reading.seek(shard, None)
    holder.messages.clear()
    stream.client.may_read.set()
    until(lambda: len(holder.messages) >= 80, holder)
    for k in range(8):
        assert [message.n for _, message in holder.messages if message.key == f"k{k}"] == list(range(10))


def test_closing_saves_before_it_waits_for_calls_without_an_answer(stream: Stream, holders: list[SmallHolder]) -> None:
    """boto3 waits for minutes, and whoever ends a process kills it before that."""
    holder = SmallHolder(stream.source(), gs.MemoryStore())
    holders.append(holder)
    until(lambda: len(holder.held) == 2, holder)
    asked = stream.client.counts["get_records"]
    stream.client.may_read.clear()
    until(lambda: stream.client.counts["get_records"] > asked, holder)
    closing = threading.Thread(target=holder.close)
    closing.start()
    try:
        until(lambda: not holder.held)
        assert closing.is_alive()
    finally:
        stream.client.may_read.set()
        closing.join()


def test_wake_ends_a_poll(stream: Stream, holders: list[SmallHolder]) -> None:
    """From another thread, or before it has begun."""
    holder = SmallHolder(stream.source(share=gs.Leases(600)), gs.MemoryStore())
    holders.append(holder)
    until(lambda: len(holder.held) == 2, holder)
    for shard in holder.held:
        holder.reading.pause(shard)
    timer = threading.Timer(0.1, holder.reading.wake)
    timer.start()
    for _ in range(5):  # a page may still arrive
        holder.poll(0.01)
    holder.poll(600)
    timer.join()


def test_calls_arrive_in_order_however_threads_are_switched(kinesis_server: KinesisServer, holders: list[SmallHolder]) -> None:
    """Pages of one shard are asked for one after the other."""
    stream, before = Stream(kinesis_server, 6), sys.getswitchinterval()
    holder = SmallHolder(stream.source(), gs.MemoryStore())
    holders.append(holder)
    sys.setswitchinterval(1e-6)
    try:
        for n in range(0, 30, 10):
            stream.put(10, n)
            until(lambda n=n: len(holder.messages) == 8 * (n + 10), holder)  # type: ignore[misc]
    finally:
        sys.setswitchinterval(before)
    for k in range(8):
        assert [message.n for _, message in holder.messages if message.key == f"k{k}"] == list(range(30))


def test_wrong_arguments_are_refused(stream: Stream) -> None:
    with pytest.raises(gs.UsageError, match="boto3"):
        gs.sources.Kinesis("orders", Add, client="kinesis")
    for start in ("latest", 5, datetime(2024, 1, 1)):
        with pytest.raises(gs.UsageError, match="start="):
            stream.source(start=start)
    with pytest.raises(gs.UsageError, match="key="):
        gs.aggregate(TALLY, stream.source(), store=gs.MemoryStore(), key="k")


def test_parse_and_decode(stream: Stream) -> None:
    source = stream.source(None, parse=lambda raw: Add(raw.decode(), 0))
    assert source.decode(b"b") == Add("b", 0)
    with pytest.raises(gs.errors.BadRecord, match="UnicodeDecodeError"):
        source.decode(b"\xff")
