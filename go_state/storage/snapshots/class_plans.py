"""How classes, unions, fixed tuples and untyped JSON, which hold values of several types, are taken apart: part by part."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from functools import cached_property

from go_state.core.naming import names_of
from go_state.storage.codec.equality import is_same
from go_state.storage.snapshots.container_plans import ContainerPlan
from go_state.storage.snapshots.plans import Inside, Plan, Planner, TextPlan, Value, type_of
from go_state.storage.types.annotations import TypeForm, class_of, is_untyped, members_of, origin_of
from go_state.storage.types.classes.construction import equality_is_generated, holds_what_it_is_given
from go_state.storage.types.classes.fields import (
    constructor_names,
    field_names,
    fields_of,
    is_class_with_fields,
    maker_of,
    reader_of,
)


class LaterPlan(Plan):
    """A class inside itself: its plan is made when there is a value of it."""

    is_leaf, varies = False, True

    @cached_property
    def _plan(self) -> Plan:
        return ClassPlan(self.planner, self.kind, self.inside)

    def weight(self, value: Value) -> int:
        return self._plan.weight(value)

    def pieces(self, value: Value) -> Iterator[bytes]:
        return self._plan.pieces(value)


class UntypedPlan(Plan):
    """Whatever JSON holds: lists and dictionaries are taken apart."""

    is_leaf, varies = False, True

    @cached_property
    def _plans(self) -> dict[type, Plan]:
        kinds: list[TypeForm] = [list[self.kind], dict[str, self.kind]]  # type: ignore[name-defined]
        text = TextPlan(self.planner, self.kind, self.inside)
        return {str: text} | {origin_of(kind): self.planner.plan(kind, self.inside) for kind in kinds}

    def weight(self, value: Value) -> int:
        plan = self._plans.get(type_of(value))
        return 1 if plan is None else plan.weight(value)

    def pieces(self, value: Value) -> Iterator[bytes]:
        plan = self._plans.get(type_of(value))
        if plan is None:
            yield self.codec.encode(value)
        else:
            yield from plan.pieces(value)


class ClassPlan(Plan):
    """A class that holds what it is given: field by field."""

    def __init__(self, planner: Planner, kind: TypeForm, inside: Inside) -> None:
        from msgspec import UNSET

        super().__init__(planner, kind, inside)
        self._absent = UNSET
        self._cls: TypeForm = class_of(kind)
        in_order = sorted(fields_of(kind), key=lambda field: not field.required)  # as the whole is written
        self._fields = [(field, planner.plan(field.annotation, inside)) for field in in_order]
        self._read = reader_of(self._cls, [field.name for field in in_order])
        self._make = maker_of(self._cls)
        self._varying = [(field.name, plan) for field, plan in self._fields if plan.varies]
        self._is_proved = holds_what_it_is_given(self._cls)
        self.is_leaf = all(plan.is_leaf for _, plan in self._fields)
        self.varies = bool(self._varying)

    def weight(self, value: Value) -> int:
        if type(value) is not self._cls:
            return 1
        return 1 + sum(plan.weight(getattr(value, name, None)) for name, plan in self._varying)

    def pieces(self, value: Value) -> Iterator[bytes]:
        if type(value) is not self._cls or not (self._is_proved or self._holds(value)):
            yield self.codec.encode(value)
            return
        lead = b"{"
        for (field, plan), held in zip(self._fields, self._read(value), strict=True):
            if held is not self._absent:
                yield lead + _text(field.name) + b":"
                yield from plan.pieces(held)
                lead = b","
        yield b"}" if lead == b"," else b"{}"

    def _holds(self, value: Value) -> bool:
        """Return whether the class makes an equal value of what is in the fields, tried with this value if the class proves nothing."""
        try:
            values = self._read(value)
            given = {
                field.parameter: held for (field, _), held in zip(self._fields, values, strict=True) if held is not self._absent
            }
            made = self._make(**given)
            held = all(one is other or is_same(one, other) for one, other in zip(values, self._read(made), strict=True))
            return held and (equality_is_generated(self._cls) or bool(value == made))
        except Exception:  # of the user's class; the codec of the whole refuses the value or not
            return False


class UnionPlan(Plan):
    """One of several types: its classes are told apart by their names, `["Name", {...}]`, unless there is but one type and None."""

    def __init__(self, planner: Planner, kind: TypeForm, inside: Inside) -> None:
        super().__init__(planner, kind, inside)
        members = [member for member in members_of(kind) if member is not type(None)]
        self._only = planner.plan(members[0], inside) if len(members) == 1 else None
        if not self._only and any(map(is_untyped, members)):
            members = []  # beside a type that says nothing a value is read back as what JSON says that it is
        classes = [] if self._only else [member for member in members if is_class_with_fields(member)]
        self._classes = {class_of(each): planner.plan(each, inside) for each in classes}
        # Beside a float an int may be refused anywhere in the union, which the parts do not know.
        others = [] if self._only or float in members else [member for member in members if member not in classes]
        containers = [plan for plan in (planner.plan(each, inside) for each in others) if isinstance(plan, ContainerPlan)]
        self._containers = {plan.type: plan for plan in containers}
        plans = [*filter(None, [self._only]), *self._classes.values(), *containers]
        self.is_leaf = all(plan.is_leaf for plan in plans)
        self.varies = any(plan.varies for plan in plans)

    def _plain(self, value: Value) -> Plan | None:
        """Return the plan of a value that is written as if there were no union."""
        return None if value is None else self._only or self._containers.get(type_of(value))

    def weight(self, value: Value) -> int:
        plan = self._plain(value) or self._classes.get(type(value))
        return 1 if plan is None else plan.weight(value)

    def pieces(self, value: Value) -> Iterator[bytes]:
        plain, tagged = self._plain(value), self._classes.get(type(value))
        if plain is not None:
            yield from plain.pieces(value)
        elif tagged is not None:
            yield b"[" + _text(names_of(type(value))[0]) + b","
            yield from tagged.pieces(value)
            yield b"]"
        else:
            yield self.codec.encode(value)


class FixedPlan(Plan):
    """A tuple whose items have types of their own: item by item."""

    def __init__(self, planner: Planner, kind: TypeForm, inside: Inside) -> None:
        super().__init__(planner, kind, inside)
        self._items = [planner.plan(item, inside) for item in typing.get_args(kind)]
        self.is_leaf = all(plan.is_leaf for plan in self._items)
        self.varies = any(plan.varies for plan in self._items)

    def weight(self, value: Value) -> int:
        if type(value) is not tuple:
            return 1
        return 1 + sum(plan.weight(item) for plan, item in zip(self._items, value, strict=False))

    def pieces(self, value: Value) -> Iterator[bytes]:
        if type(value) is not tuple or len(value) != len(self._items):
            yield self.codec.encode(value)
            return
        lead = b"["
        for plan, item in zip(self._items, value, strict=True):
            yield lead
            yield from plan.pieces(item)
            lead = b","
        yield b"]"


def is_taken_apart(cls: type) -> bool:
    """Return whether objects of the class may be taken apart: if what its constructor takes makes two of them the same."""
    return field_names(cls) == constructor_names(cls)


def _text(name: str) -> bytes:
    import msgspec

    return msgspec.json.encode(name)
