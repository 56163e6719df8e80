"""The progress bar: the same source, and nothing drawn where nobody looks."""

import subprocess
import sys
from pathlib import Path

import pytest

import go_state as gs

ROOT = Path(gs.__file__).parents[1]


def _add(model: int, msg: int) -> int:
    return model + msg


counter: gs.Program[int, int] = gs.reducer(int, _add)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (file := tmp_path / "n.jsonl").write_text("1\n" * 2500)
    return file


def test_everything_is_passed_through(path: Path) -> None:
    """Name, fingerprint, position and messages are the file's own."""
    plain = gs.sources.JSONLines(path)
    shown = gs.sources.progress(plain)
    reading = shown.read(2490)
    assert (shown.name, shown.fingerprint()) == (plain.name, plain.fingerprint())
    assert (list(reading), reading.position) == ([1] * 10, 2500)
    with pytest.raises(gs.errors.SourceChanged):
        shown.recognise("9999999:0")
    reading.close()
    reading.close()


def test_a_shown_file_is_the_same_source(path: Path) -> None:
    """A file read with a bar goes on without one, and the other way round."""
    store, plain = gs.MemoryStore(), gs.sources.JSONLines(path)
    sources = (gs.sources.progress(plain), plain, gs.sources.progress(plain))
    runs = [gs.aggregate(counter, source, store=store, key="k", limit=1000) for source in sources]
    assert [(run.processed, run.position) for run in runs] == [(1000, 1000), (1000, 2000), (500, 2500)]


def test_errors_are_passed_through(path: Path) -> None:
    """A bad record reaches the caller as without a bar."""
    path.write_text("1\nbad\n")
    with pytest.raises(gs.errors.BadRecord):
        gs.batch(counter, gs.sources.progress(gs.sources.JSONLines(path)))


@pytest.mark.processes
def test_nothing_is_drawn_without_a_terminal(path: Path) -> None:
    """Where standard error is no terminal, not a byte is written to it, nor to standard output."""
    script = "import sys, go_state as gs\nlist(gs.sources.progress(gs.sources.JSONLines(sys.argv[1])).read())"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, str(path)], cwd=ROOT, capture_output=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == (b"", b"")
