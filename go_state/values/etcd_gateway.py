"""etcd over its HTTP gateway: what is asked goes to one endpoint, and to the next one if that does not answer.

The gateway is etcd's own, at `/v3/...` (https://etcd.io/docs/v3.5/dev-guide/api_grpc_gateway/). Bytes are base64, numbers of 64 bits
are texts, and a field that is zero or empty is left out.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from go_state.core.errors import MissingExtra, StoreFull, UsageError
from go_state.values.backend import Unreachable
from go_state.values.home import outlast

if TYPE_CHECKING:
    import httpx

Json: TypeAlias = dict[str, Any]  # Any: whatever the gateway answers

_REFUSALS = 400, 401, 403, 404, 429, 501  # statuses of a request that was not carried out, and that no repetition makes right
_OLD_TOKEN = "revision of auth store is old"  # of status 400: users or roles were changed since the token was given
_CLOSING = 1.0  # seconds for saying goodbye to a server


class Access(NamedTuple):
    """How a cluster is reached; see `Etcd`."""

    ca: str | None
    cert: tuple[str, str] | None
    user: tuple[str, str] | None
    timeout: float


class Gateway:
    """A connection to a cluster, in one event loop."""

    def __init__(self, endpoints: Sequence[str], access: Access) -> None:
        try:
            import httpx
        except ImportError:
            raise MissingExtra("etcd", "gs.values.Etcd") from None
        self.endpoints = [endpoint.rstrip("/") for endpoint in endpoints]  #: the one that is asked comes first
        self._errors = httpx.TransportError
        self._unsent = httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout
        self._user = access.user
        self._token: str | None = None  # of the user, from the server
        self._asking_token = asyncio.Lock()  # one at a time: a server takes 0.1 s of its CPU to check a password
        self._client: httpx.AsyncClient = httpx.AsyncClient(
            verify=_certificates(access),
            timeout=access.timeout,
            limits=httpx.Limits(max_connections=None),  # each watch takes one for as long as it lasts
            trust_env=False,
        )
        self._watching = httpx.Timeout(access.timeout, read=None)  # a watch is silent for as long as nothing changes

    # ------------------------------------------------------------------ asking

    async def ask(self, path: str, body: Json, *, again: bool) -> Json:
        """Return what the cluster answers. What may be asked `again` is, at the next endpoint; a write is if it was not sent."""
        error: Unreachable | None = None
        for _ in self.endpoints:
            endpoint = self.endpoints[0]
            try:
                return await self._ask_one(endpoint, path, body)
            except asyncio.CancelledError:  # of who has waited long enough
                self._pass_over(endpoint)
                raise
            except Unreachable as found:
                error = found
                self._pass_over(endpoint)
                if not (again or found.unsent):
                    break
        assert error is not None  # there is at least one endpoint
        raise error

    async def _ask_one(self, endpoint: str, path: str, body: Json) -> Json:
        for _ in range(2):
            headers = await self._headers(endpoint)
            try:
                answer = await self._send(self._client.build_request("POST", endpoint + path, json=body, headers=headers))
            except self._errors as error:
                raise self._unreachable(error) from error
            if not self._has_run_out(answer, headers):
                return _checked(endpoint, answer.status_code, answer.content)
        raise Unreachable("it takes no token that it gives", unsent=True)

    async def _send(self, request: httpx.Request, *, stream: bool = False) -> httpx.Response:
        """Return the answer, of which with `stream` only the head was read; whoever asked for that closes it.

        A cancel reaches the client as one of anyio's. It protects what it must not be interrupted in from those alone: by a task's own
        cancel, a client that begins by closing connections that have ended forgets those that it has not come to, and leaves them open.
        """
        from anyio import CancelScope

        scope = CancelScope()

        async def send() -> httpx.Response | None:
            with scope:
                return await self._client.send(request, stream=stream)
            return None

        sending = asyncio.create_task(send())
        try:
            await asyncio.wait((sending,))
        except asyncio.CancelledError:
            scope.cancel()
            await outlast(sending)
            if not sending.cancelled() and sending.exception() is None and (late := sending.result()) is not None:
                await late.aclose()
            raise
        answer = sending.result()
        assert answer is not None  # nobody else cancels it
        return answer

    def _pass_over(self, endpoint: str) -> None:
        """Ask another endpoint from now on, unless somebody else has seen to that."""
        if endpoint == self.endpoints[0]:
            self.endpoints.append(self.endpoints.pop(0))

    def _unreachable(self, error: Exception) -> Unreachable:
        why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return Unreachable(why, unsent=isinstance(error, self._unsent))

    # ------------------------------------------------------------------ as a user

    async def _headers(self, endpoint: str) -> Mapping[str, str]:
        if self._user is None:
            return {}
        async with self._asking_token:
            if self._token is None:
                name, password = self._user
                body = {"name": name, "password": password}
                try:
                    answer = await self._send(self._client.build_request("POST", f"{endpoint}/v3/auth/authenticate", json=body))
                except self._errors as error:
                    raise Unreachable(self._unreachable(error).args[0], unsent=True) from error
                self._token = str(_checked(endpoint, answer.status_code, answer.content)["token"])
            return {"Authorization": self._token}

    def _has_run_out(self, answer: httpx.Response, headers: Mapping[str, str]) -> bool:
        """Return whether the server no longer takes this token, and so has done nothing; if so, forget it."""
        refused = answer.status_code == 401 or (answer.status_code == 400 and _OLD_TOKEN in answer.text)
        if refused and headers and self._token == headers["Authorization"]:
            self._token = None
        return refused and bool(headers)

    async def close(self) -> None:
        """End the connections."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING):
                await self._client.aclose()

    # ------------------------------------------------------------------ watching

    async def watch(self, body: Json) -> AsyncGenerator[Json, None]:
        """Give what a watch brings, until the connection is lost, which is raised as `Unreachable`."""
        endpoint = self.endpoints[0]
        headers = await self._headers(endpoint)
        url = f"{endpoint}/v3/watch"
        request = self._client.build_request("POST", url, json=body, headers=headers, timeout=self._watching)
        try:
            async with aclosing(await self._send(request, stream=True)) as answer:
                if answer.status_code != 200:
                    await answer.aread()
                    if self._has_run_out(answer, headers):
                        raise Unreachable("its token has run out")
                    _checked(endpoint, answer.status_code, answer.content)
                async for line in answer.aiter_lines():
                    if line:
                        yield _watched(line)
        except self._errors as error:
            raise self._unreachable(error) from error


def _certificates(access: Access) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=access.ca)
        if access.cert is not None:
            context.load_cert_chain(*access.cert)
    except OSError as error:  # also what ssl raises of a file that is no certificate
        raise UsageError(f"the certificates of ca= and cert= cannot be read: {error}") from error
    return context


def _checked(endpoint: str, status: int, content: bytes) -> Json:
    found = _decoded(content)
    if status == 200 and found is not None:
        return found
    why = "" if found is None else str(found.get("message") or found.get("error") or "")
    if "too many requests" in why:
        raise Unreachable(why, unsent=True)
    if status in _REFUSALS:
        if "space exceeded" in why:
            raise StoreFull(f"etcd at {endpoint} has no room: {why}")
        raise UsageError(f"etcd at {endpoint} refuses this ({status}): {why or 'is it an etcd of version 3.4 or newer?'}")
    raise Unreachable(f"it answered {status}{f': {why}' if why else ''}")


def _watched(line: str) -> Json:
    found = _decoded(line) or {}
    result = found.get("result")
    if not isinstance(result, dict):
        error = found.get("error")
        raise Unreachable(str(error.get("message") if isinstance(error, dict) else error or "the watch has failed"))
    if result.get("canceled"):  # also because what it should begin with is compacted: the newest is read first, then
        compacted = "the changes that it should begin with are compacted" if "compact_revision" in result else ""
        raise Unreachable(compacted or str(result.get("cancel_reason") or "the server has ended the watch"))
    return result


def _decoded(content: bytes | str) -> Json | None:
    from msgspec import DecodeError, json

    try:
        found = json.decode(content)
    except DecodeError:
        return None
    return found if isinstance(found, dict) else None
