"""What only etcd has: endpoints, certificates, users, compaction, revisions that begin anew, its limits."""

from __future__ import annotations

import asyncio
import gc
import re
import ssl
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from etcd_server import EtcdServer
from silent_proxy import SilentProxy

import go_state as gs
from go_state.values.backend import Unreachable
from go_state.values.etcd import EtcdKey
from go_state.values.etcd_gateway import Access, Gateway
from go_state.values.home import end_task

pytestmark = pytest.mark.processes


@contextmanager
def running(server: EtcdServer) -> Iterator[EtcdServer]:
    server.start()
    try:
        yield server
    finally:
        server.remove()


@contextmanager
def three() -> Iterator[list[EtcdServer]]:
    """Run a cluster of three."""
    servers = [EtcdServer() for _ in range(3)]
    with ExitStack() as stack:
        for server in servers:
            server.cluster = tuple(servers)
            stack.callback(server.remove)
            server.spawn()
        for server in servers:
            server.wait()
        yield servers


@pytest.mark.slow
def test_a_cluster_that_lost_its_data_shows_nothing_old() -> None:
    """Its id is the same as before, for that is made of its addresses; only its revisions begin anew."""
    with running(EtcdServer()) as server, gs.values.Etcd(server.url, look=0.3) as etcd:
        value = etcd.value("limits", int)
        for number in range(5):
            value.set(number)
        with value.watch() as watcher:
            assert watcher.get(10) == 4
            server.stop()
            server.wipe()
            server.start()
            with pytest.raises(gs.errors.SourceChanged):
                watcher.get(10)
        with pytest.raises(gs.errors.SourceChanged):
            value.peek()
        with pytest.raises(gs.errors.UsedAfterClose):
            value.set(1)
        again = etcd.value("limits", int)
        assert again is not value
        again.set(7)
        with again.watch() as watcher:
            assert watcher.get(10) == 7


@pytest.mark.slow
def test_who_writes_into_another_cluster_is_told() -> None:
    """A cluster with another id has come to the address; the look has not found it yet."""
    with running(EtcdServer("--initial-cluster-token=one")) as server, gs.values.Etcd(server.url, look=60) as etcd:
        value = etcd.value("limits", int)
        value.set(1)
        server.stop()
        server.wipe()
        with running(EtcdServer("--initial-cluster-token=two")) as other:
            etcd._gateway.endpoints[:] = [other.url]  # type: ignore[union-attr]
            with pytest.raises(gs.errors.SourceChanged):
                value.set(2)
            assert value.closed
            with pytest.raises(gs.errors.SourceChanged):
                value.peek()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_a_member_that_fails_is_passed_over(how: str) -> None:
    with three() as servers, gs.values.Etcd(*[server.url for server in servers], look=0.5) as etcd:
        values = [etcd.value(f"limits-{number}", int) for number in range(3)]  # which all find out at once
        with ExitStack() as stack:
            connected = [stack.enter_context(value.connected.watch()) for value in values]
            for value, watcher in zip(values, connected, strict=True):
                value.set(1)
                assert watcher.get(10, where=lambda yes: yes)
            servers[0].stop() if how == "kill" else servers[0].freeze()
            with gs.values.Etcd(servers[1].url, servers[2].url) as others:
                for value in values:
                    _set(others.value(value._backend._name, int), 2)  # type: ignore[attr-defined]
            for value in values:
                with value.watch() as watched:
                    assert watched.get(15, where=lambda number: number == 2) == 2
                value.set(3)


def _set(value: Any, number: int) -> None:
    """Set it as soon as the cluster has a leader."""
    with value.connected.watch() as connected:
        while True:
            connected.get(20, where=lambda yes: yes)
            try:
                value.set(number)
            except gs.errors.StoreUnavailable:
                continue
            return


async def test_a_watch_whose_beginning_was_compacted_is_begun_anew(etcd_server: EtcdServer) -> None:
    with_nobody = Access(None, None, None, 5.0)
    gateway = Gateway([etcd_server.url], with_nobody)
    key = EtcdKey(gateway, "compacted")
    first = await key.write(b"1")
    last = await key.write(b"2")
    etcd_server.call("kv/compaction", revision=str(last), physical=True)
    changes = key.changes(first - 1)
    with pytest.raises(Unreachable, match="compacted"):
        await anext(changes)
    await gateway.close()


@pytest.mark.slow
def test_a_compaction_while_the_server_is_away_loses_nothing() -> None:
    with running(EtcdServer()) as server, gs.values.Etcd(server.url, look=0.3) as etcd:
        value = etcd.value("limits", int)
        value.set(1)
        with value.watch() as watcher, value.connected.watch() as connected:
            assert watcher.get(10) == 1
            connected.get(10, where=lambda yes: yes)
            server.stop()
            connected.get(10, where=lambda yes: not yes)
            server.start()
            for number in range(2, 6):
                server.call("kv/put", key=b64encode(b"limits").decode(), value=b64encode(b"%d" % number).decode())
            server.call("kv/compaction", revision="5", physical=True)
            assert watcher.get(10, where=lambda number: number == 5) == 5


# ---------------------------------------------------------------------- certificates and users


def _openssl(folder: Path, *args: str) -> None:
    subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an authority, another one, and a certificate of the first for the server and for a client."""
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    for ca in ("ca", "wrong"):
        _openssl(folder, *f"req -x509 -newkey rsa:2048 -nodes -keyout {ca}.key -out {ca}.pem -days 1 -subj /CN={ca}".split())
    for name in ("server", "client"):
        _openssl(folder, *f"req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}".split())
        sign = f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days 1 -extfile names"
        _openssl(folder, *sign.split())
    return folder


@pytest.mark.slow
def test_certificates_are_checked_on_both_sides(certificates: Path) -> None:
    ca, cert = str(certificates / "ca.pem"), (str(certificates / "client.pem"), str(certificates / "client.key"))
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(*cert)
    flags = (
        f"--cert-file={certificates}/server.pem",
        f"--key-file={certificates}/server.key",
        f"--trusted-ca-file={ca}",
        "--client-cert-auth",
    )
    with running(EtcdServer(*flags, scheme="https", context=context)) as server:
        with gs.values.Etcd(server.url, ca=ca, cert=cert) as etcd:
            value = etcd.value("limits", int)
            value.set(1)
            with value.watch() as watcher:
                assert watcher.get(10) == 1
                value.set(2)
                assert watcher.get(10) == 2
        with gs.values.Etcd(server.url, ca=str(certificates / "wrong.pem"), cert=cert) as etcd:
            value = etcd.value("limits", int)
            with pytest.raises(gs.errors.StoreUnavailable, match=r"certificate verify failed.*nothing was written"):
                value.set(3)
        with gs.values.Etcd(server.url, ca=ca) as etcd, pytest.raises(gs.errors.StoreUnavailable):
            etcd.value("limits", int).set(3)


def test_certificates_that_cannot_be_read_are_the_caller_s_fault(tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("not a certificate")
    for path in ("missing.pem", "none.pem"):
        with pytest.raises(gs.errors.UsageError, match="certificates"), gs.values.Etcd("https://h", ca=str(tmp_path / path)):
            pass


@pytest.mark.slow
def test_a_user_s_token_that_runs_out_is_renewed() -> None:
    """It runs out when users are changed, when the server is started again, and by time."""
    with running(EtcdServer("--auth-token-ttl=1")) as server:
        server.call("auth/user/add", name="root", password="secret")
        server.call("auth/user/grant", user="root", role="root")
        server.call("auth/enable")
        with gs.values.Etcd(server.url, user=("root", "secret"), look=60) as etcd:
            value = etcd.value("limits", int)
            value.set(1)
            with value.watch() as watcher, value.connected.watch() as connected:
                assert watcher.get(10) == 1
                connected.get(10, where=lambda yes: yes)
                etcd._gateway._token = "an.old.one"  # type: ignore[union-attr]  # as one that has run out
                value.set(2)
                assert watcher.get(10) == 2
                server.stop()
                connected.get(10, where=lambda yes: not yes)
                server.start()
                connected.get(10, where=lambda yes: yes)
                value.set(3)
                assert watcher.get(10) == 3
        with gs.values.Etcd(server.url, user=("root", "wrong")) as etcd:
            with pytest.raises(gs.errors.UsageError, match="password") as caught:
                etcd.value("limits", int).set(3)
            assert "wrong" not in str(caught.value)
        with gs.values.Etcd(server.url) as etcd, pytest.raises(gs.errors.UsageError, match="refuses"):
            etcd.value("limits", int).set(3)


# ---------------------------------------------------------------------- connections


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("call", ["ask", "watch"])
async def test_a_call_that_is_cancelled_leaves_no_connection_open(call: str, etcd_server: EtcdServer) -> None:
    """At whichever step: the client begins a call by closing what a server that was restarted has left of its connections."""
    key = {"key": b64encode(b"cancelled").decode()}
    with SilentProxy(etcd_server.port) as proxy:
        for steps in range(8):
            gateway = Gateway([f"http://127.0.0.1:{proxy.port}"], Access(ca=None, cert=None, user=None, timeout=5))
            await asyncio.gather(*(gateway.ask("/v3/kv/range", key, again=True) for _ in range(4)))
            proxy.hang_up()
            if call == "ask":
                calling: asyncio.Task[object] = asyncio.create_task(gateway.ask("/v3/kv/range", key, again=True))
            else:
                calling = asyncio.ensure_future(anext(gateway.watch({"create_request": key})))
            for _ in range(steps):
                await asyncio.sleep(0)
            await end_task(calling)
            await gateway.close()
        del calling
    gc.collect()


# ---------------------------------------------------------------------- limits


def test_a_value_that_is_too_large_is_refused_and_nothing_else_happens(etcd_server: EtcdServer) -> None:
    with gs.values.Etcd(etcd_server.url) as etcd:
        value = etcd.value("large", str)
        value.set("small")
        for size in (1_600_000, 10_000_000):
            with pytest.raises(gs.errors.UsageError, match="large"):
                value.set("x" * size)
        assert value.update(lambda text: text + "er") == "smaller"


def test_more_values_than_a_pool_of_connections_holds(etcd_server: EtcdServer) -> None:
    """Each is watched over a connection of its own."""
    with gs.values.Etcd(etcd_server.url, look=5) as etcd:
        values = [etcd.value(f"many-{number}", int) for number in range(130)]
        for value in values:
            with value.connected.watch() as connected:
                assert connected.get(30, where=lambda yes: yes)
        for value in values[::43]:
            with value.watch() as watcher:
                etcd.value("another", int).set(1)
                value.set(1)
                assert watcher.get(10) == 1


@pytest.mark.parametrize("key", ["a b", "ü\U0001f600", "\n", "\0", "a/../b", "%2f?#", "*", "x" * 5000])
def test_any_text_is_a_key(etcd_server: EtcdServer, key: str) -> None:
    with gs.values.Etcd(etcd_server.url) as etcd:
        etcd.value(key, str).set(key)
        assert etcd.value(key, str).update(lambda text: text) == key


@pytest.mark.parametrize("key", ["", "\ud800", 1, b"bytes"])
def test_what_is_no_text_is_no_key(etcd_server: EtcdServer, key: Any) -> None:
    with gs.values.Etcd(etcd_server.url) as etcd, pytest.raises(gs.errors.UsageError, match="key"):
        etcd.value(key, str)


@pytest.mark.parametrize("data", [b"\xff", b"", b"[" * 100_000, b"nan", b'"text"', b"1" * 5000], ids=len)
def test_what_others_have_written_is_raised_to_who_reads_and_harms_nobody(etcd_server: EtcdServer, data: bytes) -> None:
    with gs.values.Etcd(etcd_server.url) as etcd:
        value = etcd.value("hostile", int)
        etcd_server.call("kv/put", key=b64encode(b"hostile").decode(), value=b64encode(data).decode())
        with value.watch() as watcher, pytest.raises(gs.errors.Incompatible):
            watcher.get(10, where=lambda number: number != 5)
        value.set(5)
        assert value.peek() == 5


@pytest.mark.parametrize("endpoint", ["http://user:pw@h:1", "http://[", "http://h:99999999", "ftp://h", 5])
def test_an_endpoint_that_cannot_be_asked_is_refused(endpoint: Any) -> None:
    with pytest.raises(gs.errors.UsageError) as caught, gs.values.Etcd(endpoint):
        pass
    assert "pw" not in str(caught.value)


def test_the_block_of_the_guide_does_what_it_says(etcd_server: EtcdServer, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "guide" / "values.md").read_text(encoding="utf-8")
    block = next(block for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL) if "values.Etcd" in block)
    names = {"gs": gs, "dataclass": dataclass, "__name__": __name__}
    exec(block, names)
    names["watch_limits"](etcd_server.url)  # type: ignore[operator]
    assert capsys.readouterr().out == "Limits(most=4) True\n"
