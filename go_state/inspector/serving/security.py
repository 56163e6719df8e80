"""Who may ask: with the token, from this page, by a name that is ours. In front of everything else.

A page of another origin is refused by `Origin` and `Sec-Fetch-Site`, a host name that was rebound to this machine by `Host`, and a
request without the token by that. The token comes once in the address, as with notebooks, and is a cookie from then on.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import parse_qs

Scope: TypeAlias = MutableMapping[str, Any]  # as ASGI has them
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, object]]]
Send: TypeAlias = Callable[[MutableMapping[str, object]], Awaitable[None]]
Asgi: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""The names of this machine that only itself has."""


class Guard:
    """Lets through what may be asked. `hosts` are the names by which it may be called, all if there are none."""

    def __init__(self, app: Asgi, token: str, hosts: Iterable[str]) -> None:
        self._app = app
        self._token = token
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if not self._is_ours(headers):
            await _refuse(send, headers, 403, "This address is refused: open the one that the inspector has printed.")
            return
        if not _is_own_page(scope, headers):
            await _refuse(
                send, headers, 403, "Requests of other pages are refused: open the address that the inspector has printed."
            )
            return
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token")
        place = _place(scope)
        if given is not None and place == "/" and scope["method"] in ("GET", "HEAD"):
            await self._enter(scope, send, headers, given[0])
        elif place.startswith("/api/") and not self._knows(headers):
            await _answer(send, 401, "The address has no valid token: open the one that the inspector has printed.")
        else:
            await self._app(scope, receive, _with_headers(send))

    def _is_ours(self, headers: Mapping[str, str]) -> bool:
        host = headers.get("host", "").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        return not self._hosts or name in self._hosts

    def _knows(self, headers: Mapping[str, str]) -> bool:
        for part in headers.get("cookie", "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == _cookie(headers) and hmac.compare_digest(value.encode(), self._token.encode()):
                return True
        return False

    async def _enter(self, scope: Scope, send: Send, headers: Mapping[str, str], token: str) -> None:
        """Take the token out of the address and make it a cookie."""
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            await _refuse(
                send, headers, 401, "The token in the address is not valid: open the address that the inspector has printed."
            )
            return
        root = scope.get("root_path", "")
        secure = "; Secure" if scope.get("scheme") == "https" else ""
        cookie = f"{_cookie(headers)}={self._token}; Path={root}/; HttpOnly; SameSite=Strict{secure}"
        await _answer(send, 303, "", {"location": f"{root}/", "set-cookie": cookie})


def _is_own_page(scope: Scope, headers: Mapping[str, str]) -> bool:
    """Return whether a request comes from the page itself, or from whoever has typed the address."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is not None and origin.lower().partition("://")[2] != headers.get("host", "").lower():
        return False
    if scope["method"] not in ("GET", "HEAD"):
        return origin is not None
    is_entered = (
        headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document" and _place(scope) == "/"
    )
    return site in (None, "same-origin", "none") or is_entered


def _place(scope: Scope) -> str:
    """Return the path below where the inspector is mounted."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return (path.removeprefix(root) if root else path) or "/"


def _cookie(headers: Mapping[str, str]) -> str:
    """Return the cookie's name: cookies know no ports, and there may be several inspectors on one machine."""
    port = headers.get("host", "").rpartition(":")[2]
    return f"go_state_inspector_{port if port.isdigit() else 80}"


_REFUSED = """<!doctype html>
<html lang="en"><head><meta charset="utf-8" /><title>go_state inspector</title><meta name="viewport" content="width=device-width" />
<meta name="color-scheme" content="light dark" /><link rel="icon" href="icon.svg" /><link rel="stylesheet" href="style.css" /></head>
<body><main class="card"><img src="icon.svg" alt="" width="32" height="32" /><h1>The inspector</h1><p>{}</p></main></body></html>
"""


async def _refuse(send: Send, headers: Mapping[str, str], status: int, text: str) -> None:
    """Answer why not: as a page to whoever has opened an address in a browser, and else as the API does."""
    if headers.get("sec-fetch-mode") == "navigate":
        await _send(send, status, b"text/html; charset=utf-8", _REFUSED.format(text).encode())
    else:
        await _answer(send, status, text)


async def _answer(send: Send, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
    import json

    await _send(send, status, b"application/json", b"" if not text else json.dumps({"error": text}).encode(), headers)


async def _send(send: Send, status: int, kind: bytes, body: bytes, headers: Mapping[str, str] | None = None) -> None:
    own = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    sending = _with_headers(send)
    await sending({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind), *own]})
    await sending({"type": "http.response.body", "body": body})


def _with_headers(send: Send) -> Send:
    """Return what sends an answer with the headers that all of them have."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            own = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
            message["headers"] = [*[each for each in message["headers"] if each[0].decode().lower() not in _HEADERS], *own]
        await send(message)

    return sending
