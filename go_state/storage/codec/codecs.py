"""The codecs of types: one for each type, however many apps, journals and loads need it, because making one takes milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias, TypeVar

from go_state.core.migrations import Migration
from go_state.storage.codec.json_codec import JsonCodec
from go_state.storage.codec.message_codec import MessageCodec
from go_state.storage.types.annotations import Instance, TypeForm

Made = TypeVar("Made")
ModelCodec: TypeAlias = JsonCodec[Instance]

_KEPT = 128  # a program has two; a codec holds nothing but what it has worked out of its types


def json_codec(kind: TypeForm) -> ModelCodec:
    """Return the codec of a type. Raises `NotStorable`."""
    return _cached(_json_codec, lambda: JsonCodec(kind), kind)


def message_codec(
    kind: TypeForm, schema: int = 1, migrations: Mapping[int, Migration] = MappingProxyType({})
) -> MessageCodec[Instance]:
    """Return the codec of a journal's messages, of a type, schema and migrations. Raises `NotStorable`."""
    steps = tuple(sorted(migrations.items()))
    return _cached(_message_codec, lambda: MessageCodec(kind, schema, migrations), kind, schema, steps)


def _cached(cached: Callable[..., Made], make: Callable[[], Made], *of: object) -> Made:
    """Return what the cache has, or a new one for a type whose metadata has no hash, as that of Annotated may have none."""
    try:
        hash(of)
    except TypeError:
        return make()
    return cached(*of)


@lru_cache(maxsize=_KEPT)
def _json_codec(kind: TypeForm) -> ModelCodec:
    return JsonCodec(kind)


@lru_cache(maxsize=_KEPT)
def _message_codec(kind: TypeForm, schema: int, migrations: tuple[tuple[int, Migration], ...]) -> MessageCodec[Instance]:
    return MessageCodec(kind, schema, dict(migrations))
