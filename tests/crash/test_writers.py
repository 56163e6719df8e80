"""Many processes write one LMDB key: nothing is lost."""

import subprocess
import sys
from pathlib import Path

import pytest

import go_state as gs

ROOT = Path(gs.__file__).parents[1]
INCREMENTS = """
import sys, go_state as gs
conflicts = 0
with gs.LMDBStore(sys.argv[1]) as store:
    for _ in range(200):
        while True:
            stored = store.load("n")
            try:
                store.store({"n": gs.abc.Write(b"%d" % (int(stored.data) + 1), stored.version)})
                break
            except gs.Conflict:
                conflicts += 1
print(conflicts)
"""


@pytest.mark.slow
def test_eight_processes_lose_no_increment(tmp_path: Path) -> None:
    """Eight processes, each with two hundred increments and a retry on Conflict, make exactly 1,600."""
    path = tmp_path / "s"
    with gs.LMDBStore(path) as store:
        store.store({"n": gs.abc.Write(b"0", 0)})
    writers = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", INCREMENTS, str(path)], cwd=ROOT, stdout=subprocess.PIPE)
        for _ in range(8)
    ]
    conflicts = [int(writer.communicate(timeout=120)[0]) for writer in writers]
    with gs.LMDBStore(path) as store:
        stored = store.load("n")
    assert stored is not None
    assert (stored.data, [writer.returncode for writer in writers]) == (b"1600", [0] * 8)
    assert sum(conflicts) > 0  # they did meet


def _add(model: int, msg: int) -> int:
    return model + msg


counter: gs.Program[int, int] = gs.reducer(int, _add)


def test_the_second_of_two_aggregates_conflicts(tmp_path: Path) -> None:
    """An aggregate whose key another one has saved in the meantime raises Conflict, and the other's model stays."""
    with gs.LMDBStore(tmp_path / "s") as store:

        def source() -> list[int]:
            gs.aggregate(counter, [1], store=store, key="k")
            return [10]

        with pytest.raises(gs.Conflict) as raised:
            gs.aggregate(counter, lambda: (source(), False), store=store, key="k")
        assert (raised.value.key, raised.value.expected) == ("k", 0)
        assert gs.load_model(counter, store=store, key="k") == 1
