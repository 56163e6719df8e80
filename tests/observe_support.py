"""A program with every kind of command, and an observer that keeps what it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import go_state as gs

E = TypeVar("E")

SECRET = "s3cret-0f-a-p3rson"


class Kept:
    """Keeps the events."""

    def __init__(self) -> None:
        self.events: list[gs.observe.Event] = []

    def on_event(self, event: gs.observe.Event) -> None:
        self.events.append(event)

    def of(self, *kinds: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kinds)]

    def names(self, without: Sequence[type] = ()) -> list[str]:
        return [type(event).__name__ for event in self.events if not isinstance(event, tuple(without))]


@dataclass(frozen=True)
class Model:
    text: str = SECRET
    count: int = 0


@dataclass(frozen=True)
class Add:
    by: int = 1
    text: str = SECRET


@dataclass(frozen=True)
class Fail:
    text: str = SECRET


@dataclass(frozen=True)
class Do:
    """Ask for commands: of the kinds that are named."""

    what: str
    text: str = SECRET


Msg = Add | Fail | Do


async def fetch(text: str) -> Add:
    return Add(1, text)


async def refuse(text: str) -> Add:
    raise LookupError(text)


def look_up(text: str) -> Add:
    raise LookupError(text)


def in_thread(text: str) -> Add:
    return Add(1, text)


def failed(failure: gs.Failure) -> Add:
    return Add(100, failure.text)


RETRY = gs.Retry(attempts=3, wait=1, jitter=0)

COMMANDS: dict[str, list[gs.Cmd[Any]]] = {
    "task": [gs.Cmd.call(fetch, SECRET)],
    "thread": [gs.Cmd.call(in_thread, SECRET, thread=True)],
    "err": [gs.Cmd.call(refuse, SECRET, err=failed)],
    "unhandled": [gs.Cmd.call(refuse, SECRET)],
    "retry": [gs.Cmd.call(look_up, SECRET, thread=True, retry=RETRY, err=failed)],
    "after": [gs.Cmd.after(5, Add(), key="timer")],
    "cancel": [gs.Cmd.cancel("timer")],
    "seq": [gs.Cmd.seq(gs.Cmd.call(fetch, SECRET), gs.Cmd.call(fetch, SECRET))],
}


def update(model: Model, msg: Msg) -> gs.Step[Model, Msg]:
    match msg:
        case Add(by, text):
            return replace(model, count=model.count + by, text=text), ()
        case Fail(text):
            raise LookupError(text)
        case Do(what):
            return model, COMMANDS[what]


program: gs.Program[Model, Msg] = gs.Program(lambda: (Model(), ()), update, name="shop")
