"""A value as JSON for a file or the editor, without what is hidden."""

from __future__ import annotations

from go_state.core.errors import UsageError
from go_state.inspector.values.parts import Part, kind_of, parts_of
from go_state.inspector.values.redaction import HIDDEN, Redaction
from go_state.inspector.values.summary import leaf_text

_DEEPEST = 100


def plain(value: object, redaction: Redaction, names: tuple[str, ...] = ()) -> object:
    """Return the value as what JSON can hold, with "•••" in the place of what is hidden; it cannot be read back."""
    if redaction.hides(names, value):
        return HIDDEN
    if len(names) > _DEEPEST:
        raise UsageError(f"a message that is nested more than {_DEEPEST} deep cannot be written without what is hidden")
    kind = kind_of(value)
    if isinstance(value, str) and kind == "text":
        return value.encode(errors="backslashreplace").decode()  # lone surrogates, which JSON does not have
    if value is None or isinstance(value, bool):
        return value
    if kind in ("object", "mapping"):
        return {
            _name(part, redaction): plain(part.value, redaction, (*names, redaction.name_of(part)))
            for part in parts_of(value, kind)
        }
    if kind == "list":
        return [plain(part.value, redaction, (*names, part.name)) for part in parts_of(value, kind)]
    return value if isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 53) else leaf_text(value, 10_000)


def _name(part: Part, redaction: Redaction) -> str:
    """Return what a part is called; a hidden key has its number, because there may be others beside it."""
    return f"{HIDDEN} {part.number}" if redaction.hides_key(part) else redaction.name_of(part)
