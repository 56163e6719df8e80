"""The inspector as an ASGI application: the routes of the API, the page's files, and the guard in front of both."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from inspect import isawaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from go_state.core.errors import MissingExtra, UsageError
from go_state.inspector.looking.filters import Filter
from go_state.inspector.looking.moment import FoldFails
from go_state.inspector.serving import streams
from go_state.inspector.serving.api import Api, Busy, Places, as_json, said
from go_state.inspector.serving.security import Asgi, Guard, Receive, Scope, Send
from go_state.inspector.trying.finding import Cancelled
from go_state.inspector.worlds.world import SomeSubject

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_PAGE = Path(__file__).parent.parent / "page"
_SEARCHES = 4  # that run at once
_LONGEST = 4 << 20  # bytes of a request
_IN_MEMORY = 4 << 20  # bytes of an export from which on it waits on disk
_PART = 1 << 16  # bytes of it that are sent at once


class Application:
    """The inspector of one world as an ASGI application. `token` is what the address has to have the first time.

    Made by `gs.inspector.asgi`.
    """

    def __init__(self, api: Api, token: str, hosts: frozenset[str]) -> None:
        self.token = token
        self._api = api
        self._places = Places(_SEARCHES)
        self._lookers = streams.Lookers()
        self._closing = threading.Event()
        self._app: Asgi = Guard(self._starlette(), token, hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._app(scope, receive, send)

    def close(self) -> None:
        """End what goes on: streams end, and what is made in the background stops."""
        self._closing.set()
        self._api.world.close()

    def _starlette(self) -> Asgi:
        try:
            from starlette.applications import Starlette
            from starlette.routing import Mount, Route
            from starlette.staticfiles import StaticFiles
        except ImportError:
            raise MissingExtra("inspector", "the inspector") from None

        gets: dict[str, Callable[[Request], object]] = {
            "/api/about": self._about, "/api/subjects": self._subjects, "/api/live": self._subjects_live, "/api/s/{id}": self._subject,
            "/api/s/{id}/strip": self._strip, "/api/s/{id}/rows": self._rows, "/api/s/{id}/turns": self._turns, "/api/s/{id}/at/{position}": self._at,
            "/api/s/{id}/tree/{position}": self._tree, "/api/s/{id}/message/{position}": self._message, "/api/s/{id}/find": self._find,
            "/api/s/{id}/export": self._export, "/api/s/{id}/live": self._live,
        }  # fmt: skip
        posts: dict[str, Callable[[Request], object]] = {"/api/s/{id}/what-if": self._what_if, "/api/s/{id}/fix": self._fix}
        routes: list[Any] = [Route(path, self._answering(endpoint), methods=["GET"]) for path, endpoint in gets.items()]
        routes += [Route(path, self._answering(endpoint), methods=["POST"]) for path, endpoint in posts.items()]
        routes += [Route("/api/{rest:path}", _unknown), Mount("/", StaticFiles(directory=_PAGE, html=True))]
        return Starlette(routes=routes)

    def _answering(self, endpoint: Callable[[Request], object]) -> Callable[[Request], Awaitable[object]]:
        """Return the endpoint, which answers also when it raises: what the user's program raises is no failure of this server."""
        from starlette.concurrency import run_in_threadpool

        async def answer(request: Request) -> object:
            try:
                found = await run_in_threadpool(endpoint, request)
                return await found if isawaitable(found) else found
            except Exception as error:
                return self._problem(error)

        return answer

    def _said(self, error: BaseException) -> str:
        return said(error, hidden=not self._api.world.redaction.is_empty)

    def _problem(self, error: Exception) -> Response:
        """Return what the page is told of an error."""
        if isinstance(error, _Unknown):
            return _json({"error": "This is not there, or not any more."}, 404)
        if isinstance(error, Busy):
            return _json({"error": f"{_SEARCHES} searches run already: end one first"}, 409)
        found = {"error": self._said(error), "position": error.position if isinstance(error, FoldFails) else None}
        return _json(found, 422 if isinstance(error, UsageError) else 409)

    # ------------------------------------------------------------------ questions: each runs in a thread of the server's pool

    def _about(self, request: Request) -> Response:
        return _json(self._api.about())

    def _subjects(self, request: Request) -> Response:
        query = request.query_params
        return _json(
            self._api.subjects(query.get("search", "")[:500], query.get("after", "")[:1000], _number(request, "limit", 100))
        )

    def _of(self, request: Request) -> SomeSubject:
        subject = self._api.world.find(request.path_params["id"])
        if subject is None:
            raise _Unknown
        return subject

    def _subject(self, request: Request) -> Response:
        return _json(self._api.subject(self._of(request)))

    def _strip(self, request: Request) -> Response:
        start, end = _optional(request, "from"), _optional(request, "to")
        return _json(self._api.strip(self._of(request), start, end, _number(request, "buckets", 600)))

    def _rows(self, request: Request) -> Response:
        query, subject = request.query_params, self._of(request)
        if "time" in query:
            return _json(self._api.row_at(subject, _float(request, "time")))
        wanted = Filter(
            query.get("type", "")[:200], query.get("text", "")[:1000], query.get("changed", "")[:1000], query.get("aside", "") not in ("", "0"),
            _float(request, "slower") if query.get("slower") else 0.0, query.get("key", "")[:1000],
        )  # fmt: skip
        backward = query.get("direction") == "backward"
        start, index = _optional(request, "from"), _optional(request, "index")
        return _json(self._api.rows(subject, wanted, start, index, _number(request, "count", 200), backward=backward))

    def _turns(self, request: Request) -> Response:
        return _json(self._api.turns(self._of(request), _number(request, "from", 0), _number(request, "count", 100)))

    def _at(self, request: Request) -> Response:
        newest = request.query_params.get("newest", "") not in ("", "0")
        return _json(self._api.at(self._of(request), _position(request), newest=newest))

    def _tree(self, request: Request) -> Response:
        query = request.query_params
        path, start, count = query.get("path", "[]")[:100_000], _number(request, "from", 0), _number(request, "count", 100)
        return _json(self._api.tree(self._of(request), _position(request), query.get("of", "after"), path, start, count))

    def _message(self, request: Request) -> Response:
        return _json(self._api.message(self._of(request), _position(request)))

    async def _what_if(self, request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

        given = await _body(request)
        until = given.get("until")
        if until is not None and type(until) is not int:
            raise UsageError("until is a position, or null")
        subject = await self._found(request)
        work = await run_in_threadpool(self._api.what_if, subject, given.get("edits"), until)
        return _events(streams.worked(self._places.taken(self._ending(work)), self._said))

    def _export(self, request: Request) -> Response:
        from starlette.responses import StreamingResponse

        query = request.query_params
        start, until = _optional(request, "from"), _optional(request, "until")
        kind, edits, fixed = query.get("as", ""), query.get("edits", ""), query.get("fixed", "") not in ("", "0")
        name, body = self._api.export(self._of(request), kind, edits, start, until, fixed=fixed)
        head = {"content-disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(_all_made(body, self._closing.is_set), media_type="application/octet-stream", headers=head)

    # ------------------------------------------------------------------ what goes on

    async def _found(self, request: Request) -> SomeSubject:
        from starlette.concurrency import run_in_threadpool

        return await run_in_threadpool(self._of, request)

    async def _find(self, request: Request) -> Response:
        subject = await self._found(request)
        work = self._api.find(subject, request.query_params.get("where", ""), _number(request, "from", 0))
        return _events(streams.worked(self._places.taken(self._ending(work)), self._said))

    async def _fix(self, request: Request) -> Response:
        start = (await _body(request)).get("from")
        if start is not None and type(start) is not int:
            raise UsageError("from is a position, or null")
        subject = await self._found(request)
        return _events(streams.worked(self._places.taken(self._ending(self._api.fix(subject, start))), self._said))

    def _ending(self, work: Callable[[streams.Tell], None]) -> Callable[[streams.Tell], None]:
        """Return the work, which ends when the server does."""

        def ending(tell: streams.Tell) -> None:
            def told(kind: str, data: object) -> None:
                if self._closing.is_set():
                    raise Cancelled
                tell(kind, data)

            work(told)

        return ending

    async def _live(self, request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool as aside

        subject = await self._found(request)
        events = streams.live(self._api.world, subject, self._closing.is_set, aside, self._lookers)
        return _events(streams.told(events, self._said))

    async def _subjects_live(self, request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool as aside

        world = self._api.world
        events = streams.subjects(world, self._closing.is_set, lambda subject: as_json(world.summary(subject)), aside)
        return _events(streams.told(events, self._said))


class _Unknown(Exception):
    """There is nothing under this address."""


async def _unknown(request: Request) -> Response:
    return _json({"error": "there is nothing here"}, 404)


def _json(found: object, status: int = 200) -> Response:
    import orjson
    from starlette.responses import Response

    return Response(orjson.dumps(found, option=orjson.OPT_NON_STR_KEYS), status, media_type="application/json")


def _all_made(lines: Iterable[bytes], is_closing: Callable[[], bool]) -> Iterator[bytes]:
    """Make all of the lines, and return what gives them: what fails on the way is an answer then, and not half a file."""
    parts = _made(lines, is_closing)
    next(parts)
    return parts


def _made(lines: Iterable[bytes], is_closing: Callable[[], bool]) -> Iterator[bytes]:
    import tempfile

    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as made:
        for line in lines:
            if is_closing():
                raise Cancelled
            made.write(line)
        made.seek(0)
        yield b""
        while part := made.read(_PART):
            yield part


def _events(events: AsyncIterator[bytes]) -> Response:
    from starlette.responses import StreamingResponse

    return StreamingResponse(events, media_type="text/event-stream")


async def _body(request: Request) -> dict[str, object]:
    """Return the JSON object of a request."""
    import json

    data = b""
    async for part in request.stream():
        data += part
        if len(data) > _LONGEST:
            raise UsageError("the request is too long")
    try:
        found = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        raise UsageError("the request is no JSON") from None
    if not isinstance(found, dict):
        raise UsageError("the request is a JSON object")
    return found


def _position(request: Request) -> int:
    return _whole(request.path_params["position"], "position")


def _whole(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise UsageError(f"{name} is a whole number from 0")
    return int(text)


def _optional(request: Request, name: str) -> int | None:
    text = request.query_params.get(name, "")
    return _whole(text, name) if text else None


def _number(request: Request, name: str, otherwise: int) -> int:
    found = _optional(request, name)
    return otherwise if found is None else found


def _float(request: Request, name: str) -> float:
    import math

    try:
        found = float(request.query_params.get(name, ""))
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise UsageError(f"{name} is a number")
    return found
