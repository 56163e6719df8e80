"""What the codec takes for equal: fields that the constructor does not take, and ints where floats are meant."""

from dataclasses import dataclass, field
from typing import Any

import attrs
import pytest

import go_state as gs


@dataclass
class Tagged:
    x: int
    tag: int = field(init=False, default=0)


@dataclass
class Doubled:
    x: int
    twice: int = field(init=False)

    def __post_init__(self) -> None:
        self.twice = self.x * 2


@dataclass
class Cached:
    x: int
    cache: int = field(init=False, default=0, compare=False)


@attrs.define
class Attrs:
    x: int
    tag: int = attrs.field(init=False, default=0)


@attrs.define
class AttrsCached:
    x: int
    cache: int = attrs.field(init=False, default=0, eq=False)


def changed(value: Any, **fields: int) -> Any:
    """Return the value with fields set that its constructor does not take."""
    for name, each in fields.items():
        setattr(value, name, each)
    return value


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (changed(Tagged(1), tag=5), "Tagged.tag"),
        (changed(Doubled(1), twice=5), "Doubled.twice"),
        (changed(Attrs(1), tag=5), "Attrs.tag"),
    ],
)
def test_a_compared_field_that_would_not_come_back_is_refused(value: Any, path: str) -> None:
    """A field that the constructor does not take, and that holds something else than it would make, is named."""
    for kind, wrapped in ((type(value), value), (list[type(value)], [value])):  # type: ignore[misc]
        with pytest.raises(gs.NotStorable) as raised:
            gs.JsonCodec[Any](kind).encode(wrapped)
        assert raised.value.path.endswith(path.removeprefix(type(value).__name__))


@pytest.mark.parametrize(
    "value", [Tagged(1), Doubled(3), changed(Cached(1), cache=5), Attrs(1), changed(AttrsCached(1), cache=5)], ids=repr
)
def test_a_field_that_comes_back_by_itself_is_not_stored(value: Any) -> None:
    """What the constructor computes equal, and what is not compared, is no hindrance and leaves no trace."""
    codec = gs.JsonCodec[Any](type(value))
    data = codec.encode(value)
    assert data == b'{"x":%d}' % value.x
    assert codec.decode(data) == value


@pytest.mark.parametrize(
    ("kind", "value", "back"),
    [
        (list[float], [1, 2.5], "[1.0, 2.5]"),
        (list[float], [1, 2], "[1.0, 2.0]"),
        (dict[str, float], {"a": 1, "b": 2.5}, "{'a': 1.0, 'b': 2.5}"),
        (dict[str, float], {"a": 1}, "{'a': 1.0}"),
        (tuple[float, int], (1, 1), "(1.0, 1)"),
        (dict[str, list[float]], {"a": [0]}, "{'a': [0.0]}"),
        (set[float], {1}, "{1.0}"),
    ],
)
def test_ints_stand_for_floats_inside_containers(kind: Any, value: Any, back: str) -> None:
    """An int in a float's place comes back as the equal float, also in a list, a set or a dict."""
    codec = gs.JsonCodec[Any](kind)
    got = codec.decode(codec.encode(value))
    assert (got, repr(got)) == (value, back)


@pytest.mark.parametrize(("kind", "value"), [(list[float], [2**53 + 1]), (dict[str, float], {"a": True}), (list[int], [1.0])])
def test_no_other_number_stands_for_another(kind: Any, value: Any) -> None:
    """An int that no float equals, a bool for a float, and a float for an int are refused."""
    with pytest.raises(gs.NotStorable):
        gs.JsonCodec[Any](kind).encode(value)
