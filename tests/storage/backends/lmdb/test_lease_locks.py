"""The leases of a file's journals: bytes of one file, which the system takes back from the dead, and a forked child leaves alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import go_state as gs
from go_state.storage.backends.lmdb.leases.byte_locks import LeaseLocks, is_possible

pytestmark = pytest.mark.skipif(not is_possible(), reason="locks of open files are Linux's")


def test_two_who_open_the_file_take_different_leases_only(tmp_path: Path) -> None:
    """One open file has any number of bytes; another gets those that are left, and what is given back."""
    ours, theirs = LeaseLocks(str(tmp_path / "o")), LeaseLocks(str(tmp_path / "o"))
    held = [ours.lease(name) for name in "abc"]
    assert all(lease.acquire() for lease in held)
    for other in (theirs.lease("b"), ours.lease("b")):  # elsewhere, and a second one here
        with pytest.raises(gs.errors.LeaseHeld):
            other.acquire()
        other.release()  # which it has not: nothing is given back
        with pytest.raises(gs.errors.LeaseHeld):
            other.acquire()
    free, given = theirs.lease("d"), theirs.lease("b")
    assert free.acquire()
    held[1].release()
    assert given.acquire()
    for lease in (*held, free, given):
        lease.release()


def test_the_last_lease_closes_the_file(tmp_path: Path) -> None:
    """However many programs run, sixteen file descriptors are used, and none when none runs."""
    locks, before = LeaseLocks(str(tmp_path / "o")), len(os.listdir("/proc/self/fd"))
    held = [locks.lease(str(number)) for number in range(500)]
    for lease in held:
        lease.acquire()
    assert len(os.listdir("/proc/self/fd")) == before + 16
    for lease in held:
        lease.release()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.processes
def test_a_forked_child_gives_nothing_back(tmp_path: Path) -> None:
    """It shares the parent's open file: what it releases stays locked; what the parent releases is free while the child lives."""
    script = """
import os, sys
from go_state.storage.backends.lmdb.leases.byte_locks import LeaseLocks
ours, theirs = LeaseLocks(sys.argv[1]), LeaseLocks(sys.argv[1])
one, other = ours.lease("one"), ours.lease("other")
one.acquire(), other.acquire()
def is_free(name):
    lease = LeaseLocks(sys.argv[1]).lease(name)
    try:
        return lease.acquire()
    except Exception:
        return False
ready, go = os.pipe(), os.pipe()
if not (child := os.fork()):
    one.release()
    os.write(ready[1], b"x"), os.read(go[0], 1)
    os._exit(0)
os.read(ready[0], 1)
print(is_free("one"), is_free("other"))
one.release()
print(is_free("one"), is_free("other"))
os.write(go[1], b"x"), os.waitpid(child, 0)
"""
    found = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "o")], capture_output=True, text=True, timeout=60, check=True
    )
    assert found.stdout.split() == ["False", "False", "True", "False"]
