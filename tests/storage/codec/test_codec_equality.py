"""What the codec takes for equal: fields that the constructor does not take, and ints where floats are meant."""

import enum
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import attrs
import immutables
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
        with pytest.raises(gs.errors.NotStorable) as raised:
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
    ("kind", "value"),
    [
        (float, 5),
        (float, 2**53 + 1),
        (float | None, 5),
        (float | str, 5),
        (list[float], [1, 2.5, 2.0]),
        (dict[str, float], {"a": 1, "b": 2.5}),
        (dict[float, float], {1: 1, 2.5: 2.0}),
        (tuple[float, int], (1, 1)),
        (dict[str, list[float]], {"a": [0, -0.0]}),
        (set[float], {1}),
        (frozenset[float], frozenset([2**70])),
        (immutables.Map[float, float], immutables.Map({1: 2, 2.5: 2.0})),
    ],
    ids=str,
)
def test_an_int_stands_for_a_float_and_stays_an_int(kind: Any, value: Any) -> None:
    """An int in a float's place, as type checkers allow it, is the same int when it is read, as it was when update saw it."""
    codec = gs.JsonCodec[Any](kind)
    assert repr(codec.decode(codec.encode(value))) == repr(value)


@dataclass(frozen=True)
class Pay:
    amount: float


def test_replay_sees_the_int_that_the_live_program_saw(tmp_path: Path) -> None:
    """A program that shows its numbers comes to one model, live and in replay."""

    def update(model: str, msg: Pay) -> gs.Step[str, Pay]:
        return f"{model}{msg.amount};", ()

    program: gs.Program[str, Pay] = gs.Program(lambda: ("", ()), update)
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        with gs.start(program, store=store, key="k") as app:
            app.apply(Pay(5))
            assert app.apply(Pay(5.0)) == "5;5.0;"
        assert gs.replay(program, store.journal("k")) == "5;5.0;"
        assert gs.verify(program, store.journal("k")).finding is None


@pytest.mark.parametrize(
    ("kind", "value"), [(dict[str, float], {"a": True}), (list[int], [1.0]), (float, True), (list[float], ["1"])]
)
def test_no_other_number_stands_for_another(kind: Any, value: Any) -> None:
    """A bool for a float, and a float for an int are refused."""
    with pytest.raises(gs.errors.NotStorable):
        gs.JsonCodec[Any](kind).encode(value)


def test_a_whole_number_of_others_is_read_as_the_float_it_stands_for() -> None:
    """JSON that others have written may have 5 where 5.0 is meant, and a codec for it reads a float."""
    assert repr(gs.JsonCodec(Pay, whole_floats=True).decode(b'{"amount":5}')) == "Pay(amount=5.0)"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (set[float], {float("nan")}),
        (immutables.Map[float, int], immutables.Map({float("nan"): 1})),
        (dict[float, int], {float("nan"): 1}),
    ],
)
def test_nan_as_a_key_is_refused_with_advice(kind: Any, value: Any) -> None:
    """NaN is refused where it is a key or a member of a set, as everywhere."""
    with pytest.raises(gs.errors.NotStorable, match="no NaN"):
        gs.JsonCodec[Any](kind).encode(value)


def test_members_whose_hashes_collide_are_stored() -> None:
    """-1 and -2 have one hash; in whichever order a set has them, they come back."""
    codec = gs.JsonCodec(set[int])
    for value in ({-1, -2}, {-2, -1}):
        assert codec.decode(codec.encode(value)) == value


def test_a_float_beside_an_enum_of_ints_is_a_float_alone() -> None:
    """Where an int would be read as a member of an enum, a float is stored, and an int is refused."""

    class Level(enum.IntEnum):
        LOW = 1

    codec = gs.JsonCodec[Any](float | Level)
    assert repr([codec.decode(codec.encode(value)) for value in (1.0, Level.LOW)]) == "[1.0, <Level.LOW: 1>]"
    for value in (1, 2):
        with pytest.raises(gs.errors.NotStorable):
            codec.encode(value)
