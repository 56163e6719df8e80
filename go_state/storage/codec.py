"""The codec: a model or message as JSON that a person can read, and back as an equal value, or a refusal."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from go_state.core.errors import NotStorable
from go_state.core.program import Program

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
        import msgspec  # here, with the shapes: most of what they cost to import is not paid by a program that stores nothing

        from go_state.storage.shape import shape_of

        shape = shape_of(kind)
        self._name = getattr(kind, "__name__", str(kind))
        self._to = shape.to
        self._back = shape.back
        self._encoder = msgspec.json.Encoder()
        try:
            self._decoder = msgspec.json.Decoder(shape.mirror)
        except TypeError as error:
            raise NotStorable(
                self._name, f"its parts cannot be told apart in JSON ({error}): give them classes of their own"
            ) from error

    def encode(self, value: Value) -> bytes:
        """Return the value as JSON; `NotStorable` names the field that would not read back equal."""
        try:
            data = self._encoder.encode(value if self._to is None else self._to(value))
            back = self.decode(data)
        except (TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise NotStorable(self._name, str(error)) from error
        if back != value:
            path, why = _difference(value, back, self._name)
            raise NotStorable(path, why)
        return data

    def decode(self, data: bytes) -> Value:
        """Return the value; `ValueError` names the field that does not fit."""
        mirror = self._decoder.decode(data)
        value: Value = mirror if self._back is None else self._back(mirror)
        return value


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


def _difference(value: Any, back: Any, path: str) -> tuple[str, str]:
    """Return the path of the first part that did not come back equal, and why, without its contents."""
    if type(value) is type(back):
        for name, one, other in _parts(value, back):
            if one is not other and one != other:
                return _difference(one, other, f"{path}{name}")
        if value != value:
            return path, "it is not equal to itself (NaN): store None or a number instead"
        return (
            path,
            f"a {type(value).__qualname__} read back is not equal to the one that was stored: give its class an __eq__ over its stored fields",
        )
    return (
        path,
        f"a {type(value).__qualname__} would read back as a {type(back).__qualname__}: annotate the field with what it holds",
    )


def _parts(value: Any, back: Any) -> list[tuple[str, Any, Any]]:
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return [(f"[{i}]", one, other) for i, (one, other) in enumerate(zip(value, back, strict=False))]
    if isinstance(value, Mapping):
        # A key may be somebody's data: it is not part of the path.
        return [("[...]", one, back.get(key)) for key, one in value.items()]
    names = getattr(value, "__match_args__", ()) or getattr(value, "_fields", ())
    return [(f".{name}", getattr(value, name), getattr(back, name)) for name in names]
