"""The codec: a model or message as JSON that a person can read, and back as an equal value, or a refusal."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Generic, TypeVar

from go_state.core.errors import NotStorable
from go_state.storage.codec.depth import on_empty_stack, with_reserve
from go_state.storage.codec.error_texts import error_text
from go_state.storage.types.annotations import TypeForm
from go_state.storage.types.misfit import MisfitError

if TYPE_CHECKING:
    from go_state.storage.types.classes.mirror import Shape
    from go_state.storage.types.description import Description

Value = TypeVar("Value")

_TWICE = (
    300  # bytes: reading so few a second time, into the class itself, costs a third of calling the class with what was read
)


class JsonCodec(Generic[Value]):
    """Turns values of one type, `kind`, into JSON and back.

    Made from the type: dataclasses, NamedTuples, attrs classes, msgspec Structs, frozen pydantic models, `immutables.Map`,
    unions, and the plain and container types of Python. What cannot be stored raises `NotStorable`: a type when the codec is
    made, a value when it is written, for `encode` reads back what it wrote and compares, unless the types prove that it comes
    back as it is. So NaN, a subclass in its base's place, a tuple where any type is allowed, a lone surrogate or a class that changes what it
    is given never comes back as something else. An int in a float's place, which type checkers allow, is read back as that int;
    with `whole_floats`, for JSON that others have written, it is read as a float.

    >>> JsonCodec(list[float]).encode([1, 2.5])
    b'[1,2.5]'
    """

    def __init__(self, kind: type[Value] | TypeForm, *, whole_floats: bool = False) -> None:
        # Imported here, with msgspec: a program that stores nothing need not wait for them.
        from go_state.storage.types.shape import shape_of

        self._use(kind, shape_of(kind, ints_in_floats=not whole_floats), whole_floats=whole_floats)

    @classmethod
    def of_shape(cls, kind: type[Value] | TypeForm, shape: Shape, *, tagged: bool) -> JsonCodec[Value]:
        """Return a codec of the type `kind`, of a shape that was made already, such as that of messages, whose class is
        `tagged` with its name.
        """
        codec = cls.__new__(cls)
        codec._use(kind, shape, tagged=tagged)
        return codec

    def of_part(self, kind: TypeForm) -> JsonCodec[TypeForm]:
        """Return the codec of a part of its values, of the type `kind`, which reads numbers as this one does."""
        return JsonCodec(kind, whole_floats=self._whole_floats)

    def _use(self, kind: TypeForm, shape: Shape, *, tagged: bool = False, whole_floats: bool = False) -> None:
        import msgspec

        from go_state.storage.types.proof import proof_of

        self.kind = kind
        self._tagged = tagged
        self._name = getattr(kind, "__name__", str(kind))
        self._to = shape.to
        self._back = shape.back
        self._exact = shape.exact
        # What may be nested to any depth is read back, which shows that there is room for it.
        self._proof = None if shape.exact or shape.nests else proof_of(kind, ints_in_floats=not whole_floats)
        self._whole_floats = whole_floats
        self._nests = shape.nests
        is_native = not tagged and shape.natives is not None and set(shape.natives.values()) == {kind}
        self._native = msgspec.json.Decoder(kind).decode if is_native else None
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
        """The description of the type, which a store keeps beside the values."""
        from go_state.storage.types.description import describe

        return describe(self.kind, tagged=self._tagged)

    def encode(self, value: Value) -> bytes:
        """Return the value as JSON; `NotStorable` names the field that would not read back as it is."""
        try:
            data = self._encoder.encode(value if self._to is None else self._to(value))
            if self._exact or self._is_proved(value):
                return data
            self._compare(value, data)
        except RecursionError:
            return self._encode_deep(value)
        except (NotStorable, MemoryError):
            raise
        except Exception as error:  # the value does not fit, or its class raises
            raise self._refusal(error) from None  # which may quote the model
        return data

    def _is_proved(self, value: Value) -> bool:
        return self._proof is not None and self._proof(value)

    def _encode_deep(self, value: Value) -> bytes:
        """Encode a value that is nested too deeply for the rest of this stack."""

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
        """Read the JSON back; `NotStorable` if it does not hold the value."""
        from go_state.storage.codec.difference import why_not_same
        from go_state.storage.codec.equality import is_same

        back = with_reserve(self._decode, data) if self._nests else self._decode(data)
        if not is_same(value, back):
            raise NotStorable(*why_not_same(value, back, self._name))

    def _refusal(self, error: Exception) -> NotStorable:
        if isinstance(error, MisfitError):
            return NotStorable(self._name + error.path, error.why)
        why = error_text(error)
        if "float" in why and "got `null`" in why:
            why = f"JSON has no NaN and no infinity, store None or a number instead ({why})"
        return NotStorable(self._name, why)

    def decode(self, data: bytes) -> Value:
        """Return the value; `ValueError` names the field that does not fit."""
        try:
            mirror = self._decoder.decode(data)
            if self._native is not None and len(data) < _TWICE:  # the mirror has said that it fits, with no field too many
                native: Value = self._native(data)
                return native
            value: Value = mirror if self._back is None else self._back(mirror)
        except RecursionError:
            return self._decode_deep(data)
        except MemoryError:
            raise
        except Exception as error:
            raise self._misfit(error) from None
        return value

    def _decode_deep(self, data: bytes) -> Value:
        """Decode a value that is nested too deeply for the rest of this stack."""
        try:
            return on_empty_stack(self._decode, data)
        except MemoryError:
            raise
        except Exception as error:
            raise self._misfit(error) from None

    def _misfit(self, error: Exception) -> ValueError:
        return ValueError(f"the JSON does not hold a {self._name}: {error_text(error)}")

    def _decode(self, data: bytes) -> Value:
        mirror = self._decoder.decode(data)
        value: Value = mirror if self._back is None else self._back(mirror)
        return value
