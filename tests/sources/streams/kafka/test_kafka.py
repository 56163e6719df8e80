"""A topic of a real Kafka as a source: what is read, from where on, and what is refused."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from itertools import count
from typing import Any

import pytest
from kafka_server import KafkaServer
from sources.streams.kafka.support import QUICK, Add, Tally, Worker, counted, record, records, tally, wait_for, wait_for_count

import go_state as gs
from go_state.sources.streams.kafka.topic import Topic

pytestmark = [pytest.mark.slow]

_numbers = count()


@pytest.fixture
def topic(kafka_server: KafkaServer) -> str:
    """Return the name of a topic of the test's own, with four partitions."""
    name = f"adds-{next(_numbers)}"
    kafka_server.create(name, 4)
    return name


@pytest.fixture
def source(kafka_server: KafkaServer, topic: str) -> Any:
    """Return what makes the source of the test's topic."""

    def make(**options: Any) -> Any:
        quick = QUICK if options.get("protocol") != "consumer" else {}  # there it is the brokers who decide
        options = {"group": f"group of {topic}", "servers": kafka_server.servers, "settings": quick, **options}
        return gs.sources.Kafka(topic, **({} if "parse" in options else {"of": Add}), **options)

    return make


@pytest.fixture
def store() -> Iterator[gs.MemoryStore]:
    with gs.MemoryStore() as store:
        yield store


class Member:
    """A holder that keeps the offsets it is given, and begins every partition at its beginning."""

    def __init__(self, source: Any, store: Any) -> None:
        self.store = store
        self.held: dict[str, list[int]] = {}
        self.told: list[str] = []
        self.reading = source.open_partitions()

    def assigned(self, partitions: Sequence[str]) -> dict[str, Any]:
        self.told.append("assigned")
        self.held.update({partition: [] for partition in partitions})
        return dict.fromkeys(partitions)

    def revoked(self, partitions: Sequence[str]) -> dict[str, Any]:
        self.lost(partitions)
        return {}

    def lost(self, partitions: Sequence[str]) -> None:
        self.told.append("gone")
        for partition in partitions:
            del self.held[partition]

    def give(self, partition: str, records: Sequence[Any]) -> None:
        self.held[partition] += [self.reading.position(record) for record in records]

    def close(self) -> None:
        self.reading.close(self)


def poll_until(members: dict[str, Member], holds: Callable[[], bool], seconds: float = 60) -> None:
    """Poll all of them in turn until it holds."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, {name: member.held.keys() for name, member in members.items()}
        for member in members.values():
            member.reading.poll(0.05, member)


def offsets(group: str, server: KafkaServer, topic: str) -> list[int]:
    """Return the offsets that the group has committed."""
    from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

    admin = server.admin()
    asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, n) for n in range(4)])
    found = admin.list_consumer_group_offsets([asked])[group].result()
    return [each.offset for each in found.topic_partitions]


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_each_message_counts_once_over_several_runs(
    protocol: str, source: Any, store: Any, topic: str, kafka_server: KafkaServer
) -> None:
    """Two workers share the topic, a third run goes on where they ended, and the group is told how far."""
    kafka_server.put(topic, *records(20, 50, 4))
    workers = [Worker(source(protocol=protocol), store) for _ in range(2)]
    wait_for_count(store, 20, 50)
    results = [worker.end() for worker in workers]
    assert sum(result.processed for result in results) >= 1000
    kafka_server.put(topic, *records(20, 10, 4, begin=50))
    last = Worker(source(protocol=protocol), store)
    wait_for_count(store, 20, 60)
    assert last.end().processed == 200
    assert last.result.position == dict.fromkeys("0123", 299)
    assert offsets(f"group of {topic}", kafka_server, topic) == [300] * 4


async def test_an_event_loop_reads_it_as_well(source: Any, store: Any, topic: str, kafka_server: KafkaServer) -> None:
    """The client has a thread of its own there."""
    kafka_server.put(topic, *records(8, 100, 4))
    result = await gs.aggregate_async(
        tally, source(), store=store, key=lambda msg: msg.key, limit=800, snapshots=gs.Snapshots(seconds=0.2)
    )
    assert result.processed == 800
    wait_for_count(store, 8, 100)


def test_a_record_has_key_headers_and_time(source: Any, store: Any, topic: str, kafka_server: KafkaServer) -> None:
    """With parse= a message may be made of everything that Kafka keeps."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": kafka_server.servers})
    producer.produce(
        topic, b"7", b"k", partition=2, headers=[("n", b"1"), ("n", b"0"), ("none", None)], timestamp=1_700_000_000_500
    )
    producer.produce(topic, None, b"gone", partition=2)
    assert producer.flush(10) == 0
    seen: list[gs.sources.KafkaRecord] = []

    def parse(record: gs.sources.KafkaRecord) -> Add | None:
        seen.append(record)
        return None if record.value is None else Add("k0", int(record.header("n") or b"9"))

    worker = Worker(source(parse=parse), store)
    wait_for_count(store, 1, 1)
    wait_for(lambda: len(seen) == 2, "both records")
    worker.end()
    first, second = seen
    assert (first.key, first.value, first.partition, first.offset, first.timestamp) == (b"k", b"7", 2, 0, 1_700_000_000.5)
    assert first.headers == (("n", b"1"), ("n", b"0"), ("none", None))
    assert first.header("absent") is None
    assert (second.key, second.value, second.offset) == (b"gone", None, 1)


def test_a_record_that_is_no_message_is_set_aside_and_decoded_again(
    source: Any, store: Any, topic: str, kafka_server: KafkaServer
) -> None:
    """What is kept of it is all that the source needs to read it again, with parse= and without."""
    kafka_server.put(topic, record("k0", 0, 0), ("k0", b"{broken", 0), ("k0", b"", 1), record("k0", 1, 0))
    worker = Worker(source(), store, on_error=gs.SetAside())
    wait_for_count(store, 1, 2)
    worker.end()
    kept = worker.result.set_aside
    assert {failed.message for failed in kept} == {b"{broken", b""}
    assert any("record 1 of partition 0" in str(failed.error) for failed in kept)
    with pytest.raises(gs.errors.BadRecord, match="not a message"):
        source().decode(b"{broken")
    assert source().decode(b'{"key":"a","n":1}') == Add("a", 1)

    def parse(got: gs.sources.KafkaRecord) -> Add:
        assert got.value is not None
        assert got.value.startswith(b'{"')
        return Add("p", got.offset)

    parsing = source(parse=parse, group="another", name="another")
    ignoring = gs.reducer(Tally, lambda model, msg: model, name="any")
    worker = Worker(parsing, store, on_error=gs.SetAside(), program=ignoring, limit=4)
    kept = worker.ended().set_aside
    assert len(kept) == 2
    with pytest.raises(gs.errors.BadRecord, match="parse= raised AssertionError"):
        parsing.decode(kept[0].message)


def test_newest_is_of_the_moment_when_the_group_began(source: Any, store: Any, topic: str, kafka_server: KafkaServer) -> None:
    """What came before is not read; what came while everybody was away is, and so is a new partition from its first record."""
    kafka_server.put(topic, *records(4, 5, 4, prefix="old"))
    first = Worker(source(start="newest"), store, snapshots=gs.Snapshots(seconds=1000))
    wait_for(lambda: bool(list(store.keys("@starts/tally/"))), "the start")
    first.end()
    kafka_server.put(topic, *records(4, 5, 4))
    kafka_server.add_partitions(topic, 5)
    kafka_server.put(topic, *(record("k4", n, 4) for n in range(5)))
    second = Worker(source(start="newest"), store)
    wait_for_count(store, 5, 5)
    second.end()
    assert counted(store, 4, prefix="old") == {}


def test_a_time_begins_at_the_first_record_that_is_not_older(
    source: Any, store: Any, topic: str, kafka_server: KafkaServer
) -> None:
    """A partition without such a record begins at its end."""
    kafka_server.put(topic, *records(4, 5, 4, prefix="old"))
    time.sleep(0.01)
    now = datetime.datetime.now(datetime.UTC)
    time.sleep(0.01)
    kafka_server.put(topic, *records(3, 5, 4))
    worker = Worker(source(start=now), store)
    wait_for_count(store, 3, 5)
    worker.end()
    assert counted(store, 4, prefix="old") == {}


def test_records_that_were_deleted_unread_are_a_gap(source: Any, store: Any, topic: str, kafka_server: KafkaServer) -> None:
    """At the beginning and while it is read; the error names what is missing, and the model stays."""
    kafka_server.put(topic, *records(4, 10, 4))
    Worker(source(), store, limit=40).ended()
    kafka_server.put(topic, *records(4, 10, 4, begin=10))
    kafka_server.truncate(topic, 2, 15)
    with pytest.raises(gs.errors.SourceChanged, match=r"offsets 10 to 14 of partition 2 .* begins at 15"):
        Worker(source(), store).ended()
    assert counted(store, 4)["k2"].last == 9


def test_what_was_deleted_after_it_was_read_is_no_gap(source: Any, store: Any, topic: str, kafka_server: KafkaServer) -> None:
    """The log begins exactly at what follows the position."""
    kafka_server.put(topic, *records(4, 10, 4))
    Worker(source(), store, limit=40).ended()
    kafka_server.truncate(topic, 2, 10)
    kafka_server.put(topic, *records(4, 10, 4, begin=10))
    Worker(source(), store, limit=40).ended()
    wait_for_count(store, 4, 20)


def test_holes_of_transactions_are_no_gaps(source: Any, store: Any, topic: str, kafka_server: KafkaServer) -> None:
    """Marks of transactions have offsets of their own, and what was aborted is not given; the lag counts neither."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": kafka_server.servers, "transactional.id": topic})
    producer.init_transactions()
    for n in range(6):
        producer.begin_transaction()
        for key, value, partition in records(4, 1, 4, begin=n // 2 if n % 2 else 77):
            producer.produce(topic, value, key, partition)
        assert producer.flush(10) == 0
        producer.commit_transaction() if n % 2 else producer.abort_transaction()
    worker = Worker(source(), store)
    wait_for_count(store, 4, 3)
    worker.end()
    assert worker.result.position == dict.fromkeys("0123", 10)


def test_a_topic_that_was_made_anew_is_not_read(source: Any, store: Any, topic: str, kafka_server: KafkaServer) -> None:
    """Its id is another, though it has offsets enough."""
    kafka_server.put(topic, *records(4, 10, 4))
    Worker(source(), store, limit=40).ended()
    kafka_server.delete(topic)
    kafka_server.create(topic, 4)
    kafka_server.put(topic, *records(4, 30, 4))
    with pytest.raises(gs.errors.SourceChanged, match="deleted and made anew"):
        Worker(source(), store).ended()
    assert counted(store, 4)["k2"].last == 9


def test_a_topic_that_is_made_anew_while_it_is_read_is_not_read_on(
    source: Any, store: Any, topic: str, kafka_server: KafkaServer
) -> None:
    """The client would go on in the new topic at the offset that it has come to in the old one."""
    kafka_server.put(topic, *records(4, 10, 4))
    worker = Worker(source(), store)
    wait_for_count(store, 4, 10)
    kafka_server.delete(topic)
    kafka_server.create(topic, 4)
    kafka_server.put(topic, *records(4, 30, 4))
    with pytest.raises(gs.errors.SourceChanged, match="deleted and made anew while it was read"):
        worker.ended()
    assert counted(store, 4)["k2"].last == 9


def test_a_topic_that_is_deleted_ends_the_run(source: Any, store: Any, topic: str, kafka_server: KafkaServer) -> None:
    """It says so, and what was read stays."""
    kafka_server.put(topic, *records(4, 10, 4))
    worker = Worker(source(), store)
    wait_for_count(store, 4, 10)
    kafka_server.delete(topic)
    with pytest.raises(gs.errors.SourceError, match="there is no topic"):
        worker.ended()


def test_a_member_that_is_back_has_its_partitions_again(source: Any, store: Any, topic: str, kafka_server: KafkaServer) -> None:
    """The other one of the group notices nothing: none of its partitions comes or goes."""
    members = {name: Member(source(member=name), store) for name in "ab"}
    poll_until(
        members, lambda: all(each.held for each in members.values()) and sum(len(each.held) for each in members.values()) == 4
    )
    before = dict(members["a"].held)
    members["a"].close()
    members["b"].told.clear()
    members["a"] = Member(source(member="a"), store)
    poll_until(members, lambda: members["a"].held.keys() == before.keys())
    assert members["b"].told == []
    for each in members.values():
        each.close()


def test_another_process_under_the_same_member_name_is_refused(source: Any, store: Any, topic: str) -> None:
    """The first one ends, and is told why."""
    members = {"first": Member(source(member="a"), store)}
    poll_until(members, lambda: len(members["first"].held) == 4)
    members["second"] = Member(source(member="a"), store)
    with pytest.raises(gs.errors.SourceError, match="another process has joined the group under the same member="):
        poll_until(members, lambda: False)
    for each in members.values():
        each.close()


def test_a_poll_ends_soon_when_it_is_woken(source: Any, store: Any, topic: str) -> None:
    """Also if that was before it."""
    member = Member(source(), store)
    poll_until({"": member}, lambda: len(member.held) == 4)
    member.reading.poll(0.2, member)
    member.reading.wake()
    member.reading.poll(1000, member)
    threading.Timer(0.1, member.reading.wake).start()
    member.reading.poll(1000, member)
    member.close()


def test_a_partition_is_given_again_from_where_it_is_sought(
    source: Any, store: Any, topic: str, kafka_server: KafkaServer
) -> None:
    """Nothing of what the client has read ahead comes in between; what is paused is not given."""
    member = Member(source(), store)
    kafka_server.put(topic, *records(4, 3000, 4))
    poll_until({"": member}, lambda: any(len(each) >= 100 for each in member.held.values()))
    partition = max(member.held, key=lambda each: len(member.held[each]))
    for after in (50, None, 1):
        member.held[partition].clear()
        member.reading.seek(partition, after)
        begin = 0 if after is None else after + 1
        poll_until({"": member}, lambda begin=begin: len(member.held[partition]) >= 3000 - begin)
        assert member.held[partition] == list(range(begin, 3000))
        assert member.reading.lag(partition) == 0
    member.reading.pause(partition)
    kafka_server.put(topic, *records(4, 1000, 4, begin=3000))
    poll_until({"": member}, lambda: all(len(given) == 4000 for each, given in member.held.items() if each != partition))
    assert len(member.held[partition]) == 2998
    member.reading.resume(partition)
    poll_until({"": member}, lambda: len(member.held[partition]) == 3998)
    assert member.held[partition] == list(range(2, 4000))
    assert all(member.held[each] == list(range(4000)) for each in member.held if each != partition)
    assert member.reading.holds(partition)
    member.close()
    assert not member.reading.holds(partition)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_partition_that_was_paused_is_given_when_it_is_assigned_anew(
    protocol: str, source: Any, store: Any, topic: str, kafka_server: KafkaServer
) -> None:
    """Librdkafka keeps the pause of a partition that goes away: such a partition would never be read again."""
    members = {"one": Member(source(protocol=protocol), store)}
    poll_until(members, lambda: len(members["one"].held) == 4)
    for partition in members["one"].held:
        members["one"].reading.pause(partition)
    members["other"] = Member(source(protocol=protocol), store)
    poll_until(members, lambda: len(members["one"].held) == len(members["other"].held) == 2)
    gone = set(members["other"].held)
    members.pop("other").close()
    kafka_server.put(topic, *records(4, 10, 4))
    poll_until(
        members, lambda: members["one"].held.keys() >= gone and all(len(members["one"].held[each]) == 10 for each in gone)
    )
    assert not any(given for partition, given in members["one"].held.items() if partition not in gone)
    members["one"].close()


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_closing_does_not_wait_for_a_broker_that_hangs(
    protocol: str, source: Any, store: Any, topic: str, kafka_server: KafkaServer
) -> None:
    """All is saved by then; what the group is not told is of no use to it but for its lag."""
    members = {"": Member(source(protocol=protocol), store)}
    poll_until(members, lambda: len(members[""].held) == 4)
    members[""].reading.saved({"0": 4})
    closing = threading.Thread(target=members[""].close)
    kafka_server.freeze()
    try:
        closing.start()
        closing.join(30)
        assert not closing.is_alive()
    finally:
        kafka_server.thaw()
        closing.join()


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_member_that_was_put_out_is_told_so_when_it_asks(
    protocol: str, source: Any, store: Any, topic: str, kafka_server: KafkaServer
) -> None:
    """Before its client says anything; and what the group was told of is not changed by the question."""
    kafka_server.put(topic, *records(4, 10, 4))
    lazy = {"max.poll.interval.ms": 3000, "session.timeout.ms": 3000, "heartbeat.interval.ms": 500}
    settings = lazy if protocol == "classic" else {"max.poll.interval.ms": 3000}
    members = {"": Member(source(protocol=protocol, settings=settings), store)}
    poll_until(members, lambda: sum(map(len, members[""].held.values())) == 40)
    reading = members[""].reading
    assert all(map(reading.holds, "0123"))
    reading.saved({"0": 4})
    reading.poll(0.1, members[""])
    wait_for(lambda: offsets(f"group of {topic}", kafka_server, topic)[0] == 5, "the group to be told")
    assert reading.holds("0")
    assert offsets(f"group of {topic}", kafka_server, topic)[0] == 5
    wait_for(lambda: not reading.holds("0"), "its time without a poll to be over")
    assert members[""].told == ["assigned"]
    assert offsets(f"group of {topic}", kafka_server, topic)[0] == 5
    members[""].close()


def test_wrong_use_is_told(kafka_server: KafkaServer, source: Any, store: Any) -> None:
    """Whose fault it is, and what to do."""
    with pytest.raises(gs.UsageError, match="one source reads one topic"):
        gs.sources.Kafka(["a", "b"], group="g", servers="s")  # type: ignore[call-overload]
    with pytest.raises(gs.UsageError, match='protocol= is "classic" or "consumer"'):
        source(protocol="eager")
    with pytest.raises(gs.UsageError, match=r"cannot set 'auto\.offset\.reset': start="):
        source(settings={"auto.offset.reset": "latest"})
    with pytest.raises(gs.UsageError, match="start= is"):
        source(start="latest")
    with pytest.raises(gs.UsageError, match="without a zone"):
        source(start=datetime.datetime(2026, 1, 1))
    with pytest.raises(gs.UsageError, match="no such settings"):
        Worker(source(settings={"no.such": "1"}), store).ended()
    nowhere = gs.sources.Kafka("nowhere", Add, group="g", servers=kafka_server.servers)
    with pytest.raises(gs.errors.SourceError, match="there is no topic 'nowhere' at 127"):
        Worker(nowhere, store).ended()


@pytest.mark.parametrize(
    "code",
    ["FENCED_LEADER_EPOCH", "UNKNOWN_LEADER_EPOCH", "OFFSET_NOT_AVAILABLE", "KAFKA_STORAGE_ERROR", "UNKNOWN_TOPIC_OR_PART"],
)
def test_a_broker_that_is_not_ready_yet_is_asked_again(
    code: str, kafka_server: KafkaServer, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when it has just been restarted, or a partition added: what it says then is no reason to end."""
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient

    kafka_server.put(topic, *records(4, 5, 4))
    asked, ask = list[int](), AdminClient.list_offsets

    def list_offsets(admin: Any, partitions: Any, **options: Any) -> Any:
        answers = ask(admin, partitions, **options)
        asked.append(len(answers))
        if len(asked) < 3:
            one = next(iter(answers))
            answers[one] = Future()
            answers[one].set_exception(KafkaException(KafkaError(getattr(KafkaError, code))))
        return answers

    monkeypatch.setattr(AdminClient, "list_offsets", list_offsets)
    found = Topic(topic, kafka_server.servers, {"bootstrap.servers": kafka_server.servers})
    assert found.ends(range(4)) == dict.fromkeys(range(4), 5)
    assert asked == [4, 4, 4]


def test_offsets_of_a_topic_that_there_is_not_are_not_waited_for(kafka_server: KafkaServer) -> None:
    """A partition that is not known is one that was added a moment ago, or the topic is gone."""
    servers = kafka_server.servers
    with pytest.raises(gs.errors.SourceError, match="there is no topic 'nowhere'"):
        Topic("nowhere", servers, {"bootstrap.servers": servers}).ends([0])


def test_servers_that_do_not_answer_are_named(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own reason is in the error, and no secret."""
    import go_state.sources.streams.kafka.topic as module

    monkeypatch.setattr(module, "_SECONDS", 1.0)
    monkeypatch.setattr(module, "_LATE", 0.0)
    settings = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "me",
        "sasl.password": "refused",
    }
    away = gs.sources.Kafka("t", Add, group="g", servers="127.0.0.1:1", settings=settings)
    with pytest.raises(gs.errors.SourceUnavailable, match=r"no broker answers at 127\.0\.0\.1:1 .*Connection") as raised:
        Worker(away, store).ended()
    assert "refused" not in str(raised.value)
    assert "refused" not in repr(away)
