"""What the page uses of others is what npm has at the versions that are named."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.processes
def test_the_vendored_files_are_those_of_npm(tmp_path: Path) -> None:
    """Fetched again they are the same, byte by byte, and there are no others."""
    subprocess.run([ROOT / ".ci" / "vendor", tmp_path / "page", tmp_path / "tests"], check=True)
    for fetched, kept in (("page", ROOT / "go_state/inspector/page/vendor"), ("tests", ROOT / "tests/inspector/vendor")):
        files = {path.name: path.read_bytes() for path in (tmp_path / fetched).iterdir()}
        assert files == {path.name: path.read_bytes() for path in kept.iterdir()}


def test_the_page_names_no_other_host() -> None:
    """Nothing in it asks anybody else for anything, and nothing in it is written into the markup as it is."""
    page = ROOT / "go_state" / "inspector" / "page"
    for path in page.glob("*.*"):
        text = path.read_text()
        assert "//cdn" not in text, path
        assert "innerHTML" not in text, path
        assert "dangerouslySetInnerHTML" not in text, path
        assert " style=" not in text, path
