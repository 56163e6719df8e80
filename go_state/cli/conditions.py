"""Conditions on messages, as `--where` takes them: `field=value` everywhere, and for turns an expression in before, msg and after.

An expression is computed here, node by node: comparisons, and, or, not, arithmetic with numbers, fields, items and constants. It calls
nothing and reaches nothing whose name begins with an underscore, so one that somebody else has written can be run.
"""

from __future__ import annotations

import ast
import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from go_state.core.errors import UsageError

_MEMBER = re.compile(r"(\w+(?:\.\w+)*)=(?!=)(.*)", re.DOTALL)
_LONGEST = 2000  # characters of an expression
NAMES = ("before", "msg", "after")

Names: TypeAlias = Mapping[str, object]
Made: TypeAlias = Callable[[Names], object]
Binary: TypeAlias = Callable[[Any, Any], object]  # Any: what an operator takes it says itself


class Members:
    """Conditions of the form `field=value`, all of which have to hold of a message as JSON has it, `["Class", {...}]` or `{...}`."""

    def __init__(self, written: Sequence[str], kind: str = "") -> None:
        self._kind = kind
        self._members = [_member(each) for each in written]

    def __bool__(self) -> bool:
        """Return whether anything is asked of a message."""
        return bool(self._members or self._kind)

    def hold(self, message: object) -> bool:
        """Return whether all of them hold of it."""
        tagged = isinstance(message, list) and len(message) == 2 and isinstance(message[0], str)
        kind, fields = message if tagged and isinstance(message, list) else ("", message)
        if self._kind and kind != self._kind:
            return False
        return all(any(_is(found, value) for found in _values(fields, path)) for path, value in self._members)


def is_member(written: str) -> bool:
    """Return whether a condition is of the form `field=value`, and not an expression."""
    found = _MEMBER.fullmatch(written)
    return found is not None and found[1].partition(".")[0] not in NAMES


def _member(written: str) -> tuple[list[str], str]:
    found = _MEMBER.fullmatch(written)
    if found is None:
        raise UsageError(f"a condition is field=value, such as customer=c1 or address.city=Oslo, not {written!r}")
    return found[1].split("."), found[2]


def _values(found: object, path: Sequence[str]) -> Iterator[object]:
    """Give what the path leads to in JSON; in a list, what it leads to in each element."""
    if isinstance(found, list):
        for each in found:
            yield from _values(each, path)
    elif not path:
        yield found
    elif isinstance(found, dict) and path[0] in found:
        yield from _values(found[path[0]], path[1:])


def _is(found: object, value: str) -> bool:
    """Return whether it is the value, which is written as text or as JSON."""
    return found == value if isinstance(found, str) else json.dumps(found) == value


# -------------------------------------------------------------------- expressions


def expression(written: str) -> Callable[[object, object, object], bool]:
    """Return the function of (before, msg, after) that an expression is; `UsageError` for anything else."""
    try:
        if len(written) > _LONGEST:
            raise UsageError(f"--where is up to {_LONGEST:,} characters long: give a longer condition as module:function")
        made = _made(ast.parse(written.strip(), "--where", "eval").body)
    except UsageError:  # which says more than that it is no expression
        raise
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        one = "; two values are compared by ==" if _MEMBER.fullmatch(written) else ""
        raise UsageError(
            f"--where is field=value, an expression such as 'after.total < 0', or module:function, not {written!r} "
            f"({getattr(error, 'msg', type(error).__name__)}{one})"
        ) from None
    return lambda before, msg, after: _holds(written, made, {"before": before, "msg": msg, "after": after})


def _holds(written: str, made: Made, names: Names) -> bool:
    try:
        return bool(made(names))
    except UsageError:
        raise
    except Exception as error:  # of a field that is not there, or of values that cannot be compared
        raise UsageError(
            f"--where {written!r} cannot be computed ({type(error).__name__}: {error}): if only some messages have the field, ask these "
            f'with --type CLASS beside it; if a key may be missing, look first, as in \'"c1" in after.by and after.by["c1"] > 0\''
        ) from None


_COMPARES: dict[type[ast.cmpop], Binary] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not,
    ast.In: lambda one, other: operator.contains(other, one),
    ast.NotIn: lambda one, other: not operator.contains(other, one),
}  # fmt: skip
_COMPUTES: dict[type[ast.operator], Binary] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip
_UNARY: dict[type[ast.unaryop], Callable[[Any], object]] = {
    ast.Not: operator.not_, ast.USub: operator.neg, ast.UAdd: operator.pos
}  # fmt: skip


def _made(node: ast.expr) -> Made:
    """Return the function of the names that the node is."""
    match node:
        case ast.Constant(value=value):
            return lambda _: value
        case ast.Name(id=name) if name in NAMES:
            return lambda names: names[name]
        case ast.Name(id=name):
            raise UsageError(f"--where has the names {', '.join(NAMES)}, not {name!r}: a text is written in quotes")
        case ast.Attribute(value=of, attr=name) if not name.startswith("_"):
            inner = _made(of)
            return lambda names: getattr(inner(names), name)
        case ast.Subscript(value=of, slice=index) if not isinstance(index, ast.Slice):
            return _item(_made(of), _made(index))
        case ast.BoolOp(op=op, values=values):
            return _all_or_any([_made(each) for each in values], all_of=isinstance(op, ast.And))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            unary, inner = _UNARY[type(op)], _made(operand)
            return lambda names: unary(inner(names))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _COMPUTES:
            return _computed(_COMPUTES[type(op)], _made(left), _made(right), joins=isinstance(op, ast.Add))
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARES for op in ops):
            return _compared(_made(left), [(_COMPARES[type(op)], _made(each)) for op, each in zip(ops, others, strict=True)])
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            made = [_made(each) for each in parts]
            return lambda names: tuple(each(names) for each in made)
    raise UsageError(
        f"--where cannot hold {ast.unparse(node)!r}: it compares fields and constants, and calls nothing; give what takes more as "
        f"module:function, a function of (before, msg, after)"
    )


def _item(of: Made, index: Made) -> Made:
    get: Any = operator.getitem  # what has no items it refuses itself
    return lambda names: get(of(names), index(names))


def _all_or_any(parts: Sequence[Made], *, all_of: bool) -> Made:
    if all_of:
        return lambda names: all(each(names) for each in parts)
    return lambda names: any(each(names) for each in parts)


def _compared(first: Made, others: Sequence[tuple[Binary, Made]]) -> Made:
    def compared(names: Names) -> bool:
        left = first(names)
        for compare, other in others:
            right = other(names)
            if not compare(left, right):
                return False
            left = right
        return True

    return compared


def _computed(compute: Binary, left: Made, right: Made, *, joins: bool) -> Made:
    """Return arithmetic; with texts and lists only what makes no more of them than there is."""

    def computed(names: Names) -> object:
        one, other = left(names), right(names)
        if not joins and (isinstance(one, (str, bytes, list, tuple)) or isinstance(other, (str, bytes, list, tuple))):
            raise UsageError("--where computes with numbers, and joins texts by +")
        return compute(one, other)

    return computed
