"""Proof: a look at a value that shows that it reads back as it is, so that it need not be read back when it is written.

Reading back and comparing costs four times the writing. For most types a look at the types of the parts is enough: JSON holds every
whole number, text without lone surrogates (which msgspec refuses to write), and finite float; and the classes that hold what they are
given are known (`classes/construction.py`). `proof_of` makes that look from the type, or None for types about which nothing is known:
what has no type but object, classes with a constructor of their own, time zones with names.

    dict[str, Purchase]      a dict, all of whose keys are str, and all of whose values are a Purchase with fields that are proved
"""

from __future__ import annotations

import datetime
import decimal
import enum
import math
import types
import typing
import uuid
from collections.abc import Callable, Mapping
from typing import TypeAlias

from go_state.storage.types.annotations import Instance, TypeForm, class_of, members_of, without_wrapping
from go_state.storage.types.classes.construction import holds_what_it_is_given
from go_state.storage.types.classes.fields import Field, fields_of, is_class_with_fields, reader_of
from go_state.storage.types.plain import MAPPINGS, SEQUENCES, is_persistent_map

Proof: TypeAlias = Callable[[Instance], bool]

_BY_TYPE = frozenset({int, str, bool, type(None), bytes, uuid.UUID, datetime.date})  # every value reads back as it is
_IN_UNIONS = frozenset({int, str, bool, type(None), float})  # and JSON itself tells these apart


def proof_of(kind: TypeForm, *, ints_in_floats: bool = True) -> Proof | None:
    """Return a function that says whether a value of the type is known to read back as it is; None if that is known of no value.

    `ints_in_floats` says, as for `shape_of`, that an int in a float's place is read back as that int.
    """
    return _Prover(_of_float if ints_in_floats else _of_bare_float).proof(kind)


class _Prover:
    def __init__(self, of_float: Proof) -> None:
        self._by_value = {**_BY_VALUE, float: of_float}
        self._made: dict[TypeForm, list[Proof]] = {}  # by class: empty while it is being made, for a class may hold itself

    def proof(self, kind: TypeForm) -> Proof | None:
        kind = without_wrapping(kind)
        origin, args = class_of(kind), typing.get_args(kind)
        if kind in _BY_TYPE or kind is None:
            return _of_types(frozenset({type(None) if kind is None else kind}))
        if kind in self._by_value:
            return self._by_value[kind]
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return _of_enum(kind)
        if origin in (typing.Union, types.UnionType):
            return self._union(members_of(kind))
        if origin in SEQUENCES and args:
            return self._sequence(origin, args)
        if (origin in MAPPINGS or is_persistent_map(origin)) and args:
            return self._mapping(origin, *args)
        return self._class(kind) if is_class_with_fields(kind) else None

    def _union(self, members: list[TypeForm]) -> Proof | None:
        plain = frozenset(member for member in members if member in _IN_UNIONS)
        others = [member for member in members if member not in plain]
        classes = [member for member in others if is_class_with_fields(member)]
        if others != classes and (len(others) > 1 or plain - {type(None)}):
            return None  # text may be read as a time, and a list as a tuple
        proofs = {self._type_of(member): self.proof(member) for member in (*plain, *others)}
        if None in proofs or None in proofs.values():
            return None

        def proved(value: Instance) -> bool:
            proof = proofs.get(type(value)) or proofs.get(getattr(type(value), "__stands_for__", None))
            return proof is not None and proof(value)

        return _of_types(plain) if not others and float not in plain else proved

    @staticmethod
    def _type_of(kind: TypeForm) -> TypeForm:
        """Return the type that values of a member of a union have."""
        origin = class_of(without_wrapping(kind))
        made = SEQUENCES.get(origin, dict if origin in MAPPINGS else origin)
        return made if isinstance(made, type) else None

    def _sequence(self, origin: TypeForm, args: tuple[TypeForm, ...]) -> Proof | None:
        made = SEQUENCES[origin]
        if origin is tuple and args[1:] != (...,):
            return self._fixed(list(args))
        types, each = self._types(args[0]), self.proof(args[0])
        if types is not None:
            return lambda value: _is_a(value, made) and types.issuperset(map(type, value))
        return each and (lambda value: _is_a(value, made) and all(map(each, value)))

    def _fixed(self, items: list[TypeForm]) -> Proof | None:
        proofs = [proof for proof in map(self.proof, items) if proof is not None]
        if len(proofs) < len(items):
            return None
        return lambda value: (
            type(value) is tuple
            and len(value) == len(proofs)
            and all(proof(each) for proof, each in zip(proofs, value, strict=True))
        )

    def _mapping(self, origin: TypeForm, key: TypeForm, value: TypeForm) -> Proof | None:
        made = origin if is_persistent_map(origin) else dict
        keys, of_key, of_value = self._types(key), self.proof(key), self.proof(value)
        if of_key is None or of_value is None:
            return None
        if keys is not None:
            return lambda m: _is_a(m, made) and keys.issuperset(map(type, m)) and all(map(of_value, m.values()))
        return lambda m: _is_a(m, made) and all(map(of_key, m)) and all(map(of_value, m.values()))

    def _types(self, kind: TypeForm) -> frozenset[type] | None:
        """Return the types whose values are all proved, if nothing else can be of this kind."""
        members = frozenset(members_of(kind))
        return members if members <= _BY_TYPE and (len(members) == 1 or members <= _IN_UNIONS) else None

    # ------------------------------------------------------------------ classes

    def _class(self, kind: TypeForm) -> Proof | None:
        if kind in self._made:
            made = self._made[kind]
            return lambda value: bool(made) and made[0](value)
        cls = class_of(kind)
        if not holds_what_it_is_given(cls):
            return None
        made = self._made[kind] = []
        proof = self._of_fields(cls, fields_of(kind))
        if proof is not None:
            made.append(proof)
        return proof

    def _of_fields(self, cls: type, fields: list[Field]) -> Proof | None:
        by_type = [(field, found) for field in fields if (found := field.proved or self._types(field.annotation))]
        rest = [field for field in fields if field not in [each for each, _ in by_type]]
        others = [(field, proof) for field in rest if (proof := self.proof(field.annotation)) is not None]
        if len(others) < len(rest):
            return None
        names = [*(field.name for field, _ in by_type), *(field.name for field, _ in others)]
        read, types, proofs = reader_of(cls, names), [each for _, each in by_type], [proof for _, proof in others]
        number, seen = len(types), set[tuple[type, ...]]()

        def proved(value: Instance) -> bool:
            if type(value) is not cls:
                return False
            held = read(value)
            kinds = tuple(map(type, held[:number]))
            if kinds not in seen:
                if not all(kind in expected for kind, expected in zip(kinds, types, strict=True)):
                    return False
                seen.add(kinds)  # of the types that were accepted, of which there are few
            # Not all(): a generator costs more than the few that there are.
            for proof, part in zip(proofs, held[number:], strict=True):  # noqa: SIM110
                if not proof(part):
                    return False
            return True

        return proved


def _is_a(value: Instance, made: TypeForm) -> bool:
    """Return whether the value is of the type itself, or a read-only twin of it in a strict program's model."""
    return type(value) is made or getattr(type(value), "__stands_for__", None) is made


def _of_types(types: frozenset[type]) -> Proof:
    return lambda value: type(value) in types


def _of_float(value: Instance) -> bool:
    return _of_bare_float(value) or type(value) is int


def _of_bare_float(value: Instance) -> bool:
    return type(value) is float and math.isfinite(value)


def _of_decimal(value: Instance) -> bool:
    return type(value) is decimal.Decimal and value.is_finite()


def _of_datetime(value: Instance) -> bool:
    return type(value) is datetime.datetime and _is_plain_zone(value.tzinfo) and not value.fold


def _is_plain_zone(zone: datetime.tzinfo | None) -> bool:
    return zone is None or zone is datetime.UTC  # another one may be equal and have a name of its own


def _of_enum(kind: type[enum.Enum]) -> Proof | None:
    """Return the proof of an enum whose values are all text, or all numbers."""
    values = {type(member.value) for member in kind.__members__.values()}
    if values not in ({str}, {int}) or issubclass(kind, enum.Flag):
        return None
    return lambda value: type(value) is kind


_BY_VALUE: Mapping[TypeForm, Proof] = {decimal.Decimal: _of_decimal, datetime.datetime: _of_datetime}
