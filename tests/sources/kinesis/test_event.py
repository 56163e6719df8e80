"""The event of a Lambda function: what is stored of it, what is answered, and what is refused."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from lambda_events import ARN, EventSource, event, number_of
from postgres_server import PostgresServer, postgres_server
from tallies import TALLY, Add, encoded, key_of, lasts, open_store

import go_state as gs

__all__ = ["postgres_server"]

SHARD = "shardId-000000000000"


def adds(first: int, until: int) -> list[tuple[int, bytes]]:
    return [(n, encoded("a", n)) for n in range(first, until)]


def handle(store: gs.abc.Store, found: dict[str, Any], on_error: Any = None, **options: Any) -> Any:
    source = gs.sources.KinesisEvent(found, Add, **options)
    result = gs.aggregate(TALLY, source, store=store, key=key_of, on_error=on_error or gs.Halt())
    return source.answer(result)["batchItemFailures"]


def failing_at(n: int) -> list[dict[str, str]]:
    return [{"itemIdentifier": number_of(n)}]


def test_a_whole_event_is_stored_and_nothing_is_answered() -> None:
    """The position is that of its last record, and the next event goes on from there."""
    store = gs.MemoryStore()
    source = gs.sources.KinesisEvent(event(adds(0, 5)), Add)
    result = gs.aggregate(TALLY, source, store=store, key=key_of, on_error=gs.Halt())
    assert source.answer(result) == {"batchItemFailures": []}
    assert (result.ended, result.processed, result.position) == ("exhausted", 5, {SHARD: number_of(4)})
    assert handle(store, event(adds(5, 9))) == []
    assert lasts(store, ["a"]) == {"a": 8}


def test_an_event_that_comes_again_is_passed_over() -> None:
    """Its answer was lost, so Lambda gives all of it again, or what was left of it together with more."""
    store = gs.MemoryStore()
    assert handle(store, event(adds(0, 5))) == []
    assert handle(store, event(adds(0, 5))) == []
    assert handle(store, event(adds(2, 5))) == []
    assert handle(store, event(adds(3, 8))) == []
    assert lasts(store, ["a"]) == {"a": 7}


def test_poison_in_update_is_named_and_what_was_before_it_is_stored() -> None:
    """However often it comes again; once it is set aside the rest follows."""
    store = gs.MemoryStore()
    bad = [*adds(0, 3), (3, encoded("a", 77)), (4, encoded("a", 3))]
    for _ in range(3):
        assert handle(store, event(bad)) == failing_at(3)
        assert lasts(store, ["a"]) == {"a": 2}
        bad = [record for record in bad if record[0] >= 3]
    assert handle(store, event(bad), gs.SetAside()) == []
    assert lasts(store, ["a"]) == {"a": 3}


def test_poison_in_decoding_is_named_too() -> None:
    """The first record of an event, one in the middle, and the last."""
    for at in (0, 2, 4):
        store, n = gs.MemoryStore(), iter(range(5))
        records = [(i, b"{" if i == at else encoded("a", next(n))) for i in range(5)]
        assert handle(store, event(records)) == failing_at(at)
        assert handle(store, event(records[at:]), gs.SetAside()) == []
        assert lasts(store, ["a"]) == {"a": 3}


def test_when_the_time_is_over_the_rest_is_answered() -> None:
    """`seconds_left` leaves time to save and to answer; what had no turn comes again."""

    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 2500

    source = gs.sources.KinesisEvent(event(adds(0, 2000)), Add)
    assert source.seconds_left(Context()) == pytest.approx(0.5)
    assert 0 < source.seconds_left(Context(), reserve=5) < 0.01
    store = gs.MemoryStore()

    def slow_key(msg: Add) -> str:
        time.sleep(0.001)  # the whole event takes two seconds, and a fiftieth of that is given
        return key_of(msg)

    result = gs.aggregate(TALLY, source, store=store, key=slow_key, on_error=gs.Halt(), budget=0.04)
    assert result.ended == "budget"
    stored = lasts(store, ["a"])["a"]
    assert stored < 1999
    assert source.answer(result)["batchItemFailures"] == failing_at(stored + 1)


def test_with_a_limit_the_rest_is_answered() -> None:
    store, source = gs.MemoryStore(), gs.sources.KinesisEvent(event(adds(0, 9)), Add)
    assert source.answer(gs.aggregate(TALLY, source, store=store, key=key_of, limit=4))["batchItemFailures"] == failing_at(4)


def test_an_error_that_is_raised_leaves_the_event_to_come_again() -> None:
    """Without `Halt` the function fails, and nothing of the event is stored twice when it is given again."""
    store = gs.MemoryStore()
    with pytest.raises(AssertionError):
        handle(store, event([*adds(0, 3), (3, encoded("a", 77))]), gs.Raise())
    assert handle(store, event(adds(0, 5))) == []
    assert lasts(store, ["a"]) == {"a": 4}


def test_one_that_took_too_long_answers_with_what_it_has_not_stored() -> None:
    """Lambda has given the event again meanwhile: that one claims the shard, and this one saves nothing and says so."""
    store, other = gs.MemoryStore(), []

    def slow_key(msg: Add) -> str:
        if msg.n == 2 and not other:
            other.append(handle(store, event(adds(0, 5))))
        return key_of(msg)

    source = gs.sources.KinesisEvent(event(adds(0, 5)), Add)
    result = gs.aggregate(TALLY, source, store=store, key=slow_key, on_error=gs.Halt())
    assert other == [[]]
    assert source.answer(result)["batchItemFailures"] == failing_at(0)
    assert handle(store, event(adds(0, 5))) == []
    assert lasts(store, ["a"]) == {"a": 4}


def test_records_that_are_left_out_are_an_error() -> None:
    """Lambda gave up on them, or somebody moved its iterator: the function fails until somebody says that it may go on."""
    store = gs.MemoryStore()
    assert handle(store, event([*adds(0, 2), (2, b"{")])) == failing_at(2)
    for _ in range(2):
        with pytest.raises(gs.errors.SourceError, match="left out") as raised:
            handle(store, event([(3, encoded("a", 2))]))
    assert number_of(3) in str(raised.value)
    assert handle(store, event([(3, encoded("a", 2))]), gaps="pass") == []
    assert handle(store, event([(4, encoded("a", 3))])) == []
    assert lasts(store, ["a"]) == {"a": 3}


def test_an_event_that_was_begun_and_never_stored_is_a_gap() -> None:
    """Also if its function was killed before it had saved anything."""
    store = gs.MemoryStore()
    with pytest.raises(AssertionError):
        handle(store, event([(0, encoded("a", 5))]), gs.Raise())
    with pytest.raises(gs.errors.SourceError, match="left out"):
        handle(store, event([(1, encoded("a", 0))]))


@pytest.mark.parametrize("first", [0, 1])
def test_lanes_of_one_shard_are_refused(first: int) -> None:
    """With a ParallelizationFactor of 2 the second lane has records between those of the first, whichever comes first."""
    lanes = [[record for record in adds(0, 10) if record[0] % 2 == lane] for lane in (first, 1 - first)]
    lanes = [[(n, encoded(f"lane {n % 2}", n // 2)) for n, _ in lane] for lane in lanes]
    store = gs.MemoryStore()
    assert handle(store, event(lanes[0])) == []
    with pytest.raises(gs.errors.SourceError, match="ParallelizationFactor"):
        handle(store, event(lanes[1]))
    assert handle(store, event(lanes[1][-1:]), gaps="pass") in ([], failing_at(lanes[1][-1][0]))


def test_lanes_are_refused_while_the_first_one_is_not_stored_yet() -> None:
    """They run at the same time, so the second begins when the first has stored nothing."""
    store = gs.MemoryStore()
    lanes = [[(n, encoded(f"lane {n % 2}", n // 2)) for n in range(lane, 10, 2)] for lane in (0, 1)]

    def slow_key(msg: Add) -> str:
        with pytest.raises(gs.errors.SourceError, match="ParallelizationFactor"):
            handle(store, event(lanes[1]))
        return key_of(msg)

    source = gs.sources.KinesisEvent(event(lanes[0][:1]), Add)
    gs.aggregate(TALLY, source, store=store, key=key_of)
    source = gs.sources.KinesisEvent(event(lanes[0]), Add)
    gs.aggregate(TALLY, source, store=store, key=slow_key, limit=1)


@pytest.mark.parametrize("seed", range(10))
def test_whatever_lambda_may_do_with_one_shard_is_taken(seed: int) -> None:
    """Batches of any size, again, cut in two, from the middle, with more: nothing of it looks like a lane or a gap."""
    chance, store = random.Random(seed), gs.MemoryStore()
    done = 0
    while done < 2500:
        begin = max(0, done - chance.choice((0, 0, 0, 5, 200, 1500)))
        until = max(done, begin + 1) + chance.choice((0, 1, 10, 100, 400))
        assert handle(store, event(adds(begin, until))) == []
        done = max(done, until)
    assert lasts(store, ["a"]) == {"a": done - 1}


def test_what_is_remembered_of_a_shard_is_bounded() -> None:
    """However many events there were."""
    store = gs.MemoryStore()
    for n in range(0, 20000, 500):
        handle(store, event(adds(n, n + 500)))
    (key,) = store.keys("@events/")
    stored = store.load(key)
    assert stored is not None
    assert len(stored.data) < 12_000


def test_events_of_enhanced_fan_out_have_the_streams_name() -> None:
    source = gs.sources.KinesisEvent(event(adds(0, 1), arn=f"{ARN}/consumer/mine:1545084650"), Add)
    assert (source.name, source.stream) == ("orders", ARN)


def test_a_stream_of_another_account_is_another() -> None:
    store = gs.MemoryStore()
    handle(store, event(adds(0, 1)))
    with pytest.raises(gs.errors.SourceChanged, match="another account"):
        handle(store, event(adds(1, 2), arn=ARN.replace("123456789012", "210987654321")))


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"Records": []},
        {"Records": [{"eventSourceARN": "arn:aws:sqs:eu-west-1:1:queue", "body": "x"}]},
        {"Records": None},
        event(adds(0, 1), arn="arn:aws:dynamodb:eu-west-1:1:table/orders/stream/2020"),
        {"Records": [*event(adds(0, 1))["Records"], *event(adds(1, 2), "shardId-000000000001")["Records"]]},
        {"Records": event(adds(0, 3))["Records"][::-1]},
    ],
)
def test_what_is_no_event_of_a_shard_is_refused(wrong: Any) -> None:
    with pytest.raises(gs.errors.SourceError):
        gs.sources.KinesisEvent(wrong, Add)


def test_parse_and_decode_take_the_bytes_of_a_record() -> None:
    """As a file has them: `parse=` makes the message, and `decode` makes it of what was set aside."""
    store = gs.MemoryStore()
    source: Any = gs.sources.KinesisEvent(
        event([(0, b"a 0"), (1, b"a 1")]), parse=lambda raw: Add(raw[:1].decode(), int(raw[2:]))
    )
    gs.aggregate(TALLY, source, store=store, key=key_of)
    assert lasts(store, ["a"]) == {"a": 1}
    assert source.decode(b"b 7") == Add("b", 7)
    with pytest.raises(gs.errors.BadRecord):
        source.decode(b"")


@pytest.mark.parametrize("seed", range(10))
def test_a_shard_with_lost_answers_and_poison_is_exact(seed: int) -> None:
    """One function for one shard: each key has each of its messages once, in order."""
    chance, store = random.Random(seed), gs.MemoryStore()
    records = [encoded(f"k{k}", n) for n in range(40) for k in range(4)]
    records[50:50] = [b"["]

    def handler(found: Any) -> Any:
        on_error = gs.Halt() if chance.random() < 0.7 else gs.SetAside()
        return {"batchItemFailures": handle(store, found, on_error)}

    EventSource(SHARD, records, handler).deliver(chance.randint(1, 60), lambda: chance.random() < 0.3)
    assert lasts(store, (f"k{k}" for k in range(4))) == {f"k{k}": 39 for k in range(4)}


@pytest.mark.processes
@pytest.mark.parametrize("kind", ["lmdb", "postgres"])
def test_four_shards_at_once_in_one_store(postgres_server: PostgresServer, tmp_path: Path, kind: str) -> None:
    """Four processes, each the function of a shard, with lost answers and poison: no one disturbs another."""
    where = str(tmp_path / "s") if kind == "lmdb" else f"{postgres_server.dsn} {postgres_server.fresh_schema()}"
    paths = [str(Path(gs.__file__).parents[1]), str(Path(__file__).parents[2]), str(Path(__file__).parent)]
    env = {**os.environ, "PYTHONPATH": ":".join(paths)}
    shards = [f"shardId-00000000000{n}" for n in range(4)]
    script = Path(__file__).with_name("lambda_worker.py")
    running = [
        subprocess.Popen([sys.executable, script, where, shard, str(seed)], env=env, stdout=subprocess.DEVNULL)
        for seed, shard in enumerate(shards)
    ]
    assert [process.wait(120) for process in running] == [0] * 4
    keys = [f"{shard}-k{k}" for shard in shards for k in range(5)]
    with open_store(where) as store:
        assert lasts(store, keys) == dict.fromkeys(keys, 29)
