"""Pydantic models: which fields one has, how they are read from it, and how it is made again; nothing here imports pydantic.

A model is stored as other classes are, by the names of its fields, whatever aliases it has for others, and so are the values in it:
nested classes under their names, persistent maps, moments with their zones. Two things are in no field:

    "_unset": ["note"]      the fields that were left at their defaults, because `model_dump(exclude_unset=True)` tells them apart
    "_extra": {"key": 1}    what a model with extra="allow" has been given beside its fields

A field of a type that is none of ours, such as `HttpUrl` or `SecretStr`, is written by the model's own serialiser, with the
`field_serializer` it may have, and read by its validator; that holds for the whole field. The model is made by its own validators, so
one that changes what it is given is found when the value is read back. Computed fields are computed again; what a private attribute
holds has to follow from the fields.
"""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Mapping

import msgspec

from go_state.core.errors import NotStorable
from go_state.storage.types.annotations import Instance, TypeForm, without_wrapping
from go_state.storage.types.misfit import MisfitError
from go_state.storage.types.plain import unknown_leaf

UNSET, EXTRA = "_unset", "_extra"  # no field of a model begins with an underscore

_PLAIN_CONFIG = {
    "alias_generator",
    "arbitrary_types_allowed",
    "extra",
    "frozen",
    "json_schema_extra",
    "populate_by_name",
    "protected_namespaces",
    "serialize_by_alias",
    "title",
    "use_attribute_docstrings",
    "validate_by_alias",
    "validate_by_name",
}  # fmt: skip  - what changes no value of a field
_FOREIGN_METADATA = ("Json", "EncodedBytes", "EncodedStr")  # the value is not what the validator takes


class ModelField(typing.NamedTuple):
    """A field: its name, its annotation, whether it is required, and whether pydantic writes it."""

    name: str
    annotation: TypeForm
    required: bool
    is_foreign: bool


def fields_of_model(cls: TypeForm, is_class: Callable[[TypeForm], bool]) -> tuple[ModelField, ...]:
    """Return the fields of a model. Raises `NotStorable` for one whose annotations are not known."""
    _complete(cls)
    found = []
    for name, info in cls.__pydantic_fields__.items():
        if getattr(info.annotation, "__parameters__", ()) and not isinstance(info.annotation, type):
            _refuse_type_variable(cls, name, info.annotation.__parameters__[0])
        if isinstance(info.annotation, typing.TypeVar):
            _refuse_type_variable(cls, name, info.annotation)
        foreign = unknown_leaf(info.annotation, is_class) is not None
        foreign = foreign or any(_word(each) in _FOREIGN_METADATA for each in info.metadata)
        found.append(ModelField(name, object if foreign else info.annotation, info.is_required(), foreign))
    return tuple(found)


def _refuse_type_variable(cls: type, name: str, variable: object) -> typing.NoReturn:
    why = f"it has the type variable {variable!r}: write what it stands for, such as {cls.__name__}[int]"
    raise NotStorable(f"{cls.__qualname__}.{name}", why)


def _complete(cls: TypeForm) -> None:
    """Resolve annotations that named what was not yet defined; pydantic does the same before the first object is made."""
    if cls.__pydantic_complete__:
        return
    try:
        cls.model_rebuild()
    except Exception as error:  # of pydantic's, which is not imported here
        why = f"its annotations name what its module does not define ({type(error).__name__}): define it, and call model_rebuild()"
        raise NotStorable(cls.__qualname__, why) from error


def beside_fields(cls: TypeForm) -> dict[str, TypeForm]:
    """Return the annotations of what is stored of a model and is in none of its fields."""
    beside: dict[str, TypeForm] = {UNSET: tuple[str, ...]}
    return beside | {EXTRA: dict[str, object]} if cls.model_config.get("extra") == "allow" else beside


def names_beside_fields(cls: TypeForm) -> tuple[str, ...]:
    """Return the names of the attributes that have to come back as well."""
    extra = ("model_extra",) if cls.model_config.get("extra") == "allow" else ()
    return ("model_fields_set", *extra, *cls.__private_attributes__)


def model_reader(cls: TypeForm, fields: tuple[ModelField, ...], names: list[str]) -> Callable[[Instance], tuple[Instance, ...]]:
    """Return a function that gives what is stored of a model, in the order of `names`, and `UNSET` for what there is not."""
    known = [field.name for field in fields]
    foreign = {field.name for field in fields if field.is_foreign}
    computed = {
        name for base in cls.__mro__ for name, each in vars(base).items() if isinstance(each, functools.cached_property)
    }
    allowed = {*known, *computed}

    def read(value: Instance) -> tuple[Instance, ...]:
        held, given = value.__dict__, value.__pydantic_fields_set__
        if len(held) != len(known) and not held.keys() <= allowed:
            why = "it holds what is none of its fields, as after model_copy(update=...) with a name that it has not"
            raise MisfitError(f"{why}: correct that name, or declare the field")
        found = {**held, **_dumped(cls, value, foreign)} if foreign else held
        unset = msgspec.UNSET if given.issuperset(known) else tuple([name for name in known if name not in given])
        beside = {UNSET: unset, EXTRA: value.__pydantic_extra__ or msgspec.UNSET}
        try:
            return tuple([beside[name] if name in beside else found[name] for name in names])
        except KeyError:
            raise MisfitError("one of its fields was never set, as after model_construct(): give all of them") from None

    return read


def _dumped(cls: TypeForm, value: Instance, foreign: set[str]) -> Mapping[str, Instance]:
    """Return the fields that the model's own serialiser writes, as JSON."""
    if cls.__pydantic_root_model__:
        return {"root": cls.__pydantic_serializer__.to_python(value, mode="json", round_trip=True, warnings=False)}
    dumped = cls.__pydantic_serializer__.to_python(
        value, mode="json", include=foreign, by_alias=False, round_trip=True, warnings=False
    )
    if not isinstance(dumped, dict) or not foreign <= dumped.keys():
        why = f"its serialiser leaves out {' or '.join(sorted(foreign))}: let it write what its validator takes"
        raise MisfitError(why)
    return dumped


def model_maker(cls: TypeForm) -> Callable[..., Instance]:
    """Return the function that makes a model of its stored fields, by its own validators."""
    root = cls.__pydantic_root_model__
    validate, known = cls.model_validate, set(cls.__pydantic_fields__)

    def make(**given: Instance) -> Instance:
        unset, extra = given.pop(UNSET, ()), given.pop(EXTRA, None)
        # Not strict: the JSON of a field that pydantic writes is text. All other values have their types already.
        values = given["root"] if root else {**extra, **given} if extra else given
        made = validate(values, strict=False, by_alias=False, by_name=True)
        if unset:
            if not known.issuperset(unset):
                why = f'its "{UNSET}" names a field that it has not: a migration that takes out or renames a field does so there too'
                raise MisfitError(why)
            made.model_fields_set.difference_update(unset)
        return made

    return make


def model_holds_what_it_is_given(cls: TypeForm) -> bool:
    """Return whether a model is known to have in its fields what its validator was given, and to accept all of their types."""
    base = next(each for each in cls.__mro__ if is_base_model(each))
    decorators = cls.__pydantic_decorators__
    words = ("validators", "field_validators", "root_validators", "model_validators")
    return (
        type(cls) is type(base)
        and cls.model_config.keys() <= _PLAIN_CONFIG
        and cls.model_config.get("extra") != "allow"
        and not any(getattr(decorators, word) for word in words)
        and not (cls.__private_attributes__ or cls.__pydantic_custom_init__ or cls.__pydantic_post_init__)
        and not cls.__pydantic_root_model__
        and all(_is_inherited(cls, base, name) for name in ("__eq__", "__getattribute__", "__setattr__", "__new__"))
        and all(_is_inherited(cls, base, name) for name in ("model_validate", "__get_pydantic_core_schema__"))
        and not any(info.metadata or _has_wrapping(info.annotation) for info in cls.__pydantic_fields__.values())
    )


def equality_is_pydantics(cls: TypeForm) -> bool:
    """Return whether two models are compared by their fields, and what else `names_beside_fields` has."""
    return bool(cls.__eq__ is next(each for each in cls.__mro__ if is_base_model(each)).__eq__)


def is_base_model(cls: type) -> bool:
    """Return whether it is pydantic's `BaseModel` itself."""
    return cls.__name__ == "BaseModel" and cls.__module__ == "pydantic.main"


def _is_inherited(cls: TypeForm, base: TypeForm, name: str) -> bool:
    one, other = getattr(cls, name), getattr(base, name)
    return getattr(one, "__func__", one) is getattr(other, "__func__", other)


def _has_wrapping(annotation: TypeForm) -> bool:
    """Return whether something in the annotation may have validators of its own."""
    return without_wrapping(annotation) is not annotation or any(map(_has_wrapping, typing.get_args(annotation)))


def _word(metadata: object) -> str:
    return metadata.__name__ if isinstance(metadata, type) else type(metadata).__name__
