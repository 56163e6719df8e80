"""What `import go_state` costs: the standard library's plain modules, and nothing that a program may not need."""

import subprocess
import sys

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


def test_every_name_is_there() -> None:
    """Also those that are imported at their first use; and a name that is not there is said to be none."""
    assert set(gs.__all__) <= set(dir(gs))
    assert all(getattr(gs, name) is not None for name in gs.__all__)
    later = [name for names in gs._LATER.values() for name in names]
    assert len(later) == len(set(later))
    assert set(later) < set(gs.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        gs.nonsense  # type: ignore[attr-defined]  # noqa: B018
