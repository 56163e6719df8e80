"""Postgres as it is found: its settings, poolers in between, roles with few rights, standbys, and the words of its errors."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import postgres_server as servers
import psycopg
import pytest
from pooler import pooled
from postgres_server import PostgresServer

import go_state as gs

pytestmark = pytest.mark.processes

postgres_server = servers.postgres_server


def update(model: int, msg: int) -> gs.Step[int, int]:
    return model + msg, ()


PARTS = "hunter2", "swordfish"  # of a password
program = gs.Program(lambda: (0, ()), update)


@pytest.fixture
def schema(postgres_server: PostgresServer) -> str:
    return postgres_server.fresh_schema()


def with_settings(server: PostgresServer, **settings: object) -> str:
    """Return a connection string whose sessions begin with the settings, as with those of a role or a database."""
    options = " ".join(f"-c {name}={str(value).replace(' ', chr(92) + ' ')}" for name, value in settings.items())
    return f"{server.dsn}?options={quote(options)}"


# ---------------------------------------------------------------------- settings


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_programs_do_not_end_each_other(postgres_server: PostgresServer, schema: str, isolation: str) -> None:
    """Whatever isolation the database's transactions have by default."""
    dsn = with_settings(postgres_server, default_transaction_isolation=isolation)

    def run(key: str) -> int:
        with gs.PostgresStore(dsn, schema=schema) as store, gs.start(program, store=store, key=key, durability="put") as app:
            return [app.apply(1, timeout=30) for _ in range(30)][-1]

    with gs.PostgresStore(dsn, schema=schema), ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, "abcd")) == [30] * 4


def test_a_lease_outlives_the_sessions_that_are_ended_for_being_idle(postgres_server: PostgresServer, schema: str) -> None:
    """A server may end idle sessions; those of a store are not."""
    settings = {"idle_session_timeout": 1000, "statement_timeout": 1, "lock_timeout": 1}
    with gs.PostgresStore(with_settings(postgres_server, **settings), schema=schema) as store:
        store.journal("j", of=int, durability="put").put(1)
        session = store.backend.leases._connection
        assert session is not None
        [(idle, statement)] = session.execute(
            "SELECT current_setting('idle_session_timeout'), current_setting('statement_timeout')"
        ).fetchall()
        assert (idle, statement) == ("0", "27s")


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_names_are_told_in_every_encoding(postgres_server: PostgresServer, encoding: str) -> None:
    """A journal's name is any text, also where the database could not write it."""
    database = f"in_{encoding.lower()}"
    made = f"CREATE DATABASE {database} ENCODING {encoding} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    postgres_server.execute(made)
    dsn = postgres_server.dsn.replace("/postgres", f"/{database}")
    with gs.PostgresStore(dsn) as store, gs.PostgresStore(dsn) as other:
        journal = store.journal("заказы €", of=int, durability="put")
        journal.put(1)
        with other.journal("заказы €", of=int).consumer() as reader:
            assert reader.get(timeout=30) == 1
            journal.put(2)
            assert reader.get(timeout=30) == 2


@pytest.mark.parametrize("name", ["user", "order", "table", "default"])
def test_words_of_the_language_name_schemas(postgres_server: PostgresServer, name: str) -> None:
    """They are quoted."""
    with gs.PostgresStore(postgres_server.dsn, schema=name) as store:
        store.journal("j", of=int, durability="put").put(1)
        assert store.journal("j").slice() == [1]


# ---------------------------------------------------------------------- poolers


@pytest.mark.parametrize("mode", ["transaction", "statement"])
@pytest.mark.parametrize("size", [1, 10])
def test_a_pooler_of_transactions_is_refused(postgres_server: PostgresServer, schema: str, mode: str, size: int) -> None:
    """A second program would take a journal over from a live one: the store is not opened, and says what to do."""
    with pooled(postgres_server, mode, size=size) as dsn, pytest.raises(gs.errors.StoreUnavailable, match="pool_mode=session"):
        gs.PostgresStore(dsn, schema=schema, timeout=20)


def test_a_pooler_of_transactions_is_noticed_beside_its_other_clients(postgres_server: PostgresServer, schema: str) -> None:
    """They take sessions in between, so that none is met twice in a row."""
    with pooled(postgres_server, "transaction") as dsn, ThreadPoolExecutor(4) as pool, ExitStack() as ends:
        ended: list[bool] = []
        ends.callback(ended.append, True)

        def ask() -> None:
            with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:
                while not ended:
                    connection.execute("SELECT 1")

        asking = [pool.submit(ask) for _ in range(4)]
        for _ in range(10):
            with pytest.raises(gs.errors.StoreUnavailable, match="pool_mode=session"):
                gs.PostgresStore(dsn, schema=schema)
        ends.close()
        assert [each.result(30) for each in asking] == [None] * 4


def test_a_pooler_of_sessions_serves(postgres_server: PostgresServer, schema: str) -> None:
    """A journal has one owner through it, and its readers are woken."""
    with (
        pooled(postgres_server, "session") as dsn,
        gs.PostgresStore(dsn, schema=schema) as store,
        gs.PostgresStore(dsn, schema=schema) as other,
    ):
        journal = store.journal("j", of=int, durability="put")
        journal.put(1)
        with other.journal("j", of=int).consumer() as reader:
            assert reader.get(timeout=30) == 1
            with pytest.raises(gs.errors.LeaseHeld):
                other.journal("j").put(2)
            journal.put(2)
            assert reader.get(timeout=30) == 2


# ---------------------------------------------------------------------- rights


@pytest.fixture
def user(postgres_server: PostgresServer, schema: str) -> Iterator[str]:
    """Give the connection string of a role that may use what others have made."""
    postgres_server.execute(f"CREATE ROLE {schema}_user LOGIN PASSWORD 'word'")
    yield postgres_server.dsn.replace("owner:a%20secret", f"{schema}_user:word")
    postgres_server.forget(schema)
    postgres_server.execute(f"DROP OWNED BY {schema}_user", f"DROP ROLE {schema}_user")


def grant(server: PostgresServer, schema: str, rights: str) -> None:
    server.execute(
        f"GRANT USAGE ON SCHEMA {schema} TO {schema}_user",
        f"GRANT {rights} ON ALL TABLES IN SCHEMA {schema} TO {schema}_user",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {schema}_user",
    )


def test_rights_on_the_tables_are_enough(postgres_server: PostgresServer, schema: str, user: str) -> None:
    """A role that may create nothing uses what another has made."""
    gs.PostgresStore(postgres_server.dsn, schema=schema).close()
    grant(postgres_server, schema, "SELECT, INSERT, UPDATE, DELETE")
    with gs.PostgresStore(user, schema=schema) as store:
        store.journal("j", of=int, durability="put").put(1)
        store.store({"k": gs.abc.Write(b"x", 0)})
        assert store.journal("j").slice() == [1]


def test_a_right_to_read_is_enough_to_read(postgres_server: PostgresServer, schema: str, user: str) -> None:
    """Also while others write; and writing says which right is missing."""
    with gs.PostgresStore(postgres_server.dsn, schema=schema) as writer:
        writer.journal("j", of=int, durability="put").put(1)
        grant(postgres_server, schema, "SELECT")
        with gs.PostgresStore(user, schema=schema) as store:
            assert [recorded.message for recorded in store.journal("j", of=int).read()] == [1]
            with pytest.raises(gs.errors.StoreUnavailable, match=r"permission denied for table records.*grant"):
                store.store({"k": gs.abc.Write(b"x", 0)})


def test_who_may_not_create_is_told_what_to_grant(postgres_server: PostgresServer, schema: str, user: str) -> None:
    """The tables are not there, and the role cannot make them."""
    with pytest.raises(gs.errors.StoreUnavailable, match=r"permission denied for database.*grant"):
        gs.PostgresStore(user, schema=schema)


# ---------------------------------------------------------------------- servers that take no writes


def test_a_read_only_server_serves_readers(postgres_server: PostgresServer, schema: str) -> None:
    """And says to a writer what it is."""
    with gs.PostgresStore(postgres_server.dsn, schema=schema) as store:
        store.journal("j", of=int, durability="put").put(1)
    with gs.PostgresStore(with_settings(postgres_server, default_transaction_read_only="on"), schema=schema) as store:
        assert [recorded.message for recorded in store.journal("j", of=int).read()] == [1]
        with pytest.raises(gs.errors.StoreUnavailable, match="takes no writes"):
            store.store({"k": gs.abc.Write(b"x", 0)})


@pytest.fixture
def standby() -> Iterator[tuple[PostgresServer, str]]:
    """Give a server and the connection string of its standby."""
    server = PostgresServer()
    server.start()
    folder = Path(tempfile.mkdtemp(prefix="go_state_standby"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    data, replica = folder / "data", PostgresServer.__new__(PostgresServer)
    try:
        copy = ["pg_basebackup", "-R", "-X", "stream", f"--pgdata={data}", f"--dbname={server.dsn}"]
        server._run(*copy)
        replica.__dict__ |= server.__dict__ | {"_data": data, "folder": folder, "port": servers.free_port()}
        replica.start()
        yield server, replica.dsn
    finally:
        replica.remove()
        server.remove()


def wait_until_applied(primary: PostgresServer) -> None:
    """Return when the standby has everything that the primary has written."""
    until = time.monotonic() + 60
    applied = "SELECT coalesce(bool_and(replay_lsn >= pg_current_wal_lsn()), false) FROM pg_stat_replication"
    with psycopg.connect(primary.dsn, autocommit=True) as admin:
        while admin.execute(applied).fetchone() != (True,):
            assert time.monotonic() < until
            admin.execute("SELECT pg_sleep(0.02)")


@pytest.mark.slow
def test_a_standby_serves_readers(standby: tuple[PostgresServer, str]) -> None:
    """What the primary writes is read there, followers come to it, and a writer is told that it is none."""
    primary, there = standby
    serializable = f"{there}?options={quote('-c default_transaction_isolation=serializable')}"
    with gs.PostgresStore(primary.dsn) as store:
        journal = store.journal("j", of=int, durability="put")
        journal.put(1)
        wait_until_applied(primary)
        with gs.PostgresStore(serializable) as other, other.journal("j", of=int).consumer() as reader:
            assert reader.get(timeout=60) == 1
            journal.put(2)
            assert reader.get(timeout=60) == 2
            with pytest.raises(gs.errors.StoreUnavailable, match="takes no writes"):
                other.store({"k": gs.abc.Write(b"x", 0)})


# ---------------------------------------------------------------------- connections


def test_journals_share_a_connection(postgres_server: PostgresServer, schema: str) -> None:
    """A program for each key does not take one for each; each journal has its own owner all the same."""
    with gs.PostgresStore(postgres_server.dsn, schema=schema, connections=2) as store:
        with psycopg.connect(postgres_server.dsn) as admin:
            count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'go_state'"
            before = admin.execute(count).fetchone()
            for number in range(30):
                store.journal(f"j{number}", of=int, durability="put").put(number)
            admin.rollback()
            after = admin.execute(count).fetchone()
            assert before is not None
            assert after is not None
            assert after[0] - before[0] <= 3
        with gs.PostgresStore(postgres_server.dsn, schema=schema) as other:
            store.journal("j7").close()
            other.journal("j7", of=int).put(1)
            for name in ("j6", "j8"):
                with pytest.raises(gs.errors.LeaseHeld):
                    other.journal(name, of=int).put(1)


def test_leases_are_taken_again_after_the_session_was_lost(postgres_server: PostgresServer, schema: str) -> None:
    """What was owned then is safe from its former owner, and what is owned since is owned."""
    with gs.PostgresStore(postgres_server.dsn, schema=schema) as store:
        with gs.PostgresStore(postgres_server.dsn, schema=schema) as other:
            lost = store.journal("lost", of=int, durability="put")
            lost.put(1)
            postgres_server.end_sessions()
            other.journal("lost", of=int, durability="put").put(2)
            store.journal("kept", of=int, durability="put").put(3)
            with pytest.raises(gs.errors.LeaseHeld):
                lost.put(4)
            lost.close()
            with pytest.raises(gs.errors.LeaseHeld):
                other.journal("kept", of=int).put(5)
        assert store.journal("lost").slice() == [1, 2]


def test_a_session_that_was_lost_is_followed_by_one_with_its_leases(postgres_server: PostgresServer, schema: str) -> None:
    """Once the store takes or gives back a lease, those that nobody else has taken meanwhile are its own again."""
    with (
        gs.PostgresStore(postgres_server.dsn, schema=schema) as store,
        gs.PostgresStore(postgres_server.dsn, schema=schema) as other,
    ):
        store.journal("j", of=int, durability="put").put(1)
        postgres_server.end_sessions()
        store.journal("k", of=int, durability="put").put(1)
        with pytest.raises(gs.errors.LeaseHeld):
            other.journal("j", of=int).put(2)


def test_a_wait_for_a_lease_can_be_given_up(postgres_server: PostgresServer, schema: str) -> None:
    """It takes nothing then, also not later."""
    with (
        gs.PostgresStore(postgres_server.dsn, schema=schema) as store,
        gs.PostgresStore(postgres_server.dsn, schema=schema) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        store.journal("j", of=int, durability="put").put(1)
        lease, given_up = other.backend.lease("j"), threading.Event()
        waiting = pool.submit(lease.acquire, "wait", given_up)  # type: ignore[call-arg]
        with pytest.raises(TimeoutError):
            waiting.result(0.05)
        given_up.set()
        assert waiting.result(30) is False
        store.journal("j").close()
        third = store.backend.lease("j")
        assert third.acquire("wait")
        third.release()


@pytest.mark.parametrize("waits", [False, True])
def test_a_lease_that_was_given_back_is_free(postgres_server: PostgresServer, schema: str, waits: bool) -> None:
    """At once: the server takes its time to notice that a session is closed. Also one that was waited for."""
    with (
        gs.PostgresStore(postgres_server.dsn, schema=schema) as store,
        gs.PostgresStore(postgres_server.dsn, schema=schema) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        beside = other.backend.lease("beside")  # with which there is a session that asks at once
        assert beside.acquire()
        for _ in range(30):
            lease, next_one = store.backend.lease("j"), other.backend.lease("j")
            assert lease.acquire()
            if waits:
                waiting = pool.submit(next_one.acquire, "wait")
                with pytest.raises(TimeoutError):
                    waiting.result(0.02)
                lease.release()
                assert waiting.result(30)
            else:
                lease.release()
                assert next_one.acquire()
            next_one.release()
            assert lease.acquire()
            lease.release()
        beside.release()


def test_a_lease_is_not_granted_to_who_has_given_up(postgres_server: PostgresServer, schema: str) -> None:
    """The server would grant it to a session that nobody uses any more, and the next to ask would not get it."""
    with (
        gs.PostgresStore(postgres_server.dsn, schema=schema) as store,
        gs.PostgresStore(postgres_server.dsn, schema=schema) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        beside = store.backend.lease("beside")  # with which there is a session that asks at once
        assert beside.acquire()
        for _ in range(10):
            lease, given_up = store.backend.lease("j"), threading.Event()
            assert lease.acquire()
            waiting = pool.submit(other.backend.lease("j").acquire, "wait", given_up)  # type: ignore[call-arg]
            with pytest.raises(TimeoutError):
                waiting.result(0.05)
            given_up.set()
            assert waiting.result(30) is False
            lease.release()
            assert lease.acquire()
            lease.release()
        beside.release()


# ---------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("a%20secret", "wrong-word"), "password authentication failed"),
        (("/postgres", "/nothing"), 'database "nothing" does not exist'),
        (("owner:", "nobody:"), 'authentication failed for user "nobody"'),
    ],
)
def test_what_libpq_says_is_told(postgres_server: PostgresServer, schema: str, change: tuple[str, str], says: str) -> None:
    """At once, when the store is opened."""
    with pytest.raises(gs.errors.StoreUnavailable, match=says) as caught:
        gs.PostgresStore(postgres_server.dsn.replace(*change), schema=schema)
    assert "wrong-word" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("sign", ["@", "/", "?", "#", ":", "%", " ", "@@", "/@", "?@/", "%zz", "'", "\\"])
@pytest.mark.parametrize("form", ["postgresql://owner:{}@127.0.0.1:1/postgres", "host=127.0.0.1 port=1 password={}"])
def test_no_part_of_a_password_is_told(schema: str, form: str, sign: str) -> None:
    """Also where a sign of it was not encoded, and the rest would be taken for a host, a port or a database."""
    with pytest.raises((gs.UsageError, gs.errors.StoreUnavailable)) as caught:
        gs.PostgresStore(form.format(sign.join(PARTS)), schema=schema, timeout=1)
    said = "".join(traceback.format_exception(caught.value))
    assert not any(part in said for part in PARTS)


def test_a_port_that_is_none_is_not_quoted(schema: str) -> None:
    """It may be a password whose host was forgotten."""
    with pytest.raises(gs.UsageError) as caught:
        gs.PostgresStore(f"postgresql://owner:{PARTS[0]}", schema=schema)
    assert PARTS[0] not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("dsn", [5, None, b"host=127.0.0.1"])
def test_what_is_no_connection_string_is_told(dsn: Any) -> None:
    """As an error of the call."""
    with pytest.raises(gs.UsageError, match="dsn is a connection string"):
        gs.PostgresStore(dsn)


def test_a_password_in_what_the_server_says_is_not_told(postgres_server: PostgresServer, schema: str) -> None:
    """As where a database is called what the password is."""
    dsn = postgres_server.dsn.replace("/postgres", "/a%20secret")
    with pytest.raises(gs.errors.StoreUnavailable, match="does not exist") as caught:
        gs.PostgresStore(dsn, schema=schema)
    assert 'database "***"' in str(caught.value)
    assert servers.PASSWORD not in "".join(traceback.format_exception(caught.value))


class Heard(logging.Handler):
    """What the log says, and when it has said something."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.something = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
        self.something.set()


def test_a_listener_that_is_cut_off_says_so_once(postgres_server: PostgresServer, schema: str) -> None:
    """Whoever looks for why readers waited finds it in the log, by its kind."""
    heard, log = Heard(), logging.getLogger("go_state")
    with gs.PostgresStore(postgres_server.dsn, schema=schema) as store, ExitStack() as ends:
        journal = store.journal("j", of=int, durability="put")
        reader = ends.enter_context(
            ends.enter_context(gs.PostgresStore(postgres_server.dsn, schema=schema)).journal("j", of=int).consumer()
        )
        log.addHandler(heard)
        ends.callback(log.removeHandler, heard)
        journal.put(1)
        assert reader.get(timeout=30) == 1
        postgres_server.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN go_state_{schema}'"
        )
        assert heard.something.wait(30)
        journal.put(2)
        assert reader.get(timeout=30) == 2
    (said,) = heard.said
    assert "is not heard, connecting again" in said
