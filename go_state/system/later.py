"""Names that a module has only from their first use on, so that nobody waits for the import of what is not used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence


def names_of_later(
    module: MutableMapping[str, object], later: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of a module, given its `globals()` and which names it has from which modules.

    A name that is listed under the module's own package is a submodule. `dir()` shows `__all__` and the names that Python itself uses.
    """
    where = {name: source for source, names in later.items() for name in names}

    def find(name: str) -> object:
        from importlib import import_module

        source = where.get(name)
        if source is None:
            raise AttributeError(f"module {module['__name__']!r} has no attribute {name!r}")
        if source == module["__name__"]:
            found: object = import_module(f"{source}.{name}")
        else:
            found = getattr(import_module(source), name)
        module[name] = found
        return found

    def visible() -> list[str]:
        names = module["__all__"]
        assert isinstance(names, list)
        return sorted([*names, *(name for name in module if name.startswith("__"))])

    return find, visible
