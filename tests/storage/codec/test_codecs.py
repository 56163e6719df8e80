"""Codecs: which types a program's are, however its functions are wrapped, and that a codec is made once for them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

import go_state as gs
from go_state.storage.codec.codecs import json_codec, message_codec
from go_state.storage.codec.program_types import message_type, model_type


@dataclass(frozen=True)
class Counter:
    count: int = 0


@dataclass(frozen=True)
class Add:
    by: int


def init() -> gs.Step[Counter, Add]:
    return Counter(), ()


def update(model: Counter, msg: Add) -> gs.Step[Counter, Add]:
    return Counter(model.count + msg.by), ()


def scaled(factor: bytes, model: Counter, msg: Add) -> gs.Step[Counter, Add]:
    return Counter(model.count + len(factor) * msg.by), ()


def scaled_last(model: Counter, msg: Add, factor: bytes) -> gs.Step[Counter, Add]:
    return scaled(factor, model, msg)


def traced(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function as decorators do."""

    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return wrapper


class Updating:
    def __call__(self, model: Counter, msg: Add) -> gs.Step[Counter, Add]:
        return update(model, msg)

    def method(self, factor: bytes, model: Counter, msg: Add) -> gs.Step[Counter, Add]:
        return scaled(factor, model, msg)


PARTIAL = functools.partial
WRAPPED = [
    update, PARTIAL(scaled, b"x"), PARTIAL(PARTIAL(scaled), b"x"), PARTIAL(scaled_last, factor=b"x"), PARTIAL(traced(scaled), b"x"),
    traced(PARTIAL(scaled, b"x")), PARTIAL(Updating().method, b"x"), PARTIAL(Updating()), PARTIAL(functools.lru_cache(scaled), b"x"),
]  # fmt: skip


@pytest.mark.parametrize("fn", WRAPPED, ids=range(len(WRAPPED)))
@pytest.mark.parametrize("strict", [False, True])
def test_the_annotations_of_a_wrapped_update_are_found(fn: Any, strict: bool) -> None:
    """A partial, a decorator, and both around each other, hide no annotation; what a partial has filled is no model."""
    program = gs.Program(init, fn, strict=strict)
    assert (model_type(program), message_type(program)) == (Counter, Add)
    store = gs.MemoryStore()
    assert gs.aggregate(program, [Add(2)], store=store, key="k").model == Counter(2)
    assert gs.load_model(program, store=store, key="k") == Counter(2)


def test_an_init_that_is_a_partial_says_what_the_model_is() -> None:
    """Where update has no annotations, what a partial init returns counts."""

    def begin(key: str) -> gs.Step[Counter, Add]:
        return Counter(), ()

    program: gs.Program[Any, Any] = gs.Program(PARTIAL(begin, "a"), lambda model, msg: (model, ()))
    assert model_type(program) is Counter


def test_a_codec_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many models are loaded and keyed apps begun, the codecs of their types are those that are there."""
    program = gs.Program(init, update)
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        with gs.start_keyed(program, store=store) as rooms:
            rooms["first"].apply(Add(1))
        made: list[str] = []
        define = msgspec.defstruct
        monkeypatch.setattr(
            msgspec, "defstruct", lambda name, *args, **kwargs: made.append(name) or define(name, *args, **kwargs)
        )
        for _ in range(3):
            assert gs.load_model(program, store=store, key="first") == Counter(1)
        with gs.start_keyed(gs.Program(init, update), store=store) as rooms:
            for key in ("second", "third"):
                assert rooms[key].apply(Add(2)) == Counter(2)
    assert made == []


def test_codecs_differ_where_what_they_are_made_of_differs() -> None:
    """Another schema or migration is another codec of messages, and a type that has no hash has its own each time."""
    migrations = {1: gs.Migration(message=lambda message: message)}
    assert json_codec(Counter) is json_codec(Counter)
    assert message_codec(Add, 2, migrations) is message_codec(Add, 2, dict(migrations))
    assert message_codec(Add, 2, migrations) is not message_codec(Add)
    unhashable: Any = Annotated[int, {"metres": 1}]
    assert json_codec(unhashable).encode(5) == b"5"
