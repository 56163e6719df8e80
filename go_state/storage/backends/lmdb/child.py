"""What the child process of `check.py` does: read every record of a file, and print what is wrong."""

from __future__ import annotations

from go_state.core.errors import Corrupt
from go_state.storage.backends.lmdb.check import DAMAGED, WHOLE
from go_state.storage.backends.lmdb.store import LMDBStore
from go_state.storage.records.models import damaged


def print_damage(path: str) -> None:
    """Print the first damaged record of the file, or that it is whole, for the parent process to read."""
    try:
        with LMDBStore(path, readonly=True) as store:
            for error in damaged(store.backend):
                print(f"{DAMAGED}{error.key}: {error.what}")  # noqa: T201
                return
    except Corrupt as error:  # found when the file was opened
        print(f"{DAMAGED}{error.what}")  # noqa: T201
        return
    print(WHOLE)  # noqa: T201
