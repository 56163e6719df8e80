"""A value as JSON for a file or the editor, without what is hidden."""

from __future__ import annotations

from go_state.core.errors import UsageError
from go_state.inspector.values.parts import kind_of, parts_of
from go_state.inspector.values.redaction import Redaction
from go_state.inspector.values.summary import HIDDEN, leaf_text

_DEEPEST = 100


def plain(value: object, redaction: Redaction, names: tuple[str, ...] = ()) -> object:
    """Return the value as what JSON can hold, with "•••" in the place of what is hidden; it cannot be read back."""
    if redaction.hides(names, value):
        return HIDDEN
    if len(names) > _DEEPEST:
        raise UsageError(f"a message that is nested more than {_DEEPEST} deep cannot be written without what is hidden")
    kind = kind_of(value)
    if value is None or isinstance(value, (bool, str)):
        return value
    if kind in ("object", "mapping"):
        parts = ((part.step if isinstance(part.step, str) else part.name, part.value) for part in parts_of(value, kind))
        return {name: plain(inner, redaction, (*names, name)) for name, inner in parts}
    if kind == "list":
        return [plain(part.value, redaction, (*names, part.name)) for part in parts_of(value, kind)]
    return value if isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 53) else leaf_text(value, 10_000)
