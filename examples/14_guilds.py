"""A bot in thousands of guilds: one program a guild, at rest when nobody speaks, woken by its reminders, through restarts."""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from immutables import Map

import go_state as gs


@dataclass(frozen=True)
class Remind:
    who: str
    text: str
    after: float


@dataclass(frozen=True)
class Due:
    number: int


Msg: TypeAlias = Remind | Due


@dataclass(frozen=True)
class Reminder:
    who: str
    text: str
    at: float


@dataclass(frozen=True)
class Guild:
    name: str
    given: int = 0
    reminders: Map[int, Reminder] = field(default_factory=Map)


class Env:
    """Where the bot speaks; in earnest a client of the chat."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self._more = threading.Condition()

    def say(self, guild: str, text: str) -> None:
        with self._more:
            self.said.append(f"{guild}: {text}")
            self._more.notify_all()

    def wait_for(self, number: int) -> None:
        with self._more:
            assert self._more.wait_for(lambda: len(self.said) >= number, timeout=60)


def say(guild: str, text: str) -> None:
    gs.env(Env).say(guild, text)


def init(name: str) -> gs.Step[Guild, Msg]:
    return Guild(name), ()


def update(model: Guild, msg: Msg, turn: gs.Turn) -> gs.Step[Guild, Msg]:
    match msg:
        case Remind(who, text, after):
            reminder = Reminder(who, text, turn.at + after)
            return replace(model, given=model.given + 1, reminders=model.reminders.set(model.given, reminder)), ()
        case Due(number):
            due = model.reminders.get(number)
            if due is None:
                return model, ()
            rest = model.reminders.delete(number)
            return replace(model, reminders=rest), [gs.Cmd.call(say, model.name, f"{due.who}, {due.text}")]


def subscriptions(model: Guild) -> list[gs.Sub[Msg]]:
    return [gs.Sub.each(model.reminders, lambda number, reminder: gs.Sub.at(reminder.at, Due(number)))]


bot = gs.Program(init, update, subscriptions=subscriptions, name="guild")


def main(path: Path, guilds: int = 200) -> None:
    env = Env()
    with gs.LMDBStore(path) as store:
        with gs.start_keyed(bot, store=store, prefix="guild/", limit=50, env=env) as running:  # 50 in memory at most
            for number in range(guilds):
                running[f"g{number}"].send(Remind("ann", "the tea is ready", after=2.0))
        # A new process: nobody speaks, and each guild is woken when its reminder is due.
        with gs.start_keyed(bot, store=store, prefix="guild/", limit=50, env=env):
            env.wait_for(guilds)
        print("told in all:", len(env.said), "once each:", len(set(env.said)) == guilds)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name, "bot.lmdb"))
