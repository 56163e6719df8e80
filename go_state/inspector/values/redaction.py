"""What is hidden: fields by their path, or values by their class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from go_state.core.errors import UsageError
from go_state.inspector.values.parts import Part, kind_of, parts_of

Redact: TypeAlias = str | type | Iterable[str | type]
"""A path, such as "email", "customer.email" or "cards.*.number", a class, or several of these."""


HIDDEN = "•••"
"""What is shown in the place of what is hidden."""

_LOOKED_AT = 10_000  # parts of a value, among which one that is hidden is looked for


class Redaction:
    """Which values are hidden. A path is one of names, from any depth on; `*` stands for any one name, key or index."""

    def __init__(self, redact: Redact = ()) -> None:
        given = [redact] if isinstance(redact, (str, type)) else list(redact)
        if not all(isinstance(each, (str, type)) and each != "" for each in given):
            raise UsageError('redact= is a path, such as "email" or "customer.email", a class, or a list of these')
        self._paths = [tuple(each.split(".")) for each in given if isinstance(each, str)]
        self._kinds = tuple(each for each in given if isinstance(each, type))
        self.is_empty = not given  #: whether nothing is hidden

    def hides(self, names: Sequence[str], value: object) -> bool:
        """Return whether the value is hidden to which these names lead."""
        if self.is_empty:
            return False
        if self._kinds and isinstance(value, self._kinds):
            return True
        return any(
            len(path) <= len(names) and all(want in ("*", name) for want, name in zip(path, names[-len(path) :], strict=True))
            for path in self._paths
        )

    def hides_key(self, part: Part) -> bool:
        """Return whether the part is an entry of a mapping whose key is hidden, being of a class that is."""
        return bool(self._kinds) and isinstance(part.key, self._kinds)

    def hides_key_of(self, mapping: Mapping[object, object]) -> bool:
        """Return whether any key of the mapping is hidden."""
        return bool(self._kinds) and any(isinstance(key, self._kinds) for key in mapping)

    def name_of(self, part: Part) -> str:
        """Return the name that leads to a part."""
        return HIDDEN if self.hides_key(part) else part.step if isinstance(part.step, str) else part.name

    def path_of(self, part: Part) -> str:
        """Return how a path goes on to a part."""
        return f"[{HIDDEN}]" if self.hides_key(part) else part.path

    def hides_within(self, names: tuple[str, ...], value: object) -> bool:
        """Return whether the value is hidden, or holds what is; also if it is too large to tell."""
        waiting, looked = [(names, value)], 0
        while waiting:
            names, value = waiting.pop()
            looked += 1
            if looked > _LOOKED_AT or self.hides(names, value):
                return not self.is_empty
            kind = kind_of(value)
            for part in parts_of(value, kind) if kind in ("object", "mapping", "list") else ():
                if self.hides_key(part):
                    return True
                waiting.append(((*names, self.name_of(part)), part.value))
                if len(waiting) > _LOOKED_AT:
                    return True
        return False

    def may_hide(self, names: Sequence[str | None]) -> bool:
        """Return whether a part to which these names lead may be hidden, or be within what is; None is any name."""
        return any(
            all(
                want == "*" or name is None or want == name
                for want, name in zip(path, names[end - len(path) : end], strict=True)
            )
            for path in self._paths
            for end in range(len(path), len(names) + 1)
        )


NOTHING = Redaction()
