"""etcd over its HTTP gateway: every endpoint is tried, and keys, values and 64-bit numbers are as its JSON has them.

The gateway is etcd's own, at `/v3/...` (https://etcd.io/docs/v3.5/dev-guide/api_grpc_gateway/). Bytes are base64, numbers of 64 bits
are texts, and a field that is zero or empty is left out.
"""

from __future__ import annotations

import ssl
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from go_state.core.errors import MissingExtra, UsageError
from go_state.values.backend import Entry, MadeAnew, Unreachable

if TYPE_CHECKING:
    import httpx

Json: TypeAlias = dict[str, Any]  # Any: whatever the gateway answers


class Gateway:
    """A connection to a cluster. It asks one endpoint, and the next one if that does not answer."""

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        ca: str | None,
        cert: tuple[str, str] | None,
        user: tuple[str, str] | None,
        timeout: float,
    ) -> None:
        try:
            import httpx
        except ImportError:
            raise MissingExtra("etcd", "gs.values.Etcd") from None
        self.endpoints = [endpoint.rstrip("/") for endpoint in endpoints]
        self._errors = httpx.TransportError
        self._unsent = httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout
        self._user = user
        self._token: str | None = None  # of the user, from the server
        self._cluster: str | None = None  # the id of the cluster that has answered first
        context = ssl.create_default_context(cafile=ca)
        if cert is not None:
            context.load_cert_chain(*cert)
        self._client: httpx.AsyncClient = httpx.AsyncClient(verify=context, timeout=timeout, trust_env=False)
        self._watching = httpx.Timeout(timeout, read=None)  # a watch is silent for as long as nothing changes

    # ------------------------------------------------------------------ asking

    async def ask(self, path: str, body: Json, *, again: bool) -> Json:
        """Return what the cluster answers. What may be asked `again` is, at the next endpoint; a write is if it was not sent."""
        error: Unreachable | None = None
        for _ in self.endpoints:
            try:
                return await self._ask_one(path, body)
            except Unreachable as found:
                error = found
                self._next_endpoint()
                if not (again or found.unsent):
                    break
        assert error is not None  # there is at least one endpoint
        raise error

    async def _ask_one(self, path: str, body: Json) -> Json:
        try:
            answer = await self._client.post(self.endpoints[0] + path, json=body, headers=await self._headers())
        except self._errors as error:
            raise Unreachable(type(error).__name__, unsent=isinstance(error, self._unsent)) from error
        if answer.status_code == 401 and self._token is not None:
            self._token = None  # it has run out: the server has refused, and done nothing
            raise Unreachable("its token has run out", unsent=True)
        found = self._checked(answer.status_code, answer.content)
        self._recognise(found)
        return found

    def _checked(self, status: int, content: bytes) -> Json:
        from msgspec import DecodeError, json

        try:
            found = json.decode(content)
        except DecodeError:
            found = None
        if status == 200 and isinstance(found, dict):
            return found
        why = found.get("message") or found.get("error") if isinstance(found, dict) else None
        if status in (400, 401, 403, 404, 501):  # of a request that no repetition makes right
            raise UsageError(
                f"etcd at {self.endpoints[0]} refuses this ({status}): {why or 'is it an etcd of version 3.4 or newer?'}"
            )
        raise Unreachable(f"it answered {status}{f': {why}' if why else ''}")

    def _next_endpoint(self) -> None:
        self.endpoints.append(self.endpoints.pop(0))

    def _recognise(self, answer: Json) -> None:
        """Raise `MadeAnew` if another cluster answers: its revisions say nothing about those that were read before."""
        cluster = answer.get("header", {}).get("cluster_id")
        if cluster is None:
            return
        if self._cluster is None:
            self._cluster = cluster
        elif cluster != self._cluster:
            raise MadeAnew("another cluster answers, such as one that was restored from a backup")

    async def _headers(self) -> Mapping[str, str]:
        if self._user is None:
            return {}
        if self._token is None:
            name, password = self._user
            body = {"name": name, "password": password}
            try:
                answer = await self._client.post(f"{self.endpoints[0]}/v3/auth/authenticate", json=body)
            except self._errors as error:
                raise Unreachable(type(error).__name__, unsent=True) from error
            self._token = self._checked(answer.status_code, answer.content)["token"]
        return {"Authorization": self._token or ""}

    async def close(self) -> None:
        """End the connections."""
        await self._client.aclose()

    # ------------------------------------------------------------------ watching

    async def watch(self, body: Json) -> AsyncIterator[Json]:
        """Give what a watch brings, until the connection is lost, which is raised as `Unreachable`."""
        from msgspec import DecodeError, json

        request = self._client.stream(
            "POST", f"{self.endpoints[0]}/v3/watch", json=body, headers=await self._headers(), timeout=self._watching
        )
        try:
            async with request as answer:
                if answer.status_code != 200:
                    self._checked(answer.status_code, await answer.aread())
                async for line in answer.aiter_lines():
                    if line:
                        yield self._watched(json.decode(line))
        except (self._errors, DecodeError) as error:
            raise Unreachable(type(error).__name__) from error

    def _watched(self, line: Json) -> Json:
        if "error" in line:
            raise Unreachable(str(line["error"].get("message", "the watch has failed")))
        result: Json = line["result"]
        self._recognise(result)
        if result.get("canceled"):  # also because what it should begin with is compacted: the newest is read first, then
            raise Unreachable(str(result.get("cancel_reason") or "the server has ended the watch"))
        return result


class EtcdKey:
    """One key of a cluster: the `Backend` of a value."""

    def __init__(self, gateway: Gateway, key: str) -> None:
        self._gateway = gateway
        self._name = key
        self._key = _text(key.encode())

    @property
    def where(self) -> str:
        return f"{self._name} in etcd at {self._gateway.endpoints[0]}"

    async def read(self) -> Entry:
        answer = await self._gateway.ask("/v3/kv/range", {"key": self._key}, again=True)
        return _newest(answer)

    async def write(self, data: bytes | None) -> int:
        if data is None:
            answer = await self._gateway.ask("/v3/kv/deleterange", {"key": self._key}, again=False)
        else:
            answer = await self._gateway.ask("/v3/kv/put", {"key": self._key, "value": _text(data)}, again=False)
        return int(answer["header"]["revision"])

    async def replace(self, before: Entry, data: bytes) -> tuple[bool, Entry]:
        compare = {
            "key": self._key,
            "target": "MOD",
            "result": "EQUAL",
            "mod_revision": str(before.revision if before.data is not None else 0),
        }
        body = {
            "compare": [compare],
            "success": [{"request_put": {"key": self._key, "value": _text(data)}}],
            "failure": [{"request_range": {"key": self._key}}],
        }
        answer = await self._gateway.ask("/v3/kv/txn", body, again=False)
        if answer.get("succeeded"):
            return True, Entry(int(answer["header"]["revision"]), data)
        found = answer["responses"][0]["response_range"]
        return False, _newest({**found, "header": answer["header"]})

    async def changes(self, after: int) -> AsyncIterator[Entry]:
        body = {"create_request": {"key": self._key, "start_revision": str(after + 1)}}
        async for result in self._gateway.watch(body):
            events = result.get("events")
            if events:
                yield _changed(events[-1])  # of changes that come together the last one counts


def _newest(answer: Json) -> Entry:
    found = answer.get("kvs")
    if not found:
        return Entry(int(answer["header"]["revision"]), None)
    return Entry(int(found[0]["mod_revision"]), _bytes(found[0].get("value", "")))


def _changed(event: Json) -> Entry:
    kv = event["kv"]
    deleted = event.get("type") == "DELETE"  # a PUT, whose number is zero, is left out
    return Entry(int(kv["mod_revision"]), None if deleted else _bytes(kv.get("value", "")))


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return b64decode(text)
