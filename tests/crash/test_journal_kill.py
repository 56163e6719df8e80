"""kill -9 of who writes a journal: what was acknowledged or read is there, in order, without a gap, and nothing twice."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import go_state as gs

ROOT = Path(gs.__file__).parents[1]
GROUP = 4096
HEAD = "import os, sys, threading, go_state as gs\nsay = lambda number: os.write(1, b'%d\\n' % number)\n"
# Each says a number once it may rely on it, starting with one more than it said last.
PUT = """
journal = gs.LMDBStore(sys.argv[1]).journal("j", of=int, durability="put")
number = journal.size()
while True:
    journal.put(*range(number, number + 1 + number % 3))
    number += 1 + number % 3
    say(number - 1)
"""
READ = """
journal = gs.LMDBStore(sys.argv[1]).journal("j", of=int)
number, reader = journal.size(), journal.consumer("newest")
while True:
    for _ in range(1 + number % 500):
        journal.put(number)
        number += 1
    for message in iter(lambda: reader.cursor.take(64), []):
        say(message[-1])
"""
UNREAD = """
journal = gs.LMDBStore(sys.argv[1]).journal("j", of=int)
for number in range(journal.size(), 10_000_000):
    journal.put(number)
    if number % 16 == 0:
        say(number)
"""
SETTLE = """
journal = gs.LMDBStore(sys.argv[1]).journal("j", of=int, durability="put")
reader = journal.consumer(name="r")
if not journal.size():
    journal.put(0)
while True:
    message = reader.get()
    reader.cursor.settle(1, [message + 1])
    if message % 5 == 0:
        journal.flush()
        say(message + 1)
"""
THREADS = """
journal = gs.LMDBStore(sys.argv[1]).journal("j", of=int, durability="put")
begin = max([r.message for r in journal.read()], default=-1) // 4 + 1
def put(thread):
    for number in range(begin, 10_000_000):
        journal.put(number * 4 + thread)
        say(number * 4 + thread)
for thread in range(4):
    threading.Thread(target=put, args=(thread,)).start()
"""


def kill_in_mid_run(path: Path, script: str, lines: int) -> list[int]:
    """Kill the script after so many lines of what it says, and return all that it has said."""
    worker = subprocess.Popen([sys.executable, "-c", HEAD + script, str(path)], cwd=ROOT, stdout=subprocess.PIPE)
    with worker:
        assert worker.stdout is not None
        said = [worker.stdout.readline() for _ in range(lines)]
        os.kill(worker.pid, signal.SIGKILL)
        said += worker.stdout.readlines()
    assert worker.returncode == -signal.SIGKILL
    return [int(line) for line in said if line.endswith(b"\n")]


def stored(path: Path) -> list[int]:
    with gs.LMDBStore(path) as store:
        recorded = list(store.journal("j", of=int).read())
    assert [r.position for r in recorded] == list(range(len(recorded)))
    return [r.message for r in recorded]


@pytest.mark.slow
@pytest.mark.parametrize("script", [PUT, READ], ids=["put", "read"])
def test_what_was_acknowledged_or_read_survives(tmp_path: Path, script: str) -> None:
    """After each of twenty kills all that put had acknowledged, or a reader had got, is there, once and in order."""
    chance = random.Random(3)
    for _ in range(20):
        said = kill_in_mid_run(tmp_path / "s", script, chance.randrange(1, 150))
        found = stored(tmp_path / "s")
        assert found == list(range(len(found)))
        assert len(found) > said[-1]


@pytest.mark.slow
def test_a_group_loses_no_more_than_promised(tmp_path: Path) -> None:
    """With the durability "group" a kill takes at most the last 4,096 messages that nobody read, and leaves no hole."""
    chance = random.Random(4)
    for _ in range(10):
        said = kill_in_mid_run(tmp_path / "s", UNREAD, chance.randrange(1, 2000))
        found = stored(tmp_path / "s")
        assert found == list(range(len(found)))
        assert said[-1] - len(found) < GROUP


@pytest.mark.slow
def test_a_cursor_and_its_messages_survive_together(tmp_path: Path) -> None:
    """A reader that answers each message with the next is never restarted with an answer missing or doubled."""
    chance = random.Random(5)
    for _ in range(20):
        said = kill_in_mid_run(tmp_path / "s", SETTLE, chance.randrange(1, 60))
        found = stored(tmp_path / "s")
        assert found == list(range(len(found)))
        assert len(found) > said[-1]
        with gs.LMDBStore(tmp_path / "s") as store:
            assert store.journal("j", of=int).consumer(name="r").position == len(found) - 1


@pytest.mark.slow
def test_threads_that_share_a_sync_lose_nothing(tmp_path: Path) -> None:
    """Four threads' acknowledged messages are all there after each kill, each thread's in its order, none twice."""
    chance = random.Random(6)
    for _ in range(10):
        said = kill_in_mid_run(tmp_path / "s", THREADS, chance.randrange(1, 300))
        found = stored(tmp_path / "s")
        assert set(said) <= set(found)
        for thread in range(4):
            mine = [message for message in found if message % 4 == thread]
            assert mine == sorted(set(mine))


@pytest.mark.processes
def test_a_killed_owner_frees_the_lease(tmp_path: Path) -> None:
    """While the owner lives the journal is LeaseHeld; the moment it is killed another may write."""
    script = HEAD + 'j = gs.LMDBStore(sys.argv[1]).journal("j", of=int)\nj.put(1)\nj.flush()\nsay(1)\nsys.stdin.read()'
    with (
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "s")], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as owner,
        gs.LMDBStore(tmp_path / "s") as store,
    ):
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"1\n"
        journal = store.journal("j", of=int)
        with pytest.raises(gs.errors.LeaseHeld):
            journal.put(2)
        owner.kill()
        owner.wait(60)
        journal.put(2)
        assert journal.slice() == [1, 2]
