"""Reading every record of a store file in a process of its own, because a damaged page may end the process that reads it.

LMDB maps the file into memory and follows its pages: a damaged one makes it read outside the map, and the system ends the process.
The child runs `child.py`, which prints what it has found.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from go_state.core.errors import Corrupt, StoreUnavailable

WHOLE, DAMAGED = "go_state: whole", "go_state: damaged: "  # how the child's answer begins; anything else is not an answer
_BY_DAMAGE = ("SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV")  # what a damaged page ends a process by


def check_file(path: str) -> None:
    """Read the whole file in a child process.

    Raises `Corrupt` for the first record that is damaged, or if the child dies of it, and `StoreUnavailable` if the child could not
    read the file.
    """
    import subprocess

    if not sys.executable:
        raise StoreUnavailable(f"{path} was not checked: there is no Python to read it in a process of its own")
    child = subprocess.run(
        [sys.executable, "-I", "-c", _CHILD, path, *_importable()],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    if child.returncode == 0 and child.stdout.startswith(WHOLE):
        return
    if child.returncode == 0 and child.stdout.startswith(DAMAGED):
        raise Corrupt(path, child.stdout.removeprefix(DAMAGED).strip())
    ended = _ended_by(child.returncode)
    if ended in _BY_DAMAGE:
        raise Corrupt(path, f"a page of the file is damaged: the process that read it was ended by {ended}")
    said = child.stderr.strip().rpartition("\n")[2]
    raise StoreUnavailable(f"{path} was not checked: the process that was to read it was ended by {ended} ({said})")


def _ended_by(code: int) -> str:
    import signal

    if code >= 0:
        return f"the exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:  # a real-time signal has no name
        return f"signal {-code}"


def _importable() -> list[str]:
    """Return the folder of this very package, and the folders that the child may import other modules from: those of this process.

    Never from the folder that happens to be the current one: a program's folder is full of names, and one of them may be that of a
    module that the child needs. The package's folder is an empty string if the package is not a folder, as in a zip file.
    """
    here = os.getcwd()
    package = str(Path(os.path.abspath(__file__)).parents[3])  # of this file's folder, storage/backends/lmdb/
    others = [each for each in sys.path if each and os.path.realpath(each) != here]
    return [package if os.path.isdir(package) else "", *others]


_CHILD = """
import sys
from importlib import util
path, package, *sys.path[:] = sys.argv[1:]
if package:
    spec = util.spec_from_file_location("go_state", package + "/__init__.py", submodule_search_locations=[package])
    sys.modules["go_state"] = module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
from go_state.storage.backends.lmdb.child import print_damage
print_damage(path)
"""
