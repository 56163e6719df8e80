"""The codec: a model or message as JSON that a person can read, and back as an equal value, or a refusal."""

from __future__ import annotations

import functools
import inspect
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from go_state.core.errors import Corrupt, Incompatible, NotStorable
from go_state.core.migrations import FailedMigrationError, Migration, NoMigrationError, migrate
from go_state.core.program import Program, is_without_commands
from go_state.storage.codec.depth import on_empty_stack, with_reserve

if TYPE_CHECKING:
    from go_state.storage.codec.mirror import Shape
    from go_state.storage.records.records import Block
    from go_state.storage.types.description import Description

Value = TypeVar("Value")


class JsonCodec(Generic[Value]):
    """Turns values of one type into JSON and back.

    Made from the type: dataclasses, NamedTuples, attrs classes, msgspec Structs, `immutables.Map`, unions, and the plain and
    container types of Python. What cannot be stored raises `NotStorable`: a type when the codec is made, a value when it is
    written, for `encode` reads back what it wrote and compares, unless the types prove that it comes back as it is. So NaN, a
    subclass in its base's place, a tuple under `Any`, a lone surrogate or a class that changes what it is given never comes back
    as something else. An int in a float's place, which type checkers allow, is read back as that int; with `whole_floats`, for
    JSON that others have written, it is read as a float.

    >>> JsonCodec(list[float]).encode([1, 2.5])
    b'[1,2.5]'
    """

    _tagged = False  # whether a class is stored with its name also where there is one

    def __init__(self, kind: type[Value] | Any, *, whole_floats: bool = False) -> None:
        from go_state.storage.types.shape import (
            shape_of,  # here, with msgspec: a program that stores nothing need not wait for them
        )

        self._use(kind, shape_of(kind, ints_in_floats=not whole_floats))
        self._whole_floats = whole_floats

    def of_part(self, kind: Any) -> JsonCodec[Any]:
        """Return the codec of a part of its values, which reads numbers as this one does."""
        return JsonCodec(kind, whole_floats=self._whole_floats)

    def _use(self, kind: Any, shape: Shape) -> None:
        import msgspec

        self.kind = kind
        self._name = getattr(kind, "__name__", str(kind))
        self._to = shape.to
        self._back = shape.back
        self._exact = shape.exact
        self._nests = shape.nests
        self._encoder = msgspec.json.Encoder()
        try:
            self._decoder = msgspec.json.Decoder(shape.mirror)
        except NotImplementedError:
            why = "an enum or a Literal in it has a whole number of 64 bits or more: give its members smaller numbers, or texts"
            raise NotStorable(self._name, why) from None
        except TypeError as error:
            raise NotStorable(
                self._name, f"its parts cannot be told apart in JSON ({error}): give them classes of their own"
            ) from error

    @functools.cached_property
    def types(self) -> Description:
        """What the type is made of, as a store remembers it."""
        from go_state.storage.types.description import describe

        return describe(self.kind, tagged=self._tagged)

    def encode(self, value: Value) -> bytes:
        """Return the value as JSON; `NotStorable` names the field that would not read back as it is."""
        try:
            data = self._encoder.encode(value if self._to is None else self._to(value))
            if self._exact:
                return data
            self._compare(value, data)
        except RecursionError:
            return self._encode_deep(value)
        except (NotStorable, MemoryError):
            raise
        except Exception as error:  # of a value that does not fit, or whatever its class raises
            raise self._refusal(error) from None  # which may quote the model
        return data

    def _encode_deep(self, value: Value) -> bytes:
        """Encode what the rest of this stack has no room for."""

        def encode() -> bytes:
            data = self._encoder.encode(value if self._to is None else self._to(value))
            self._compare(value, data)
            return data

        try:
            return on_empty_stack(encode)
        except RecursionError:
            why = "it is nested too deeply, or holds itself: keep what is nested in a dict, by a key of its own"
            raise NotStorable(self._name, why) from None
        except (NotStorable, MemoryError):
            raise
        except Exception as error:
            raise self._refusal(error) from None

    def _compare(self, value: Value, data: bytes) -> None:
        """Read the JSON back; `NotStorable` when it does not hold the value."""
        from go_state.storage.codec.sameness import is_same, why_not_same

        back = with_reserve(self._decode, data) if self._nests else self._decode(data)
        if not is_same(value, back):
            raise NotStorable(*why_not_same(value, back, self._name))

    def _refusal(self, error: Exception) -> NotStorable:
        from go_state.storage.codec.misfit import MisfitError

        if isinstance(error, MisfitError):
            return NotStorable(self._name + error.path, error.why)
        why = _words(error)
        if "float" in why and "got `null`" in why:
            why = f"JSON has no NaN and no infinity, store None or a number instead ({why})"
        return NotStorable(self._name, why)

    def decode(self, data: bytes) -> Value:
        """Return the value; `ValueError` names the field that does not fit."""
        try:
            mirror = self._decoder.decode(data)
            value: Value = mirror if self._back is None else self._back(mirror)
        except RecursionError:
            return self._decode_deep(data)
        except MemoryError:
            raise
        except Exception as error:
            raise self._misfit(error) from None
        return value

    def _decode_deep(self, data: bytes) -> Value:
        """Decode what the rest of this stack has no room for."""
        try:
            return on_empty_stack(self._decode, data)
        except MemoryError:
            raise
        except Exception as error:
            raise self._misfit(error) from None

    def _misfit(self, error: Exception) -> ValueError:
        return ValueError(f"the JSON does not hold a {self._name}: {_words(error)}")

    def _decode(self, data: bytes) -> Value:
        mirror = self._decoder.decode(data)
        value: Value = mirror if self._back is None else self._back(mirror)
        return value


class MessageCodec(JsonCodec[Value]):
    """The same for the messages of a journal, of which each says what it is: `["Add", {"by": 1}]`, also where there is one class."""

    _tagged = True

    def __init__(
        self, kind: type[Value] | Any, schema: int = 1, migrations: Mapping[int, Migration] = MappingProxyType({})
    ) -> None:
        import msgspec

        from go_state.storage.types.shape import message_shape_of

        self.schema = schema
        self._migrations = migrations
        shape = message_shape_of(kind)
        self._use(kind, shape)
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
        except RecursionError:  # what is nested deeply is read one by one, where there is room for it
            return [self._decoded(name, position, record) for position, record in self._apart(block)]
        except (Corrupt, MemoryError):
            raise
        except Exception as error:
            self._find_misfit(name, block)
            raise Incompatible(name, f"messages {block.first} to {block.end - 1}", _words(error)) from None

    def _natively(self, block: Block) -> list[Value] | None:
        """Return the messages as msgspec reads them; None where something of them would be passed over.

        It reads flat classes three times as fast without their mirrors, but passes over fields that it does not know: there are
        none in what the same types have written, and of other blocks it has to write the very same bytes again.
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
        again = self._encoder.encode(list(zip(names, messages, strict=True)))
        return messages if block.data.endswith(b',"records":%b}' % again) else None

    def _migrated(self, name: str, block: Block, position: int, record: bytes) -> Any:
        from go_state.storage.codec.json_values import from_json, to_json

        try:
            message = migrate(from_json(record), "message", self._migrations, block.schema, self.schema)
            return None if message is None else self.decode(to_json(message, self.schema))
        except FailedMigrationError as error:
            raise Incompatible(name, f"message at position {position}", str(error)) from error.__cause__
        except NoMigrationError as error:
            raise Incompatible(name, f"the schema number of the message at position {position}", str(error)) from None
        except ValueError as error:
            raise Incompatible(name, f"message at position {position}", str(error)) from None

    def _find_misfit(self, name: str, block: Block) -> None:
        """Raise `Incompatible` with the position of the first message that does not fit."""
        for position, record in self._apart(block):
            self._decoded(name, position, record)

    def _apart(self, block: Block) -> Iterable[tuple[int, bytes]]:
        """Return each record's position and JSON."""
        return enumerate(block.records(), block.first)

    def _decoded(self, name: str, position: int, record: bytes) -> Value:
        try:
            return self.decode(record)
        except ValueError as error:
            raise Incompatible(name, f"message at position {position}", str(error)) from None


def without_contents(error: Exception) -> str:
    """Return the error's text without the values it quotes, which may be somebody's data, and without names that no field has."""
    text = re.sub(r"(?<=value )(?:'.*'|[^' ]+)", "...", str(error), flags=re.DOTALL)
    return re.sub(
        r"(?<=unknown field )`(.*)`", lambda found: found[0] if found[1].isidentifier() else "...", text, flags=re.DOTALL
    )


def _words(error: Exception) -> str:
    """Return what the error says, where that is Python's, msgspec's or ours; of an error of somebody's class its kind alone."""
    import msgspec

    from go_state.storage.codec.misfit import MisfitError

    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, (msgspec.MsgspecError, MisfitError)) or (
        _is_raised_here(error)
        and (
            type(error) in (TypeError, AttributeError, OverflowError)
            or isinstance(error, UnicodeError)
            or _is_of_a_limit(error)
        )
    ):
        return without_contents(error)
    return f"its class raised {type(error).__qualname__}"


def _is_raised_here(error: Exception) -> bool:
    """Tell whether no code but this package's has raised it: what others say may quote what they were given."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith("go_state.")


def _is_of_a_limit(error: Exception) -> bool:
    return str(error).startswith("Exceeds the limit")  # of the digits that Python reads


def model_type(program: Program[Any, Any]) -> Any:
    """Return the type of the model as update's first parameter says, or else what init returns or is."""
    update = _written(program.update)
    parameters = _given_at_a_call(program.update)
    hints = _hints(update)
    if parameters and parameters[0] in hints:
        return hints[parameters[0]]
    init = _written(program.init)
    if isinstance(init, type):
        return init
    returned = _hints(init).get("return")
    if typing.get_origin(returned) is tuple:  # what Step[Model, Msg] stands for
        return typing.get_args(returned)[0]
    if returned is not None and is_without_commands(program):  # init of a reducer returns the model alone
        return returned
    raise NotStorable(
        getattr(update, "__qualname__", "update"),
        "its first parameter has no annotation that says what the model is: write update(model: Model, msg: Msg), or give codec=gs.JsonCodec(Model)",
    )


def message_type(program: Program[Any, Any]) -> Any:
    """Return the type of the messages as update's second parameter says."""
    update = _written(program.update)
    parameters = _given_at_a_call(program.update)
    hints = _hints(update)
    if len(parameters) > 1 and parameters[1] in hints:
        return hints[parameters[1]]
    raise NotStorable(
        getattr(update, "__qualname__", "update"),
        "its second parameter has no annotation that says what the messages are: write update(model: Model, msg: Msg)",
    )


def _written(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that somebody has written, without decorators and without `functools.partial` around it."""
    while True:
        inner = inspect.unwrap(fn)
        inner = inner.func if isinstance(inner, functools.partial) else inner
        if inner is fn:
            return fn
        fn = inner


def _given_at_a_call(fn: Callable[..., Any]) -> list[str]:
    """Return the names of the parameters that a call by position fills, in order: not those that a partial has filled."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [name for name, each in inspect.signature(inspect.unwrap(fn)).parameters.items() if each.kind in positional]


def _hints(fn: Callable[..., Any]) -> dict[str, Any]:
    target = fn if inspect.isroutine(fn) else getattr(type(fn), "__call__", fn)  # noqa: B004  - its annotations, not whether it is callable
    try:
        return typing.get_type_hints(target)
    except NameError as error:
        raise NotStorable(
            getattr(fn, "__qualname__", repr(fn)),
            f"its annotations name {error.name!r}, which its module does not define: define it there, or give codec=gs.JsonCodec(...)",
        ) from error
    except (AttributeError, SyntaxError) as error:
        raise NotStorable(
            getattr(fn, "__qualname__", repr(fn)),
            f"one of its annotations cannot be evaluated ({type(error).__name__}): mend it, or give codec=gs.JsonCodec(...)",
        ) from error
    except TypeError:
        return {}
