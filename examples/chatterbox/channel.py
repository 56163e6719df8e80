"""The channel of a chat: who is here, and what was said lately. A program that knows nothing of sockets."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TypeAlias

import go_state as gs

LONGEST_TEXT = 500  # characters
LONGEST_NAME = 30
KEPT_SECONDS = 3600.0
KEPT_LINES = 500


@dataclass(frozen=True, slots=True)
class Join:
    user: str
    session: str  # "server:connection", so that a late goodbye of an old connection does not remove who has come back


@dataclass(frozen=True, slots=True)
class Say:
    user: str
    session: str
    text: str


@dataclass(frozen=True, slots=True)
class Leave:
    session: str


Msg: TypeAlias = Join | Say | Leave


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    at: float
    who: str  # empty for what the channel says itself
    text: str


@dataclass(frozen=True, slots=True)
class Channel:
    name: str
    users: dict[str, str]  # session by name
    lines: tuple[Line, ...] = ()
    next_number: int = 1


@dataclass(frozen=True, slots=True)
class Welcome:
    """The answer to what was done."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The answer to what was not, and why."""

    why: str


def init(name: str) -> gs.Step[Channel, Msg]:
    return Channel(name, {}), ()


def update(model: Channel, msg: Msg, turn: gs.Turn) -> gs.Step[Channel, Msg]:
    match msg:
        case Join(user, session):
            model = replace(model, users={u: s for u, s in model.users.items() if server_of(s) == server_of(session)})
            if why := wrong_name(model, user):
                return refused(model, why)
            here = replace(model, users={**model.users, user: session})
            return with_line(here, turn.at, "", f"{user} is here"), [gs.Cmd.reply(Welcome())]
        case Say(user, session, text):
            if model.users.get(user) != session:
                return refused(model, "join the channel first")
            if not text.strip():
                return refused(model, "say something")
            if len(text) > LONGEST_TEXT:
                return refused(model, f"that has {len(text)} characters, and at most {LONGEST_TEXT} are sent")
            return with_line(model, turn.at, user, text), [gs.Cmd.reply(Welcome())]
        case Leave(session):
            gone = [user for user, of in model.users.items() if of == session]
            if not gone:
                return model, ()
            left = {user: of for user, of in model.users.items() if of != session}
            return with_line(replace(model, users=left), turn.at, "", f"{gone[0]} has left"), ()


def wrong_name(model: Channel, user: str) -> str:
    if not user.strip() or user != user.strip() or not user.isprintable():
        return "a name has visible characters, and no blanks around them"
    if len(user) > LONGEST_NAME:
        return f"a name has at most {LONGEST_NAME} characters"
    return f"the name {user} is taken in this channel" if user in model.users else ""


def server_of(session: str) -> str:
    """Return which run of the server a connection belongs to: those of an earlier one are gone, whatever it could still say."""
    return session.partition(":")[0]


def refused(model: Channel, why: str) -> gs.Step[Channel, Msg]:
    return model, [gs.Cmd.reply(Refused(why))]


def with_line(model: Channel, at: float, who: str, text: str) -> Channel:
    lines = (*model.lines, Line(model.next_number, at, who, text))[-KEPT_LINES:]
    return replace(model, lines=lines, next_number=model.next_number + 1)


change_log = gs.middleware.ChangeLog(logging.getLogger("chatterbox").info, on=False)
channel: gs.Program[Channel, Msg] = gs.Program(
    init,
    update,
    name="channel",
    middleware=[gs.middleware.expire("lines", KEPT_SECONDS, at=lambda line: line.at), change_log],
)
