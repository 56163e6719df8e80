"""Compatibility: what today's types make of values that were stored with the types of a description, before any of them is read.

fine         every stored value is read as what it was
risky        some values may not be read, or may be read as something else
impossible   no value that holds the field can be read
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias

from go_state.core.errors import Incompatible, TypesChanged
from go_state.core.ports import Store
from go_state.storage.types.description import ANYTHING, Described, Description, Node, Types, recall

Verdict: TypeAlias = Literal["fine", "risky", "impossible"]

_IN_JSON = {"int": "number", "float": "number", "bool": "boolean", "None": "null"}  # all other plain types are strings
_LISTS = ("list", "set", "tuple", "pairs")
_ENUMS = ("enum", "flag")
WHOLE = "the value"  # the path of a change that is not inside anything


class Change(NamedTuple):
    """A change of a stored type: whether what was stored can be read, the path of the field, and what has become of it."""

    verdict: Verdict
    field: str
    why: str

    def __str__(self) -> str:
        return f"{self.field}: {self.why} ({self.verdict})"


def changes(store: Store, digest: str, today: Description) -> list[Change]:
    """Return what has changed since values with these types were stored; nothing if the store has no description of them."""
    from msgspec import json

    if digest in ("", today.digest):
        return []
    stored = recall(store, digest)
    try:
        return [] if stored is None else compare(stored, json.decode(today.data))
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError):
        return []  # of a later release, whose words are not known here: then only reading the values tells


def check_changes(store: Store, digest: str, today: Description, key: str, what: str) -> None:
    """Raise `Incompatible` if what was stored cannot be read with today's types; warn with `TypesChanged` if it may be read as
    something else.

    The error is raised also if the value that is read now happens to hold nothing of the kind: the next value would be written in
    another shape under the same schema number, and no migration could tell the two apart.
    """
    import warnings

    found = changes(store, digest, today)
    if impossible := next((change for change in found if change.verdict == "impossible"), None):
        raise Incompatible(key, impossible.field, f"{what} was written with other types: {impossible.why}")
    if doubtful := [change for change in found if change.verdict == "risky"]:
        said = "; ".join(map(str, doubtful))
        warnings.warn(
            f"{what} was written with other types ({said}): give the program a new schema= and a migration, and look "
            f"what else is stored with `go-state snapshots check`",
            TypesChanged,
            stacklevel=2,
        )


def check_shapes(store: Store, digest: str, today: Description, name: str) -> None:
    """Raise `Incompatible` if a class of messages that are about to be written has other fields than in those that are stored.

    Two writers may each know some of a journal's classes: a class that is missing in one of them is no reason to raise.
    """
    for change in changes(store, digest, today):
        if change.verdict == "impossible" and change.field != WHOLE:
            why = f"it was written with other types under the same schema number: {change.why}"
            raise Incompatible(name, change.field, why)


def compare(stored: Types, today: Types) -> list[Change]:
    """Return the changes from one description to the other."""
    comparison = _Comparison(stored["classes"], today["classes"])
    comparison.nodes(stored["type"], today["type"], "")
    return comparison.changes


class _Comparison:
    def __init__(self, stored: dict[str, Described], today: dict[str, Described]) -> None:
        self._stored = stored
        self._today = today
        self._seen: set[tuple[str, str]] = set()  # classes that were compared, or are being: one may hold itself
        self.changes: list[Change] = []

    def _note(self, verdict: Verdict, path: str, why: str) -> None:
        self.changes.append(Change(verdict, path.lstrip(".") or WHOLE, why))

    def nodes(self, old: Node, new: Node, path: str) -> None:
        """Compare two types, at a path."""
        words = _word(old), _word(new)
        verdict: Verdict
        if "any of" in words or "named" in words:
            self._unions(_members(old), _members(new), path)
        elif words == ("class", "class"):
            self._fields(old[1], new[1], path)
        elif all(word in ("list", "set") for word in words):
            self.nodes(old[1], new[1], f"{path}[]")
            if _word(new) != _word(old):
                why = {
                    "set": "it was a list and is a set, which holds equal items once and in no order",
                    "list": "it was a set and is a list, whose items have an order, which those of a set had not",
                }
                self._note("risky", path, why[_word(new)])
        elif words == ("tuple", "tuple"):
            self._tuples(old[1:], new[1:], path)
        elif words in (("map", "map"), ("pairs", "pairs")):
            if words == ("map", "map") and sorted([_written(old[1]), _written(new[1])]) == [
                "int",
                "str",
            ]:  # JSON has strings for both
                self._note("risky", f"{path} keys", f"they were {old[1]} and are {new[1]}")
            else:
                self.nodes(old[1], new[1], f"{path} keys")
            self.nodes(old[2], new[2], f"{path}[...]")
        elif words == ("one of", "one of") or all(word in _ENUMS for word in words):
            self._values(old, new, path)
        elif not _is_equal(old, new):
            verdict = "risky" if self._alike(old, new) else "impossible"
            self._note(verdict, path, f"it was {self._said(old)} and is {self._said(new)}")

    def _values(self, old: Node, new: Node, path: str) -> None:
        """Compare two literals or enums: whether each value still exists, and belongs to a member of the same name."""
        before, after = _names_by_value(old), _names_by_value(new)
        if gone := [value for value in before if value not in after]:
            self._note(
                "risky" if len(gone) < len(before) else "impossible",
                path,
                f"it could be {_listed(gone)}, and no longer can",
            )
        for value in before:
            if value in after and _means_another(value, before, after):
                was, now = (_listed(sorted(names[value])) for names in (before, after))
                self._note("risky", path, f"{was} was stored as {value}, which is {now} today")
        if (_word(old), _word(new)) == ("flag", "enum"):
            self._note("risky", path, "it was a Flag, which can hold several members at once, and is an Enum, which holds one")

    def _unions(self, old: list[Node], new: list[Node], path: str) -> None:
        """Compare each stored member with the one that would read it."""
        pairs = [(each, self._reader(each, new)) for each in old]
        readable = any(reader is not None for _, reader in pairs)
        for each, reader in pairs:
            if reader is not None and _word(each) == _word(reader) == "named":
                self._fields(each[1], reader[1], path if len(new) == 1 else f"{path}({reader[1].rstrip('#')})")
            elif reader is not None and _word(each) == "named":
                self._note("risky", path, f"{self._said(each)} was told by its name, and is read as {self._said(reader)}")
            elif reader is not None:
                self.nodes(each, reader, path)
            else:
                verdict: Verdict = "risky" if readable or old == [ANYTHING] else "impossible"
                self._note(verdict, path, f"it could be {self._said(each)}, and no longer can: it is {self._said(*new)}")

    def _reader(self, old: Node, new: list[Node]) -> Node:
        """Return the member that reads a stored one: the same, or one that looks alike in JSON; None if no member can."""
        if any(_is_equal(old, each) for each in new) and _word(old) not in ("class", "named"):
            return old
        found: list[Node] = []
        if _word(old) == "named":
            names = self._stored[old[1]]["names"]
            found = [each for each in new if _word(each) == "named" and names[0] in self._today[each[1]]["names"]]
        found += [each for each in new if each == ANYTHING]
        found += [each for each in new if _word(each) == _word(old) != "named" and self._alike(old, each)]
        found += [each for each in new if _word(each) != "named" and self._alike(old, each)]
        return found[0] if found else None

    def _tuples(self, old: list[Node], new: list[Node], path: str) -> None:
        if len(old) != len(new):
            self._note("impossible", path, f"it was a tuple of {len(old)} and is one of {len(new)}")
            return
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            self.nodes(one, other, f"{path}[{index}]")

    def _fields(self, old: str, new: str, path: str) -> None:
        """Compare two classes."""
        if (old, new) in self._seen:
            return
        self._seen.add((old, new))
        stored, today = self._stored[old], self._today[new]
        was, names = stored["names"][0], today["names"]
        if path and was not in names:  # the model itself is known by its schema's name, and a member of a union by its own
            self._note(
                "risky",
                path,
                f'it was a {was} and is a {names[0]}: if only the name is new, say @gs.stored_as(..., was=("{was}",))',
            )
        for name, node in stored["fields"].items():
            if name in today["fields"]:
                self.nodes(node, today["fields"][name], f"{path}.{name}")
            else:
                self._note("impossible", f"{path}.{name}", "it was removed or has another name")
        for name in sorted(today["fields"].keys() - stored["fields"].keys()):
            if name in today["optional"]:
                self._note("fine", f"{path}.{name}", "it is new and has a default")
            else:
                self._note("impossible", f"{path}.{name}", "it is new and has no default")

    def _alike(self, old: Node, new: Node) -> bool:
        """Return whether a value of the one may look like one of the other in JSON."""
        return ANYTHING in (old, new) or not self._in_json(old).isdisjoint(self._in_json(new))

    @staticmethod
    def _in_json(node: Node) -> set[str]:
        """Return what values of a type look like in JSON."""
        word = _word(node)
        if word in ("class", "map"):
            return {"object"}
        if word == "one of" or word in _ENUMS:
            return {_kind(value) for value in _values_of(node)}
        if word in _LISTS or word == "named":
            return {"array"}
        return {"string", "number"} if node == "Decimal" else {_IN_JSON.get(node, "string")}

    def _said(self, *nodes: Node) -> str:
        """Return types as a person writes them."""
        return " or ".join(map(_written, nodes))


def _kind(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return "null" if value is None else "boolean"
    return "number" if isinstance(value, (int, float)) else "string"


def _word(node: Node) -> str:
    return node[0] if isinstance(node, list) else ""


def _is_equal(old: Node, new: Node) -> bool:
    return repr(old) == repr(new)  # not ==, to which True is 1


def _values_of(node: Node) -> list[object]:
    """Return the values of a literal, or of an enum with or without names."""
    return list(node[1].values()) if len(node) > 1 and isinstance(node[1], dict) else list(node[1:])


def _names_by_value(node: Node) -> dict[str, set[str]]:
    """Return the names of each value, which is written as `repr` does; none if the description has no names."""
    if len(node) < 2 or not isinstance(node[1], dict):
        return {repr(value): set() for value in node[1:]}
    names: dict[str, set[str]] = {}
    for name, value in node[1].items():
        names.setdefault(repr(value), set()).add(name)
    return names


def _means_another(value: str, before: dict[str, set[str]], after: dict[str, set[str]]) -> bool:
    """Return whether a value was stored for other members: none has a name of today's, or one has another value now."""
    if not (before[value] and after[value]):
        return False  # a description of the first release has no names
    elsewhere = {name for each, names in after.items() if each != value for name in names}
    return before[value].isdisjoint(after[value]) or not before[value].isdisjoint(elsewhere)


def _members(node: Node) -> list[Node]:
    return list(node[1:]) if _word(node) == "any of" else [node]


def _written(node: Node) -> str:
    if not isinstance(node, list):
        return str(node)
    word, *parts = node
    if word in ("class", "named"):
        return str(parts[0]).rstrip("#")
    if word == "any of":
        return " | ".join(map(_written, parts))
    if word == "one of" or word in _ENUMS:
        return _listed(map(repr, _values_of(node)))
    return f"{'dict' if word in ('map', 'pairs') else word}[{', '.join(map(_written, parts))}]"


def _listed(words: Iterable[str]) -> str:
    return " or ".join(words)
