"""What is hidden: fields by their path, or values by their class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from go_state.core.errors import UsageError

Redact: TypeAlias = str | type | Iterable[str | type]
"""A path, such as "email", "customer.email" or "cards.*.number", a class, or several of these."""


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
