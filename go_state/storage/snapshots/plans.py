"""How the values of one type are taken apart into pieces; see `pieces.py`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from go_state.storage.codec.json_codec import JsonCodec
    from go_state.storage.snapshots.pieces import Inside, Planner

_ENTRY = 1024  # bytes of text that take as long as an entry


class Plan:
    """How a value is taken apart: not at all."""

    is_leaf = True  # whether no value of it is ever taken apart
    varies = False  # whether some are heavier than others

    def __init__(self, planner: Planner, kind: Any, inside: Inside) -> None:
        self.kind = kind
        self.name = getattr(kind, "__name__", str(kind))
        self._planner = planner
        self._inside = inside

    @cached_property
    def codec(self) -> JsonCodec[Any]:
        """The codec of its values."""
        return self._planner.codec(self.kind)

    def weight(self, value: Any) -> int:
        """Return about how many entries the value has."""
        return 1

    def pieces(self, value: Any) -> Iterator[bytes]:
        """Give the value's JSON in pieces."""
        yield self.codec.encode(value)


class TextPlan(Plan):
    """Text or bytes: in one piece, which may be a large one."""

    varies = True

    def weight(self, value: Any) -> int:
        return 1 + len(value) // _ENTRY if isinstance(value, (str, bytes)) else 1


def type_of(value: Any) -> Any:
    """Return the value's type; of a read-only twin in a strict program's model, that which it stands for."""
    return getattr(type(value), "__stands_for__", type(value))
