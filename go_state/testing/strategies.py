"""Strategies for hypothesis: messages of a program, out of the types of its update."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from go_state.core.errors import MissingExtra
from go_state.core.program import Program
from go_state.storage.codec.program_types import message_type

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


def messages(of: Any, *, min_size: int = 0, max_size: int = 20) -> SearchStrategy[list[object]]:
    """Return a strategy for sequences of messages: of a program's, by the annotation of its update, or of a type or union.

    They have `min_size` to `max_size` messages.

    `@given(gs.testing.messages(program))`. What a class's fields may hold is hypothesis's to say: `st.register_type_strategy`.
    Needs hypothesis, or raises `MissingExtra`: `pip install "go-state[testing]"`.
    """
    try:
        from hypothesis import strategies
    except ImportError:
        raise MissingExtra("testing", "gs.testing.messages") from None
    kind = message_type(of) if isinstance(of, Program) else of
    return strategies.lists(strategies.from_type(kind), min_size=min_size, max_size=max_size)
