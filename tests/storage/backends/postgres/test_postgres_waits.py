"""Waits for a Postgres server end: one that is frozen, whose machine has vanished, or whose lock a stopped writer holds."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from time import monotonic

import postgres_server as servers
import psycopg
import pytest
from postgres_server import PostgresServer
from silent_proxy import SilentProxy

import go_state as gs
from go_state.storage.backends.postgres.opening import key_of
from go_state.storage.records.lease import LeaseWait

pytestmark = pytest.mark.slow
postgres_server = servers.postgres_server
LONG = 30.0  # seconds in which a test ends that would hang


@pytest.fixture
def schema(postgres_server: PostgresServer) -> str:
    return postgres_server.fresh_schema()


@pytest.fixture
def proxy(postgres_server: PostgresServer) -> Iterator[SilentProxy]:
    with SilentProxy(postgres_server.port) as made:
        yield made


def through(proxy: SilentProxy, server: PostgresServer, schema: str, timeout: float) -> gs.PostgresStore:
    return gs.PostgresStore(server.dsn.replace(str(server.port), str(proxy.port)), schema=schema, timeout=timeout)


def within(seconds: float, call: object) -> object:
    """Return what the call does, which would hang otherwise."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(call).result(seconds)  # type: ignore[arg-type]
    finally:
        pool.shutdown(wait=False)


def test_a_frozen_server_is_given_up(postgres_server: PostgresServer, schema: str) -> None:
    """Reading, writing, taking a lease and closing each end, and when it goes on the store does as well."""
    with gs.PostgresStore(postgres_server.dsn, schema=schema, timeout=1) as store:
        journal = store.journal("j", of=int)
        store.journal("other", of=int).put(1)
        store.load("k")
        with postgres_server.frozen():
            for call in (lambda: store.load("k"), lambda: store.store({"k": gs.abc.Write(b"", 0)}), lambda: journal.put(1)):
                with pytest.raises(gs.errors.StoreUnavailable):
                    within(LONG, call)
        assert store.load("k") is None
        journal.put(1)
        assert journal.slice() == [1]


@pytest.mark.parametrize("others", [0, 1])
def test_a_lease_is_given_back_to_a_frozen_server(postgres_server: PostgresServer, schema: str, others: int) -> None:
    """It is not waited for long, and is free once the server goes on."""
    with gs.PostgresStore(postgres_server.dsn, schema=schema, timeout=3) as store:
        lease, given_up = store.backend.lease("j"), LeaseWait()
        assert lease.acquire()
        beside = [store.backend.lease(f"other{number}") for number in range(others)]
        assert all(each.acquire() for each in beside)
        with ThreadPoolExecutor(1) as pool, gs.PostgresStore(postgres_server.dsn, schema=schema, timeout=3) as second:
            waiting = pool.submit(second.backend.lease("j").acquire, "wait", given_up)
            with pytest.raises(TimeoutError):
                waiting.result(0.1)
            with postgres_server.frozen():
                begun = monotonic()
                given_up.set()
                assert waiting.result(LONG) is False
                within(LONG, lease.release)
                assert monotonic() - begun < 8
        assert within(LONG, lambda: lease.acquire("wait"))
        for each in (lease, *beside):
            each.release()


def test_a_write_that_is_not_answered_says_so(postgres_server: PostgresServer, schema: str) -> None:
    """Nobody knows then whether it was kept, and the connection is not used again."""
    with gs.PostgresStore(postgres_server.dsn, schema=schema, timeout=1) as store:
        frozen = ExitStack()

        def stores() -> None:
            with store.backend.transaction(write=True) as transaction:
                transaction.put(b"s/k", b"")
                frozen.enter_context(postgres_server.frozen())

        with frozen, pytest.raises(gs.errors.StoreUnavailable, match=r"did not answer within 1 s.*not known"):
            within(LONG, stores)
        assert store.keys() is not None


def test_a_connection_whose_other_end_is_gone_is_noticed(
    postgres_server: PostgresServer, schema: str, proxy: SilentProxy
) -> None:
    """An operation on it ends, and the next one connects again."""
    with through(proxy, postgres_server, schema, 1.0) as store:
        store.store({"k": gs.abc.Write(b"1", 0)})
        proxy.fall_silent()
        with pytest.raises(gs.errors.StoreUnavailable, match="did not answer"):
            within(LONG, lambda: store.load("k"))
        assert store.load("k").data == b"1"  # type: ignore[union-attr]


@pytest.mark.slow
def test_who_listens_notices_that_the_other_end_is_gone(
    postgres_server: PostgresServer, schema: str, proxy: SilentProxy
) -> None:
    """It asks now and then, and its readers are woken after it has connected again."""
    with gs.PostgresStore(postgres_server.dsn, schema=schema) as store, through(proxy, postgres_server, schema, 1.0) as other:
        journal = store.journal("j", of=int, durability="put")
        journal.put(0)
        with other.journal("j", of=int).consumer() as reader:
            assert reader.get(timeout=LONG) == 0
            proxy.fall_silent()
            journal.put(1)
            assert reader.get(timeout=LONG) == 1


def test_readers_do_not_wait_for_a_writer_that_has_stopped(postgres_server: PostgresServer, schema: str) -> None:
    """The store is opened and read while somebody holds the writers' lock; who writes is told why it could not."""
    with gs.PostgresStore(postgres_server.dsn, schema=schema) as store:
        store.store({"k": gs.abc.Write(b"1", 0)})
    with psycopg.connect(postgres_server.dsn) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(%s)", [key_of("go_state", schema)])
        with gs.PostgresStore(postgres_server.dsn, schema=schema, timeout=1) as store:
            assert store.load("k").data == b"1"  # type: ignore[union-attr]
            with pytest.raises(gs.errors.StoreUnavailable, match="another program has been writing it"):
                within(LONG, lambda: store.store({"k": gs.abc.Write(b"2", 0)}))


def test_a_writer_that_stops_in_its_transaction_loses_it(postgres_server: PostgresServer, schema: str) -> None:
    """The server ends its session while others still wait, and they go on; it hears that nothing was kept."""
    with (
        gs.PostgresStore(postgres_server.dsn, schema=schema, timeout=2) as store,
        gs.PostgresStore(postgres_server.dsn, schema=schema, timeout=LONG) as other,
    ):

        def stops_while_another_writes() -> None:
            with store.backend.transaction(write=True) as transaction:
                transaction.put(b"s/k", b"lost")
                other.store({"k": gs.abc.Write(b"kept", 0)})

        with pytest.raises(gs.errors.StoreUnavailable):
            stops_while_another_writes()
        assert other.load("k").data == b"kept"  # type: ignore[union-attr]


def test_readers_are_woken_in_a_process_with_many_files(postgres_server: PostgresServer, schema: str) -> None:
    """Numbers of files above 1,024 are nothing special."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    with ExitStack() as files, gs.PostgresStore(postgres_server.dsn, schema=schema) as store:
        for _ in range(1100):
            files.enter_context(open("/dev/null"))
        with gs.PostgresStore(postgres_server.dsn, schema=schema) as other:
            journal = store.journal("j", of=int, durability="put")
            journal.put(0)
            with other.journal("j", of=int).consumer() as reader:
                assert reader.get(timeout=LONG) == 0
                journal.put(1)
                assert reader.get(timeout=LONG) == 1


def test_a_store_of_which_all_connections_are_in_use_says_so(postgres_server: PostgresServer, schema: str) -> None:
    """Who needs one waits as long as an operation may take."""
    with gs.PostgresStore(postgres_server.dsn, schema=schema, connections=1, timeout=0.5) as store:
        with store.backend.transaction(), pytest.raises(gs.errors.StoreUnavailable, match="connections="):
            store.load("k")
        assert store.load("k") is None


def test_a_server_that_cannot_be_reached_is_told_at_once(schema: str) -> None:
    """Opening a store does not wait for what is not there."""
    begun = monotonic()
    with pytest.raises(gs.errors.StoreUnavailable, match="refused"):
        gs.PostgresStore("host=127.0.0.1 port=1", schema=schema, timeout=LONG * 10)
    assert monotonic() - begun < LONG


def test_a_server_that_restarts_is_waited_for(schema: str) -> None:
    """An operation that finds nobody there goes on when it is back, also while somebody listens in vain."""
    server = PostgresServer()
    server.start()
    try:
        with gs.PostgresStore(server.dsn, schema=schema, timeout=60) as store, store.journal("j", of=int).consumer():
            server.stop("immediate")
            with ThreadPoolExecutor(1) as pool:
                found = pool.submit(store.load, "k")
                server.start()
                assert found.result(LONG * 2) is None
    finally:
        server.remove()
