"""The codec of a journal's messages: one by one when they are put, block by block when they are read."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from go_state.core.errors import Corrupt, Incompatible
from go_state.core.migrations import FailedMigrationError, Migration, NoMigrationError, migrate
from go_state.storage.codec.error_texts import error_text
from go_state.storage.codec.json_codec import JsonCodec
from go_state.storage.types.annotations import Instance, TypeForm

if TYPE_CHECKING:
    from go_state.storage.types.description import Description

Value = TypeVar("Value")


# A message that a migration drops, or that was emptied: it has its place in the block, and readers pass over it.
_DROPPED: Instance = None


class MessageBlock(Protocol):
    """Messages that were written together: what this codec reads of a `Block` of records."""

    @property
    def first(self) -> int:
        """The position of the first of them."""
        ...

    @property
    def end(self) -> int:
        """The position after the last."""
        ...

    @property
    def number(self) -> int:
        """How many they are."""
        ...

    @property
    def schema(self) -> int:
        """The number of their schema."""
        ...

    @property
    def types(self) -> str:
        """The digest of the types that they had."""
        ...

    @property
    def data(self) -> bytes:
        """Their JSON, with their times."""
        ...

    @property
    def emptied(self) -> int:
        """How many of them were emptied."""
        ...

    def without_emptied(self) -> Iterator[MessageBlock]:
        """Give the messages between those that were emptied as blocks of their own."""
        ...

    def records(self) -> list[bytes]:
        """Return the JSON of each message."""
        ...

    def damaged(self, why: str) -> Corrupt:
        """Return the error for a block that is damaged."""
        ...


class MessageCodec(Generic[Value]):
    """Turns the messages of a journal into JSON and back. Each says what it is, also if there is one class: `["Add", {"by": 1}]`."""

    def __init__(
        self, kind: type[Value] | TypeForm, schema: int = 1, migrations: Mapping[int, Migration] = MappingProxyType({})
    ) -> None:
        import msgspec

        from go_state.storage.types.shape import message_shape_of

        self.kind = kind
        self.schema = schema
        self._migrations = migrations
        shape = message_shape_of(kind)
        self._codec: JsonCodec[Value] = JsonCodec.of_shape(kind, shape, tagged=True)  # of one message
        self._back = shape.back
        #: One message as JSON; `NotStorable` names what would not read back as it is.
        self.encode: Callable[[Value], bytes] = (
            _fast(self._codec.encode, shape.natives) if shape.natives else self._codec.encode
        )
        self.decode = self._codec.decode  #: one message of its JSON; `ValueError` names what does not fit
        self._natives: dict[str, Callable[[bytes], Value]] = {
            name: msgspec.json.Decoder(cls).decode for name, cls in (shape.natives or {}).items()
        }
        pairs: TypeForm = msgspec.defstruct("Records", [("records", list[tuple[str, msgspec.Raw]])])
        self._pair_decoder = msgspec.json.Decoder(pairs)
        records: TypeForm = msgspec.defstruct("Records", [("records", list[shape.mirror])])  # type: ignore[name-defined]
        self._block_decoder = msgspec.json.Decoder(records)
        self._encode_all = msgspec.json.Encoder().encode

    @functools.cached_property
    def types(self) -> Description:
        """The description of the messages' type, which a store keeps beside them."""
        return self._codec.types

    def is_for(self, kind: TypeForm, schema: int, migrations: Mapping[int, Migration]) -> bool:
        """Return whether it is the codec of these messages."""
        return (self.kind, self.schema, self._migrations) == (kind, schema, migrations)

    def decode_block(self, name: str, block: MessageBlock) -> list[Value]:
        """Return the block's messages; `Incompatible`, which names the journal and the position, if one does not fit.

        Messages of an older schema are migrated; one that the migration drops is None, and so is one that was emptied.
        """
        if block.emptied:
            return self._around_emptied(name, block)
        if block.schema != self.schema:
            return [
                self._migrated(name, block, position, record) for position, record in enumerate(block.records(), block.first)
            ]
        messages = self._natively(block) if self._natives else None
        if messages is not None:
            return messages
        try:
            records = self._block_decoder.decode(block.data).records
            if len(records) != block.number:
                raise block.damaged(f"it holds {len(records)} messages and says {block.number}")
            return records if self._back is None else list(map(self._back, records))
        except RecursionError:  # messages that are nested deeply are read one by one, on a stack of their own
            return [self._decoded(name, position, record) for position, record in self._apart(block)]
        except (Corrupt, MemoryError):
            raise
        except Exception as error:
            self._find_misfit(name, block)
            raise Incompatible(name, f"messages {block.first} to {block.end - 1}", error_text(error)) from None

    def _around_emptied(self, name: str, block: MessageBlock) -> list[Value]:
        messages: list[Value] = [_DROPPED] * block.number
        for part in block.without_emptied():
            at = part.first - block.first
            messages[at : at + part.number] = self.decode_block(name, part)
        return messages

    def _natively(self, block: MessageBlock) -> list[Value] | None:
        """Return the messages as msgspec reads them without mirrors; None if it would ignore something of them.

        It reads flat classes three times as fast so, but ignores fields that it does not know. There are none in what the same
        types have written; of other blocks the messages have to be written as the very same bytes again.
        """
        natives = self._natives
        try:
            pairs = self._pair_decoder.decode(block.data).records
            messages = [natives[name](data) for name, data in pairs]
        except (KeyError, TypeError, ValueError, RecursionError):
            return None
        if len(messages) != block.number:
            return None
        if block.types == self.types.digest:
            return messages
        names, _ = zip(*pairs, strict=True)
        again = self._encode_all(list(zip(names, messages, strict=True)))
        return messages if block.data.endswith(b',"records":%b}' % again) else None

    def decode_stored(self, name: str, data: bytes, schema: int) -> Value:
        """Return one message that was stored by itself, with this number of its schema; `Incompatible` if it does not fit.

        One that a migration drops is None.
        """
        return self._of_schema(name, "message", data, schema)

    def _migrated(self, name: str, block: MessageBlock, position: int, record: bytes) -> Value:
        return self._of_schema(name, f"message at position {position}", record, block.schema)

    def _of_schema(self, name: str, what: str, record: bytes, schema: int) -> Value:
        from go_state.storage.codec.json_values import from_json, to_json

        try:
            if schema == self.schema:
                return self.decode(record)
            message = migrate(from_json(record), "message", self._migrations, schema, self.schema)
            return self.decode(to_json(message, self.schema)) if message is not None else _DROPPED
        except FailedMigrationError as error:
            raise Incompatible(name, what, str(error)) from error.__cause__
        except NoMigrationError as error:
            raise Incompatible(name, f"the schema number of the {what}", str(error)) from None
        except ValueError as error:
            raise Incompatible(name, what, str(error)) from None

    def _find_misfit(self, name: str, block: MessageBlock) -> None:
        """Raise `Incompatible` with the position of the first message that does not fit."""
        for position, record in self._apart(block):
            self._decoded(name, position, record)

    def _apart(self, block: MessageBlock) -> Iterable[tuple[int, bytes]]:
        """Return each record's position and JSON."""
        return enumerate(block.records(), block.first)

    def _decoded(self, name: str, position: int, record: bytes) -> Value:
        try:
            return self.decode(record)
        except ValueError as error:
            raise Incompatible(name, f"message at position {position}", str(error)) from None


def _fast(encode: Callable[[Value], bytes], natives: Mapping[str, type]) -> Callable[[Value], bytes]:
    """Return the encoder of messages that msgspec writes as they are, if their fields hold what they say: most messages are such.

    Whether they do, `encode` says; for each class the types that its fields had then are remembered, and a message with the same is
    written without asking. That is two calls less for each message that is put.
    """
    import msgspec

    from go_state.storage.types.classes.fields import constructor_names

    known: dict[type, tuple[str, Callable[[Value], Instance], bool, set[object]]] = {}
    for name, cls in natives.items():  # the first name of a class is the one that it is stored under
        fields = constructor_names(cls) or ["__class__"]
        known.setdefault(cls, (name, operator.attrgetter(*fields), len(fields) > 1, set()))
    by_class, write = known.get, msgspec.json.Encoder().encode

    def encode_fast(message: Value) -> bytes:
        found = by_class(type(message))
        if found is None:
            return encode(message)
        name, read, is_tuple, seen = found
        try:
            fields = read(message)
            kinds = tuple(map(type, fields)) if is_tuple else type(fields)
            if kinds in seen:
                return write((name, message))
        except Exception:  # `encode` has the words for it
            return encode(message)
        data = encode(message)
        seen.add(kinds)
        return data

    return encode_fast
