"""The message of a letter, made of what was kept with today's types, and how a retry has gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, Union, runtime_checkable

from go_state.core.errors import BadRecord, UsageError
from go_state.core.program import Program
from go_state.storage.codec.codecs import message_codec
from go_state.storage.codec.message_codec import MessageCodec
from go_state.storage.codec.program_types import message_type, migrations_of
from go_state.storage.letters.letter import Letter

Model = TypeVar("Model")
Msg = TypeVar("Msg")


@dataclass(frozen=True, slots=True)
class Retried:
    """How a retry has gone: how many letters are `done` and gone, how many have `failed` again, and how many are `left`,
    because it does not apply to them.

    It does not apply to a letter of which a command has failed after its turn: the turn stays, and would count twice.
    """

    done: int = 0
    failed: int = 0
    left: int = 0


class Tally:
    """Counts how a retry goes."""

    def __init__(self) -> None:
        self.done = self.failed = self.left = 0

    def retried(self) -> Retried:
        """Return the counts."""
        return Retried(self.done, self.failed, self.left)


@runtime_checkable
class Decodes(Protocol):
    """Something that makes a message of a raw record: `gs.sources.JSONLines`, `gs.sources.CSV` or one of your own."""

    def decode(self, raw: Any, /) -> Any:
        """Return the message; raises for a record that is not one."""
        ...


Decode: TypeAlias = Union[Decodes, Callable[[Any], Any], None]


class Reading(Generic[Msg]):
    """Makes messages of letters: stored ones with the program's codec and migrations, raw records with `decode`."""

    def __init__(self, program: Program[Model, Msg], decode: Decode) -> None:
        self.kind = message_type(program)
        self.codec: MessageCodec[Msg] = message_codec(self.kind, program.schema, migrations_of(program))
        self._decode: Callable[[object], Msg] | None = decode.decode if isinstance(decode, Decodes) else decode

    def message(self, letter: Letter) -> Msg:
        """Return the message; raises whatever says that it is not one."""
        if letter.message is not None:
            return self.codec.decode_stored(letter.id, letter.message, letter.schema)
        if self._decode is not None:
            return self._decode(letter.raw)
        if letter.journal:  # JSON of a message that could not be read
            from msgspec import json

            return self.codec.decode(json.encode(letter.raw))
        raise BadRecord(
            letter.source or "a source", letter.position, "it is a raw record: say decode=, such as the source it is of"
        )


def checked_decode(decode: object) -> None:
    """Raise `UsageError` for what cannot decode a record."""
    if decode is not None and not isinstance(decode, Decodes) and not callable(decode):
        raise UsageError(
            f"decode= is a source, such as a gs.sources.CSV, or a function of a raw record, not a {type(decode).__qualname__}"
        )
