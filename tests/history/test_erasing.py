"""A person's messages are replaced or emptied where they lie, and everybody else's are as before, in a file and in Postgres."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import postgres_server as servers
import pytest
from postgres_server import PostgresServer

import go_state as gs
from go_state.storage.backends.record_store import RecordStore

postgres_server = servers.postgres_server


@dataclass(frozen=True)
class Paid:
    customer: str
    amount: int


@dataclass(frozen=True)
class Moved:
    customer: str
    city: str


Message = Paid | Moved


@dataclass(frozen=True)
class Shop:
    paid: dict[str, int]
    cities: dict[str, str]
    positions: int = 0  # of the turns that were taken


def init() -> gs.Step[Shop, Message]:
    return Shop({}, {}), ()


def update(model: Shop, msg: Message, turn: gs.Turn) -> gs.Step[Shop, Message]:
    model = replace(model, positions=model.positions + turn.position)
    match msg:
        case Paid(customer, amount):
            if amount < 0:
                raise ValueError(amount)
            return replace(model, paid=model.paid | {customer: model.paid.get(customer, 0) + amount}), ()
        case Moved(customer, city):
            return replace(model, cities=model.cities | {customer: city}), ()


shop = gs.Program(init, update)


def message(number: int) -> Message:
    who = f"customer-{number % 7}"
    return Moved(who, f"city-{number}-of-{who}") if number % 5 == 0 else Paid(who, number)


def emptied(entry: Any) -> object:
    return None if entry.message.customer == "customer-3" else entry.message


def renamed(entry: Any) -> object:
    if entry.message.customer != "customer-3":
        return entry.message
    return Moved("nobody", "nowhere") if isinstance(entry.message, Moved) else replace(entry.message, customer="nobody")


@pytest.fixture(params=["file", "postgres"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], RecordStore]:
    if request.param == "file":
        return lambda: gs.LMDBStore(tmp_path / "shop.lmdb")
    server: PostgresServer = request.getfixturevalue("postgres_server")
    schema = server.fresh_schema()
    return lambda: gs.PostgresStore(server.dsn, schema=schema)


@pytest.fixture
def store(open_store: Callable[[], RecordStore]) -> Iterator[RecordStore]:
    with open_store() as store:
        fill(store)
        yield store


def fill(store: RecordStore, count: int = 2000, **how: Any) -> None:
    """Run the shop, with a named reader that has come to 100."""
    with gs.start(shop, store=store, key="shop", snapshots=gs.Snapshots(every=300, keep=4), **how) as app:
        for number in range(count):
            app.send(message(number))
    with store.journal("shop", of=Message) as journal, journal.consumer(name="mailer") as mailer:
        for _ in range(min(count, 100)):
            mailer.get()
        mailer.commit()


def folded(messages: list[tuple[int, Any]]) -> Shop:
    model = init()[0]
    for position, each in messages:
        if each is not None:
            model = update(model, each, gs.Turn(0.0, position, ""))[0]
    return model


@pytest.mark.parametrize("fn", [emptied, renamed])
def test_what_is_rewritten_is_the_only_thing_that_changes(store: RecordStore, fn: Callable[[Any], object]) -> None:
    """Positions, times, readers and effect ids stay; the snapshots are those that the messages lead to, and verify agrees."""
    journal = store.journal("shop", of=Message)
    before, turns = list(journal.read()), [journal.run_record.turn(position).uuid() for position in (2, 3, 4, 1999)]
    readers, name, frames = journal.cursors(), journal.journal_id, store.keyframes("shop")
    done = gs.history.rewrite(shop, journal, fn)
    after = list(journal.read())
    assert [each[:2] for each in after] == [each[:2] for each in before]
    assert [each.message for each in after] == [fn(each) for each in before]
    changed = sum(each.message.customer == "customer-3" for each in before)
    assert (done.messages, done.replaced + done.emptied, done.snapshots, done.first) == (2000, changed, 4, 3)
    assert (journal.cursors(), journal.journal_id, store.keyframes("shop")) == (readers, name, frames)
    assert [journal.run_record.turn(position).uuid() for position in (2, 3, 4, 1999)] == turns
    assert gs.verify(shop, journal).ok
    for position in (*frames, 2000):
        expected = folded([(each.position, each.message) for each in after[:position]])
        assert gs.replay(shop, journal, until=position) == expected
    assert "customer-3" not in repr(gs.load_model(shop, store=store, key="shop"))


def test_a_program_goes_on_after_its_journal_was_rewritten(open_store: Callable[[], RecordStore]) -> None:
    """Its next life begins with the new snapshot, and passes over what was emptied; so does a reader with a name."""
    with open_store() as store:
        fill(store)
        gs.history.rewrite(shop, store.journal("shop", of=Message), emptied)
    with open_store() as store:
        with gs.start(shop, store=store, key="shop") as app:
            model = app.apply(Paid("customer-1", 5), timeout=30)
            assert "customer-3" not in model.paid
            assert "customer-1" in model.paid
        with gs.start(shop, store=store, key="shop", restore=store.keyframes("shop")[0]) as app:
            assert app.apply(Paid("customer-1", 1), timeout=30).paid["customer-1"] == model.paid["customer-1"] + 1
        journal = store.journal("shop", of=Message)
        assert gs.verify(shop, journal).ok
        with journal.consumer(name="mailer") as mailer:
            assert [mailer.get() for _ in range(2)] == [
                message(100),
                None if message(101).customer == "customer-3" else message(101),
            ]


def test_all_can_be_emptied_before_the_program_has_run(open_store: Callable[[], RecordStore]) -> None:
    """Messages that nobody has taken are erased as others are."""
    with open_store() as store:
        store.journal("shop", of=Message).put(*map(message, range(20)))
        assert gs.history.rewrite(shop, store.journal("shop"), lambda entry: None).emptied == 20
        with gs.start(shop, store=store, key="shop") as app:
            assert app.apply(Paid("x", 1), timeout=30) == Shop({"x": 1}, {}, 20)


def test_nothing_is_written_if_nothing_changes_or_the_function_fails(store: RecordStore) -> None:
    """The function's error has a note of the position, and a dry run only counts."""
    journal = store.journal("shop", of=Message)
    before, version = list(journal.read()), store.load("shop")
    assert gs.history.rewrite(shop, journal, lambda entry: entry.message).first is None
    assert gs.history.rewrite(shop, journal, emptied, dry_run=True).emptied > 200

    def fails(entry: Any) -> object:
        if entry.position == 1500:
            raise RuntimeError
        return None

    with pytest.raises(RuntimeError) as failed:
        gs.history.rewrite(shop, journal, fails)
    assert "position 1500" in failed.value.__notes__[0]
    with pytest.raises(ValueError, match="-1") as failed_update:
        gs.history.rewrite(shop, journal, lambda entry: Paid("x", -1) if entry.position == 1700 else entry.message)
    assert "position 1700" in failed_update.value.__notes__[0]
    with pytest.raises(gs.errors.NotStorable):
        gs.history.rewrite(shop, journal, lambda entry: "no message")
    assert (list(journal.read()), store.load("shop")) == (before, version)
    with store.backend.transaction() as transaction:
        assert transaction.names(b"r/") == []


def test_a_running_program_or_reader_is_not_rewritten_under(store: RecordStore) -> None:
    """It would go on with the model that it has."""
    with gs.start(shop, store=store, key="shop"), pytest.raises(gs.UsageError, match="is being read"):
        gs.history.rewrite(shop, store.journal("shop", of=Message), emptied)
    with store.journal("shop", of=Message).consumer(), pytest.raises(gs.UsageError, match="is being read"):
        gs.history.rewrite(shop, store.journal("shop", of=Message), emptied)


def test_a_program_on_another_machine_is_not_rewritten_under(postgres_server: PostgresServer) -> None:
    """It holds the lease; for a file see `test_erasing_kill.py`, because a process opens one once."""
    schema = postgres_server.fresh_schema()
    with gs.PostgresStore(postgres_server.dsn, schema=schema) as store:
        fill(store, 20)
        other = gs.PostgresStore(postgres_server.dsn, schema=schema)
        with other, gs.start(shop, store=store, key="shop"), pytest.raises(gs.errors.LeaseHeld):
            gs.history.rewrite(shop, other.journal("shop", of=Message), emptied)


@pytest.mark.filterwarnings("ignore::go_state.errors.TypesChanged")
def test_what_was_set_aside_can_be_erased_though_it_cannot_be_read(open_store: Callable[[], RecordStore]) -> None:
    """The function is given its JSON; the program passes over it as before."""

    @dataclass(frozen=True)
    class Left:
        customer: str

    with open_store() as store:
        store.journal("shop", of=Paid | Moved | Left).put(Paid("a", 1), Left("customer-3"), Paid("b", 2))
        store.journal("shop").close()
        with gs.start(shop, store=store, key="shop", on_error=gs.SetAside(gs.Buffer())) as app:
            app.apply(Paid("c", 3), timeout=30)
        journal = store.journal("shop", of=Message)
        assert journal.set_aside() == {1: "Incompatible"}

        def fn(entry: Any) -> object:
            return None if entry.message == ["Left", {"customer": "customer-3"}] else entry.message

        assert gs.history.rewrite(shop, journal, fn).emptied == 1
        assert [each.message for each in journal.read()] == [Paid("a", 1), None, Paid("b", 2), Paid("c", 3)]
        assert journal.history.undecoded(1) is None
        assert gs.verify(shop, journal).ok


def test_letters_of_what_is_erased_go_with_it(open_store: Callable[[], RecordStore]) -> None:
    """A retry would put the message back, and the error's text may quote it; letters of others stay."""
    with open_store() as store:
        letters = gs.DeadLetters(store, "failed")
        with gs.start(shop, store=store, key="shop", on_error=gs.SetAside(letters)) as app:
            app.send(Paid("customer-3", -5), Paid("a", -6), Paid("customer-3", 7))
        journal = store.journal("shop", of=Message)
        assert gs.history.rewrite(shop, journal, emptied, dry_run=True).letters == 1
        assert len(list(letters)) == 2
        assert gs.history.rewrite(shop, journal, emptied).letters == 1
        assert [letter.position for letter in letters] == [1]
        assert gs.verify(shop, journal).ok


def test_what_has_had_no_turn_may_fail(open_store: Callable[[], RecordStore]) -> None:
    """A message at which its program ends each time can be erased as well."""
    with open_store() as store:
        with gs.start(shop, store=store, key="shop") as app:
            app.send(Paid("customer-3", 5))
        with pytest.raises(ValueError, match="-5"), gs.start(shop, store=store, key="shop") as app:
            app.send(Paid("customer-3", -5))
        journal = store.journal("shop", of=Message)
        assert gs.history.rewrite(shop, journal, emptied).emptied == 2
        with gs.start(shop, store=store, key="shop") as app:
            assert app.apply(Paid("a", 1), timeout=30).paid == {"a": 1}


def test_today_s_program_has_to_make_the_snapshots_that_there_are(store: RecordStore) -> None:
    """Otherwise more would change than what is rewritten, and nothing does unless it is asked for."""

    def other(model: Shop, msg: Message, turn: gs.Turn) -> gs.Step[Shop, Message]:
        return replace(update(model, msg, turn)[0], positions=1), ()

    changed, journal = gs.Program(init, other), store.journal("shop", of=Message)
    before = store.load("shop")
    with pytest.raises(gs.UsageError, match=r"position \d+ of 'shop'.*rebuild=True"):
        gs.history.rewrite(changed, journal, emptied)
    assert store.load("shop") == before
    gs.history.rewrite(changed, journal, emptied, rebuild=True)
    model = gs.load_model(changed, store=store, key="shop")
    assert model is not None
    assert (model.positions, "customer-3" in model.paid) == (1, False)


def test_a_journal_whose_beginning_is_forgotten_needs_to_know_of_its_oldest_snapshot(store: RecordStore) -> None:
    """What the forgotten messages have made is in it, and only its program's owner knows what of that is to be erased."""
    journal = store.journal("shop", of=Message)
    with journal.consumer(name="mailer") as mailer:
        for _ in range(1900):
            mailer.get()
        mailer.commit()
    oldest = store.keyframes("shop")[0]
    journal.truncate(oldest)
    with pytest.raises(gs.UsageError, match="model="):
        gs.history.rewrite(shop, journal, emptied)
    with pytest.raises(gs.UsageError, match="give its program="):
        journal.rewrite(emptied)

    def without(model: Shop) -> Shop:
        return replace(
            model,
            paid={who: amount for who, amount in model.paid.items() if who != "customer-3"},
            cities={who: city for who, city in model.cities.items() if who != "customer-3"},
        )

    gs.history.rewrite(shop, journal, emptied, model=without)
    assert "customer-3" not in repr([gs.load_model(shop, store=store, key="shop"), *store.snapshots()])
    assert gs.verify(shop, journal).ok
    with store.backend.transaction() as transaction:  # a message that was forgotten may lie in the block of those that are not
        assert not any(b"customer-3" in record for _, record in transaction.items(b""))


def test_without_a_program_snapshots_are_deleted_and_made_again(store: RecordStore) -> None:
    """The program begins with its first message, and the journal cannot be truncated before it has saved."""
    journal = store.journal("shop", of=Message)
    assert journal.rewrite(emptied).emptied > 200
    assert (store.load("shop"), store.keyframes("shop")) == (None, [])
    with pytest.raises(gs.UsageError, match="newest snapshot stands at 0"):
        journal.truncate(50)
    with gs.start(shop, store=store, key="shop") as app:
        model = app.apply(Paid("x", 1), timeout=30)
    assert model == folded([(each.position, each.message) for each in store.journal("shop", of=Message).read()])


def test_messages_of_older_types_stay_as_they_were_written(open_store: Callable[[], RecordStore]) -> None:
    """A block that holds some is divided: what is new in it has today's schema, and the rest its own."""
    with open_store() as store:
        old = store.journal("shop", of=Paid)
        old.put(*(Paid(f"customer-{number % 4}", number) for number in range(10)))
        old.close()
        journal = store.journal("shop", of=Message)
        assert gs.history.rewrite(shop, journal, renamed).replaced == 2
        blocks = [block for block, _, _ in journal.history.raw()]
        assert [(block.first, block.number) for block in blocks] == [(0, 3), (3, 1), (4, 3), (7, 1), (8, 2)]
        assert len({block.types for block in blocks}) == 2
        assert [each.message.customer for each in journal.read()][3::4] == ["nobody", "nobody"]


@pytest.mark.slow
def test_a_message_whose_command_runs_cannot_be_erased(open_store: Callable[[], RecordStore]) -> None:
    """The command is found again by its message; once it has ended the message can go."""
    begun, may_end = threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        may_end.wait(60)

    def sends(model: int, msg: Message) -> gs.Step[int, Message]:
        return model + 1, [gs.Cmd.call(call, ok=lambda _: None, thread=True)] if model == 0 else ()

    program = gs.Program[int, Message](lambda: (0, ()), sends)
    with open_store() as store:
        app = gs.start(program, store=store, key="shop")
        app.send(message(3))
        assert begun.wait(60)
        with pytest.warns(gs.errors.LeftRunning):
            app.stop(drain=False)
        journal = store.journal("shop", of=Message)
        with pytest.raises(gs.UsageError, match="position 0 of 'shop' has not ended"):
            gs.history.rewrite(program, journal, emptied)
        assert [each.message for each in journal.read()] == [message(3)]
        journal.close()
        may_end.set()
        gs.start(program, store=store, key="shop").stop()
        assert gs.history.rewrite(program, store.journal("shop", of=Message), emptied).emptied == 1


def test_emptied_messages_go_through_an_export_and_back(store: RecordStore, tmp_path: Path) -> None:
    """They are null there, and have their place in what is imported."""
    journal = store.journal("shop", of=Message)
    gs.history.rewrite(shop, journal, emptied)
    journal.export_to(tmp_path / "shop.jsonl")
    other = store.journal("other", of=Message)
    assert other.import_from(tmp_path / "shop.jsonl") == 2000
    assert [each.message for each in other.read()] == [each.message for each in journal.read()]
    assert gs.replay(shop, other) == gs.replay(shop, journal)
    assert gs.aggregate(shop, journal, store=store, key="sum").model.paid == gs.replay(shop, journal).paid
    assert gs.history.rewrite(shop, journal, emptied).emptied == 0  # they are not asked for again


def test_all_under_a_key_is_forgotten(store: RecordStore) -> None:
    """Model, keyframes and journal, or nothing while its program runs; what begins again there is another journal."""
    with gs.start(shop, store=store, key="shop"), pytest.raises(gs.errors.LeaseHeld):
        store.forget("shop")
    was = store.journal("shop", of=Message).journal_id
    store.journal("shop").close()
    gs.start(shop, store=store, key="shopping").stop()
    assert gs.history.forget(store, "shop")
    assert not gs.history.forget(store, "shop")
    assert (store.load("shop"), store.keyframes("shop"), store.journal_names()) == (None, [], ["shopping"])
    with gs.start(shop, store=store, key="shop") as app:
        assert app.apply(Paid("a", 1), timeout=30) == Shop({"a": 1}, {}, 0)
    assert store.journal("shop", of=Message).journal_id != was


def test_an_aggregate_s_model_is_changed_or_forgotten(open_store: Callable[[], RecordStore]) -> None:
    """How far its source was read stays, so that the next run counts nothing twice."""

    def add(model: Shop, msg: Message) -> gs.Step[Shop, Message]:
        return update(model, msg, gs.Turn(0.0, 0, ""))

    program = gs.Program(init, add)
    with open_store() as store:
        journal = store.journal("all", of=Message)
        journal.put(Paid("a", 1), Paid("b", 2), Paid("a", 3))
        gs.aggregate(program, journal, store=store, key="sum")
        assert gs.history.change_model(program, store, "sum", lambda model: replace(model, paid={"b": model.paid["b"]}))
        assert not gs.history.change_model(program, store, "sum", lambda model: model)
        journal.put(Paid("b", 5))
        assert gs.aggregate(program, journal, store=store, key="sum").model.paid == {"b": 7}
        gs.aggregate(program, journal, store=store, key=lambda msg: msg.customer)
        assert store.forget("a")
        assert store.load("a") is None
        with pytest.raises(gs.UsageError, match="nothing is stored"):
            gs.history.change_model(program, store, "a", lambda model: model)


def test_the_person_s_bytes_are_nowhere_in_the_file_once_it_is_compacted(tmp_path: Path) -> None:
    """Not in free pages, in no snapshot and no part of one; everybody else's are."""
    path = tmp_path / "shop.lmdb"
    with gs.LMDBStore(path) as store:
        fill(store)
        assert b"customer-3" in path.read_bytes()
        gs.history.rewrite(shop, store.journal("shop", of=Message), emptied)
        assert b"customer-3" in path.read_bytes()  # in free pages: otherwise the next lines show nothing
        store.compact()
        found = path.read_bytes()
        assert (b"customer-3" in found, b"customer-2" in found) == (False, True)
        assert gs.verify(shop, store.journal("shop", of=Message)).ok
    for beside in tmp_path.iterdir():
        assert b"customer-3" not in beside.read_bytes()


@pytest.mark.slow
def test_the_person_s_bytes_are_nowhere_in_the_table_once_it_is_compacted(postgres_server: PostgresServer) -> None:
    """Not in its dead rows; what the log of the server and backups hold is said in `PostgresStore`."""
    import psycopg

    schema = postgres_server.fresh_schema()

    def table() -> bytes:
        with psycopg.connect(postgres_server.dsn, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
            found = connection.execute(
                "SELECT pg_relation_filepath(c.oid) FROM pg_class c WHERE c.oid = %s::regclass "
                "OR c.oid = (SELECT reltoastrelid FROM pg_class WHERE oid = %s::regclass)",
                [f"{schema}.records"] * 2,
            ).fetchall()
        return b"".join((postgres_server.folder / "data" / path).read_bytes() for (path,) in found)

    with gs.PostgresStore(postgres_server.dsn, schema=schema) as store:
        fill(store)
        assert b"customer-3" in table()
        gs.history.rewrite(shop, store.journal("shop", of=Message), emptied)
        store.compact()
        assert (b"customer-3" in table(), b"customer-2" in table()) == (False, True)
        assert gs.verify(shop, store.journal("shop", of=Message)).ok
