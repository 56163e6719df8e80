"""A program's schema: the name, number and codec its models are stored under."""

from __future__ import annotations

import types
import typing
from typing import TYPE_CHECKING, Any, TypeVar

from go_state.core.naming import names_of
from go_state.core.ports import Codec, Store
from go_state.core.program import Program
from go_state.storage.codec import JsonCodec, model_type
from go_state.storage.links import Links, follow_links
from go_state.storage.snapshot import Schema

if TYPE_CHECKING:
    from go_state.storage.description import Description

Model = TypeVar("Model")
Msg = TypeVar("Msg")


def schema_of(program: Program[Model, Msg], codec: Codec[Model] | None) -> Schema[Model]:
    """Return the schema of the program's models.

    The name is the program's, or else the one its model's class is stored under; a codec that is not given is made from the
    annotations of update or init. Raises `NotStorable` when there is none, or when the type cannot be stored.
    """
    migrations: Any = program.migrations  # as its constructor has checked them
    if codec is not None and program.name:
        return Schema((program.name,), program.schema, codec, program.revision, migrations, _types(codec))
    kind: Any = model_type(program)
    names = _names(kind)
    codec = JsonCodec(kind) if codec is None else codec
    names = (program.name,) if program.name else names
    return Schema(names, program.schema, codec, program.revision, migrations, _types(codec))


def _types(codec: Codec[Any]) -> Description | None:
    """Return what the codec's types are, where it is ours."""
    from go_state.storage.description import describe  # here: a program that stores nothing need not wait for it

    return describe(codec.kind) if isinstance(codec, JsonCodec) else None


def _names(kind: Any) -> tuple[str, ...]:
    """Return the names of a type, without modules, so that its classes may move."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return (" | ".join(_names(arg)[0] for arg in args),)
    if origin is not None:
        return (f"{_names(origin)[0]}[{', '.join('...' if arg is ... else _names(arg)[0] for arg in args)}]",)
    return names_of(kind) if isinstance(kind, type) else (str(kind),)


def load_model(
    program: Program[Model, Msg],
    *,
    store: Store,
    key: str,
    links: Links[Model] | None = None,
    codec: Codec[Model] | None = None,
) -> Model | None:
    """Return the model that the program has stored under the key, or None.

    `links(model)` says which others it refers to, as pairs of a key and a function that attaches that key's model; they are
    loaded as well, each once, cycles included. Raises `Corrupt` or `Incompatible`.
    """
    schema = schema_of(program, codec)

    def load(key: str) -> Model | None:
        loaded = schema.load(store, key)
        return None if loaded is None else loaded.model

    return load(key) if links is None else follow_links(key, load, links)
