"""The README's code blocks run, one after another, and print what they say they print."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_readme_blocks_print_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block, in one namespace, prints exactly the lines that its `#>` comments say."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for block in BLOCKS:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, "README.md", "exec", dont_inherit=True), namespace)
        assert printed.getvalue().splitlines() == re.findall(r"#> (.*)", block)


def test_readme_names_the_commands_that_exist() -> None:
    """Every `make` target that the README names is in the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (README.parent / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = set(re.findall(r"^make ([a-z]+)", README.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert named <= targets
    assert named


def test_contributing_names_what_there_is() -> None:
    """Every path that CONTRIBUTING.md names exists, and its tree has every folder of the package."""
    page = (README.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w./]+/[\w./]*)`", page)
    assert len(named) > 20
    assert [
        path for path in named if not ((README.parent / path).exists() or (README.parent / "go_state" / path).exists())
    ] == []
    folders = {path.parent.name for path in (README.parent / "go_state").glob("*/__init__.py")}
    assert folders - set(re.findall(r"^[├└] (\w+)/", page, flags=re.MULTILINE)) == set()
