"""Aggregate over a journal: each of its messages counts once, however often and wherever the run is begun."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers

import go_state as gs
from go_state.core.ports import Write

drivers = both_drivers.drivers


@dataclass(frozen=True)
class Add:
    by: int


def update(model: int, msg: Add) -> int:
    if msg.by == 99:
        raise ValueError("99")
    return model * 10 + msg.by


digits: gs.Program[int, Add] = gs.reducer(int, update)
ONE: Any = "k"
KEYED: Any = lambda msg: "even" if msg.by % 2 == 0 else "odd"  # noqa: E731  - as users write it


@pytest.fixture
def store(tmp_path: Path) -> Iterator[gs.LMDBStore]:
    with gs.LMDBStore(tmp_path / "s") as store:
        yield store


def put(store: gs.LMDBStore, *numbers: int) -> Any:
    journal = store.journal("j", of=Add)
    journal.put(*map(Add, numbers))
    return journal


@pytest.mark.parametrize("key", [ONE, KEYED], ids=["one", "keyed"])
def test_a_journal_is_read_on(drivers: Drivers, store: gs.LMDBStore, key: Any) -> None:
    """A second run counts what was put since the first, and a third counts nothing."""
    results = []
    for numbers in ((1, 2), (3, 4, 5), ()):
        result = drivers.aggregate(digits, put(store, *numbers), store=store, key=key, codec=gs.JsonCodec(int))
        results.append((result.processed, result.position))
    assert results == [(2, 2), (3, 5), (0, 5)]
    keys = ["k"] if key is ONE else ["odd", "even"]
    models = [gs.load_model(digits, store=store, key=each, codec=gs.JsonCodec(int)) for each in keys]
    assert models == ([12345] if key is ONE else [135, 24])


@pytest.mark.parametrize("name", ["", "reader"])
def test_a_reader_of_a_journal_is_read_on(drivers: Drivers, store: gs.LMDBStore, name: str) -> None:
    """What the model has counted a reader does not give again, also when a crash came between the save and its commit."""
    for numbers in ((1, 2), (3,)):
        with put(store, *numbers).consumer("oldest") as reader:
            model = drivers.aggregate(digits, reader, store=store, key="k").model
    assert model == 123
    if name:
        with put(store, 4).consumer("oldest", name=name) as behind:
            assert drivers.aggregate(digits, behind, store=store, key="k").model == 1234
            assert behind.committed == 4


@pytest.mark.parametrize("name", ["", "reader"])
def test_a_reader_that_stands_further_on_than_the_model_skips_nothing(drivers: Drivers, store: gs.LMDBStore, name: str) -> None:
    """One reader may serve two models: each is counted from where it stands itself."""
    drivers.aggregate(digits, put(store, 1), store=store, key="k")
    with put(store, 2, 3).consumer("oldest", name=name) as reader:
        assert drivers.aggregate(digits, reader, store=store, key="other").model == 123
        assert drivers.aggregate(digits, reader, store=store, key="k").model == 123


def test_models_may_be_kept_in_another_store(drivers: Drivers, store: gs.LMDBStore) -> None:
    """The position goes where the models go, not where the journal is."""
    models = gs.MemoryStore()
    for numbers in ((1,), (2,)):
        model = drivers.aggregate(digits, put(store, *numbers), store=models, key="k").model
    assert model == 12


def test_two_models_count_by_themselves(drivers: Drivers, store: gs.LMDBStore) -> None:
    """Each key has a position of its own in the journal."""
    drivers.aggregate(digits, put(store, 1), store=store, key="a")
    models = [drivers.aggregate(digits, put(store, 2), store=store, key=key).model for key in ("a", "b")]
    assert models == [12, 122]


@pytest.mark.parametrize("snapshots", [gs.Snapshots(every=1), gs.Snapshots()], ids=["each", "end"])
def test_a_run_that_fails_is_gone_on_with_after_its_last_save(
    drivers: Drivers, store: gs.LMDBStore, snapshots: gs.Snapshots
) -> None:
    """Of a failed run what was saved is not read again, and what was not is."""
    with pytest.raises(ValueError, match="99"):
        drivers.aggregate(digits, put(store, 1, 2, 99), store=store, key="k", snapshots=snapshots)
    assert gs.load_model(digits, store=store, key="k") == (12 if snapshots.every else None)
    result = drivers.aggregate(digits, put(store, 3), store=store, key="k", on_error=gs.SetAside())
    assert (result.model, result.position) == (123, 4)
    assert [failed.position for failed in result.set_aside] == [2]


def test_position_and_model_are_saved_together(drivers: Drivers, store: gs.LMDBStore) -> None:
    """A save that does not happen leaves both as they were."""

    class Failing(gs.MemoryStore):
        fails = False

        def store(self, writes: Any) -> Any:
            if self.fails:
                raise OSError("no")
            return super().store(writes)

    models = Failing()
    drivers.aggregate(digits, put(store, 1), store=models, key="k")
    models.fails = True
    with pytest.raises(OSError, match="no"):
        drivers.aggregate(digits, put(store, 2), store=models, key="k")
    models.fails = False
    assert drivers.aggregate(digits, put(store, 3), store=models, key="k").model == 123


def test_limits_come_to_the_end_together(drivers: Drivers, store: gs.LMDBStore) -> None:
    """Runs that are ended by their limit read every message once."""
    put(store, 1, 2, 3)
    runs = [drivers.aggregate(digits, put(store), store=store, key="k", limit=1) for _ in range(4)]
    assert [(run.model, run.ended) for run in runs] == [
        (1, "limit"), (12, "limit"), (123, "limit"), (123, "exhausted")
    ]  # fmt: skip


def test_an_empty_journal_is_the_one_that_is_filled_later(drivers: Drivers, store: gs.LMDBStore) -> None:
    """A run over a journal that holds nothing yet does not keep the next from knowing it."""
    models = [drivers.aggregate(digits, put(store, *numbers), store=store, key="k").model for numbers in ((), (), (1,), (2,))]
    assert models == [0, 0, 1, 12]


def test_another_journal_of_the_name_is_refused(drivers: Drivers, store: gs.LMDBStore, tmp_path: Path) -> None:
    """A journal that was begun anew is not taken for the one that was read, however long it is."""
    models = gs.MemoryStore()
    drivers.aggregate(digits, put(store, 1), store=models, key="k")
    with gs.LMDBStore(tmp_path / "other") as other:
        for numbers in ((), (5, 6)):
            with pytest.raises(gs.errors.SourceChanged, match="another journal"):
                drivers.aggregate(digits, put(other, *numbers), store=models, key="k")
    assert gs.load_model(digits, store=models, key="k") == 1


def test_an_older_copy_of_a_journal_is_refused(drivers: Drivers, tmp_path: Path) -> None:
    """A journal that ends before what was read of it has lost messages, and what it gets next would be passed over."""
    models, path, copy = gs.MemoryStore(), tmp_path / "s", tmp_path / "copy"
    with gs.LMDBStore(path) as store:
        put(store, 1)
    copy.write_bytes(path.read_bytes())
    with gs.LMDBStore(path) as store:
        drivers.aggregate(digits, put(store, 2), store=models, key="k")
    with gs.LMDBStore(copy) as store, pytest.raises(gs.errors.SourceChanged, match="older copy"):
        drivers.aggregate(digits, put(store), store=models, key="k")


def test_a_journal_that_was_truncated_beyond_what_was_read_is_refused(drivers: Drivers, store: gs.LMDBStore) -> None:
    """Messages that went before the aggregate has read them are missed out loud; those it has read may go."""
    drivers.aggregate(digits, put(store, 1, 2), store=store, key="k")
    put(store, 3, 4).flush()
    put(store).truncate(2)
    assert drivers.aggregate(digits, put(store), store=store, key="k").model == 1234
    put(store, 5, 6).flush()
    put(store).truncate(5)
    with pytest.raises(gs.errors.Lagged) as raised:
        drivers.aggregate(digits, put(store), store=store, key="k")
    assert (raised.value.missed, raised.value.oldest) == (1, 5)
    assert gs.load_model(digits, store=store, key="k") == 1234


def test_a_journal_whose_beginning_was_forgotten_is_counted_by_a_reader_alone(drivers: Drivers, store: gs.LMDBStore) -> None:
    """A model that has counted nothing yet would lack what went before; a reader says that what is left is meant."""
    put(store, 1, 2, 3).flush()
    put(store).truncate(2)
    with pytest.raises(gs.errors.Lagged) as raised:
        drivers.aggregate(digits, put(store), store=store, key="k")
    assert (raised.value.missed, raised.value.oldest) == (2, 2)
    assert store.load("k") is None
    with put(store, 4).consumer("oldest") as reader:
        assert drivers.aggregate(digits, reader, store=store, key="k").model == 34
    assert drivers.aggregate(digits, put(store, 5), store=store, key="k").model == 345


def test_a_position_of_another_kind_of_source_is_not_the_journals(drivers: Drivers, store: gs.LMDBStore) -> None:
    """A file and a journal of one name stand beside each other."""
    (Path(store.where).parent / "j").write_text('{"by":7}\n')
    file = gs.sources.JSONLines(Path(store.where).parent / "j", Add)
    models = [drivers.aggregate(digits, source, store=store, key="k").model for source in (file, put(store, 1), file)]
    assert models == [7, 71, 71]


def test_the_model_of_the_journals_own_program_is_not_counted_again(drivers: Drivers, store: gs.LMDBStore) -> None:
    """A durable program's model has its journal's messages; those it has not are for the program itself to take."""
    with gs.start(digits, store=store, key="bot") as app:
        app.send(Add(1))
        app.send(Add(2))
    assert drivers.aggregate(digits, store.journal("bot", of=Add), store=store, key="bot").model == 12
    store.journal("bot", of=Add).put(Add(3))
    store.journal("bot").flush()
    with pytest.raises(gs.UsageError, match=r"gs\.start"):
        drivers.aggregate(digits, store.journal("bot"), store=store, key="bot")
    with gs.start(digits, store=store, key="bot") as app:
        assert app.apply(Add(4), timeout=30) == 1234


WRITER = """
import sys, dataclasses, go_state as gs
Add = dataclasses.make_dataclass("Add", [("by", int)], frozen=True)
with gs.LMDBStore(sys.argv[1]) as store:
    store.journal("j", of=Add).put(Add(int(sys.argv[2])))
"""


@pytest.mark.slow
def test_what_another_process_has_written_is_read_on(tmp_path: Path) -> None:
    """A process that keeps the store open and aggregates now and then counts what others have put in between."""
    models, path = [], tmp_path / "s"
    with gs.LMDBStore(path) as store, gs.LMDBStore(tmp_path / "models") as kept:
        journal = store.journal("j", of=Add)
        for number in (1, 2, 3):
            subprocess.run([sys.executable, "-c", WRITER, str(path), str(number)], check=True, timeout=60)
            models.append(gs.aggregate(digits, journal, store=kept, key="k").model)
    assert models == [1, 12, 123]


def test_effects_have_the_same_names_in_every_run(drivers: Drivers, store: gs.LMDBStore) -> None:
    """A command that a failed run has performed is performed again under its old effect id."""
    ids: list[str] = []

    def noting(model: int, msg: Add) -> gs.Step[int, Add]:
        return model, [lambda: ids.append(gs.effect_id())]

    program = gs.Program(lambda: (0, ()), noting)
    models = gs.MemoryStore()
    for _ in range(2):
        models.store({key: Write(None, found.version) for key in ["k"] if (found := models.load(key)) is not None})
        drivers.aggregate(program, put(store, *([] if ids else [1])), store=models, key="k")
    assert len(ids) == 2
    assert ids[0] == ids[1]
