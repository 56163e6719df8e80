"""Stores and journals in a process that forks, and in one that ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import go_state as gs
from go_state.core.ports import Write

ROOT = Path(gs.__file__).parents[1]


def in_a_child(act: Callable[[], object]) -> str:
    """Fork, and return what the call raises in the child, or that it hangs."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads, from Python 3.12 on
        child = os.fork()
    if not child:
        signal.alarm(30)
        answer = "nothing"
        try:
            act()
        except BaseException as error:
            answer = type(error).__name__
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answers:
        answer = answers.read()
    os.waitpid(child, 0)
    return answer or "hung"


OF_A_JOURNAL: dict[str, Callable[[Any, Any], object]] = {
    "put": lambda journal, reader: journal.put(2),
    "put_several": lambda journal, reader: journal.put(2, 3),
    "put_known": lambda journal, reader: journal.inlet.put_known(2, print),
    "flush": lambda journal, reader: journal.flush(),
    "consumer": lambda journal, reader: journal.consumer(),
    "consumer_named": lambda journal, reader: journal.consumer(name="other"),
    "slice": lambda journal, reader: journal.slice(),
    "size": lambda journal, reader: journal.size(),
    "diff": lambda journal, reader: journal.diff(reader),
    "statistics": lambda journal, reader: journal.statistics(),
    "turn": lambda journal, reader: journal.run_record.turn(0),
    "set_aside": lambda journal, reader: journal.set_aside(),
    "skip": lambda journal, reader: journal.skip(0),
    "under_way": lambda journal, reader: journal.run_record.running(),
    "cursors": lambda journal, reader: journal.cursors(),
    "truncate": lambda journal, reader: journal.truncate(1),
    "get": lambda journal, reader: reader.get(timeout=1),
    "get_nowait": lambda journal, reader: reader.get_nowait(),
    "get_async": lambda journal, reader: asyncio.run(reader.get_async(timeout=1)),
    "wait": lambda journal, reader: reader.cursor.wait(timeout=1),
    "commit": lambda journal, reader: reader.commit(),
    "rollback": lambda journal, reader: reader.rollback(),
    "seek": lambda journal, reader: reader.seek("oldest"),
    "reader_diff": lambda journal, reader: reader.diff(),
    "reopen": lambda journal, reader: journal.store.journal("j"),
}


@pytest.mark.parametrize("durability", ["group", "put"])
@pytest.mark.parametrize("name", OF_A_JOURNAL)
def test_a_journal_is_of_no_use_in_a_forked_child(tmp_path: Path, name: str, durability: Any) -> None:
    """Whatever is asked of it or of its reader raises, also when other threads held each of its locks at the fork."""
    with gs.LMDBStore(tmp_path / "s") as store:
        journal = store.journal("j", of=int, durability=durability)
        journal.put(1)
        reader = journal.consumer()
        reader.cursor.take(1)
        with journal.lease.flushing, journal.log.lock, journal.parts.stage._lock:
            assert in_a_child(lambda: OF_A_JOURNAL[name](journal, reader)) == "StoreUnavailable"
        journal.put(2)
        assert journal.slice() == [1, 2]


def test_no_forked_child_waits_for_the_thread_of_its_parent(tmp_path: Path) -> None:
    """What was used on an event loop before the fork has a thread in the parent alone, and what uses it in the child ends."""

    async def begin() -> Any:
        await journal.put_async(1)
        reader = journal.consumer()
        await reader.get_async()
        return reader

    with gs.LMDBStore(tmp_path / "s") as store:
        journal = store.journal("j", of=int)
        with asyncio.run(begin()) as reader:
            assert in_a_child(lambda: asyncio.run(reader.close_async())) == "nothing"


def test_a_forked_child_may_leave_the_blocks_of_its_parent(tmp_path: Path) -> None:
    """Closing what is the parent's does nothing and waits for nothing: what the parent has put is written once, by the parent."""
    with gs.LMDBStore(tmp_path / "s") as store:
        journal = store.journal("j", of=int)
        reader = journal.consumer(name="mailer")
        journal.put(1)
        with journal.lease.flushing, journal.log.lock:
            assert in_a_child(lambda: (reader.close(), journal.log.refuse(), journal.close(), store.close())) == "nothing"
        assert journal.slice() == [1]


@pytest.mark.parametrize(
    "act",
    [lambda store: store.load("k"), lambda store: store.store({"k": Write(b"", 0)}), lambda store: list(store.keys())],
    ids=["load", "store", "keys"],
)
def test_a_store_in_memory_is_of_no_use_in_a_forked_child(act: Callable[[Any], object]) -> None:
    """Its lock may be held, and what the child stores its parent would never see."""
    with gs.MemoryStore() as store, store._lock:
        assert in_a_child(lambda: act(store)) == "StoreUnavailable"


def ended(script: str, path: Path) -> list[Any]:
    """Run the script, which ends without closing its store, and return what it has left."""
    script = f"import os, sys, go_state as gs\ndef act():\n    store = gs.LMDBStore(sys.argv[1])\n    {script}\nact()"
    subprocess.run([sys.executable, "-W", "error", "-c", script, str(path)], cwd=ROOT, check=False)
    with gs.LMDBStore(path) as store:
        return store.journal("j", of=int).slice()


@pytest.mark.processes
@pytest.mark.parametrize(
    "end",
    ["pass", "sys.exit(1)", "raise ValueError", "import gc; del store; gc.collect()"],
    ids=["returns", "exits", "fails", "forgets"],
)
def test_what_was_put_is_written_when_the_process_ends(tmp_path: Path, end: str) -> None:
    """A process may end without closing its journals; only a crash takes what is not on disk."""
    assert ended(f"store.journal('j', of=int).put(1); {end}", tmp_path / "s") == [1]


@pytest.mark.processes
def test_a_forked_child_writes_nothing_at_its_end(tmp_path: Path) -> None:
    """What was put before the fork is the parent's, and is there once."""
    fork = (
        "journal = store.journal('j', of=int); journal.put(1); child = os.fork(); os.waitpid(child, 0) if child else sys.exit()"
    )
    assert ended(fork, tmp_path / "s") == [1]
