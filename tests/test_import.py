"""What `import go_state` costs: the standard library's plain modules, and nothing that a program may not need."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import go_state as gs
from go_state.core import errors as core_errors

LATER = [
    "asyncio",
    "concurrent.futures",
    "csv",
    "hypothesis",
    "immutables",
    "janus",
    "lmdb",
    "msgspec",
    "opentelemetry",
    "orjson",
    "prometheus_client",
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
    except gs.errors.StoreUnavailable as error:
        print(error)
"""


@pytest.mark.processes
def test_a_system_that_is_not_posix_has_all_but_the_lease_of_a_file(tmp_path: Path) -> None:
    """Without fork and flock everything imports and models are kept; a journal in a file says why it cannot be written."""
    command = [sys.executable, "-c", WITHOUT_POSIX, str(tmp_path / "s")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert printed[0] == "3"
    assert "only POSIX systems have" in printed[1]


FACE = [
    gs,
    gs.abc,
    gs.app,
    gs.buffer,
    gs.errors,
    gs.history,
    gs.middleware,
    gs.observe,
    gs.retention,
    gs.sources,
    gs.testing,
    gs.watch,
]


@pytest.mark.parametrize("module", FACE, ids=lambda module: module.__name__)
def test_every_name_is_there(module: ModuleType) -> None:
    """Also those that are imported at their first use; and a name that is not there is said to be none."""
    assert all(getattr(module, name) is not None for name in module.__all__)
    assert len(module.__all__) == len(set(module.__all__))
    with pytest.raises(AttributeError, match="nonsense"):
        module.nonsense  # noqa: B018


def test_what_is_visible_is_what_is_meant() -> None:
    """Neither helpers nor what is imported for annotations is shown, and the front door has about sixty names."""
    assert [name for name in dir(gs) if not name.startswith("__")] == sorted(gs.__all__)
    assert not hasattr(gs, "Any")
    assert not hasattr(gs, "TYPE_CHECKING")
    assert len([name for name in gs.__all__ if not isinstance(getattr(gs, name), ModuleType)]) <= 73


def test_what_is_imported_later_is_what_type_checkers_see() -> None:
    """The table of names and the imports for checkers say the same."""
    tree = ast.parse(Path(gs.__file__).read_text())
    seen: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module != "go_state.system.later":
            seen.setdefault(node.module, set()).update(alias.name for alias in node.names)
    assert seen == {module: set(names) for module, names in gs._LATER.items()}
    assert {name for names in seen.values() for name in names} == set(gs.__all__)


def test_errors_has_every_error() -> None:
    """What the package defines, and nothing else."""
    defined = {
        name for name, each in vars(core_errors).items() if isinstance(each, type) and each.__module__ == core_errors.__name__
    }
    assert set(gs.errors.__all__) == defined
    assert all(name in (gs.errors.__doc__ or "") for name in gs.errors.__all__)


def test_names_in_messages_and_texts_are_there() -> None:
    """Whatever an error or a docstring calls gs.something can be found there."""
    wrong = []
    for path in [*Path(gs.__file__).parent.rglob("*.py"), Path("README.md"), *Path("docs").glob("**/[a-z]*.md")]:
        for first, second in re.findall(r"(?<![\w.])gs\.(\w+)(?:\.(\w+))?", path.read_text()):
            found = getattr(gs, first, None)
            if found is None or (isinstance(found, ModuleType) and second and not hasattr(found, second)):
                wrong.append((str(path), first, second))
    assert wrong == []
