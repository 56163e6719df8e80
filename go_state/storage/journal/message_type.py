"""The type of a journal's messages: how they become JSON, and messages again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, NoReturn, TypeVar

from go_state.core.errors import Incompatible, UsageError
from go_state.core.migrations import Migration
from go_state.storage.codec.codecs import message_codec
from go_state.storage.codec.message_codec import MessageCodec
from go_state.storage.records.layout import Block
from go_state.storage.records.records import Records

Msg = TypeVar("Msg")


class _Untyped(NamedTuple):
    """What messages are written as of which nobody has said what they are: none are written."""

    schema: int = 1
    types: None = None


_UNTYPED = _Untyped()


class MessageType(Generic[Msg]):
    """The type of a journal's messages: how they are encoded, and decoded. Without one they can be read as JSON, and not written."""

    def __init__(self, records: Records, aside: Mapping[int, str]) -> None:
        self._records = records
        self._aside = aside  # what was set aside and is not on disk yet; see `RunRecord`
        self._codec: MessageCodec[Msg] | None = None
        #: What messages are written as today: the number of their schema, and the description of their type if that is known.
        self.written_as: MessageCodec[Msg] | _Untyped = _UNTYPED
        self.encode_one: Callable[[Msg], bytes] = self._untyped  #: returns the JSON of one message

    def set(self, kind: Any, schema: int | None = None, migrations: Mapping[int, Migration] = MappingProxyType({})) -> None:
        """Say of what type the messages are, and of which schema; `UsageError` if they have another already."""
        if schema is None:
            schema = 1 if self._codec is None else self._codec.schema
        if self._codec is not None and self._codec.is_for(kind, schema, migrations):
            return
        codec: MessageCodec[Msg] = message_codec(kind, schema, migrations)
        if self._codec is not None and self._codec.kind != codec.kind:
            raise UsageError(f"the journal {self._records.name!r} is open with messages of another type: {self._codec.kind!r}")
        self._codec = self.written_as = codec
        self.encode_one = codec.encode

    def _untyped(self, message: object) -> NoReturn:
        raise UsageError(f"say what the messages are to put some: store.journal({self._records.name!r}, of=Msg)")

    def warn_of_changes(self) -> None:
        """Warn with `TypesChanged` if the messages that were written last may be read as something else today.

        Raises `Incompatible` if they cannot be read.
        """
        from go_state.storage.types.compatibility import check_changes

        last, name = None if self._records.is_new else self._records.last_block(), self._records.name
        if last is not None and self._codec is not None and last.schema == self._codec.schema:
            check_changes(self._records.store, last.types, self._codec.types, name, f"the journal {name!r}")

    def encode(self, messages: Sequence[Msg]) -> list[bytes]:
        """Return the JSON of each message; `NotStorable` for one that would not read back equal."""
        if self._codec is None:
            self._untyped(messages)
        return list(map(self.encode_one, messages))

    def decode(self, data: bytes) -> Msg:
        """Return the message of a record's JSON; `ValueError` if it is none of the journal's."""
        if self._codec is None:
            raise UsageError(f"say what the messages are: store.journal({self._records.name!r}, of=Msg)")
        return self._codec.decode(data)

    def decode_block(self, block: Block) -> list[Msg]:
        """Return the block's messages; `Incompatible` for one that cannot be read."""
        messages, error = self.decode_as_far(block)
        if error is not None:
            raise error
        return messages

    def decode_as_far(self, block: Block) -> tuple[list[Msg], Incompatible | None]:
        """Return the block's messages, or those before the first that cannot be read, and why; None for what was set aside so.

        What was set aside is looked up only if a message cannot be read: a message is rarely set aside, and blocks are many.
        """
        if self._codec is None:
            from msgspec import json

            return list(map(json.decode, block.records())), None
        name = self._records.name
        try:
            return self._codec.decode_block(name, block), None
        except Incompatible:
            aside = dict(self._aside)  # first: what is written meanwhile is found on disk
            aside |= self._records.set_aside()
        messages: list[Any] = []
        for one in block.each():
            try:
                messages += self._codec.decode_block(name, one)
            except Incompatible as error:
                if one.first not in aside:
                    return messages, error
                messages.append(None)
        return messages, None
