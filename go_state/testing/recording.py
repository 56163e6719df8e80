"""A recorded run as a value: what `gs.to_test` writes into a test, and how the test takes today's program through it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from go_state.core.errors import UsageError
from go_state.core.migrations import FailedMigrationError, NoMigrationError, migrate
from go_state.core.program import Program
from go_state.core.turn import Turn
from go_state.middleware.chain import replayed
from go_state.modes.keeping.folding import folded
from go_state.storage.codec.json_codec import JsonCodec
from go_state.storage.codec.message_codec import MessageCodec
from go_state.storage.codec.program_types import message_type, migrations_of, model_type

Model = TypeVar("Model")
Msg = TypeVar("Msg")


@dataclass(frozen=True, slots=True)
class Recording:
    """A run of a program: the `first` model, with which it began, its messages, and the `last`, to which it came.

    Models and messages are JSON, as the program stored them under its `schema` number; `messages` are `(position, time of entry
    in seconds since 1970, JSON)`. `journal` is the id of the journal they were recorded in, from which `turn.random()` and
    `turn.uuid()` follow.
    """

    journal: str
    schema: int
    first: str
    last: str
    messages: Sequence[tuple[int, float, str]]

    def replay(self, program: Program[Model, Msg]) -> Model:
        """Return the model that today's program comes to; no command is performed.

        Raises what `update` raises, and `ValueError` for a model or message that does not fit the program's types.
        """
        program = replayed(program)
        return folded(program, self._model(program, self.first), self._steps(program))

    def _steps(self, program: Program[Model, Msg]) -> Iterator[Msg | tuple[Msg, Turn]]:
        codec: MessageCodec[Msg] = MessageCodec(message_type(program))
        for position, at, text in self.messages:
            message = codec.decode(self._today(program, text, "message"))
            if message is not None:
                yield (message, Turn(at, position, f"{self.journal}/{position}")) if program.takes_turn else message

    def expected(self, program: Program[Model, Msg]) -> Model:
        """Return the model that the recorded run came to."""
        return self._model(program, self.last)

    def _model(self, program: Program[Model, Msg], text: str) -> Model:
        codec: JsonCodec[Model] = JsonCodec(model_type(program))
        return codec.decode(self._today(program, text, "model"))

    def _today(self, program: Program[Model, Msg], text: str, part: Literal["model", "message"]) -> bytes:
        """Return the JSON as the program's schema has it."""
        if self.schema == program.schema:
            return text.encode()
        from go_state.storage.codec.json_values import from_json, to_json

        migrations = migrations_of(program)
        try:
            return to_json(migrate(from_json(text.encode()), part, migrations, self.schema, program.schema), program.schema)
        except (NoMigrationError, FailedMigrationError) as error:
            raise UsageError(
                f"the recording cannot be read as the program's schema {program.schema}: {error}"
            ) from error.__cause__
