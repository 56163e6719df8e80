"""A program imported anew from its source, beside the one in use, with all modules of its own that it imports.

Modules that are installed stay as they are. The source files count, not what Python has cached of them.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
import sysconfig
import threading
from dataclasses import fields, is_dataclass
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any, get_type_hints

from go_state.core.errors import UsageError
from go_state.core.program import Program, SomeProgram

_LOCK = threading.Lock()  # held while modules are exchanged


def module_and_name(program: SomeProgram) -> tuple[str, str]:  # of whichever program
    """Return where a program is found: the module of its update, and the name that it has there; `UsageError` if it has none."""
    function: Any = program.update
    while hasattr(function, "__wrapped__") or hasattr(function, "func"):
        function = getattr(function, "__wrapped__", None) or function.func
    module = sys.modules.get(getattr(function, "__module__", ""))
    for name, value in vars(module).items() if module is not None else ():
        if value is program or (isinstance(value, Program) and value.update is program.update):
            assert module is not None
            return module.__name__, name
    raise UsageError("nobody knows where this program is found: give it a name in the module of its update")


def fresh_program(where: tuple[str, str]) -> SomeProgram:
    """Return the program of that module and name as its file says it now; `UsageError` if it cannot be imported."""
    name, attribute = where
    if name == "__main__":
        raise UsageError(
            "the program is in the script that runs, which would run again: put it into a module of its own, and import it there"
        )
    with _LOCK:
        old = {each: module for each, module in sys.modules.items() if _is_own(module)}
        finder = _FreshFinder()
        for each in old:
            del sys.modules[each]
        sys.meta_path.insert(0, finder)
        importlib.invalidate_caches()
        try:
            module = importlib.import_module(name)
            found = getattr(module, attribute, None)
            for own in [each for each in sys.modules.values() if _is_own(each)]:
                _resolve(own)
        except (Exception, SystemExit) as error:  # whatever the module does when it is imported
            raise UsageError(f"{name} cannot be imported ({type(error).__name__}: {error})"[:1000]) from None
        finally:
            sys.meta_path.remove(finder)
            for each in [each for each, module in sys.modules.items() if _is_own(module)]:
                del sys.modules[each]
            sys.modules.update(old)
    if not isinstance(found, Program):
        raise UsageError(f"{name}:{attribute} is not a gs.Program any more")
    return found


def _resolve(module: ModuleType) -> None:
    """Put what they name in the place of a module's annotations that are text, as of now.

    Later they would be looked up in the module of that name that is in use, and name its classes.
    """
    waiting: list[object] = list(vars(module).values())
    while waiting:
        cls = waiting.pop()
        if not isinstance(cls, type) or cls.__module__ != module.__name__:
            continue
        waiting += [
            each
            for each in vars(cls).values()
            if isinstance(each, type) and each.__qualname__.startswith(f"{cls.__qualname__}.")
        ]
        try:
            hints = get_type_hints(cls, include_extras=True)
        except Exception:  # a name that is there for type checkers alone: whoever needs the types says so
            continue
        cls.__annotations__ = {name: hints[name] for name in inspect.get_annotations(cls)}
        if is_dataclass(cls):
            for field in fields(cls):
                field.type = hints.get(field.name, field.type)


def _is_own(module: ModuleType | None) -> bool:
    """Return whether a module is one of the user's own: not installed, not Python's, and not of this package."""
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or not file.endswith(".py"):
        return False
    return not _is_installed(file)


_OURS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_INSTALLED = {
    os.path.realpath(folder)
    for folder in (
        *map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")),
        os.path.dirname(os.__file__),
        _OURS,
    )
    if folder
}
_PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


def _is_installed(file: str) -> bool:
    path = os.path.realpath(file)
    return any(each in path for each in _PACKAGES) or any(path.startswith(folder + os.sep) for folder in _INSTALLED)


def import_name(where: tuple[str, str]) -> tuple[str, str]:
    """Return where another process finds the program: a script that runs is a module of its file's name there."""
    module, name = where
    main = sys.modules.get("__main__")
    if module != "__main__" or main is None:
        return where
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None) or "main.py"
    return (spec.name if spec is not None else os.path.splitext(os.path.basename(file))[0]), name


class _FreshLoader(SourceFileLoader):
    """Compiles the source as it is: of two versions within a second, Python would take the compiled first one for the second."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _FreshFinder:
    """Finds modules as Python does, and has the source of the user's own compiled anew."""

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or not isinstance(spec.loader, SourceFileLoader) or spec.origin is None:
            return None
        if _is_installed(spec.origin):
            return None
        spec.loader = _FreshLoader(name, spec.origin)
        return spec
