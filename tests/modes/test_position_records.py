"""Each source of a program has a position record of its own, which is claimed before the source is read and written by every save."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers
from test_batch import Tape

import go_state as gs
from go_state.core.ports import Stored, Write
from go_state.history.check_store import check_store
from go_state.modes.aggregate.position_record import Claim, PositionRecord, place_of_model, place_of_source, this_process
from go_state.storage.codec.json_codec import JsonCodec
from go_state.storage.snapshots.snapshot import Mark, Schema, read_envelope

drivers = both_drivers.drivers
THREAD = both_drivers.THREAD


@gs.stored_as("Tally", was=("Count", "Sum"))
@dataclass(frozen=True)
class Tally:
    total: int = 0
    seen: tuple[int, ...] = ()


@dataclass(frozen=True)
class Add:
    key: str
    by: int


def update(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
    if msg.by in model.seen:
        raise ValueError("a model that is ahead of its message")
    return Tally(model.total + msg.by, (*model.seen, msg.by)), ()


program = gs.Program(lambda: (Tally(), ()), update)
ONE: Any = "k"
KEYED: Any = lambda msg: msg.key  # noqa: E731  - as users write it


class Named(Tape):
    """A tape of a name, which calls something before it gives the message at a position."""

    def __init__(self, name: str, *messages: Any, before: Mapping[int, Callable[[], object]] | None = None) -> None:
        super().__init__(*messages)
        self.name = name
        self.before = before or {}

    def read(self, after: Any = None) -> Any:
        return Reading(self, super().read(after))


class Reading:
    def __init__(self, tape: Named, inner: Any) -> None:
        self._tape, self._inner = tape, inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __iter__(self) -> Iterator[Any]:
        for message in self._inner:
            call = self._tape.before.get(self._inner.position - 1)
            if call is not None:
                elsewhere(call)
            yield message


def elsewhere(call: Callable[[], object]) -> None:
    """Call it in a thread, where no event loop runs."""
    with ThreadPoolExecutor(1) as other:
        other.submit(call).result()


def adds(key: str, *numbers: int) -> list[Add]:
    return [Add(key, number) for number in numbers]


def record(store: Any, key: str) -> tuple[Claim, dict[str, Mark]]:
    """Return the claim and the marks under a key."""
    stored = store.load(key)
    assert stored is not None
    envelope = read_envelope(key, stored.data)
    return JsonCodec(Claim).decode(envelope.payload), envelope.marks


def own(store: Any) -> list[str]:
    """Return the keys of the store, but for those of descriptions of types."""
    return [key for key in store.keys() if not key.startswith("@types")]  # noqa: SIM118  - a store is not a mapping


# ---------------------------------------------------------------------- the record


def test_each_source_has_a_record(drivers: Drivers) -> None:
    """It says who holds the source and the how many-th holder that is, how far it was read, and which source it was."""
    store = gs.MemoryStore()
    for name, numbers in (("a", (1, 2)), ("b", (3,)), ("a", (1, 2, 4))):
        drivers.aggregate(program, Named(name, *adds("k", *numbers)), store=store, key=KEYED)
    for name, epoch, position in (("a", 2, 3), ("b", 1, 1)):
        claim, marks = record(store, f"@positions/Tally/{name}")
        assert claim.is_of(Claim(this_process(), epoch))
        assert time.time() - 60 < claim.at <= time.time()
        assert marks == {name: Mark(position, "tape 1")}
    assert gs.load_model(program, store=store, key="k") == Tally(10, (1, 2, 3, 4))


@pytest.mark.parametrize("key", [ONE, KEYED], ids=["one", "keyed"])
def test_a_run_without_news_claims_and_saves_nothing(drivers: Drivers, key: Any) -> None:
    """The models and the position stay as they were, and on_commit is not called."""
    store, called = gs.MemoryStore(), list[object]()
    for _ in range(2):
        drivers.aggregate(program, Named("a", *adds("k", 1)), store=store, key=key, on_commit=lambda *of: called.append(of))
    assert len(called) == 1
    before = store.load("k")
    drivers.aggregate(program, Named("a", *adds("k", 1)), store=store, key=key)
    assert store.load("k") == before


def test_names_are_quoted() -> None:
    """No two sources, partitions or programs share a key, whatever their names hold; a key that is too long ends in a digest."""
    names = ("a", "a/b", "a%2Fb", "b", "", "%", "@", "é" * 300, "é" * 301, "x" * 600, "a/" + "x" * 600)
    keys = [place_of_source((program,), source, part).key for program in names for source in names for part in (None, *names)]
    keys += [place_of_model(name).key for name in names]
    assert len(set(keys)) == len(keys)
    assert all(len(key.encode()) <= 480 for key in keys)
    assert place_of_source(("Tally",), "sales.csv", "3").key == "@positions/Tally/sales.csv/3"


@pytest.mark.parametrize("name", ["a/b.csv", "x" * 700, "é 100%"])
def test_any_name_is_read_on(drivers: Drivers, name: str) -> None:
    """A long name, or one with slashes, is found again."""
    store = gs.MemoryStore()
    for numbers in ((1,), (1, 2)):
        drivers.aggregate(program, Named(name, *adds("k", *numbers)), store=store, key=KEYED)
    assert gs.load_model(program, store=store, key="k") == Tally(3, (1, 2))


# ---------------------------------------------------------------------- what older releases have written


def old_record(store: gs.MemoryStore, name: str, **positions: int) -> None:
    """Write the positions of a program as one record, as they were once."""
    schema: Schema[None] = Schema((f"positions of {name}",), 1, JsonCodec(None))
    marks = {source: Mark(position, "tape 1") for source, position in positions.items()}
    store.store({f"@positions/{name}": Write(schema.seal(f"@positions/{name}", None, marks), 0)})


@pytest.mark.parametrize("name", ["Tally", "Count", "Sum"])
def test_the_record_of_all_positions_is_taken_apart(drivers: Drivers, name: str) -> None:
    """A claim moves its own out of it, also from a name that the model had before, and the last one deletes it."""
    store = gs.MemoryStore()
    old_record(store, name, a=1, b=2)
    drivers.aggregate(program, Named("a", *adds("k", 1, 2)), store=store, key=KEYED)
    stored = store.load(f"@positions/{name}")
    assert stored is not None
    assert read_envelope(f"@positions/{name}", stored.data).marks == {"b": Mark(2, "tape 1")}
    drivers.aggregate(program, Named("b", *adds("k", 1, 2)), store=store, key=KEYED)
    assert list(store.keys("@positions/")) == ["@positions/Tally/a", "@positions/Tally/b"]
    assert gs.load_model(program, store=store, key="k") == Tally(2, (2,))


def test_the_newest_name_counts(drivers: Drivers) -> None:
    """Of several records the one under today's name is read, and of those under former names the newest."""
    store = gs.MemoryStore()
    old_record(store, "Sum", a=1)
    old_record(store, "Count", a=2)
    drivers.aggregate(program, Named("a", *adds("k", 1, 2, 3)), store=store, key=KEYED)
    assert gs.load_model(program, store=store, key="k") == Tally(3, (3,))


@gs.stored_as("Count")
@dataclass(frozen=True)
class Former:
    total: int = 0
    seen: tuple[int, ...] = ()


def first(model: Former, msg: Add) -> gs.Step[Former, Add]:
    return replace(model, total=model.total + msg.by), ()


def test_a_record_moves_with_the_name(drivers: Drivers) -> None:
    """A program that is renamed takes the records of its former name over, and a run under that name saves nothing any more."""
    store = gs.MemoryStore()

    former = gs.Program(lambda: (Former(), ()), first)
    drivers.aggregate(former, Named("a", *adds("k", 1)), store=store, key=KEYED)

    def renamed() -> None:
        THREAD.aggregate(program, Named("a", *adds("k", 1, 2)), store=store, key=KEYED)

    with pytest.raises(gs.Conflict):
        drivers.aggregate(former, Named("a", *adds("k", 1), *adds("other", 8), before={1: renamed}), store=store, key=KEYED)
    assert own(store) == ["@positions/Tally/a", "k"]
    assert record(store, "@positions/Tally/a")[0].epoch == 3
    assert gs.load_model(program, store=store, key="k") == Tally(3, (2,))


def test_another_programs_old_record_is_left_alone() -> None:
    """The name of a program may hold a slash, so that its record has the key of another's source."""
    store = gs.MemoryStore()
    named = replace(program, name="A")
    gs.aggregate(named, Named("B", *adds("k", 1)), store=store, key=KEYED)
    gs.aggregate(replace(program, name="A/B"), Named("c", *adds("other", 1)), store=store, key=KEYED)
    assert own(store) == ["@positions/A%2FB/c", "@positions/A/B", "k", "other"]


# ---------------------------------------------------------------------- claims


@pytest.mark.parametrize("key", [ONE, KEYED], ids=["one", "keyed"])
def test_a_claim_fences_the_holder_before(drivers: Drivers, key: Any) -> None:
    """The first of two runs over one source saves nothing more, even if the second has saved nothing yet, and hears who it was."""
    store = gs.MemoryStore()
    if key is KEYED:
        place, names = place_of_source(("Tally",), "a"), ("Tally",)
    else:
        place, names = place_of_model("k"), ("Tally",)

    def claim() -> None:
        other = PositionRecord(store, place, names)
        other.read()
        store.store(other.claiming("elsewhere:7"))

    tape = Named("a", *adds("k", 1, 2, 3), before={2: claim})
    with pytest.raises(gs.errors.TakenOver, match="elsewhere:7 has claimed") as raised:
        drivers.aggregate(program, tape, store=store, key=key, snapshots=gs.Snapshots(every=1))
    assert (raised.value.key, raised.value.holder, raised.value.epoch) == (place.key, "elsewhere:7", 2)
    assert gs.load_model(program, store=store, key="k") == Tally(3, (1, 2))
    drivers.aggregate(program, Named("a", *adds("k", 1, 2, 3)), store=store, key=key)
    assert gs.load_model(program, store=store, key="k") == Tally(6, (1, 2, 3))


@pytest.mark.parametrize("key", [ONE, KEYED], ids=["one", "keyed"])
def test_a_save_without_a_new_position_is_fenced_too(drivers: Drivers, key: Any) -> None:
    """The position of a source may stand still while its messages, or those of commands, change models."""
    store = gs.MemoryStore()
    place = place_of_source(("Tally",), "a") if key is KEYED else place_of_model("k")

    class Still(Reading):
        position = 7

    class StillNamed(Named):
        def read(self, after: Any = None) -> Any:
            return Still(self, Tape.read(self))

    def claim() -> None:
        other = PositionRecord(store, place, ("Tally",))
        other.read()
        store.store(other.claiming("elsewhere:7"))

    tape = StillNamed("a", *adds("k", 1, 2, 3), before={2: claim})
    with pytest.raises(gs.errors.TakenOver):
        drivers.aggregate(program, tape, store=store, key=key, snapshots=gs.Snapshots(every=1))
    assert gs.load_model(program, store=store, key="k") == Tally(3, (1, 2))


@pytest.mark.parametrize("key", [ONE, KEYED], ids=["one", "keyed"])
def test_a_run_that_does_not_begin_disturbs_nobody(drivers: Drivers, key: Any) -> None:
    """Another file under the name of the one that is read is refused before it is claimed."""
    store = gs.MemoryStore()

    class Other(Named):
        def fingerprint(self) -> str:
            return "tape 2"

    def wrong() -> None:
        with pytest.raises(gs.errors.SourceChanged):
            THREAD.aggregate(program, Other("a"), store=store, key=key)

    tape = Named("a", *adds("k", 1, 2, 3), before={2: wrong})
    drivers.aggregate(program, tape, store=store, key=key, snapshots=gs.Snapshots(every=1))
    assert gs.load_model(program, store=store, key="k") == Tally(6, (1, 2, 3))


def test_an_iterable_is_not_claimed(drivers: Drivers) -> None:
    """It has no position, so there is nothing to fence but the models that are changed."""
    store = gs.MemoryStore()
    for key in (ONE, KEYED):
        drivers.aggregate(program, adds("k", 1 if key is ONE else 2), store=store, key=key)
    assert own(store) == ["k"]


def test_a_claim_waits_for_no_holder_that_saves_all_the_time(drivers: Drivers) -> None:
    """A save between the look at the record and the claim has the claim look again, and nothing is lost."""
    store = gs.MemoryStore()

    class Saving(Named):
        looks = 0

        def recognise(self, fingerprint: str) -> None:
            self.looks += 1
            if self.looks < 4:
                numbers = range(self.looks + 1)
                elsewhere(lambda: THREAD.aggregate(program, Named("a", *adds("k", *numbers)), store=store, key=KEYED))

    drivers.aggregate(program, Named("a", Add("k", 0)), store=store, key=KEYED)
    tape = Saving("a", *adds("k", 0, 1, 2, 3, 4))
    drivers.aggregate(program, tape, store=store, key=KEYED)
    assert tape.looks == 4
    assert gs.load_model(program, store=store, key="k") == Tally(10, (0, 1, 2, 3, 4))


# ---------------------------------------------------------------------- never ahead


class OneByOne(gs.MemoryStore):
    """A store that loads in a way of its own, and so one model at a time."""

    def load(self, key: str) -> Stored | None:
        return super().load(key)


@pytest.fixture(params=["memory", "one by one", "lmdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with {"memory": gs.MemoryStore, "one by one": OneByOne, "lmdb": lambda: gs.LMDBStore(tmp_path / "s")}[
        request.param
    ]() as opened:
        yield opened


@pytest.mark.parametrize("prefetch", [0, 10])
@pytest.mark.parametrize("overtaken_at", [0, 1, 2])
def test_a_model_ahead_of_its_message_is_never_seen(drivers: Drivers, store: Any, overtaken_at: int, prefetch: int) -> None:
    """A holder that was overtaken ends when it loads what its successor has saved, or deleted: nothing is set aside or performed."""
    messages, performed, aside = [Add("a", 1), Add("b", 2), Add("gone", 3)], list[int](), gs.Buffer[Any]()

    def acts(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
        return update(model, msg)[0], [lambda: performed.append(msg.by)]

    def overtakes() -> None:
        gs.aggregate(program, Named("t", *messages), store=store, key=KEYED, retire=lambda model: model.seen == (3,))

    tape = Named("t", *messages, before={overtaken_at: overtakes})
    acting: gs.Program[Tally, Add] = gs.Program(lambda: (Tally(), ()), acts)
    with aside.consumer() as reader:
        with pytest.raises(gs.errors.TakenOver):
            drivers.aggregate(acting, tape, store=store, key=KEYED, on_error=gs.SetAside(aside), prefetch=prefetch)
        assert reader.diff() == 0
    assert set(performed) <= {msg.by for msg in messages[:overtaken_at]}
    assert {key: gs.load_model(program, store=store, key=key) for key in ("a", "b", "gone")} == {
        "a": Tally(1, (1,)), "b": Tally(2, (2,)), "gone": None}  # fmt: skip


# ---------------------------------------------------------------------- many at once


class Counting(gs.MemoryStore):
    """A store that counts how it is asked, and for how many."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    def load(self, key: str) -> Stored | None:
        self.asked.append(not key.startswith("@"))
        return super().load(key)

    def load_many(self, keys: Any) -> Mapping[str, Stored]:
        asked = [key for key in keys if not key.startswith("@")]
        self.asked.append(len(asked))
        return super().load_many([*asked, *(key for key in keys if key.startswith("@"))])


@pytest.mark.slow
@pytest.mark.parametrize("fetched", [True, False], ids=["a fetch", "prefetched"])
def test_the_models_of_a_chunk_are_loaded_together(drivers: Drivers, fetched: bool) -> None:
    """Those of the keys that are known to come, a thousand at most, and each once."""
    store, many = Counting(), 2500
    messages = [Add(str(number % many), number) for number in range(many * 2)]
    options: Any = {} if fetched else {"prefetch": 100_000}
    source: Any = (lambda: (messages, False)) if fetched else messages
    for _ in range(2):
        store.asked.clear()
        result = drivers.aggregate(counting, source, store=store, key=KEYED, **options)
        asked = [each for each in store.asked if each]
        assert (result.processed, sum(asked), max(asked) <= 1000) == (many * 2, many, True)
        assert not fetched or asked == [1000, 1000, 500]


def count(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
    return replace(model, total=model.total + 1), ()


counting = gs.Program(lambda: (Tally(), ()), count)


def test_a_damaged_model_fails_its_own_message(drivers: Drivers, tmp_path: Path) -> None:
    """Not those before it, though their models are loaded together."""
    with gs.LMDBStore(tmp_path / "s") as store:
        drivers.aggregate(program, adds("a", 1) + adds("b", 2) + adds("c", 3), store=store, key=KEYED)
        with store.backend.transaction(write=True) as transaction:
            found = transaction.get(b"s/b")
            assert found is not None
            transaction.put(b"s/b", found[:-1] + b"?")
        done: list[str] = []

        def notes(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
            done.append(msg.key)
            return model, ()

        noting: gs.Program[Tally, Add] = gs.Program(lambda: (Tally(), ()), notes)
        with pytest.raises(gs.errors.Corrupt, match="'b'"):
            drivers.aggregate(noting, lambda: (adds("a", 1) + adds("b", 2), False), store=store, key=KEYED)
        assert done == ["a"]


# ---------------------------------------------------------------------- side by side


class Shard(Tape):
    """A long tape of one key."""

    def __init__(self, name: str, count: int) -> None:
        super().__init__(*[Add(name, 1)] * count)
        self.name = name


def side_by_side(stores: list[Any]) -> int:
    """Return how many conflicts four workers have, each with a source of its own, that run one program to the end."""
    conflicts: list[str] = []

    def work(name: str, store: Any) -> None:
        while True:
            try:
                gs.aggregate(counting, Shard(name, 1000), store=store, key=KEYED, snapshots=gs.Snapshots(every=20))
                return
            except gs.Conflict:
                conflicts.append(name)

    threads = [threading.Thread(target=work, args=each) for each in zip("ABCD", stores, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [gs.load_model(counting, store=stores[0], key=name).total for name in "ABCD"] == [1000] * 4  # type: ignore[union-attr]
    return len(conflicts)


def test_workers_over_different_sources_have_no_conflict(store: Any) -> None:
    """Four of them make two hundred saves, and none is refused."""
    assert side_by_side([store] * 4) == 0


# ---------------------------------------------------------------------- who looks at records


def test_a_store_with_claims_is_checked(tmp_path: Path) -> None:
    """The records are nobody's models."""
    with gs.LMDBStore(tmp_path / "s") as store:
        gs.aggregate(program, Named("a", *adds("k", 1)), store=store, key=KEYED)
        gs.aggregate(program, Named("a", *adds("k", 1)), store=store, key="one")
        assert own(store) == ["@claims/one", "@positions/Tally/a", "k", "one"]
        checked = check_store(program, store)
        assert (checked.snapshots, checked.findings) == (2, ())
        result = gs.aggregate(program, Named("b"), store=store, key=KEYED)
        assert set(result.models) == {"k", "one"}
