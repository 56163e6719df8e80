"""Differences: the first part in which two models differ, by value or by type, is named with its path."""

from dataclasses import dataclass
from typing import Any

import immutables
import pytest

from go_state.storage.codec.difference import difference


@dataclass(frozen=True)
class Card:
    title: str
    tags: Any = frozenset()


@pytest.mark.parametrize(
    ("one", "other", "path"),
    [
        ({1}, {1.0}, "the model"),
        ({1: 2}, {True: 2}, "the model"),
        ({(1,): 2}, {(1.0,): 2}, "the model"),
        (Card("a", frozenset([(1,)])), Card("a", frozenset([(True,)])), ".tags"),
        (immutables.Map(a=Card("x")), immutables.Map(a=Card("y")), "['a'].title"),
        (immutables.Map({1: 2}), immutables.Map({1.0: 2}), "the model"),
        ([1, 2], [1], "the model"),
    ],
    ids=str,
)
def test_a_difference_of_types_is_one(one: Any, other: Any, path: str) -> None:
    """Keys and members that are equal and of other types differ, and inside a persistent map the field is named."""
    found = difference(one, other)
    assert found is not None
    assert found.path == path


@pytest.mark.parametrize("value", [{1: {2, 3}}, immutables.Map({(1, 2): Card("x")}), [Card("a", {"b"})], {-1, -2}], ids=str)
def test_equal_models_do_not_differ(value: Any) -> None:
    """A model that was made again is the same."""
    assert difference(value, eval(repr(value), {"Card": Card, "immutables": immutables})) is None
