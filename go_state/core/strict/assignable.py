"""Objects of a model that can be assigned to: what they hold before a turn, compared with what they hold after it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from go_state.core.errors import ProgramError
from go_state.core.fields import assign, names_held
from go_state.core.strict.protection import CONTAINERS, UNCHANGING, is_assignable

_NOTHING = object()


class Held:
    """What the assignable objects of a model hold, noted when this is made."""

    def __init__(self, model: object) -> None:
        self._containers: list[tuple[Any, Any]] = []  # each of `CONTAINERS`, and its copy
        self._objects: list[tuple[object, dict[str, object]]] = []  # each, and what it holds by name
        self._seen: set[int] = set()
        self._look(model)

    def _look(self, value: object) -> None:
        if isinstance(value, UNCHANGING) or id(value) in self._seen:
            return
        self._seen.add(id(value))
        if isinstance(value, CONTAINERS):
            self._containers.append((value, value.copy()))
        if isinstance(value, Mapping):
            for each in value.values():
                self._look(each)
        elif isinstance(value, (list, tuple, deque)):
            for each in value:
                self._look(each)
        else:
            held = {name: getattr(value, name, _NOTHING) for name in names_held(value)}
            if held and is_assignable(type(value)):
                self._objects.append((value, held))
            for each in held.values():
                self._look(each)

    def put_back(self) -> ProgramError | None:
        """Put back what has changed, and return the error that names the first of it; None if nothing has."""
        found: ProgramError | None = None
        for container, copied in self._containers:
            if not _same_items(container, copied):
                container.clear()
                (container.update if isinstance(container, dict) else container.extend)(copied)
                found = found or _changed(f"a {type(container).__name__}", "make a new one")
        for value, held in self._objects:
            for name, was in held.items():
                if getattr(value, name, _NOTHING) is not was:
                    assign(value, name, was)
                    kind = type(value).__qualname__
                    found = found or _changed(f"{kind}.{name}", "return a new one, such as dataclasses.replace makes")
        return found


def _same_items(value: Any, held: Any) -> bool:  # two of one of the classes in `CONTAINERS`
    if isinstance(value, bytearray) or len(value) != len(held):
        return bool(value == held)
    if isinstance(value, dict):
        return all(a == b and x is y for (a, x), (b, y) in zip(value.items(), held.items(), strict=True))
    return all(x is y for x, y in zip(value, held, strict=True))


def _changed(what: str, instead: str) -> ProgramError:
    return ProgramError(f"update changes {what} of the model that it is given, and a model stays what it was: {instead}")
