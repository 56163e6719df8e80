"""Reading every record of a store file in a process of its own, which a damaged page may end and whose end harms nobody.

LMDB maps the file into memory and follows its pages: one that is damaged makes it read where nothing is, which the system answers
by ending the process.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from go_state.core.errors import Corrupt

if TYPE_CHECKING:
    from go_state.storage.lmdb import LMDBStore


def check_file(store: LMDBStore) -> None:
    """Read the whole file in a child process; `Corrupt` for the first record that is damaged, or when the child dies of it."""
    import signal
    import subprocess

    path = store.path
    child = subprocess.run([sys.executable, "-c", _CHILD, path], capture_output=True, text=True, check=False)
    if child.returncode < 0:
        died = signal.Signals(-child.returncode).name
        raise Corrupt(path, f"a page of the file is damaged: the process that read it was ended by {died}")
    if child.returncode:
        raise Corrupt(path, child.stdout.strip() or child.stderr.strip().rpartition("\n")[2])


_CHILD = f"import sys; from {__name__} import print_damage; sys.exit(print_damage(sys.argv[1]))"


def print_damage(path: str) -> int:
    """Print the first damaged record of the file; return 1 when there is one, and 0 otherwise."""
    from go_state.storage.lmdb import LMDBStore

    try:
        with LMDBStore(path) as store:
            for name, error in store._damaged():
                print(f"{name}: {error}")  # noqa: T201  - what the parent reads
                return 1
    except Corrupt as cut_short:  # since the parent has opened it
        print(cut_short.what)  # noqa: T201
        return 1
    return 0
