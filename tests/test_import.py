"""What `import go_state` costs: the standard library's plain modules, and nothing that a program may not need."""

import subprocess
import sys
from pathlib import Path

import pytest

import go_state as gs

LATER = [
    "asyncio",
    "concurrent.futures",
    "csv",
    "hypothesis",
    "immutables",
    "janus",
    "lmdb",
    "msgspec",
    "orjson",
    "rich",
    "tenacity",
]


def test_importing_takes_no_third_party_along() -> None:
    """Clients of databases, codecs and event loops are imported when they are first used."""
    code = f"import sys, go_state; print([name for name in {LATER} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


WITHOUT_POSIX = """
import os, sys
sys.modules["fcntl"] = None
del os.register_at_fork, os.statvfs
import go_state as gs
with gs.LMDBStore(sys.argv[1]) as store:
    counter = gs.reducer(int, lambda model, message: model + message)
    print(gs.aggregate(counter, [1, 2], store=store, key="k", codec=gs.JsonCodec(int)).model)
    try:
        store.journal("j", of=int).put(1)
    except gs.StoreUnavailable as error:
        print(error)
"""


def test_a_system_that_is_not_posix_has_all_but_the_lease_of_a_file(tmp_path: Path) -> None:
    """Without fork and flock everything imports and models are kept; a journal in a file says why it cannot be written."""
    command = [sys.executable, "-c", WITHOUT_POSIX, str(tmp_path / "s")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert printed[0] == "3"
    assert "only POSIX systems have" in printed[1]


def test_every_name_is_there() -> None:
    """Also those that are imported at their first use; and a name that is not there is said to be none."""
    assert set(gs.__all__) <= set(dir(gs))
    assert all(getattr(gs, name) is not None for name in gs.__all__)
    later = [name for names in gs._LATER.values() for name in names]
    assert len(later) == len(set(later))
    assert set(later) < set(gs.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        gs.nonsense  # type: ignore[attr-defined]  # noqa: B018
