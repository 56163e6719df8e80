"""Two programs whose classes are not the same, as of two versions of a module: what one of them has, as the other has it."""

from __future__ import annotations

from typing import Generic, TypeVar

from go_state.core.errors import NotStorable
from go_state.core.migrations import migrate
from go_state.core.ports import Entry
from go_state.core.program import Program
from go_state.history.reading.starts import Start
from go_state.storage.codec.difference import differences
from go_state.storage.codec.json_codec import JsonCodec
from go_state.storage.codec.json_values import from_json, to_json
from go_state.storage.codec.message_codec import MessageCodec
from go_state.storage.codec.program_types import message_type, migrations_of, model_type

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class Translation(Generic[Model, Msg]):
    """From the classes of one program to those of the other, by way of JSON and the other's migrations."""

    def __init__(self, one: Program[Model, Msg], other: Program[Model, Msg]) -> None:
        self._schemas = one.schema, other.schema
        self._migrations = migrations_of(other)
        self._messages = MessageCodec[Msg](message_type(one)), MessageCodec[Msg](message_type(other))
        self._models = JsonCodec[Model](model_type(one)), JsonCodec[Model](model_type(other))

    def entry(self, entry: Entry[Msg]) -> Entry[Msg]:
        """Return the entry with the other's message; `ValueError` if it is not one."""
        if entry.message is None:
            return entry
        data, (before, now) = self._messages[0].encode(entry.message), self._schemas
        if before < now:
            data = to_json(migrate(from_json(data), "message", self._migrations, before, now), now)
        return entry._replace(message=self._messages[1].decode(data))

    def model(self, model: Model) -> Model:
        """Return the model as the other has it; `ValueError` if its types do not hold it."""
        data, (before, now) = self._models[0].encode(model), self._schemas
        if before < now:
            data = to_json(migrate(from_json(data), "model", self._migrations, before, now), now)
        return self._models[1].decode(data)

    def start(self, start: Start[Model]) -> Start[Model]:
        """Return where the other's fold begins."""
        return start._replace(models={key: self.model(model) for key, model in start.models.items()})

    def images(self, one: Model, other: Model) -> tuple[bytes, bytes]:
        """Return both models as JSON, which is the same if they are, and if their classes have the same fields."""
        return self._models[0].encode(one), self._models[1].encode(other)

    def differ(self, one: Model, other: Model) -> bool:
        """Return whether they differ in a field that both have."""
        return bool(differences(one, other, 1))


def translation_between(one: Program[Model, Msg], other: Program[Model, Msg]) -> Translation[Model, Msg] | None:
    """Return what is between two programs; None if their models and messages are of the same classes."""
    try:
        if (model_type(one), message_type(one)) == (model_type(other), message_type(other)):
            return None
    except NotStorable:  # without annotations nothing says that they are others
        return None
    return Translation(one, other)
