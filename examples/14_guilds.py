"""A bot in 2,000 guilds: a program for each, killed with its reminders still to come and started again; each reminder is given once.

`python examples/14_guilds.py` shows it: the bot runs in a process of its own, so that it can be killed (SIGKILL).
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import go_state as gs

GUILDS, REMINDED = 2000, 200  # programs, and those of them that have a reminder to come


@dataclass(frozen=True)
class Guild:
    name: str
    said: int = 0
    remind_at: tuple[tuple[float, str], ...] = ()  # when, in seconds since 1970, and of what


@dataclass(frozen=True)
class Heard:
    text: str


@dataclass(frozen=True)
class Due:
    at: float
    text: str


Msg: TypeAlias = Heard | Due


def update(model: Guild, msg: Msg, turn: gs.Turn) -> gs.Step[Guild, Msg]:
    match msg:
        case Heard(text) if text.startswith("!remind "):
            _, seconds, what = text.split(" ", 2)
            return replace(model, remind_at=(*model.remind_at, (turn.at + float(seconds), what))), ()
        case Heard():
            return replace(model, said=model.said + 1), ()
        case Due(at, text):
            left = tuple(each for each in model.remind_at if each != (at, text))
            return replace(model, remind_at=left), [gs.Cmd.call(say, model.name, text)]


def timers(model: Guild) -> list[gs.Sub[Msg]]:
    """The due times are in the model: a guild at rest is woken by them, and so is one that nobody has used since a crash."""
    return [gs.Sub.at(at, Due(at, text), key=f"{at}/{text}") for at, text in model.remind_at]


class Chat:
    """What the bot talks to. It knows by `gs.effect_id()` what it was told before: a call that a kill has met is repeated."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told = set(path.read_text().splitlines()) if path.exists() else set[str]()
        self.has_all = asyncio.Event()

    def tell(self, line: str) -> None:
        self.told.add(line)
        with self.path.open("a") as file:
            file.write(line + "\n")
        if len(self.told) == REMINDED:
            self.has_all.set()


def say(guild: str, text: str) -> None:
    gs.env(Chat).tell(f"{gs.effect_id()} {guild}: {text}")


guild: gs.Program[Guild, Msg] = gs.Program(lambda name: (Guild(name), ()), update, subscriptions=timers, name="guild")


async def bot(folder: Path, *, begins: bool) -> None:
    """Run the bot; in its first life people talk in every guild, and in some of them ask to be reminded."""
    chat = Chat(folder / "said.txt")
    with gs.LMDBStore(folder / "guilds.lmdb") as store:
        async with gs.start_keyed_async(guild, store=store, prefix="guild/", idle=300, env=chat) as guilds:
            if begins:
                for number in range(GUILDS):
                    guilds.send(f"guild {number}", Heard("hello"))
                for number in range(REMINDED):
                    guilds.send(f"guild {number}", Heard("!remind 3 the kettle"))
                await guilds.settle_async()
                print(f"{len(guilds)} guilds", flush=True)
                await asyncio.Event().wait()  # until it is killed
            if len(chat.told) < REMINDED:
                await chat.has_all.wait()
            await guilds.settle_async()


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = subprocess.Popen([sys.executable, __file__, name, "begin"], stdout=subprocess.PIPE, text=True)
        assert first.stdout is not None
        print("first life:", first.stdout.readline().strip())
        first.kill()
        first.communicate()
        subprocess.run([sys.executable, __file__, name], check=True)
        lines = Chat(folder / "said.txt").told
        print(f"reminders: {len(lines)}, in {len({line.split(' ', 1)[1] for line in lines})} guilds")
        with gs.LMDBStore(folder / "guilds.lmdb") as store:
            last = gs.peek(guild, store, "guild 1999", prefix="guild/")
            print(f"guild 1999 has heard {last.model.said if last else 0} message")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(bot(Path(sys.argv[1]), begins=sys.argv[2:] == ["begin"]))
    else:
        main()
