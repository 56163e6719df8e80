"""The maps of the package: the docstring of a folder's `__init__` says which files and folders lie in it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import go_state

ROOT = Path(go_state.__file__).parent
FOLDERS = sorted({path.parent for path in ROOT.rglob("*.py")} - {ROOT})  # whose own map is of names and not of files


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_a_folder_names_what_is_in_it(folder: Path) -> None:
    """A reader finds every file and every folder in the map of the folder that it is in."""
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    files = [path.stem for path in folder.glob("*.py") if not path.stem.startswith("__")]
    folders = [path.name for path in folder.iterdir() if (path / "__init__.py").is_file()]
    assert [name for name in files + folders if name not in text] == []
