"""A program's schema: the name, number and codec its models are stored under."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable
from itertools import islice, product
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from go_state.core.errors import UsageError
from go_state.core.naming import names_of
from go_state.core.ports import Codec, Store
from go_state.core.program import Program
from go_state.storage.codec.codecs import json_codec
from go_state.storage.codec.json_codec import JsonCodec
from go_state.storage.codec.program_types import message_type, migrations_of, model_type
from go_state.storage.snapshots.links import Links, follow_links
from go_state.storage.snapshots.snapshot import Schema

if TYPE_CHECKING:
    from go_state.storage.types.description import Description

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class StoredTypes(NamedTuple, Generic[Model]):
    """What a program's models and messages are stored as; made once for all keys of a program, as it takes a millisecond."""

    schema: Schema[Model]
    messages: object  # a type


def stored_types(program: Program[Model, Msg]) -> StoredTypes[Model]:
    """Return what the program's models and messages are stored as; `NotStorable` if its annotations do not say what they are."""
    return StoredTypes(schema_of(program, None), message_type(program))


def schema_of(program: Program[Model, Msg], codec: Codec[Model] | None) -> Schema[Model]:
    """Return the schema of the program's models.

    The name is the program's, or else the one its model's class is stored under; a codec that is not given is made from the
    annotations of update or init. Raises `NotStorable` when there is none, or when the type cannot be stored, and
    `UsageError` for what is no codec.
    """
    if codec is not None and (isinstance(codec, type) or not (hasattr(codec, "encode") and hasattr(codec, "decode"))):
        raise UsageError(f"codec= has methods encode and decode, such as a gs.JsonCodec(Model), which {codec!r} has not")
    migrations = migrations_of(program)
    if codec is not None and program.name:
        return Schema((program.name,), program.schema, codec, program.revision, migrations, _types(codec))
    kind: Any = model_type(program)
    names = _names(kind)
    codec = json_codec(kind) if codec is None else codec
    names = (program.name,) if program.name else names
    return Schema(names, program.schema, codec, program.revision, migrations, _types(codec))


def _types(codec: Codec[Model]) -> Description | None:
    """Return the description of the codec's types, if it is a codec of ours."""
    return codec.types if isinstance(codec, JsonCodec) else None


def _names(kind: object) -> tuple[str, ...]:
    """Return the names of a type, without modules, so that its classes may move: the one it is stored under, then those it was
    stored under before. A union has the same name in whichever order its members are written.
    """
    from go_state.storage.types.annotations import members_of, without_wrapping

    kind = without_wrapping(kind)
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        members = [_names(member) for member in members_of(kind)]
        as_written = " | ".join(names[0] for names in members)
        return _distinct([*(" | ".join(sorted(each)) for each in _choices(members)), as_written])
    if origin is not None:
        parts = [("...",) if arg is ... else _names(arg) for arg in args]
        return _distinct(f"{own}[{', '.join(each)}]" for own, *each in _choices([_names(origin), *parts]))
    return names_of(kind) if isinstance(kind, type) else (str(kind),)


def _choices(names: list[tuple[str, ...]]) -> Iterable[tuple[str, ...]]:
    """Return each way to take one name of each part, today's first; not more than anybody will have renamed."""
    return islice(product(*names), 256)


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def load_model(
    program: Program[Model, Msg],
    *,
    store: Store,
    key: str,
    links: Links[Model] | None = None,
    codec: Codec[Model] | None = None,
) -> Model | None:
    """Return the model that the program has stored under the key, or None; `codec` is the one that it was stored with, if not
    the default.

    Beside a journalled program that runs it is the one that was saved last: `gs.history.peek` returns the model as of now, and says in
    `behind` and `since` how many messages this one lacks, and since when.

    `links(model)` says which others it refers to, as pairs of a key and a function that attaches that key's model; they are
    loaded as well, each once, cycles included. Raises `Corrupt` or `Incompatible`.
    """
    schema = schema_of(program, codec)

    def load(key: str) -> Model | None:
        loaded = schema.load(store, key)
        return None if loaded is None else loaded.model

    return load(key) if links is None else follow_links(key, load, links)
