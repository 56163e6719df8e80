"""The protocol: HTTP in, changes and readings of the map out. An ASGI application."""

from __future__ import annotations

import asyncio
import base64
import heapq
import hmac
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

import go_state as gs

from .bodies import Bodies, TooLarge
from .openapi import description
from .program import ANY, Condition, Delete, Entry, Put, Refused
from .service import Service, Unavailable

PREFIX = "/v1/"
LARGE_AT_ONCE = 64  # values that come at the same time, of those that are not small
HEARTBEAT_SECONDS = 15.0  # between two signs of life to one who watches a key that does not change
RETRY_SECONDS = 1
_TAG = re.compile(r'[\s,]*(W/)?"([^"]*)"\s*(?:,[\s,]*|$)')  # elements of a list may be empty


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a key and a value may be, in bytes, how long a body may take, in seconds, and how many keys a listing has."""

    key: int = 1024
    value: int = 1 << 20
    body_seconds: float = 30.0
    listed: int = 1000


class Problem(Exception):
    """An answer that says what is wrong with a request."""

    def __init__(self, status: int, text: str, **headers: str) -> None:
        super().__init__(text)
        self.response = PlainTextResponse(
            f"{text}\n", status, {name.replace("_", "-"): value for name, value in headers.items()}
        )


def make_app(service: Service, *, token: str = "", limits: Limits = Limits()) -> Callable[..., Awaitable[None]]:
    """Return the application; while it runs the service does. With a `token` requests for keys have to bear it."""
    keys, registry = Keys(service, token, limits), CollectorRegistry()
    requests = Counter("kv_requests", "Requests for keys.", ["method", "status"], registry=registry)
    Gauge("kv_keys", "Keys in the map.", registry=registry).set_function(lambda: len(service.entries.by_key))
    Gauge("kv_value_bytes", "Bytes of all values.", registry=registry).set_function(lambda: service.entries.value_bytes)
    Gauge("kv_watchers", "Requests that watch a key.", registry=registry).set_function(lambda: service.watchers)
    Gauge("kv_queue", "Changes that wait for their turn.", registry=registry).set_function(
        lambda: service.app.statistics().queue_size
    )
    Gauge("kv_version", "The version of the newest model.", registry=registry).set_function(lambda: service.app.version)

    async def health(request: Request) -> Response:
        try:
            return JSONResponse({"state": service.app.state, "keys": len(service.entries.by_key)})
        except Unavailable as error:
            return JSONResponse({"state": "unavailable", "why": str(error)}, 503)

    async def metrics(request: Request) -> Response:
        try:
            return Response(generate_latest(registry), media_type="text/plain; version=0.0.4; charset=utf-8")
        except Unavailable as error:
            return PlainTextResponse(f"{error}\n", 503)

    async def openapi(request: Request) -> Response:
        return JSONResponse(description(limits, secured=bool(token)))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with service:
            yield

    routes = [Route("/health", health), Route("/metrics", metrics), Route("/openapi.json", openapi)]
    others = Starlette(routes=routes, lifespan=lifespan)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        # Not a route: patterns of paths know no newline, and a key may be anything.
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await others(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await keys.answer(request)
        except Problem as problem:
            response = problem.response
        except Unavailable as error:
            response = PlainTextResponse(f"not available now: {error}\n", 503, {"Retry-After": str(RETRY_SECONDS)})
        except ClientDisconnect:
            return  # nothing of it was done, and nobody is there to hear so
        requests.labels(request.method if request.method in METHODS else "other", response.status_code).inc()
        await response(scope, receive, send)

    return app


METHODS = ("GET", "HEAD", "PUT", "DELETE")


class Keys:
    """What is answered to requests for keys."""

    def __init__(self, service: Service, token: str, limits: Limits) -> None:
        self._service = service
        self._token = token.encode()
        self._limits = limits
        self._bodies = Bodies(limits.value, limits.body_seconds, LARGE_AT_ONCE)

    async def answer(self, request: Request) -> Response:
        """Answer a request."""
        if request.method not in METHODS:
            raise Problem(405, "Not Allowed", Allow=", ".join(METHODS))
        self._check_token(request)
        key = self._key(request)
        match request.method:
            case "GET" | "HEAD" if not key:
                return await self._list(request)
            case _ if not key:
                raise Problem(400, f"the key is empty: {request.method} {PREFIX}some-key")
            case "PUT":
                condition = condition_of(request)
                return await self._change(Put(key, await self._body(request), condition))
            case "DELETE":
                return await self._change(Delete(key, condition_of(request)))
            case _ if "watch" in request.query_params:
                return self._watch(key, request.method)
            case _:
                return self._get(key, request)

    def _check_token(self, request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if self._token and not (scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token)):
            raise Problem(401, "this service asks for a bearer token", WWW_Authenticate="Bearer")

    def _key(self, request: Request) -> str:
        """Return what follows the prefix, percent-decoded once, whatever characters it has."""
        raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
        try:
            key = unquote_to_bytes(raw.split(b"?", 1)[0])[len(PREFIX) :].decode()
        except UnicodeDecodeError:
            raise Problem(400, "the key is not UTF-8 once its percent signs are decoded") from None
        if len(key.encode()) > self._limits.key:
            raise Problem(400, f"the key has {len(key.encode())} bytes, and at most {self._limits.key} are kept")
        return key

    # ------------------------------------------------------------------ reading

    def _get(self, key: str, request: Request) -> Response:
        entry = self._service.entries.by_key.get(key)
        condition = condition_of(request)
        if condition.match is not None and not Condition(match=condition.match).holds(entry):
            raise Problem(412, "the key has another version", **tagged(entry))
        if entry is None:
            raise Problem(404, "no such key")
        if not condition.holds(entry):
            return Response(status_code=304, headers=tagged(entry))
        headers = tagged(entry)
        if request.method == "HEAD":
            return Response(
                b"", headers=headers | {"Content-Length": str(len(entry.value))}, media_type="application/octet-stream"
            )
        return Response(entry.value, headers=headers, media_type="application/octet-stream")

    async def _list(self, request: Request) -> Response:
        """List the keys with a prefix, in order, so many after a key."""
        query, most = request.query_params, self._limits.listed
        prefix, after, limit = query.get("prefix", ""), query.get("after", ""), query.get("limit", str(most))
        if not re.fullmatch(r"[0-9]{1,9}", limit):
            raise Problem(400, f"limit is a number of keys, up to {most}")
        count = min(int(limit), most)
        found = await asyncio.to_thread(
            listed, self._service.entries.by_key, prefix, after, count + 1
        )  # of one moment of the map
        return JSONResponse({"keys": found[:count], "more": len(found) > count})

    def _watch(self, key: str, method: str) -> Response:
        self._service.entries  # noqa: B018  - unavailable now, and not in the middle of the answer
        how: Any = {"media_type": "text/event-stream", "headers": {"Cache-Control": "no-store"}}
        if method == "HEAD":
            return StreamingResponse(_nothing(), **how)  # the answer ends, unlike that of a GET
        return StreamingResponse(self._events(key), **how)

    async def _events(self, key: str) -> AsyncIterator[bytes]:
        """Give the key's entry, and then each newest one: who reads slowly gets fewer of them."""
        with suppress(Unavailable), self._service.watch(key) as watcher:
            while True:
                try:
                    yield event_of(await watcher.get_async(timeout=HEARTBEAT_SECONDS))
                except gs.TimedOut:
                    yield b": still here\n\n"
                except gs.Closed:
                    return

    # ------------------------------------------------------------------ changing

    async def _body(self, request: Request) -> bytes:
        """Read the value, no more of it than it may have, and not for longer than it may take."""
        most, declared = self._limits.value, request.headers.get("content-length", "")
        too_large = Problem(413, f"the value has more than {most} bytes", Connection="close")
        if declared.isdigit() and int(declared) > most:
            raise too_large
        try:
            return await self._bodies.read(request.stream())
        except TooLarge:
            raise too_large from None
        except TimeoutError:
            raise Problem(408, "the value did not come in time", Connection="close") from None

    async def _change(self, msg: Put | Delete) -> Response:
        done = await self._service.change(msg)
        if isinstance(done, Refused):
            tag = {} if done.version is None else {"ETag": f'"{done.version}"'}
            raise Problem(412, "the key has another version" if done.version else "no such key", **tag)
        if isinstance(msg, Delete):
            return Response(status_code=204)
        return Response(status_code=201 if done.created else 204, headers={"ETag": f'"{done.version}"'})


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield


def condition_of(request: Request) -> Condition:
    """Return what If-Match and If-None-Match ask for. A tag that no version has is like one of a version that is gone."""
    return Condition(
        _versions(request.headers.getlist("if-match"), weak=False),
        _versions(request.headers.getlist("if-none-match"), weak=True),
    )


def _versions(headers: list[str], *, weak: bool) -> tuple[int, ...] | None:
    if not headers:
        return None
    given = ",".join(headers).strip(" \t,")
    if given == "*":
        return (ANY,)
    tags, end = [], 0
    while end < len(given):
        found = _TAG.match(given, end)
        if found is None:
            raise Problem(400, 'If-Match and If-None-Match are tags in quotation marks, such as "7", or *')
        if found[2].isascii() and found[2].isdigit() and found[2][0] != "0" and len(found[2]) < 19 and (weak or not found[1]):
            tags.append(int(found[2]))
        end = found.end()
    return tuple(tags)


def tagged(entry: Entry | None) -> dict[str, str]:
    """Return the header that says an entry's version."""
    return {} if entry is None else {"ETag": f'"{entry.version}"'}


def listed(by_key: Any, prefix: str, after: str, count: int) -> list[str]:
    """Return the first so many keys with the prefix after a key, in order."""
    return heapq.nsmallest(count, (key for key in by_key if key.startswith(prefix) and (not after or key > after)))


def event_of(entry: Entry | None) -> bytes:
    """Return a server-sent event: `put` with a version and a value, as text or else in base64, or `delete`."""
    if entry is None:
        return b"event: delete\ndata: {}\n\n"
    try:
        value = {"value": entry.value.decode()}
    except UnicodeDecodeError:
        value = {"base64": base64.b64encode(entry.value).decode()}
    data = json.dumps({"version": entry.version} | value)
    return f"event: put\nid: {entry.version}\ndata: {data}\n\n".encode()
