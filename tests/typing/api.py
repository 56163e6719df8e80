"""What a user's type checker sees; read by mypy --strict and pyright, never run."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, Unpack, assert_type

from nats.aio.client import Client
from pydantic import BaseModel

import go_state as gs


@dataclass(frozen=True)
class Counter:
    count: int = 0


@dataclass(frozen=True)
class Add:
    by: int


@dataclass(frozen=True)
class Reset:
    pass


Msg = Add | Reset


@dataclass(frozen=True)
class Child:
    name: str
    msg: Msg


def init() -> gs.Step[Counter, Msg]:
    return Counter(), ()


def update(model: Counter, msg: Msg) -> gs.Step[Counter, Msg]:
    match msg:
        case Add(by):
            return replace(model, count=model.count + by), [gs.Cmd.send(Reset()), None, lambda: Add(1)]
        case Reset():
            return Counter(), ()


def add(model: Counter, msg: Add) -> Counter:
    return replace(model, count=model.count + msg.by)


def fetch(text: str) -> int:
    return len(text)


def failed(failure: gs.Failure) -> Msg:
    assert_type(failure.kind, str)
    return Reset()


def decide(message: Msg, position: Any, error: Exception) -> gs.Raise | gs.SetAside[Msg]:
    return gs.SetAside() if isinstance(error, ValueError) else gs.Raise()


def key_of(msg: Msg) -> str:
    return type(msg).__name__


def on_commit(changed: Mapping[str, Any], position: Any) -> None:
    """Publish."""


async def stream() -> AsyncIterator[Msg]:
    yield Add(1)


def generator() -> Iterator[Msg]:
    yield Add(1)


class Fetcher(Protocol):
    """What the commands need of the outside world."""

    def get(self, url: str) -> str: ...


program = gs.Program(init, update, view=print, name="counter", schema=2)
reduced = gs.reducer(Counter, add)
messages: list[Msg] = [Add(1), Reset()]


def programs() -> None:
    """A program is generic over its model and messages."""
    assert_type(program, gs.Program[Counter, Msg])
    assert_type(reduced, gs.Program[Counter, Add])
    gs.Program(init, add)  # type: ignore[arg-type]  # update returns a model alone
    gs.Program(init, update, view=fetch)  # type: ignore[misc]  # a view of another model
    assert_type(gs.testing.play(program, Add(1)).model, Counter)
    assert_type(gs.testing.play(program).models, tuple[Counter, ...])
    gs.testing.play(program, "text")  # type: ignore[misc]


def commands() -> None:
    """A command is generic over its messages."""
    assert_type(gs.Cmd.send(Add(1)), gs.Cmd[Add])
    call: gs.Cmd[Msg] = gs.Cmd.call(fetch, "x", ok=Add, err=failed)
    assert_type(call, gs.Cmd[Msg])
    gs.Cmd.call(fetch, "x", ok=str.upper)  # type: ignore[arg-type]  # ok takes an int
    mapped: list[gs.Command[Child]] = gs.Cmd.map([gs.Cmd.send(Add(1)), None], Child, "left")
    assert_type(mapped, list[gs.Command[Child]])
    wrong: gs.Command[Msg] = gs.Cmd.send("text")  # type: ignore[arg-type]
    assert wrong is not None


def covariance() -> None:
    """A command of some messages serves where one of more kinds is expected, and not the other way round."""
    narrow: gs.Cmd[int] = gs.Cmd.send(1)
    wide: gs.Cmd[object] = narrow
    either: gs.Command[int | str] = narrow
    step: gs.Step[Counter, Msg] = Counter(), [gs.Cmd.send(Add(1)), gs.Cmd.call(fetch, "x", ok=Add)]
    back: gs.Cmd[int] = wide  # type: ignore[assignment]
    assert (either, step, back) is not None


def results() -> None:
    """The messages of a call are what `ok` and `err` return, or else what the function does."""
    assert_type(gs.Cmd.call(fetch, "x"), gs.Cmd[int])
    assert_type(gs.Cmd.call(fetch, "x", ok=Add), gs.Cmd[Add])
    assert_type(gs.Cmd.call(fetch, "x", ok=Add, err=lambda failure: Add(len(failure.text))), gs.Cmd[Add])
    wrong: gs.Cmd[str] = gs.Cmd.call(fetch, "x", ok=Add)  # type: ignore[arg-type]
    assert wrong is not None


async def fetch_async(text: str) -> int:
    return len(text)


def effects() -> None:
    """What a coroutine function returns is what `ok` takes, and `err` adds a message type of its own."""
    assert_type(gs.Cmd.call(fetch_async, "x"), gs.Cmd[int])
    assert_type(gs.Cmd.call(fetch_async, "x", ok=Add), gs.Cmd[Add])
    assert_type(gs.Cmd.call(fetch_async, "x", ok=Add, err=lambda _: Reset(), key="k", busy="queue"), gs.Cmd[Add | Reset])
    assert_type(gs.Cmd.after(1.5, Add(1)), gs.Cmd[Add])
    gs.Cmd.call(fetch_async, "x", busy="later")  # type: ignore[call-overload]  # no such word
    gs.Cmd.call(fetch_async, "x", ok=str.upper)  # type: ignore[misc]  # ok takes an int
    together: gs.Cmd[Msg] = gs.Cmd.seq(gs.Cmd.send(Reset()), gs.Cmd.all(gs.Cmd.call(fetch_async, "x", ok=Add), None))
    del together


def subscriptions(model: Counter) -> list[gs.Sub[Msg]]:
    """A list of several kinds is one of all their messages."""
    assert_type(gs.Sub.every(1, Add(1)), gs.Sub[Add])
    assert_type(gs.Sub.at(1.0, Reset, key="noon"), gs.Sub[Reset])
    assert_type(gs.Sub.signal(15, lambda: Add(1)), gs.Sub[Add])
    assert_type(gs.Sub.stream(stream), gs.Sub[Msg])
    assert_type(gs.Sub.stream(stream, ok=lambda _: Reset()), gs.Sub[Reset])

    def at_noon(name: str, at: float) -> gs.Sub[Add]:
        return gs.Sub.at(at, Add(len(name)))

    assert_type(gs.Sub.each({"noon": 1.0}, at_noon), gs.Sub[Add])
    gs.Sub.each({1: 1.0}, at_noon)  # type: ignore[arg-type]
    wrong: gs.Sub[Reset] = gs.Sub.every(1, Add(1))  # type: ignore[arg-type]
    del wrong
    return [gs.Sub.every(1, Add(1)), gs.Sub.at(1.0, Reset()), gs.Sub.stream(stream), gs.Sub.signal(15, Reset())]


def logged(model: Counter, msg: Msg) -> gs.Step[Counter, Msg]:
    """Return what another program's update returns."""
    return program.update(model, msg)


def wrapping() -> None:
    """The update of a program can be called, and wrapped into another."""
    assert_type(program.update(Counter(), Add(1)), gs.Step[Counter, Msg])
    assert_type(gs.Program(init, logged), gs.Program[Counter, Msg])
    assert_type(replace(program, update=logged), gs.Program[Counter, Msg])


def environment_and_tests() -> None:
    """The environment has the type that is asked for, a protocol as well; a harness that of its program."""
    assert_type(gs.env(Counter), Counter)
    assert_type(gs.env(Fetcher), Fetcher)
    assert_type(gs.env(Fetcher).get("url"), str)
    program = gs.Program(init, update, subscriptions=subscriptions)
    h = gs.testing.Harness(program, env=Counter())
    assert_type(h.send(Add(1)).model, Counter)
    h.send("text")  # type: ignore[arg-type]
    gs.run(program, gs.Buffer[Msg](), env=Counter(), effects=gs.Effects(at_once=10), clock=gs.testing.SimClock())


def policies() -> None:
    """What becomes of a failing message is a policy, or a function that returns one."""
    gs.batch(program, messages, on_error=decide)
    gs.batch(program, messages, on_error=gs.SetAside(gs.Buffer[gs.FailedMessage[Msg]]()))
    gs.run(program, gs.Buffer[Msg](), on_error=decide)
    gs.batch(program, messages, on_error="stop")  # type: ignore[arg-type]
    gs.batch(program, messages, on_error=gs.Raise)  # type: ignore[arg-type]  # the class, not a policy
    gs.batch(program, messages, on_error=fetch)  # type: ignore[arg-type]  # takes a text
    gs.run(program, gs.Buffer[Msg](), on_error=True)  # type: ignore[arg-type]
    halted = gs.batch(program, messages, on_error=gs.Halt())
    assert_type(halted.failed, gs.FailedMessage[Msg] | None)
    with gs.MemoryStore() as store:
        letters = gs.DeadLetters(store, "night")
        gs.aggregate(program, messages, store=store, key="n", on_error=gs.SetAside(letters))
        assert_type([letter.id for letter in letters], list[str])
        assert_type(letters.retry(program, key=key_of).done, int)
        letters.retry(lambda letter: letter.raw)
        assert_type(list(letters.raw_with("ann")), list[gs.dead_letters.Letter])
        letters.drop(7)  # type: ignore[arg-type]
    assert_type(gs.sources.JSONLines("n", Add), gs.sources.JSONLines[Add])
    assert_type(gs.sources.JSONLines("n"), gs.sources.JSONLines[Any])
    assert_type(gs.sources.JSONLines("n", parse=lambda raw: Add(int(raw)) if raw else None), gs.sources.JSONLines[Add])
    only_adds: gs.sources.JSONLines[Add] = gs.sources.JSONLines("n", Reset)  # type: ignore[arg-type]
    assert_type(gs.sources.CSV("n"), gs.sources.CSV[dict[str, str]])
    assert_type(gs.sources.CSV("n", Add), gs.sources.CSV[Add])
    assert_type(gs.sources.CSV("n", parse=lambda row: Add(int(row["by"])) if row else None), gs.sources.CSV[Add])
    gs.batch(program, gs.sources.CSV("n"))  # type: ignore[misc]  # rows are dicts
    gs.batch(program, only_adds)
    gs.batch(program, gs.sources.JSONLines("n", Add | Reset, tag="type"))
    gs.batch(program, gs.sources.CSV("n", Add | Reset, tag="type"))
    orders = gs.sources.Kafka("orders", Add, group="g", servers="s", member="w1", protocol="consumer", start="newest")
    assert_type(orders, gs.sources.Kafka[Add])
    assert_type(
        gs.sources.Kafka("orders", group="g", servers="s", parse=lambda record: Add(record.offset)), gs.sources.Kafka[Add]
    )
    with gs.MemoryStore() as store:
        assert_type(gs.aggregate(program, orders, store=store, key=key_of).processed, int)
        both = gs.sources.Kafka("orders", Add | Reset, group="g", servers="s")
        gs.aggregate(program, both, store=store, key=key_of)
    gs.sources.Kafka("orders", Add, group="g", servers="s", protocol="eager")  # type: ignore[arg-type]
    assert_type(gs.sources.Kafka("orders", group="g", servers="s"), gs.sources.Kafka[Any])
    gs.SetAside(gs.Buffer[int]())  # type: ignore[arg-type]  # dead letters are FailedMessages


def shared_streams(client: object, event: dict[str, object], context: gs.sources.LambdaContext) -> gs.sources.LambdaAnswer:
    """Streams give messages of a class, and take a function of these as key."""
    store = gs.MemoryStore()
    kinesis = gs.sources.Kinesis("n", Add, client=client, share=gs.Leases(seconds=5), start="newest")
    assert_type(kinesis, gs.sources.Kinesis[Add])
    gs.aggregate(program, kinesis, store=store, key=key_of)
    gs.aggregate(program, kinesis, store=store, key="n")  # type: ignore[call-overload]  # one model for all partitions
    gs.sources.Kinesis("n", Add, client=client, start="latest")  # type: ignore[arg-type]
    assert_type(gs.sources.Kinesis("n", client=client), gs.sources.Kinesis[Any])
    assert_type(gs.sources.Kinesis("n", client=client, parse=lambda raw: Add(len(raw))), gs.sources.Kinesis[Add])
    half = gs.sources.part(gs.sources.JSONLines("n", Add), 0, of=2, key=str)
    gs.aggregate(program, half, store=store, key=key_of)
    records = gs.sources.KinesisEvent(event, Add)
    assert_type(records, gs.sources.KinesisEvent[Add])
    assert_type(gs.sources.KinesisEvent(event), gs.sources.KinesisEvent[Any])
    assert_type(gs.sources.KinesisEvent(event, parse=lambda raw: Add(len(raw))), gs.sources.KinesisEvent[Add])
    result = gs.aggregate(program, records, store=store, key=key_of, on_error=gs.Halt(), budget=records.seconds_left(context))
    return records.answer(result)


def jetstream(client: Client) -> None:
    """A stream of JetStream gives messages of a class, or what `parse=` makes."""
    assert_type(gs.sources.JetStream("n", client=client), gs.sources.JetStream[Any])
    assert_type(gs.sources.JetStream("n", Add, client=client), gs.sources.JetStream[Add])
    assert_type(gs.sources.JetStream("n", client=client, parse=lambda raw: Add(len(raw))), gs.sources.JetStream[Add])
    gs.sources.JetStream("n", Add, client=client, start="last")  # type: ignore[arg-type]


def buffers() -> None:
    """A buffer and its consumers carry messages."""
    buffer = gs.Buffer[Msg]()
    buffer.put(Add(1), Reset())
    buffer.put(*[Add(1)])
    buffer.put("text")  # type: ignore[arg-type]
    consumer = buffer.consumer()
    assert_type(consumer, gs.Consumer[Msg])
    assert_type(consumer.get(timeout=1), Msg)
    assert_type(buffer.slice(), list[Msg])
    assert_type(consumer.commit(), int)
    with consumer.transaction() as message:
        assert_type(message, Msg)
    for each in consumer:
        assert_type(each, Msg)
    assert_type(gs.run(program, buffer), Counter)
    assert_type(gs.run(program, producer=buffer, consumer=consumer, replaying=lambda: True), Counter)
    gs.run(program, gs.Buffer[str]())  # type: ignore[misc]


def named(failed: Iterable[gs.FailedMessage[object]]) -> list[str]:
    """A function of failed messages of any program."""
    return [type(each.message).__name__ for each in failed]


def batches() -> None:
    """A batch returns the program's model."""
    result = gs.batch(program, messages, limit=3, prefetch=2, on_error=gs.SetAside())
    assert_type(result, gs.Result[Counter, Msg])
    assert_type(result.model, Counter)
    assert_type(result.ended, Literal["exhausted", "limit", "stopped", "budget", "failed"])
    assert_type(result.set_aside, tuple[gs.FailedMessage[Msg], ...])
    named(result.set_aside)
    assert_type(gs.batch(program, generator()).model, Counter)
    assert_type(gs.batch(program, lambda: (messages, False)).model, Counter)
    assert_type(gs.batch(program, gs.Buffer[Msg]()).model, Counter)
    gs.batch(program, messages, timout=3)  # type: ignore[call-arg]
    gs.batch(program, messages, limit="3")  # type: ignore[arg-type]
    with gs.signals() as stop:
        gs.batch(program, messages, stop=stop, budget=25.0)


def aggregates() -> None:
    """With a string as key there is one model, with a function one for each key."""
    with gs.MemoryStore() as store:
        one = gs.aggregate(program, messages, store=store, key="counter", snapshots=gs.Snapshots(every=10), timeout=1)
        assert_type(one, gs.Result[Counter, Msg])
        many = gs.aggregate(program, messages, store=store, key=key_of, cache=10, on_commit=on_commit)
        assert_type(many, gs.KeyedResult[Counter, Msg])
        assert_type(many.models["Add"], Counter)
        gs.aggregate(program, messages, store=store, key=fetch)  # type: ignore[arg-type]
        gs.aggregate(program, messages, key="counter")  # type: ignore[call-overload]
        assert_type(gs.load_model(program, store=store, key="counter"), Counter | None)
        assert_type(store.load_many(["counter"]), Mapping[str, gs.abc.Stored])
        try:
            gs.aggregate(program, messages, store=store, key="counter")
        except gs.errors.TakenOver as taken:
            assert_type((taken.holder, taken.epoch, taken.key), tuple[str, int, str])


def streams(source: gs.abc.PartitionedSource[Msg], of_loops: gs.abc.AsyncPartitionedSource[Msg]) -> None:
    """A source of many partitions is read with a function as key, and one of event loops by the twin."""
    with gs.MemoryStore() as store:
        many = gs.aggregate(program, source, store=store, key=key_of, hand_over=5.0, on_commit=on_commit)
        assert_type(many, gs.KeyedResult[Counter, Msg])
        gs.aggregate(program, source, store=store, key="counter")  # type: ignore[call-overload]
        gs.aggregate(program, of_loops, store=store, key=key_of)  # type: ignore[call-overload]
        mine = gs.sources.Partitions("mine", lambda: ["a"], lambda partition, after: [(1, b"1")], decode=decode_one)
        assert_type(gs.aggregate(program, mine, store=store, key=key_of).models["Add"], Counter)
        assert_type([each.epoch for each in gs.positions(store, program)], list[int])
        log = gs.testing.PartitionedLog[Msg](2)
        log.put("0", Add(1))
        gs.aggregate(program, log.source(), store=store, key=key_of)


def decode_one(record: bytes) -> Msg:
    """Make a message of a record."""
    return Add(int(record))


async def on_a_loop() -> None:
    """The twins return the same types."""
    buffer = gs.Buffer[Msg]()
    assert_type(await gs.run_async(program, buffer), Counter)
    assert_type(await gs.batch_async(program, stream()), gs.Result[Counter, Msg])
    store = gs.MemoryStore()
    assert_type(await gs.aggregate_async(program, messages, store=store, key="k"), gs.Result[Counter, Msg])
    assert_type(await gs.aggregate_async(program, stream(), store=store, key=key_of), gs.KeyedResult[Counter, Msg])
    assert_type(await buffer.consumer().get_async(), Msg)
    async for message in buffer.consumer():
        assert_type(message, Msg)


def options(opened: gs.LMDBStore, **more: Unpack[gs.AppOptions]) -> gs.App[Counter, Msg]:
    """What help() names is there to annotate with, and the options of a mode can be handed on."""
    keeping: gs.RunOptions[Msg] = {"store": opened, "key": "counter", "snapshots": gs.Snapshots(every=10)}
    assert_type(gs.run(program, **keeping), Counter)
    gs.start(program, restor=1)  # type: ignore[call-arg]
    gs.start(program, store="path")  # type: ignore[arg-type]
    wrong: gs.BatchOptions[Msg] = {"limit": "3"}  # type: ignore[typeddict-item]
    del wrong
    return gs.start(program, **more)


def ports(source: gs.abc.Source[Msg], store: gs.abc.Store, codec: gs.abc.Codec[Counter], clock: gs.abc.Clock) -> None:
    """The ports are where help() says, and what is kept of a model is in bytes."""
    assert_type(gs.aggregate(program, source, store=store, key="k", codec=codec, clock=clock), gs.Result[Counter, Msg])
    assert_type(store.load("k"), gs.abc.Stored | None)


def apps() -> None:
    """An app carries its program's models and messages, and its parts carry as much as they may do."""
    with gs.start(program) as app:
        assert_type(app, gs.App[Counter, Msg])
        app.send(Add(1), Reset())
        app.send("text")  # type: ignore[arg-type]
        assert_type(app.apply(Add(1), timeout=1), Counter)
        assert_type(app.model, Counter)
        for model in app.watch(since=2, every=0.1):
            assert_type(model, Counter)
        with app.changes("count", initial=True) as changes:
            assert_type(changes.get(timeout=1), gs.watch.Change[Counter])
            assert_type(changes.get().model, Counter)
        assert_type(app.reader(), gs.app.Reader[Counter])
        assert_type(app.reader().model, Counter)
        assert_type(app.reader().state, Literal["replaying", "ready", "draining", "stopped", "failed"])
        assert_type(app.reader().statistics(), gs.app.AppStatistics)
        assert_type(app.sender(), gs.app.Sender[Counter, Msg])
        assert_type(app.watcher(), gs.app.Watching[Counter])
        app.reader().send(Add(1))  # type: ignore[attr-defined]
        assert_type(app.wait(timeout=1), Counter)
    gs.start(program, gs.Buffer[str]())  # type: ignore[misc]


def keyed_apps() -> None:
    """An app of many keys gives one of the program's for each."""
    with gs.start_keyed(program, idle=300) as rooms:
        assert_type(rooms, gs.KeyedApps[Counter, Msg])
        assert_type(rooms["lobby"].apply(Add(1)), Counter)
        rooms["lobby"].send("text")  # type: ignore[arg-type]
        rooms[1].send(Add(1))  # type: ignore[index]
        assert_type(rooms.statistics(), gs.app.KeyedStatistics)
        assert_type(rooms["lobby"].statistics(), gs.app.KeyStatistics)
        assert_type(rooms.restart("lobby"), bool)
        rooms.settle(timeout=1)
    gs.start_keyed(program, on_failed=lambda key, error: rooms.restart(key))
    gs.start_keyed(program, on_failed=lambda key: rooms.restart(key))  # type: ignore[misc, arg-type]


def values() -> None:
    """A value, what is derived from it, and its watchers carry its type."""
    value = gs.Value[int]()
    value.set("text")  # type: ignore[arg-type]
    assert_type(value.map(str).watch(), gs.watch.Watcher[str])
    with value.watch() as watcher:
        assert_type(watcher, gs.watch.Watcher[int])
        assert_type(watcher.get(where=lambda number: number > 3, timeout=1), int)
        watcher.get(where=str.upper)  # type: ignore[arg-type]
    gs.watch.throttle(repr, hz=10)
    port: gs.abc.Value[int] = value
    assert_type(port.watch().get(), int)
    assert_type(port.update(abs), int)
    with gs.values.Etcd("http://127.0.0.1:2379", user=("ann", "secret")) as etcd:
        limit = etcd.value("limit", int)
        assert_type(limit, gs.values.RemoteValue[int])
        assert_type(limit.versioned(), tuple[int, int])
        assert_type(limit.connected.peek(), bool)
        limit.set("text")  # type: ignore[arg-type]
        port = limit
    with gs.watch.fanout(value, print, policy="latest") as spread:
        spread.wait(timeout=1)
    gs.watch.fanout(value, print, policy="newest")  # type: ignore[arg-type]


async def apps_on_a_loop() -> None:
    """The twins of an app that wait on an event loop return the same types."""
    async with gs.start_async(program) as app:
        assert_type(await app.apply_async(Add(1)), Counter)
        async for model in app.watch():
            assert_type(model, Counter)
        async with app.changes(lambda model: model.count) as changes:
            assert_type(await changes.get_async(), gs.watch.Change[Counter])
    async with gs.start_keyed_async(program) as rooms:
        assert_type(await rooms["lobby"].apply_async(Add(1)), Counter)


class Follow(BaseModel, frozen=True):
    """A message of pydantic's."""

    url: str


def follow(model: Counter, msg: Follow) -> Counter:
    """Count those who follow."""
    return replace(model, count=model.count + len(msg.url))


def models_of_pydantic() -> None:
    """Programs and codecs take pydantic's models as other classes."""
    program = gs.reducer(Counter, follow)
    assert_type(program, gs.Program[Counter, Follow])
    assert_type(gs.batch(program, [Follow(url="x")]).model, Counter)


class Counting:
    """An observer of one's own."""

    def on_event(self, event: gs.observe.Event) -> None:
        match event:
            case gs.observe.Turn(position=position, seconds=seconds):
                assert_type(position, object)
                assert_type(seconds, float)
            case gs.observe.CommandCancelled(seconds=left):
                assert_type(left, float | None)
            case _:
                assert_type(event.program, str)
                assert_type(event.key, str | None)


def observed() -> None:
    """Every mode takes an observer, or a list of them; what is running has a type."""
    gs.run(program, gs.Buffer[Msg](), observe=Counting())
    gs.batch(program, [Add(1)], observe=[gs.observe.Log(slow=0.5), gs.observe.Prometheus(), gs.observe.OpenTelemetry()])
    gs.aggregate(program, [Add(1)], store=gs.MemoryStore(), key="k", observe=Counting())
    gs.batch(program, [Add(1)], observe=print)  # type: ignore[arg-type]
    gs.batch(program, [Add(1)], observe=Counting)  # type: ignore[arg-type]
    gs.observe.Log(levels={gs.observe.Turn: 20})
    tracer: gs.observe.Tracer = gs.observe.OpenTelemetry()
    observer: gs.observe.Observer = tracer
    with gs.start(program, observe=observer) as app:
        assert_type(app.effects(), list[gs.app.RunningEffect])
        for effect in app.effects():
            assert_type(effect.state, Literal["running", "waiting", "retrying", "scheduled"])
            assert_type(effect.due, float | None)
    with gs.start_keyed(program, observe=[observer]) as rooms:
        assert_type(rooms["lobby"].effects(), list[gs.app.RunningEffect])


def copied(program: gs.Program[Counter, Msg], topic: gs.abc.PartitionedSource[Msg]) -> None:
    from obstore.store import MemoryStore

    with (
        gs.CopiedStore("state", "s3://bucket/shops", every=60, timeout=30, grown="pass") as store,
        gs.CopiedStore("other", MemoryStore()) as other,
    ):
        assert_type(gs.aggregate(program, topic, store=store, key=str).position, Any)
        assert_type(other.load("a"), gs.abc.Stored | None)


def erased(store: gs.LMDBStore, journal: gs.Journal[Msg]) -> None:
    """A rewriting says what it has done; a store's care takes paths and stores."""
    assert_type(
        gs.history.rewrite(program, journal, lambda entry: entry.message, model=lambda model: model), gs.history.Rewritten
    )
    assert_type(gs.history.forget(store, "a"), gs.history.Forgotten)
    assert_type(gs.history.change_model(program, store, "a", lambda model: model), bool)
    gs.history.change_model(program, store, "a", lambda model: 1)  # type: ignore[arg-type, return-value]
    assert_type(store.info().keys, int)
    store.backup("path")
    assert_type(store.restore_from(store), int)


def histories(journal: gs.Journal[Msg], source: gs.abc.Source[Msg], history: gs.abc.History[Msg], store: gs.LMDBStore) -> None:
    """The tools take a journal, a source or a history of the program's messages, and carry its types."""
    assert_type(gs.replay(program, journal, until=3), Counter)
    assert_type(gs.replay(program, source, key="a", key_of="name"), Counter)
    gs.verify(program, history, key_of=len)  # type: ignore[arg-type]
    step = gs.history.first(program, source, lambda before, msg, after: after.count < 0)
    assert_type(step, gs.history.Step[Counter, Msg] | None)
    for each in gs.history.steps(program, history, start=3):
        assert_type(each.after, Counter)
    assert_type(gs.history.compare(program, program, journal, go_on=True), gs.history.Compared[Msg])
    assert_type(gs.history.rebuild(program, store, prefix="rooms/", dry_run=True), gs.history.Rebuilt)
    assert_type(gs.history.peek(program, store, "a"), gs.history.Peeked[Counter] | None)
    gs.replay(program, [Add(1)])  # type: ignore[arg-type]
    gs.replay(program, journal, keys="a")  # type: ignore[call-arg]


def inspected(app: gs.App[Counter, Msg], store: gs.LMDBStore) -> str:
    """The inspector takes an app, or a store with the program that its journals are of."""
    with gs.inspect(app, redact=["email", Counter]) as page:
        address: str = page.address
    gs.inspect(store, program, token="0123456789abcdef", port=8000)
    mounted: gs.inspector.Application = gs.inspector.asgi(app)
    gs.inspect(3)  # type: ignore[arg-type]
    return address + mounted.token


def positive(proposal: gs.middleware.Proposal[Counter, Msg]) -> Iterator[Counter | None]:
    """A middleware of one's own knows the program's types."""
    assert_type(proposal.proposed, Counter)
    assert_type(proposal.message, Msg)
    yield None if proposal.proposed.count >= 0 else Counter()


def around(inner: Callable[[Counter, Msg, gs.Turn], gs.Step[Counter, Msg]]) -> Callable[[Counter, Msg, gs.Turn], object]:
    """A wrapper takes an update and returns one."""
    return lambda model, msg, turn: inner(model, msg, turn)


def with_middleware() -> gs.Program[Counter, Msg]:
    """Middleware of any kind goes into one program; lambdas need no annotations."""
    allowed = gs.middleware.authorise(lambda model, msg: model.count < 3 or isinstance(msg, Reset))
    fresh = gs.middleware.expire("entries", 60.0, at=lambda entry: entry.at)
    return gs.Program(init, update, middleware=[positive, around, allowed, fresh, gs.middleware.ChangeLog(print)])
