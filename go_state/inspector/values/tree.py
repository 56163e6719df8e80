"""A value as a tree for the page: a few levels of it, each in pages, with what has changed marked.

A tree is `{"kind", "name", "text", "size", "children", "more", "changed"}`, and each child `{"step", "label", "value", "changed"}`.
Children that are None were left out, and are asked for by the path that leads to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Final, TypeAlias, cast

from go_state.inspector.values.parts import Kind, Part, field_names, kind_of, parts_of, size_of
from go_state.inspector.values.redaction import NOTHING, Redaction
from go_state.inspector.values.summary import leaf_text, summary
from go_state.inspector.values.text import LONGEST, shown

Tree: TypeAlias = dict[str, object]

_NODES = 400  # of one answer
_LEVELS = 4
_LINE = 60  # characters of what is said of a part that is folded
PAGE = 100
"""Children of one value that are given at once."""

ABSENT: Final = object()


class Trees:
    """Makes the trees of one answer, whose nodes together are limited."""

    def __init__(self, redaction: Redaction = NOTHING, nodes: int = _NODES) -> None:
        self._redaction = redaction
        self._left = nodes

    def tree(
        self,
        value: object,
        names: tuple[str, ...] = (),
        before: object = ABSENT,
        *,
        start: int = 0,
        count: int = PAGE,
        levels: int = _LEVELS,
    ) -> Tree:
        """Return the tree of a value to which these names lead; what is not as in `before` is marked, if that is given."""
        self._left -= 1
        changed = before is not ABSENT and not same(before, value)
        if self._redaction.hides(names, value):
            return _node("hidden", None, "hidden", None, changed=False)
        kind = kind_of(value)
        size = size_of(value, kind)
        if kind not in ("object", "mapping", "list"):
            name = shown(type(value).__qualname__, 80) if kind == "other" else None
            cut = kind in ("text", "bytes") and (size or 0) > LONGEST
            return _node("cut" if cut else kind, name, leaf_text(value, LONGEST), size if cut else None, changed=changed)
        named: type = getattr(type(value), "__stands_for__", type(value))
        text = summary(value, self._redaction, _LINE, names=names) if names and levels < _LEVELS - 1 else ""
        node = _node(kind, shown(named.__qualname__, 80), text, size, changed=changed)
        if levels > 0 and (start or self._left > 0):
            node["children"] = self._children(value, kind, names, before if changed else ABSENT, start, count, levels)
            node["more"] = max((size or 0) - start - count, 0)
        else:
            node["more"] = size or 0
        return node

    def _children(
        self, value: object, kind: Kind, names: tuple[str, ...], before: object, start: int, count: int, levels: int
    ) -> list[Tree]:
        found: list[Tree] = []
        for part in islice(parts_of(value, kind, start), count):
            was = ABSENT if before is ABSENT else counterpart(before, part)
            changed = before is not ABSENT and (was is ABSENT or not same(was, part.value))
            own = (*names, _name(part))
            inner = self.tree(part.value, own, was if changed else ABSENT, levels=levels - 1, count=_first(levels))
            found.append({"step": part.step, "label": part.name, "value": inner, "changed": changed})
        return found


def _first(levels: int) -> int:
    """Return how many children are given of a value that is itself one: fewer, the deeper it is."""
    return 20 if levels > _LEVELS - 1 else 8


def _name(part: Part) -> str:
    return part.step if isinstance(part.step, str) else part.name


def _node(kind: str, name: str | None, text: str, size: int | None, *, changed: bool) -> Tree:
    return {"kind": kind, "name": name, "text": text, "size": size, "children": None, "more": 0, "changed": changed}


def same(one: object, other: object) -> bool:
    """Return whether two values are equal; two that cannot be compared are not."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    try:
        return bool(one == other) or (one != one and other != other)
    except Exception:  # nested too deeply, say
        return False


def counterpart(before: object, part: Part) -> object:
    """Return the part of another value to which the same step leads; `ABSENT` if there is none."""
    kind, step = kind_of(before), part.step
    if kind == "object" and isinstance(step, str):
        return getattr(before, step, ABSENT) if step in (field_names(before) or ()) else ABSENT
    if kind == "mapping" and isinstance(step, str):
        return cast("Mapping[object, object]", before).get(step, ABSENT)
    if kind == "list" and isinstance(step, int) and isinstance(before, (list, tuple)):
        return before[step] if step < len(before) else ABSENT
    return ABSENT
