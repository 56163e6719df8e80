"""A program inside somebody else's event loop, as in a bot: callbacks put messages into a buffer, `run_async` works them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import go_state as gs

Karma = dict[str, int]


@dataclass(frozen=True)
class Heard:
    who: str
    text: str


def init() -> gs.Step[Karma, Heard]:
    return {}, ()


def make_update(say: asyncio.Queue[str]) -> gs.Program[Karma, Heard]:
    def update(karma: Karma, msg: Heard) -> gs.Step[Karma, Heard]:
        if not msg.text.endswith("++"):
            return karma, ()
        name = msg.text.removesuffix("++")
        if name == msg.who:
            return karma, [gs.Cmd.call(say.put_nowait, f"{msg.who}: that does not count")]
        score = karma.get(name, 0) + 1
        return karma | {name: score}, [gs.Cmd.call(say.put_nowait, f"{name} has {score} karma")]

    return gs.Program(init, update)


async def main() -> None:
    say: asyncio.Queue[str] = asyncio.Queue()
    buffer: gs.Buffer[Heard] = gs.Buffer()

    def on_message(who: str, text: str) -> None:  # what a bot's library calls, from any thread or task
        buffer.put(Heard(who, text))

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(gs.run_async(make_update(say), buffer))
        for who, text in (("ann", "bob++"), ("bob", "thanks"), ("bob", "bob++"), ("cid", "bob++")):
            on_message(who, text)
        for _ in range(3):
            print(await say.get())
        buffer.close()
    print(running.result())


if __name__ == "__main__":
    asyncio.run(main())
