"""Records of a stream as messages: decoded as the lines of a file are, with errors that name a record by its position."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache
from types import UnionType
from typing import Any, Generic, TypeVar

from go_state.core.errors import BadRecord
from go_state.sources.decoding import Tags, decoded_alone, json_decoder, why_undecodable
from go_state.storage.types.annotations import TypeForm

Msg = TypeVar("Msg")


class Decoder(Generic[Msg]):
    """Makes messages of the bytes of one stream's records; see `json_decoder` for the arguments."""

    def __init__(
        self,
        stream: str,
        of: type[Msg] | UnionType | None,
        tag: str | None,
        tags: Tags | None,
        parse: Callable[[bytes], Msg] | None,
    ) -> None:
        self._stream = stream
        self._decode: Callable[[bytes], Any] = (
            json_decoder(of, tag=tag, tags=tags, parse=parse) if tags is not None or parse is not None else _decoder(of, tag)
        )

    def message(self, data: bytes, position: object) -> Msg:
        """Return the message; `BadRecord` if it is not one."""
        try:
            message: Msg = self._decode(data)
        except Exception as error:
            raise BadRecord(self._stream, position, why_undecodable(error)) from None
        return message

    def alone(self, data: bytes) -> Msg:
        """Return the message of a record that was kept apart; `BadRecord` if it is not one."""
        message: Msg = decoded_alone(self._decode, data, self._stream)
        return message


def _decoder(of: TypeForm, tag: str | None) -> Callable[[bytes], object]:
    """Return the decoder of a type, made once: that takes milliseconds, and each event of a function needs one."""
    return _cached(of, tag) if isinstance(of, Hashable) else json_decoder(of, tag=tag)


@lru_cache(maxsize=64)
def _cached(of: TypeForm, tag: str | None) -> Callable[[bytes], object]:
    return json_decoder(of, tag=tag)
