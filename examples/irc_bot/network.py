"""One IRC connection, by the library irc: what happens on it, and a way to say something that knows when it was taken."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from itertools import count
from typing import Any

from irc.client import Event, IRCError
from irc.client_aio import AioConnection, AioReactor
from irc.connection import AioFactory
from jaraco.stream.buffer import LenientDecodingLineBuffer

from examples.irc_bot.bot import Heard, Joined

QUIET_SECONDS = 60.0  # after which the server is asked whether it is still there, and after twice as long it is not


class Irc:
    """A server, a nick, and the channels to be in."""

    def __init__(
        self, host: str, port: int, nick: str, channels: Sequence[str], *, tls: bool = False, password: str = ""
    ) -> None:
        self._address = host, port
        self._nick = nick
        self._channels = list(channels)
        self._tls = tls
        self._password = password
        self._connection: AioConnection | None = None  # while the bot is in its channels
        self._tokens = count(1)
        self._taken: dict[str, asyncio.Future[None]] = {}  # by the token of the PING that follows a line

    async def events(self) -> AsyncIterator[Heard | Joined]:
        """Connect, join, and give what is said, until the connection is lost; then raise `OSError`."""
        events: asyncio.Queue[Event] = asyncio.Queue()
        reactor = AioReactor(loop=asyncio.get_running_loop())
        reactor.add_global_handler("all_events", lambda _, event: events.put_nowait(event))
        connection: Any = reactor.server()  # the library has no types
        connection.buffer_class = LenientDecodingLineBuffer  # not everybody speaks UTF-8
        factory: Any = (
            AioFactory(ssl=ssl.create_default_context(), server_hostname=self._address[0]) if self._tls else AioFactory()
        )
        await connection.connect(*self._address, self._nick, self._password or None, connect_factory=factory)
        missing = {channel.lower() for channel in self._channels}
        try:
            while True:
                event = await self._next(events, connection)
                match event.type:
                    case "welcome":
                        for channel in self._channels:
                            connection.join(channel)
                    case "nicknameinuse":
                        connection.nick(f"{self._nick}{next(self._tokens)}")
                    case "join" if event.source.nick == connection.get_nickname() and event.target.lower() in missing:
                        missing.remove(event.target.lower())
                        if not missing:
                            self._connection = connection
                            yield Joined()
                    case "pubmsg":
                        yield Heard(event.target, event.source.nick, event.arguments[0])
                    case "privmsg":
                        yield Heard(event.source.nick, event.source.nick, event.arguments[0])
                    case "pong":
                        self._was_taken(event.arguments[-1] if event.arguments else "")
                    case "disconnect":
                        raise ConnectionError("the server has hung up")
                    case "error":
                        raise ConnectionError(event.target)
        except IRCError as error:
            raise ConnectionError(str(error)) from error
        finally:
            self._connection = None
            for future in self._taken.values():
                future.cancel()
            self._taken.clear()
            connection.disconnect()

    @staticmethod
    async def _next(events: asyncio.Queue[Event], connection: AioConnection) -> Event:
        for quiet in (False, True):
            try:
                async with asyncio.timeout(QUIET_SECONDS):  # unlike wait_for in Python 3.11 it never swallows a cancel
                    return await events.get()
            except TimeoutError:
                if not quiet:
                    connection.ping("still-there")
        raise ConnectionError("nothing was heard from the server")

    def _was_taken(self, token: str) -> None:
        future = self._taken.pop(token, None)
        if future is not None and not future.done():
            future.set_result(None)

    async def say(self, target: str, text: str) -> None:
        """Say it, and return when the server has taken it: it answers a PING after the lines that came before."""
        connection = self._connection
        if connection is None:
            raise ConnectionError("not connected")
        token = f"said-{next(self._tokens)}"
        taken = self._taken[token] = asyncio.get_running_loop().create_future()
        try:
            connection.privmsg(target, text)
            connection.ping(token)
            await asyncio.shield(taken)
        except asyncio.CancelledError:
            if taken.cancelled():
                raise ConnectionError("the connection was lost before the line was taken") from None
            raise
        except IRCError as error:
            raise ConnectionError(str(error)) from error
        finally:
            self._taken.pop(token, None)
