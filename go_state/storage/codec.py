"""The codec: a model or message as JSON that a person can read, and back as an equal value, or a refusal."""

from __future__ import annotations

import datetime
import inspect
import re
import typing
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from go_state.core.errors import Incompatible, NotStorable
from go_state.core.migrations import Migration, NoMigrationError, migrate
from go_state.core.program import Program

if TYPE_CHECKING:
    from go_state.storage.records import Block
    from go_state.storage.shape import Shape

Value = TypeVar("Value")


class JsonCodec(Generic[Value]):
    """Turns values of one type into JSON and back.

    Made from the type: dataclasses, NamedTuples, attrs classes, msgspec Structs, `immutables.Map`, unions, and the plain and
    container types of Python. What cannot be stored raises `NotStorable`: a type when the codec is made, a value when it is
    written, for `encode` reads back what it wrote and compares. So NaN, a subclass in its base's place, a tuple under `Any`, a
    lone surrogate or a number over 64 bits never comes back as something else.

    >>> JsonCodec(list[int]).encode([1, 2])
    b'[1,2]'
    """

    def __init__(self, kind: type[Value] | Any) -> None:
        from go_state.storage.shape import shape_of  # here, with msgspec: a program that stores nothing need not wait for them

        self._use(kind, shape_of(kind))

    def _use(self, kind: Any, shape: Shape) -> None:
        import msgspec

        self.kind = kind
        self._mirror = shape.mirror
        self._name = getattr(kind, "__name__", str(kind))
        self._to = shape.to
        self._back = shape.back
        self._exact = shape.exact
        self._encoder = msgspec.json.Encoder()
        try:
            self._decoder = msgspec.json.Decoder(shape.mirror)
        except TypeError as error:
            raise NotStorable(
                self._name, f"its parts cannot be told apart in JSON ({error}): give them classes of their own"
            ) from error

    def encode(self, value: Value) -> bytes:
        """Return the value as JSON; `NotStorable` names the field that would not read back as it is."""
        try:
            data = self._encoder.encode(value if self._to is None else self._to(value))
            if self._exact:
                return data
            back = self.decode(data)
            same = _is_same(value, back)
        except _FAILURES as error:
            raise NotStorable(self._name, without_contents(error)) from None  # what msgspec says may quote the model
        if not same:
            raise NotStorable(*_difference(value, back, self._name))
        return data

    def decode(self, data: bytes) -> Value:
        """Return the value; `ValueError` names the field that does not fit."""
        try:
            mirror = self._decoder.decode(data)
            value: Value = mirror if self._back is None else self._back(mirror)
        except _FAILURES as error:
            raise ValueError(f"the JSON does not hold a {self._name}: {without_contents(error)}") from None
        return value


class MessageCodec(JsonCodec[Value]):
    """The same for the messages of a journal, of which each says what it is: `["Add", {"by": 1}]`, also where there is one class."""

    def __init__(
        self, kind: type[Value] | Any, schema: int = 1, migrations: Mapping[int, Migration] = MappingProxyType({})
    ) -> None:
        import msgspec

        from go_state.storage.description import describe
        from go_state.storage.shape import message_shape_of

        self.schema = schema
        self._migrations = migrations
        shape = message_shape_of(kind)
        self._use(kind, shape)
        self.types = describe(kind, tagged=True)
        self._natives: dict[str, Callable[[Any], Any]] = {
            name: msgspec.json.Decoder(cls).decode for name, cls in (shape.natives or {}).items()
        }
        pairs: Any = msgspec.defstruct("Records", [("records", list[tuple[str, msgspec.Raw]])])
        self._pair_decoder = msgspec.json.Decoder(pairs)
        records: Any = msgspec.defstruct("Records", [("records", list[shape.mirror])])  # type: ignore[name-defined]
        self._block_decoder = msgspec.json.Decoder(records)

    def is_for(self, kind: Any, schema: int, migrations: Mapping[int, Migration]) -> bool:
        """Tell whether it is the codec of these messages."""
        return (self.kind, self.schema, self._migrations) == (kind, schema, migrations)

    def decode_block(self, name: str, block: Block) -> list[Value]:
        """Return the block's messages; `Incompatible`, which names the journal and the position, when one does not fit.

        Messages of an older schema are migrated; one that is then no more is None.
        """
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
        except _FAILURES as error:
            self._find_misfit(name, block)
            raise Incompatible(name, f"messages {block.first} to {block.end - 1}", without_contents(error)) from None

    def _natively(self, block: Block) -> list[Value] | None:
        """Return the messages as msgspec reads them; None where something of them would be passed over.

        It reads flat classes three times as fast without their mirrors, but passes over fields that it does not know: there are
        none in what the same types have written, and of other blocks it has to write the very same bytes again.
        """
        natives = self._natives
        try:
            pairs = self._pair_decoder.decode(block.data).records
            messages = [natives[name](data) for name, data in pairs]
        except (KeyError, *_FAILURES):
            return None
        if len(messages) != block.number:
            return None
        if block.types == self.types.digest:
            return messages
        names, _ = zip(*pairs, strict=True)
        again = self._encoder.encode(list(zip(names, messages, strict=True)))
        return messages if block.data.endswith(b',"records":%b}' % again) else None

    def _migrated(self, name: str, block: Block, position: int, record: bytes) -> Any:
        from msgspec import json

        try:
            message = migrate(json.decode(record), "message", self._migrations, block.schema, self.schema)
            return None if message is None else self.decode(json.encode(message))
        except NoMigrationError as error:
            raise Incompatible(name, f"the schema number of the message at position {position}", str(error)) from None
        except ValueError as error:
            raise Incompatible(name, f"message at position {position}", str(error)) from None

    def _find_misfit(self, name: str, block: Block) -> None:
        """Raise `Incompatible` with the position of the first message that does not fit."""
        for position, record in enumerate(block.records(), block.first):
            try:
                self.decode(record)
            except ValueError as error:
                raise Incompatible(name, f"message at position {position}", str(error)) from None


_FAILURES = (TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)  # of bytes and values that do not fit


def without_contents(error: Exception) -> str:
    """Return the error's text without the values it quotes, which may be somebody's data."""
    return re.sub(r"(?<=value )'.*'", "...", str(error), flags=re.DOTALL)


def model_type(program: Program[Any, Any]) -> Any:
    """Return the type of the model as update's first parameter says, or else what init returns or is."""
    update = inspect.unwrap(program.update)
    parameters = list(inspect.signature(update).parameters)
    hints = _hints(update)
    if parameters and parameters[0] in hints:
        return hints[parameters[0]]
    init = inspect.unwrap(program.init)
    if isinstance(init, type):
        return init
    returned = _hints(init).get("return")
    if typing.get_origin(returned) is tuple:  # what Step[Model, Msg] stands for
        return typing.get_args(returned)[0]
    raise NotStorable(
        getattr(update, "__qualname__", "update"),
        "its first parameter has no annotation that says what the model is: write update(model: Model, msg: Msg), or give codec=gs.JsonCodec(Model)",
    )


def message_type(program: Program[Any, Any]) -> Any:
    """Return the type of the messages as update's second parameter says."""
    update = inspect.unwrap(program.update)
    parameters = list(inspect.signature(update).parameters)
    hints = _hints(update)
    if len(parameters) > 1 and parameters[1] in hints:
        return hints[parameters[1]]
    raise NotStorable(
        getattr(update, "__qualname__", "update"),
        "its second parameter has no annotation that says what the messages are: write update(model: Model, msg: Msg)",
    )


def _hints(fn: Callable[..., Any]) -> dict[str, Any]:
    target = fn if inspect.isroutine(fn) else getattr(type(fn), "__call__", fn)  # noqa: B004  - its annotations, not whether it is callable
    try:
        return typing.get_type_hints(target)
    except NameError as error:
        raise NotStorable(
            getattr(fn, "__qualname__", repr(fn)),
            f"its annotations name {error.name!r}, which its module does not define: define it there, or give codec=gs.JsonCodec(...)",
        ) from error
    except TypeError:
        return {}


_IDENTITY: object = object.__eq__
_SIMPLE = frozenset({int, str, bool, type(None), bytes})  # equal and of one type is the same


def _is_same(value: Any, back: Any) -> bool:
    """Tell whether what was read back is equal and of the same type at every depth; an int may come back as a float."""
    kind: Any = type(value)
    kind = getattr(kind, "__stands_for__", kind)  # the read-only twins of a strict program's model
    if kind is not type(back):
        return kind is int and type(back) is float and value == back
    if kind in _SIMPLE:
        return bool(value == back)
    if kind is list or kind is tuple:
        if (kinds := set(map(type, value))) <= _SIMPLE and kinds == set(map(type, back)):
            return bool(value == back)
        return len(value) == len(back) and all(map(_is_same, value, back))
    if kind is dict:
        return len(value) == len(back) and all(map(_is_same, value.items(), back.items()))
    if kind is set or kind is frozenset:
        return bool(value == back) and all(map(_is_same, sorted(value, key=_order), sorted(back, key=_order)))
    if isinstance(value, datetime.datetime):
        return bool(value == back) and value.tzinfo == back.tzinfo and value.fold == back.fold
    if isinstance(value, Mapping):
        return (
            len(value) == len(back)
            and _types(value) == _types(back)
            and all(_is_same(each, back[key]) for key, each in value.items())
        )
    names = _field_names(value)
    if names is None:
        return bool(value == back)
    if kind.__eq__ is _IDENTITY:  # equal to itself alone: what is read back is another
        return False
    return all(_is_same(getattr(value, name), getattr(back, name)) for name in names)


def _order(value: Any) -> tuple[int, str]:
    """Return what puts equal members of two sets in the same order."""
    return hash(value), "" if isinstance(value, (int, float)) else type(value).__qualname__


def _types(values: Any) -> list[str]:
    return sorted(type(each).__qualname__ for each in values)


def _field_names(value: Any) -> list[str] | None:
    from go_state.storage.fields import field_names

    kind: Any = type(value)
    return field_names(kind)


def _difference(value: Any, back: Any, path: str) -> tuple[str, str]:
    """Return the path of the first part that did not come back the same, and why, without its contents."""
    if type(value) is not type(back):
        found, became = type(value).__qualname__, type(back).__qualname__
        return path, f"a {found} would read back as a {became}: annotate the field with what it holds, or store what it says"
    for name, one, other in _parts(value, back):
        if not _is_same(one, other):
            return _difference(one, other, f"{path}{name}")
    if value != value:
        return path, "it is not equal to itself (NaN): store None or a number instead"
    if isinstance(value, datetime.datetime):
        return path, "its time zone would read back as a fixed offset: store it in UTC"
    return (
        path,
        f"a {type(value).__qualname__} would not read back equal: compare only what is stored and what is computed from it",
    )


def _parts(value: Any, back: Any) -> list[tuple[str, Any, Any]]:
    names = _field_names(value)
    if names is not None:
        return [(f".{name}", getattr(value, name), getattr(back, name)) for name in names]
    if isinstance(value, (list, tuple)):
        return [(f"[{i}]", one, other) for i, (one, other) in enumerate(zip(value, back, strict=False))]
    if isinstance(value, Mapping):
        # A key may be somebody's data: it is not part of the path.
        keys = [(" keys", one, other) for one, other in zip(value, back, strict=False)] if isinstance(value, dict) else []
        return keys + [("[...]", one, back.get(key)) for key, one in value.items()]
    return []
