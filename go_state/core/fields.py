"""The fields of an object of any kind of class: dataclass, NamedTuple, attrs, msgspec Struct, pydantic, or one that has none of these.

What is asked here is what an object holds itself, by which names, and whether it can be assigned to. Each kind of class is known by the
attributes that it leaves on its classes, so none of these libraries is imported.
"""

from __future__ import annotations

import dataclasses
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any

_OF_MODELS = (
    "__pydantic_extra__",
    "__pydantic_private__",
)  # dicts beside the fields of a pydantic model; a frozen one lets both change
_PLACES = (MemberDescriptorType, GetSetDescriptorType)  # of slots: a descriptor too, and not computed


def field_names(value: object) -> list[str]:
    """Return the names of the fields of an object, in their order; an empty list for what has no fields."""
    kind: Any = type(value)  # with attributes that only some classes have
    if isinstance(value, tuple):
        return list(getattr(kind, "_fields", ()))
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    if hasattr(kind, "__attrs_attrs__"):
        return [attribute.name for attribute in kind.__attrs_attrs__]
    if hasattr(kind, "__struct_fields__"):
        return list(kind.__struct_fields__)
    if is_pydantic_model(kind):
        return list(kind.__pydantic_fields__)
    return list(getattr(value, "__dict__", ()))


def names_held(value: object) -> list[str]:
    """Return the names under which an object holds something itself: not what a property or another descriptor computes."""
    kind = type(value)
    names = field_names(value)
    if is_pydantic_model(kind):
        return [*names, *(name for name in _OF_MODELS if getattr(value, name, None) is not None)]
    if not (dataclasses.is_dataclass(kind) or hasattr(kind, "__struct_fields__") or hasattr(kind, "__attrs_attrs__")):
        for base in kind.__mro__:
            slots = vars(base).get("__slots__", ())
            names += [slots] if isinstance(slots, str) else [*slots]
    return [name for name in names if not _is_computed(getattr(kind, name, None))]


def is_pydantic_model(kind: type) -> bool:
    """Return whether it is a class of pydantic's `BaseModel`; its dataclasses are dataclasses."""
    return any(base.__name__ == "BaseModel" and base.__module__ == "pydantic.main" for base in kind.__mro__)


def _is_computed(place: object) -> bool:
    return isinstance(place, property) or (
        hasattr(type(place), "__get__") and hasattr(type(place), "__set__") and not isinstance(place, _PLACES)
    )


def is_frozen(kind: type) -> bool:
    """Return whether objects of the class refuse assignments, or have nothing to assign to."""
    if hasattr(kind, "__dataclass_params__"):
        return bool(kind.__dataclass_params__.frozen)
    if hasattr(kind, "__struct_config__"):
        return bool(kind.__struct_config__.frozen)
    if hasattr(kind, "__attrs_attrs__"):
        return "frozen" in getattr(kind.__setattr__, "__name__", "")
    if is_pydantic_model(kind):
        fields = getattr(kind, "__pydantic_fields__", {}).values()
        all_frozen = bool(fields) and all(field.frozen for field in fields)
        return all_frozen or bool(getattr(kind, "model_config", {}).get("frozen"))
    has_slots = any(vars(base).get("__slots__") for base in kind.__mro__)
    own: object = kind.__setattr__
    return not kind.__dictoffset__ and not (has_slots and own is object.__setattr__)


def assign(value: object, name: str, to: object) -> None:
    """Assign to a field, also of a frozen class."""
    place = getattr(type(value), name, None)
    put = getattr(type(place), "__set__", None)
    if put is not None:  # a slot
        put(place, value, to)
    else:
        object.__setattr__(value, name, to)
