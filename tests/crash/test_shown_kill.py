"""kill -9 around the writes: whatever was shown, and whatever was done under an effect's id, is so in the journal of the lives that follow."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path
from zlib import crc32

import pytest

import go_state as gs

ROOT = Path(gs.__file__).parents[1]
KILLS = 15
LIFE = """
import asyncio, os, sys, threading
from dataclasses import dataclass
from zlib import crc32
import go_state as gs

path, told, on_loop, durability = sys.argv[1], os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT), sys.argv[3] == "loop", sys.argv[4]

def tell(*words):
    os.write(told, (" ".join(map(str, words)) + chr(10)).encode())

@dataclass(frozen=True)
class Model:
    number: int = 0
    sum: int = 0

def done(msg):
    tell("done", gs.effect_id().split("/")[1], msg)

def update(model: Model, msg: int) -> gs.Step[Model, int]:
    after = Model(model.number + 1, crc32(str(msg).encode(), model.sum))
    if msg % 10 == 9:
        raise ValueError(msg)
    commands = []
    if msg % 10 and msg % 10 < 5:
        commands.append(gs.Cmd.send(msg + 1))
    if msg % 10 in (2, 4):
        commands.append((lambda: done(msg)) if msg % 4 else gs.Cmd.call(done, msg, thread=True))
    if msg % 10 == 3:
        commands.append(gs.Cmd.send(msg + 6))
    return after, commands

def view(model):
    tell("shown", model.number, model.sum)

program = gs.Program(lambda: (Model(), ()), update, view=view)
sent = int(sys.argv[5])

def send(app):
    number = sent
    while True:
        app.send(number * 10 + number % 7 % 3)
        number += 1
        threading.Event().wait(0.003)

store = gs.LMDBStore(path)
store.journal("k", of=int, durability=durability).put(sent * 10, sent * 10 + 1)  # before what the last life had not written
sent += 2
how = dict(store=store, key="k", durability=durability, on_error=gs.SetAside(), snapshots=gs.Snapshots(every=50))
gs.testing.crash_at(sys.argv[6], int(sys.argv[7]))
if on_loop:
    async def main():
        async with gs.start_async(program, **how) as app:
            await asyncio.to_thread(send, app)
    asyncio.run(main())
else:
    with gs.start(program, **how) as app:
        send(app)
"""


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["group", "put"])
@pytest.mark.parametrize("where", ["thread", "loop"])
def test_what_was_shown_and_done_is_in_the_journal(tmp_path: Path, where: str, durability: str) -> None:
    """A shown model is what the journal's first messages make, and a command's effect id is its message's position."""
    chance, path, told = random.Random(7), tmp_path / "s", tmp_path / "told"
    for life in range(KILLS):
        point = chance.choice(("before-flush", "after-flush"))
        arguments = [path, told, where, durability, str(life * 100_000), point, str(chance.randrange(1, 30))]
        process = subprocess.run([sys.executable, "-c", LIFE, *arguments], cwd=ROOT, timeout=60)
        assert process.returncode == -signal.SIGKILL
    with gs.LMDBStore(path) as store:
        journal = store.journal("k", of=int)
        messages, aside = (
            [each.message for each in journal.history.exactly(0, journal.statistics().end)],
            set(journal.set_aside()),
        )
    sums = [0]
    for position, message in enumerate(messages):
        if position not in aside:
            sums.append(crc32(str(message).encode(), sums[-1]))
    shown = done = 0
    for line in told.read_text().splitlines():
        match line.split():
            case ["shown", number, made]:
                shown += 1
                assert sums[int(number)] == int(made), line
            case ["done", position, message]:
                done += 1
                assert messages[int(position)] == int(message), line
    assert min(shown, done) > KILLS
    assert aside
