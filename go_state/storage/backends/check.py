"""Reading every record of a store file in a process of its own, which a damaged page may end and whose end harms nobody.

LMDB maps the file into memory and follows its pages: one that is damaged makes it read where nothing is, which the system answers
by ending the process.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from go_state.core.errors import Corrupt, StoreUnavailable

if TYPE_CHECKING:
    from go_state.storage.backends.lmdb import LMDBStore

_WHOLE, _DAMAGED = "go_state: whole", "go_state: damaged: "  # how the child's answer begins; anything else is none
_BY_DAMAGE = ("SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV")  # what a damaged page ends a process by


def check_file(store: LMDBStore) -> None:
    """Read the whole file in a child process.

    Raises `Corrupt` for the first record that is damaged, or when the child dies of it, and `StoreUnavailable` for a child that
    could not look.
    """
    import subprocess

    if not sys.executable:
        raise StoreUnavailable(f"{store.path} was not checked: there is no Python to read it in a process of its own")
    child = subprocess.run(
        [sys.executable, "-I", "-c", _CHILD, store.path, *_importable()],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    if child.returncode == 0 and child.stdout.startswith(_WHOLE):
        return
    if child.returncode == 0 and child.stdout.startswith(_DAMAGED):
        raise Corrupt(store.path, child.stdout.removeprefix(_DAMAGED).strip())
    ended = _ended_by(child.returncode)
    if ended in _BY_DAMAGE:
        raise Corrupt(store.path, f"a page of the file is damaged: the process that read it was ended by {ended}")
    said = child.stderr.strip().rpartition("\n")[2]
    raise StoreUnavailable(f"{store.path} was not checked: the process that was to read it was ended by {ended} ({said})")


def _ended_by(code: int) -> str:
    import signal

    if code >= 0:
        return f"the exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:  # a real-time signal has no name
        return f"signal {-code}"


def _importable() -> list[str]:
    """Return the folder of this very package, and where the child may import other things from: where this process does.

    Never from the folder that happens to be the current one: a program's folder is full of names, and one of them may be that of a
    module that the child needs. The package's folder is empty where the package is no folder, as in a zip file.
    """
    here = os.getcwd()
    package = str(Path(os.path.abspath(__file__)).parents[2])  # storage/backends/ of it is where this file lies
    others = [each for each in sys.path if each and os.path.realpath(each) != here]
    return [package if os.path.isdir(package) else "", *others]


_CHILD = f"""
import sys
from importlib import util
path, package, *sys.path[:] = sys.argv[1:]
if package:
    spec = util.spec_from_file_location("go_state", package + "/__init__.py", submodule_search_locations=[package])
    sys.modules["go_state"] = module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
from {__name__} import print_damage
print_damage(path)
"""


def print_damage(path: str) -> None:
    """Print the first damaged record of the file, or that it is whole: what the parent reads."""
    from go_state.storage.backends.lmdb import LMDBStore

    try:
        with LMDBStore(path) as store:
            for name, error in store._damaged():
                print(f"{_DAMAGED}{name}: {error}")  # noqa: T201
                return
    except Corrupt as error:  # found when the file was opened
        print(f"{_DAMAGED}{error.what}")  # noqa: T201
        return
    print(_WHOLE)  # noqa: T201
