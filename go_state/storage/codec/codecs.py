"""The codecs of types: one for each type, however many apps, journals and loads need it, since making one takes milliseconds."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from go_state.core.migrations import Migration
from go_state.storage.codec.json_codec import JsonCodec
from go_state.storage.codec.message_codec import MessageCodec

_KEPT = 128  # a program has two; a codec holds nothing but what it has worked out of its types


def json_codec(kind: Any) -> JsonCodec[Any]:
    """Return the codec of a type. Raises `NotStorable`."""
    codec: JsonCodec[Any] = _known(_json_codec, kind)
    return codec


def message_codec(kind: Any, schema: int = 1, migrations: Mapping[int, Migration] = MappingProxyType({})) -> MessageCodec[Any]:
    """Return the codec of a journal's messages, of a type, schema and migrations. Raises `NotStorable`."""
    codec: MessageCodec[Any] = _known(_message_codec, kind, schema, tuple(sorted(migrations.items())))
    return codec


def _known(make: Callable[..., Any], *of: Any) -> Any:
    try:
        hash(of)
    except TypeError:  # of a type with metadata that has no hash, as Annotated may have
        return inspect.unwrap(make)(*of)
    return make(*of)


@functools.lru_cache(maxsize=_KEPT)
def _json_codec(kind: Any) -> JsonCodec[Any]:
    return JsonCodec(kind)


@functools.lru_cache(maxsize=_KEPT)
def _message_codec(kind: Any, schema: int, migrations: tuple[tuple[int, Migration], ...]) -> MessageCodec[Any]:
    return MessageCodec(kind, schema, dict(migrations))
