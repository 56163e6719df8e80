"""A value as a tree for the page: a few levels of it, each in pages, with what has changed marked.

A tree is `{"kind", "name", "text", "size", "children", "more", "beyond", "more_changed", "changed"}`, and each child `{"step", "label",
"value", "changed"}`. Children that are None were left out, and are asked for by the path that leads to them. Of the `more` children that
come after those that are given, `more_changed` have changed, and the first of these are in `beyond`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from itertools import islice
from typing import Final, TypeAlias, cast

from go_state.inspector.values.parts import Kind, Part, entry, field_names, kind_of, parts_of, size_of
from go_state.inspector.values.redaction import HIDDEN, NOTHING, Redaction
from go_state.inspector.values.summary import leaf_text, summary
from go_state.inspector.values.text import LONGEST, shown

Tree: TypeAlias = dict[str, object]

_NODES = 400  # of one answer
_LEVELS = 4
_LINE = 60  # characters of what is said of a part that is folded
PAGE = 100
"""Children of one value that are given at once."""

_BEYOND = 10  # children that have changed, and are given though they come after the others
_LOOKED_AT = 100_000  # children among which these are looked for
_COUNTED = 1000  # of these, at most

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
            if changed and node["more"]:
                found = list(islice(_changed_from(value, kind, before, start + count), _COUNTED))
                node["more_changed"] = len(found)
                node["beyond"] = [self._child(part, was, names, levels, changed=True) for part, was in found[:_BEYOND]]
        else:
            node["more"] = size or 0
        return node

    def _children(
        self, value: object, kind: Kind, names: tuple[str, ...], before: object, start: int, count: int, levels: int
    ) -> list[Tree]:
        found: list[Tree] = []
        for part, was in islice(_paired(value, kind, before, start), count):
            changed = before is not ABSENT and (was is ABSENT or not same(was, part.value))
            found.append(self._child(part, was, names, levels, changed=changed))
        return found

    def _child(self, part: Part, was: object, names: tuple[str, ...], levels: int, *, changed: bool) -> Tree:
        own = (*names, self._redaction.name_of(part))
        inner = self.tree(part.value, own, was if changed else ABSENT, levels=levels - 1, count=_first(levels))
        step, label = ({"i": part.number}, HIDDEN) if self._redaction.hides_key(part) else (part.step, part.name)
        return {"step": step, "label": label, "value": inner, "changed": changed}


def _first(levels: int) -> int:
    """Return how many children are given of a value that is itself one: fewer, the deeper it is."""
    return 20 if levels > _LEVELS - 1 else 8


def _node(kind: str, name: str | None, text: str, size: int | None, *, changed: bool) -> Tree:
    return {"kind": kind, "name": name, "text": text, "size": size, "children": None, "more": 0, "beyond": [], "more_changed": 0,
            "changed": changed}  # fmt: skip


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


def _paired(value: object, kind: Kind, before: object, start: int) -> Iterator[tuple[Part, object]]:
    """Give the parts of a value from a number on, each with what another value has in its place; `ABSENT` if that has nothing there."""
    if kind == "mapping" and kind_of(before) == "mapping":
        one = cast("Mapping[object, object]", before)
        for number, (key, item) in enumerate(islice(cast("Mapping[object, object]", value).items(), start, None), start):
            yield entry(key, number, item), one.get(key, ABSENT)
        return
    for part in parts_of(value, kind, start):
        yield part, ABSENT if before is ABSENT else _counterpart(before, part)


def _counterpart(before: object, part: Part) -> object:
    kind, step = kind_of(before), part.step
    if kind == "object" and isinstance(step, str):
        return getattr(before, step, ABSENT) if step in (field_names(before) or ()) else ABSENT
    if isinstance(before, Set):
        return part.value if part.value in before else ABSENT
    if kind == "list" and isinstance(step, int) and isinstance(before, (list, tuple)):
        return before[step] if step < len(before) else ABSENT
    return ABSENT


def _changed_from(value: object, kind: Kind, before: object, start: int) -> Iterator[tuple[Part, object]]:
    """Give the parts from a number on that have changed, as `_paired` does, among so many as take a page no time worth speaking of."""
    if kind == "mapping" and kind_of(before) == "mapping":  # a part is made of an entry that has changed, not of each
        one = cast("Mapping[object, object]", before)
        items = cast("Mapping[object, object]", value).items()
        for number, (key, item) in enumerate(islice(items, start, start + _LOOKED_AT), start):
            was = one.get(key, ABSENT)
            if was is not item and not same(was, item):
                yield entry(key, number, item), was
        return
    for part, was in islice(_paired(value, kind, before, start), _LOOKED_AT):
        if was is not part.value and not same(was, part.value):
            yield part, was
