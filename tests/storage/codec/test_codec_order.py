"""Equal models have equal bytes, in every process: hashes differ between two, and an idle run must write nothing."""

import os
import subprocess
import sys
from typing import Any

import immutables
import pytest

import go_state as gs

SCRIPT = """
from dataclasses import dataclass
import enum, immutables, go_state as gs

class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"
    GREEN = "green"

@dataclass(frozen=True)
class Point:
    x: str

@dataclass(frozen=True)
class Model:
    words: frozenset[str]
    colours: set[Colour]
    points: frozenset[Point]
    by_word: immutables.Map[str, int]
    by_point: immutables.Map[Point, Point]

words = [f"w{n}" for n in range(50)]
points = [Point(word) for word in words]
model = Model(
    frozenset(words), set(Colour), frozenset(points), immutables.Map((w, 1) for w in words),
    immutables.Map((p, p) for p in points),
)
codec = gs.JsonCodec(Model)
assert codec.decode(codec.encode(model)) == model
print(codec.encode(model))
"""


@pytest.mark.slow
def test_what_has_no_order_is_written_in_one() -> None:
    """Sets and persistent maps have the same bytes whatever the hashes are."""
    printed = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(printed) == 1


@pytest.mark.parametrize(
    ("kind", "model", "data"),
    [
        (set[int], {10, 9, 100}, b"[9,10,100]"),
        (frozenset[str], frozenset("cab"), b'["a","b","c"]'),
        (immutables.Map[str, int], immutables.Map(b=1, a=2), b'{"a":2,"b":1}'),
        (immutables.Map[int, frozenset[int]], immutables.Map({10: frozenset({2, 1}), 9: frozenset()}), b'{"9":[],"10":[1,2]}'),
        (dict[str, int], {"b": 1, "a": 2}, b'{"b":1,"a":2}'),
    ],
)
def test_order(kind: Any, model: Any, data: bytes) -> None:
    """Numbers and text are sorted as a person would; a dict keeps the order that it has."""
    codec: gs.JsonCodec[Any] = gs.JsonCodec(kind)
    assert codec.encode(model) == data
    assert codec.decode(data) == model
