"""The server of the chat: a page, and a websocket for each client. Every channel is a program of its own.

A client says {"type": "join", "channel": ..., "user": ..., "after": 0} first, then {"type": "say", "text": ...} or {"type": "leave"}.
It is told {"type": "joined"}, {"type": "lines", "lines": [...]}, {"type": "users", "users": [...]}, {"type": "refused", "why": ...}.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

import go_state as gs

from .channel import Channel, Join, Leave, Msg, Refused, Say, change_log, channel

LONGEST_FRAME = 16 * 1024  # bytes of what a client may send at once
LONGEST_CHANNEL = 60
SLOW_SECONDS = 20.0  # a client that takes nothing for so long is let go
TOGETHER_SECONDS = 0.05  # what is said within so long is told together
PAGE = Path(__file__).parent / "page.html"

Channels = gs.KeyedApps[Channel, Msg]


class Client:
    """One connection: what it sends goes into its channel, what the channel makes of it comes back, each in its own time."""

    def __init__(self, socket: WebSocket, channels: Channels, server: str) -> None:
        self._socket = socket
        self._channels = channels
        self._session = f"{server}:{uuid4().hex}"
        self._writing = asyncio.Lock()  # two tasks write, and a socket takes one message at a time
        self._room: gs.app.KeyedApp[Channel, Msg] | None = None
        self._user = ""
        self._following: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        await self._socket.accept()
        try:
            while True:
                await self._hear(await self._socket.receive_text())
        except (WebSocketDisconnect, RuntimeError):
            pass  # it is gone, whether it has said so or not
        finally:
            await self._leave()

    async def _hear(self, frame: str) -> None:
        try:
            said = json.loads(frame) if len(frame.encode("utf-8", "replace")) <= LONGEST_FRAME else None
        except ValueError:
            said = None
        match said:
            case {"type": "join", "channel": str(name), "user": str(user), **rest}:
                await self._join(name, user, rest.get("after", 0))
            case {"type": "say", "text": str(text)} if self._room is not None:
                await self._answered(await self._room.ask_async(Say(self._user, self._session, text)))
            case {"type": "say"}:
                await self._tell({"type": "refused", "why": "join a channel first"})
            case {"type": "leave"}:
                await self._leave()
                await self._tell({"type": "left"})
            case _:
                await self._tell({"type": "refused", "why": "that was not understood"})

    async def _join(self, name: str, user: str, after: object) -> None:
        if self._room is not None:
            await self._tell({"type": "refused", "why": f"this connection is {self._user} already: leave first"})
            return
        if not 0 < len(name) <= LONGEST_CHANNEL or not name.isprintable():
            await self._tell({"type": "refused", "why": f"a channel's name has 1 to {LONGEST_CHANNEL} visible characters"})
            return
        room = self._channels[name]
        if await self._answered(await room.ask_async(Join(user, self._session))):
            self._room, self._user = room, user
            await self._tell({"type": "joined", "channel": name, "user": user})
            self._following = asyncio.create_task(self._follow(room, after if isinstance(after, int) else 0))

    async def _answered(self, answer: object) -> bool:
        if isinstance(answer, Refused):
            await self._tell({"type": "refused", "why": answer.why})
        return not isinstance(answer, Refused)

    async def _follow(self, room: gs.app.KeyedApp[Channel, Msg], told: int) -> None:
        """Tell the client what it has not been told, whenever it has time to hear it: a slow one holds up nobody."""
        users: list[str] = []
        with contextlib.suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            async for model in room.watch(every=TOGETHER_SECONDS):
                if sorted(model.users) != users:
                    users = sorted(model.users)
                    await self._tell({"type": "users", "users": users})
                new = [line for line in model.lines if line.number > told]
                if new:
                    told = new[-1].number
                    lines = [{"number": n.number, "at": n.at, "who": n.who, "text": n.text} for n in new]
                    await self._tell({"type": "lines", "lines": lines})
            return
        await self._socket.close(code=1013)  # "try again later": it was too slow

    async def _tell(self, what: dict[str, Any]) -> None:
        async with self._writing, asyncio.timeout(SLOW_SECONDS):
            await self._socket.send_text(json.dumps(what))

    async def _leave(self) -> None:
        room, self._room = self._room, None
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait({self._following})
        if room is not None:
            with contextlib.suppress(gs.Closed):  # the server ends, and nobody is here any more
                room.send(Leave(self._session))


def make_app(store: gs.LMDBStore | None = None) -> Starlette:
    """Return the server; with a store its channels outlive it."""
    server = uuid4().hex

    @contextlib.asynccontextmanager
    async def running(app: Starlette) -> AsyncIterator[None]:
        async with gs.start_keyed_async(channel, store=store, prefix="channel/" if store else "", idle=600) as channels:
            app.state.channels = channels
            yield

    async def page(request: Request) -> Response:
        return FileResponse(PAGE)

    async def connect(socket: WebSocket) -> None:
        await Client(socket, app.state.channels, server).serve()

    async def log(request: Request) -> Response:
        change_log.on = request.query_params.get("on", "true") == "true"
        return JSONResponse({"on": change_log.on})

    async def health(request: Request) -> Response:
        return JSONResponse({"channels": len(app.state.channels)})

    app = Starlette(
        routes=[
            Route("/", page),
            Route("/log", log, methods=["POST"]),
            Route("/health", health),
            WebSocketRoute("/chat", connect),
        ],
        lifespan=running,
    )
    return app


logging.getLogger("chatterbox").addHandler(logging.StreamHandler())
logging.getLogger("chatterbox").setLevel(logging.INFO)
