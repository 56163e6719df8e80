"""The store in a Postgres database: durable programs on it, lost connections and leases, notices, secrets, and its own tables."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import postgres_server as servers
import psycopg
import pytest
from postgres_server import PASSWORD, PostgresServer

import go_state as gs
from go_state.storage.backends.postgres import opening as postgres_opening
from go_state.storage.backends.postgres.transaction import PostgresTransaction

pytestmark = pytest.mark.processes

postgres_server = servers.postgres_server


@dataclass(frozen=True)
class Counter:
    count: int = 0
    turns: int = 0


@dataclass(frozen=True)
class Add:
    by: int


def update(model: Counter, msg: Add) -> gs.Step[Counter, Add]:
    if msg.by < 0:
        raise ValueError("negative")
    return replace(model, count=model.count + msg.by, turns=model.turns + 1), [gs.Cmd.send(Add(0))] if msg.by == 7 else ()


counter = gs.Program(lambda: (Counter(), ()), update)


@pytest.fixture
def schema(postgres_server: PostgresServer) -> str:
    return postgres_server.fresh_schema()


def opened(server: PostgresServer, schema: str, **how: Any) -> gs.PostgresStore:
    return gs.PostgresStore(server.dsn, schema=schema, **how)


# ---------------------------------------------------------------------- writers side by side


def test_writers_of_other_keys_do_not_wait(postgres_server: PostgresServer, schema: str) -> None:
    """A transaction that was opened for certain records leaves the others to whoever wants them."""
    with opened(postgres_server, schema) as store, opened(postgres_server, schema, timeout=1) as other:
        with store.backend.transaction(write=True, of=[b"s/a", b"s/new"]):
            assert other.store({"b": gs.abc.Write(b"1", 0)})["b"]
            for key in ("a", "new"):
                with pytest.raises(gs.errors.StoreUnavailable, match="another program has been writing it"):
                    other.store({key: gs.abc.Write(b"1", 0)})
        assert other.store({"a": gs.abc.Write(b"1", 0)})["a"]
        assert list(other.keys()) == ["a", "b"]


def test_who_needs_the_whole_store_waits_for_every_writer(postgres_server: PostgresServer, schema: str) -> None:
    """And they wait for it: a transaction that names no records has the store to itself."""
    with opened(postgres_server, schema) as store, opened(postgres_server, schema, timeout=1) as other:

        def writes(of: Any) -> None:
            with other.backend.transaction(write=True, of=of):
                pass

        for mine, theirs in ((None, [b"s/a"]), ([b"s/a"], None), (None, None)):
            held = store.backend.transaction(write=True, of=mine)
            with held, pytest.raises(gs.errors.StoreUnavailable, match="another program has been writing it"):
                writes(theirs)
            writes(theirs)


def test_what_was_locked_and_not_written_is_not_there(postgres_server: PostgresServer, schema: str) -> None:
    """A record that is missing is locked by making it, which nobody sees, before the commit or after it."""
    with opened(postgres_server, schema) as store:
        with store.backend.transaction(write=True, of=[b"s/a", b"s/b", b"s/c"]) as transaction:
            assert (transaction.get(b"s/a"), transaction.get_many([b"s/a", b"s/b"])) == (None, {})
            transaction.put(b"s/b", b"it")
            transaction.put(b"s/c", b"it")
            transaction.delete(b"s/c")
            for _ in range(2):
                assert (transaction.get(b"s/b"), transaction.beginning(b"s/b")) == (b"it", b"it")
                assert transaction.get_many([b"s/a", b"s/b"]) == {b"s/b": b"it"}
                assert (transaction.get(b"s/a"), transaction.get(b"s/c"), transaction.beginning(b"s/c")) == (None, None, None)
        with store.backend.transaction() as transaction:
            assert transaction.names(b"") == [b"s/b"]


# ---------------------------------------------------------------------- durable programs


@pytest.mark.parametrize("durability", ["group", "put"])
def test_a_durable_program_goes_on(postgres_server: PostgresServer, schema: str, durability: Any) -> None:
    """From its snapshots and its journal, in three lives; it can be verified, replayed to any position, and truncated."""
    how: Any = {"key": "c", "snapshots": gs.Snapshots(every=10, keep=3)}
    for life in range(1, 4):
        with opened(postgres_server, schema) as store:
            journal = store.journal("c", of=Add, durability=durability)
            for by in range(1, 11):
                journal.put(Add(by))
            journal.close()
            assert gs.run(counter, journal, store=store, **how) == Counter(55 * life, 11 * life)
    with opened(postgres_server, schema) as store:
        journal = store.journal("c")
        assert gs.replay(counter, journal, until=12) == Counter(55 + 1 - 0, 12)
        assert gs.verify(counter, journal).ok
        assert store.keyframes("c") == sorted(store.keyframes("c"))
        assert store.journal_names() == ["c"]
        assert gs.check_store(counter, store).ok
        assert journal.truncate(before=min(store.keyframes("c"))) <= min(store.keyframes("c"))
    with opened(postgres_server, schema) as store:
        assert gs.load_model(counter, store=store, key="c") == Counter(165, 33)


def test_what_was_set_aside_stays_aside(postgres_server: PostgresServer, schema: str) -> None:
    """A message that failed is passed over by replays."""
    with opened(postgres_server, schema) as store:
        journal = store.journal("c", of=Add)
        journal.put(Add(1), Add(-1), Add(2))
        journal.close()
        assert gs.run(counter, journal, store=store, key="c", on_error=gs.SetAside(gs.Buffer())) == Counter(3, 2)
    with opened(postgres_server, schema) as store:
        assert store.journal("c").set_aside() == {1: "ValueError"}
        assert gs.verify(counter, store.journal("c")).ok


def test_a_stream_is_counted_once(postgres_server: PostgresServer, schema: str, tmp_path: Path) -> None:
    """Many models and the position of their source are written together; a second pass goes on where the first has stopped."""
    path = tmp_path / "adds.jsonl"
    path.write_text("".join(f'{{"by": {number}}}\n' for number in range(100)))

    def source() -> Any:
        return gs.sources.JSONLines(path, Add)

    def failing(model: Counter, msg: Add) -> gs.Step[Counter, Add]:
        if msg.by == 77:
            raise LookupError("no")
        return update(model, msg)

    how: Any = {"key": lambda msg: str(msg.by % 10), "snapshots": gs.Snapshots(every=10)}
    with opened(postgres_server, schema) as store:
        with pytest.raises(LookupError):
            gs.aggregate(replace(counter, update=failing), source(), store=store, **how)
        result = gs.aggregate(counter, source(), store=store, **how)
        assert (result.position, sorted(result.models)) == (100, [str(number) for number in range(10)])
        assert sum(model.count for model in result.models.values()) == sum(range(100))


def test_an_app_answers_once_it_is_on_disk(postgres_server: PostgresServer, schema: str) -> None:
    """Many apply at once, and share transactions."""
    with opened(postgres_server, schema) as store:
        with gs.start(counter, store=store, key="c", durability="put") as app, ThreadPoolExecutor(16) as pool:
            models = list(pool.map(lambda _: app.apply(Add(1), timeout=30), range(200)))
        assert max(model.count for model in models) == 200
        assert gs.load_model(counter, store=store, key="c") == Counter(200, 200)


# ---------------------------------------------------------------------- one owner


def test_a_second_owner_is_refused_or_waits(postgres_server: PostgresServer, schema: str) -> None:
    """Another process cannot write a journal while one does, and can when it has ended."""
    with opened(postgres_server, schema) as store, opened(postgres_server, schema) as other:
        first = store.journal("j", of=int)
        first.put(1)
        with pytest.raises(gs.errors.LeaseHeld, match="j"):
            other.journal("j", of=int).put(2)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(lambda: other.journal("w", of=int, lease="wait").put(2))
            waiting.result(10)
            taken = pool.submit(lambda: other.journal("j").lease.acquire("wait"))
            with pytest.raises(TimeoutError):
                taken.result(0.05)
            first.close()
            taken.result(10)
        other.journal("j").put(3)
        assert other.journal("j").slice() == [1, 3]


def test_who_has_lost_the_lease_unnoticed_writes_nothing(postgres_server: PostgresServer, schema: str) -> None:
    """The server takes it back from a connection that is gone; the next owner is safe from the one before."""
    with opened(postgres_server, schema) as store, opened(postgres_server, schema) as other:
        first, second = store.journal("j", of=int), other.journal("j", of=int)
        first.put(1)
        first.flush()
        postgres_server.end_sessions()
        second.put(2)
        second.flush()
        first.put(3)
        with pytest.raises(gs.errors.LeaseHeld):
            first.flush()
        assert second.slice() == [1, 2]
        first.close()
        second.close()
        third = store.journal("j", of=int)
        third.put(4)
        assert third.slice() == [1, 2, 4]


def test_readers_elsewhere_are_woken(postgres_server: PostgresServer, schema: str) -> None:
    """By a notice, also after the connection that listens was lost; in order, and each message once."""
    with opened(postgres_server, schema) as store, opened(postgres_server, schema) as other, ThreadPoolExecutor(1) as pool:
        journal = store.journal("j", of=int, durability="put")
        journal.put(0)
        with other.journal("j", of=int).consumer() as reader:
            assert reader.get(timeout=10) == 0
            for number in range(1, 4):
                waiting = pool.submit(reader.get, timeout=20)
                journal.put(number)
                assert waiting.result(20) == number
                reader.commit()
                if number == 2:
                    postgres_server.end_sessions()
            waiting = pool.submit(reader.get, timeout=20)
            journal.put(*range(4, 100))
            assert [waiting.result(20), *(reader.get(timeout=20) for _ in range(5, 100))] == list(range(4, 100))
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("go_state")]


# ---------------------------------------------------------------------- lost connections


def test_it_connects_again(postgres_server: PostgresServer, schema: str) -> None:
    """What was idle when the connections were cut goes on, reading and writing."""
    with opened(postgres_server, schema) as store:
        for number in range(1, 4):
            version = 0 if number == 1 else store.load("k").version  # type: ignore[union-attr]
            store.store({"k": gs.abc.Write(b"%d" % number, version)})
            postgres_server.end_sessions()
        assert store.load("k").data == b"3"  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_server_that_is_away_is_said_and_forgiven(schema: str) -> None:
    """While it is down every call raises within the timeout; when it is back the store is as it was, and goes on."""
    server = PostgresServer()
    server.start()
    try:
        with opened(server, schema, timeout=2) as store:
            journal = store.journal("j", of=int, durability="put")
            journal.put(1)
            server.stop("immediate")
            for call in (lambda: store.load("k"), lambda: journal.put(2), journal.flush):
                with pytest.raises(gs.errors.StoreUnavailable, match="could not be reached"):
                    call()
            server.start()
            journal.put(3)
            assert journal.slice() == [1, 3]
    finally:
        server.remove()


def test_a_commit_whose_answer_is_lost_is_found_out(
    postgres_server: PostgresServer, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal looks what has become of it: it is there, so nobody hears of the loss; it is there once, and what follows after it."""
    commit: Any = PostgresTransaction.commit
    lost = [False]

    def losing(transaction: Any) -> None:
        commit(transaction)
        if lost[0]:
            lost[0] = False
            postgres_server.end_sessions()
            transaction._connection.execute("SELECT 1")

    monkeypatch.setattr(PostgresTransaction, "commit", losing)
    for durability in ("put", "group"):
        with opened(postgres_server, schema) as store:
            journal = store.journal(durability, of=int, durability=durability)  # type: ignore[arg-type]
            journal.put(1)
            journal.flush()
            lost[0] = True
            journal.put(2)
            journal.flush()
            journal.put(3)
            assert journal.slice() == [1, 2, 3]
            assert not lost[0]


def test_a_full_disk_is_said(postgres_server: PostgresServer, schema: str) -> None:
    """Nothing of that write is kept, and it goes on when there is room again."""
    with opened(postgres_server, schema) as store, psycopg.connect(postgres_server.dsn, autocommit=True) as admin:
        journal = store.journal("j", of=int, durability="put")
        journal.put(1)
        admin.execute(
            f"CREATE FUNCTION {schema}.no_room() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END $$"
        )
        admin.execute(f"CREATE TRIGGER no_room BEFORE INSERT ON {schema}.records EXECUTE FUNCTION {schema}.no_room()")
        with pytest.raises(gs.errors.StoreFull, match="full"):
            journal.put(2)
        admin.execute(f"DROP TRIGGER no_room ON {schema}.records")
        journal.put(3)
        assert journal.slice() == [1, 3]


def test_damage_is_found(postgres_server: PostgresServer, schema: str) -> None:
    """A byte of a record that somebody has changed is said, with the position, and nothing is replayed past it."""
    with opened(postgres_server, schema) as store:
        journal = store.journal("j", of=int, durability="put")
        journal.put(*range(5))
        journal.put(*range(5, 10))
    with psycopg.connect(postgres_server.dsn, autocommit=True) as admin:
        admin.execute(
            f"UPDATE {schema}.records SET record = set_byte(record, 40, get_byte(record, 40) # 1) "
            f"WHERE name = (SELECT name FROM {schema}.records WHERE encode(name, 'escape') LIKE 'j/j%b%' ORDER BY name DESC LIMIT 1)"
        )
    with opened(postgres_server, schema) as store:
        with pytest.raises(gs.errors.Corrupt) as caught:
            list(store.journal("j").read())
        assert caught.value.position == 5
        with pytest.raises(gs.errors.Corrupt):
            store.check_damage()


def test_a_forked_child_opens_its_own(postgres_server: PostgresServer, schema: str) -> None:
    """The parent's connections outlive the child."""
    with opened(postgres_server, schema) as store:
        journal = store.journal("j", of=int, durability="put")
        journal.put(1)
        child = os.fork()
        if not child:
            try:
                store.load("k")
            except gs.errors.StoreUnavailable:
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        journal.put(2)
        assert journal.slice() == [1, 2]


# ---------------------------------------------------------------------- how it is reached


def test_the_environment_says_what_the_dsn_does_not(
    postgres_server: PostgresServer, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The standard variables are read, and what it is called names the host and the database."""
    for name, value in (("HOST", "127.0.0.1"), ("PORT", postgres_server.port), ("USER", "owner"), ("PASSWORD", PASSWORD)):
        monkeypatch.setenv(f"PG{name}", str(value))
    monkeypatch.setenv("PGDATABASE", "postgres")
    with gs.PostgresStore(schema=schema) as store:
        store.store({"k": gs.abc.Write(b"x", 0)})
        assert store.where == f"postgres 127.0.0.1/postgres, schema {schema}"


@pytest.mark.parametrize(
    "change",
    [
        lambda dsn: dsn.replace("a%20secret", "hunter2"),
        lambda dsn: dsn.replace("127.0.0.1", "nobody.invalid"),
        lambda dsn: dsn.rpartition(":")[0] + ":1/postgres",
        lambda dsn: "host=127.0.0.1 password=hunter2 hunter2",
        lambda dsn: "postgresql://owner:hunter2@[::/postgres",
    ],
)
def test_no_password_is_told(
    postgres_server: PostgresServer, schema: str, change: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in an error, with all that led to it, nor in a log."""
    caplog.set_level(logging.DEBUG)
    dsn = change(postgres_server.dsn)
    with pytest.raises((gs.errors.StoreUnavailable, gs.UsageError)) as caught:
        gs.PostgresStore(dsn, schema=schema, timeout=1)
    said = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert not any(secret in said for secret in ("hunter2", PASSWORD, "a%20secret"))
    with opened(postgres_server, schema) as store:
        assert PASSWORD not in repr(store) + store.where


@pytest.mark.parametrize(("how", "teaches"), [({"schema": "Robert'); --"}, "schema"), ({"connections": 0}, "connections")])
def test_wrong_arguments_teach(postgres_server: PostgresServer, how: dict[str, Any], teaches: str) -> None:
    """They are refused before anything is sent."""
    with pytest.raises(gs.UsageError, match=teaches):
        gs.PostgresStore(postgres_server.dsn, **how)


def test_a_closed_store_says_so(postgres_server: PostgresServer, schema: str) -> None:
    """Instead of waiting for a connection."""
    store = opened(postgres_server, schema)
    store.close()
    with pytest.raises(gs.errors.StoreUnavailable, match="closed"):
        store.load("k")


def test_a_commit_waits_for_the_disk(postgres_server: PostgresServer, schema: str) -> None:
    """Also where the server does not ask its sessions to."""
    with psycopg.connect(postgres_server.dsn, autocommit=True) as admin:
        admin.execute("ALTER ROLE owner SET synchronous_commit = off")
        try:
            with opened(postgres_server, schema) as store, store.backend.transaction() as transaction:
                assert transaction._connection.execute("SHOW synchronous_commit").fetchone() == ("on",)  # type: ignore[attr-defined]
        finally:
            admin.execute("ALTER ROLE owner RESET synchronous_commit")


# ---------------------------------------------------------------------- its own tables


def test_many_make_the_tables_at_once(postgres_server: PostgresServer, schema: str) -> None:
    """One of them does, and the others find them."""
    with ThreadPoolExecutor(8) as pool:
        for store in pool.map(lambda _: opened(postgres_server, schema), range(8)):
            store.close()


def test_tables_are_brought_up_to_date(postgres_server: PostgresServer, schema: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is new is run once and keeps what is stored; an older go_state refuses the newer tables, and changes nothing."""
    with opened(postgres_server, schema) as store:
        store.store({"k": gs.abc.Write(b"kept", 0)})
    newer = "ALTER TABLE {schema}.records ADD COLUMN note text"
    with monkeypatch.context() as patched:
        patched.setattr(postgres_opening, "MIGRATIONS", (*postgres_opening.MIGRATIONS, newer))
        for _ in range(2):
            with opened(postgres_server, schema) as store:
                assert store.load("k").data == b"kept"  # type: ignore[union-attr]
    with pytest.raises(gs.errors.StoreUnavailable, match="newer"):
        opened(postgres_server, schema)


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command, with the password in the environment."""
    program = [Path(sys.executable).parent / "go-state", *map(str, arguments)]
    environment = os.environ | {"PGPASSWORD": PASSWORD}
    return subprocess.run(program, capture_output=True, text=True, env=environment, timeout=60, check=False)


def without_password(dsn: str) -> str:
    return dsn.replace(":" + PASSWORD.replace(" ", "%20"), "")


@pytest.mark.parametrize("given", [[], ["--schema", "elsewhere"]])
def test_the_command_reads_it(postgres_server: PostgresServer, given: list[str]) -> None:
    """A database is given as a URL, with its schema if that is another, and the password by the environment."""
    with gs.PostgresStore(postgres_server.dsn, schema=given[-1] if given else "go_state") as store:
        store.journal("orders", of=int).put(1, 2, 3)
    done = command("journal", "list", without_password(postgres_server.dsn), "--json", *given)
    assert (done.returncode, done.stderr) == (0, "")
    [row] = json.loads(done.stdout)
    assert (row["name"], row["start"], row["end"]) == ("orders", 0, 3)


def test_a_command_that_reads_creates_nothing(postgres_server: PostgresServer, schema: str) -> None:
    """It says that there is no such store."""
    for what in (["snapshots", "list"], ["snapshots", "check"], ["journal", "list"]):
        done = command(*what, without_password(postgres_server.dsn), "--schema", schema)
        assert (done.returncode, "not there" in done.stderr) == (1, True), done.stderr
    with psycopg.connect(postgres_server.dsn) as admin:
        assert admin.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema]).fetchone() is None


def test_a_command_does_not_repeat_the_password(postgres_server: PostgresServer, schema: str) -> None:
    """Where it was given in the URL, rightly or not."""
    opened(postgres_server, schema).close()
    right = postgres_server.dsn
    for what in (right, right.replace("postgresql", "postgre"), right.replace("//", "/")):
        done = command("snapshots", "check", what, "--schema", schema)
        assert not any(secret in done.stdout + done.stderr for secret in (PASSWORD, "a%20secret"))


def test_a_store_that_is_not_to_be_made_is_not(
    postgres_server: PostgresServer, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither is one of an older go_state changed."""
    with pytest.raises(gs.errors.StoreUnavailable, match="not there"):
        opened(postgres_server, schema, create=False)
    opened(postgres_server, schema).close()
    opened(postgres_server, schema, create=False).close()
    monkeypatch.setattr(postgres_opening, "MIGRATIONS", (*postgres_opening.MIGRATIONS, "SELECT 1"))
    with pytest.raises(gs.errors.StoreUnavailable, match="older"):
        opened(postgres_server, schema, create=False)
