"""Construction: whether the objects of a class hold exactly what their constructor was given.

If that is proved, a value need not be read back when it is written. It is proved from the class alone, and only for classes whose
constructor, attributes and equality are those that `dataclass`, `NamedTuple` and `msgspec.Struct` make. A constructor of the class's
own, a `__post_init__`, an `InitVar`, a property in a field's place, a metaclass or anything unknown is no proof.
"""

from __future__ import annotations

import abc
import collections
import dataclasses
import inspect
import types
from collections.abc import Callable

import msgspec

from go_state.core.fields import is_pydantic_model
from go_state.storage.types.annotations import TypeForm
from go_state.storage.types.classes.fields import names_beside
from go_state.storage.types.classes.pydantic_models import equality_is_pydantics, model_holds_what_it_is_given

_METACLASSES = (type, abc.ABCMeta, type(msgspec.Struct))
_TUPLE_FIELD = type(vars(collections.namedtuple("_Sample", ["field"]))["field"])


def holds_what_it_is_given(cls: type) -> bool:
    """Return whether an object of the class is known to have in its fields what its constructor was given.

    Then it is also known to be equal to another with the same fields.
    """
    if is_pydantic_model(cls):
        return model_holds_what_it_is_given(cls)
    if type(cls) not in _METACLASSES or hasattr(cls, "__post_init__") or hasattr(cls, "__attrs_attrs__"):
        return False
    if "__dataclass_params__" in vars(cls):
        return _is_plain_dataclass(cls)
    if issubclass(cls, msgspec.Struct):
        return _is_plain_struct(cls)
    return issubclass(cls, tuple) and _is_plain_tuple(cls)


def holds_contents(cls: type) -> bool:
    """Return whether an object of the class holds something in C that is in none of its fields, as if it is also a dict."""
    maker = next(base for base in cls.__mro__ if isinstance(vars(base).get("__new__"), types.BuiltinFunctionType))
    if maker is tuple:
        return not hasattr(cls, "_fields")
    return maker not in (object, msgspec.Struct) and not issubclass(maker, BaseException)


def equality_is_generated(cls: TypeForm) -> bool:
    """Return whether two objects of the class are known to be equal if their fields are."""
    if issubclass(cls, msgspec.Struct):
        return cls.__eq__ is msgspec.Struct.__eq__ and bool(cls.__struct_config__.eq)
    if is_pydantic_model(cls):
        return equality_is_pydantics(cls)
    return cls.__eq__ is tuple.__eq__ or _is_generated(cls.__eq__, "__eq__")


def _is_plain_dataclass(cls: TypeForm) -> bool:
    own, names = vars(cls), [field.name for field in dataclasses.fields(cls)]
    how = own["__dataclass_params__"]
    return (
        _is_generated(own.get("__init__"), "__init__")
        and _parameters(own["__init__"])[1:] == names_in_order(cls)
        and cls.__new__ is object.__new__
        and cls.__getattribute__ is object.__getattribute__
        and (how.frozen or cls.__setattr__ is object.__setattr__)  # a frozen one sets its fields past __setattr__
        and _is_generated(own.get("__eq__"), "__eq__")
        and all(_is_plain_attribute(cls, name) for name in names)
        and not names_beside(cls)
    )


def names_in_order(cls: TypeForm) -> list[str]:
    """Return the names of a dataclass's fields as its constructor takes them: those by keyword alone come last."""
    fields = dataclasses.fields(cls)
    return [f.name for f in fields if not f.kw_only] + [f.name for f in fields if f.kw_only]


def _is_plain_struct(cls: TypeForm) -> bool:
    plain = msgspec.Struct
    return (
        cls.__init__ is plain.__init__
        and cls.__new__ is plain.__new__
        and cls.__getattribute__ is plain.__getattribute__
        and equality_is_generated(cls)
        and all(_is_plain_attribute(cls, name) for name in cls.__struct_fields__)
    )


def _is_plain_tuple(cls: TypeForm) -> bool:
    own = vars(cls)
    return (
        "_fields" in own
        and cls.__bases__[0] is tuple
        and getattr(cls.__new__, "__globals__", {}).get("__name__", "").startswith("namedtuple_")
        and cls.__init__ is object.__init__
        and cls.__getattribute__ is tuple.__getattribute__
        and cls.__eq__ is tuple.__eq__
        and all(type(own.get(name)) is _TUPLE_FIELD for name in own["_fields"])
    )


def _is_generated(function: object, name: str) -> bool:
    """Return whether the method is one that `dataclass` has made, and not the class's own under the same name."""
    code = getattr(function, "__code__", None)
    return code is not None and (code.co_filename, code.co_qualname) == ("<string>", f"__create_fn__.<locals>.{name}")


def _parameters(function: Callable[..., object]) -> list[str]:
    return list(inspect.signature(function).parameters)


def _is_plain_attribute(cls: type, name: str) -> bool:
    """Return whether setting and reading the attribute goes to the object itself, without a property or another descriptor."""
    attribute = next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
    if isinstance(attribute, types.MemberDescriptorType):
        return attribute.__name__ == name
    return not any(hasattr(type(attribute), word) for word in ("__get__", "__set__", "__delete__"))
