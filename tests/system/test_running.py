"""Which event loop runs in the calling thread."""

import sys
from types import ModuleType

import pytest

import go_state as gs


def test_an_app_begins_while_another_thread_imports_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that is half imported, and so is there without its functions, says that no event loop is running."""
    monkeypatch.setitem(sys.modules, "asyncio", ModuleType("asyncio"))
    with gs.start(gs.Program(lambda: (0, ()), lambda model, msg: (model + msg, ()))) as app:
        assert app.apply(1, timeout=60) == 1
