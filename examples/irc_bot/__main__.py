"""Run the bot: python -m examples.irc_bot --host irc.libera.chat --tls --nick my-bot --channel '#my-channel'."""

from __future__ import annotations

import argparse
import asyncio
import signal

import go_state as gs
from examples.irc_bot.bot import Backoff, Flood, make_bot
from examples.irc_bot.network import Irc


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.irc_bot", description="An IRC bot that keeps karma and reminds.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=6667)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--nick", default="gobot")
    parser.add_argument("--password", default="")
    parser.add_argument("--channel", action="append", dest="channels", help="a channel to be in; may be given several times")
    parser.add_argument("--store", default="irc_bot.lmdb", help="the file that it remembers by")
    parser.add_argument("--first-wait", type=float, default=1.0, help="seconds before it tries to connect again")
    parser.add_argument("--line-seconds", type=float, default=2.0, help="what a line counts for the flood limit")
    return parser.parse_args()


async def main() -> None:
    given = arguments()
    irc = Irc(given.host, given.port, given.nick, given.channels or ["#go_state"], tls=given.tls, password=given.password)
    bot = make_bot(Backoff(first=given.first_wait), Flood(line=given.line_seconds))
    snapshots = gs.Snapshots(every=1000, keep=2)
    with gs.LMDBStore(given.store) as store:
        async with gs.start_async(bot, store=store, key="irc-bot", snapshots=snapshots, retention=gs.Retain(), env=irc) as app:
            loop = asyncio.get_running_loop()
            asked = asyncio.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, asked.set)
            ended = asyncio.create_task(app.wait_async())
            await asyncio.wait({ended, asyncio.create_task(asked.wait())}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await app.stop_async(timeout=10)
            await ended


if __name__ == "__main__":
    asyncio.run(main())
