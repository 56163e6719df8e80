"""An evening of the bot without a network, to have something to look at: python -m examples.irc_bot.evening STORE."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import go_state as gs
from examples.irc_bot.bot import Heard, Joined, bot

LINES = """
ann: hello everybody
ben: ann++ for the cake
cem: ann++
ann: thank you! ben++
dov: go_bot: help
ben: remind me in 1h30m to call cem
cem: karma ann
dov: remind me in 90s tea
ann: ann++
ben: coffee--
cem: reminders
dov: karma
ann: remind me in soon to sleep
ben: good night
""".strip().splitlines()


class Evening:
    """A channel in which all of this is said, and nothing after it."""

    def __init__(self) -> None:
        self.over = asyncio.Event()

    async def events(self) -> AsyncIterator[Heard | Joined]:
        """Give the lines."""
        yield Joined()
        for line in LINES:
            nick, _, text = line.partition(": ")
            yield Heard("#tea", nick, text)
        self.over.set()
        await asyncio.Event().wait()

    async def say(self, target: str, text: str) -> None:
        """Take a line of the bot."""


async def main(path: str) -> None:
    """Run the bot until everybody is gone."""
    evening = Evening()
    with gs.LMDBStore(path) as store:
        async with gs.start_async(bot, store=store, key="irc-bot", env=evening) as app:
            await evening.over.wait()
            await app.stop_async(timeout=10)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
