"""Conditions over `before`, `msg` and `after`: simpleeval's expressions, without calls and without anything that could grow.

What can be written is what `_ALLOWED` lists. An attribute is a field of data, never a method or a property; arithmetic is of numbers.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from go_state.core.errors import MissingExtra, UsageError
from go_state.inspector.values.parts import field_names
from go_state.inspector.values.redaction import NOTHING, Redaction

if TYPE_CHECKING:
    from simpleeval import SimpleEval

LONGEST = 1000  # characters
_DEEPEST = 40
_LARGEST = 1 << 256  # of a number that arithmetic makes
_NAMES = ("before", "msg", "after")
_NONE = object()
_ALLOWED = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.UAdd, ast.BinOp, ast.Add, ast.Sub, ast.Mult,
    ast.Div, ast.FloorDiv, ast.Mod, ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Is,
    ast.IsNot, ast.Attribute, ast.Subscript, ast.Name, ast.Constant, ast.Load, ast.IfExp, ast.Tuple, ast.List,
)  # fmt: skip


_STEPS = (ast.Attribute, ast.Subscript)
_Use: TypeAlias = Literal["all of it", "its keys", "itself"]


class NotThere(Exception):
    """A field, a key or an item is not there: the condition is not true of this message."""


class Condition:
    """One condition. `UsageError` for what cannot be written in one."""

    def __init__(self, written: str, redaction: Redaction = NOTHING) -> None:
        if len(written) > LONGEST:
            raise UsageError(f"an expression has at most {LONGEST} characters, and this one has {len(written)}")
        try:
            tree = ast.parse(written.strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            said = error.msg if isinstance(error, SyntaxError) else type(error).__name__
            raise UsageError(f"this is no expression ({said}): write one such as after.total < 0") from None
        _check(tree, 0)
        _check_shown(tree, redaction)
        self._tree = tree.body
        self._evaluator = _evaluator(redaction, _whole(tree) if not redaction.is_empty else {})
        self.trouble: str | None = None  #: why it could not be told of the last message for which that was so
        self.told = False  #: whether it could be told of any

    def __call__(self, before: object, message: object, after: object) -> bool:
        """Return whether it is true of a turn."""
        evaluator = self._evaluator
        evaluator.names = {"before": before, "msg": message, "after": after, "True": True, "False": False, "None": None}
        try:
            found = bool(evaluator.eval("", previously_parsed=self._tree))
        except NotThere as error:
            self.trouble = str(error)
            return False
        except Exception as error:  # None < 0, say: values of other types than it was written for
            self.trouble = f"{type(error).__name__}: {error}"
            return False
        self.told = True
        return found


def _check(node: ast.AST, depth: int) -> None:
    """Raise `UsageError` for what may not be written."""
    if depth > _DEEPEST:
        raise UsageError(f"an expression is nested at most {_DEEPEST} deep")
    if not isinstance(node, _ALLOWED):
        raise UsageError(
            f"an expression has no {_WORDS.get(type(node).__name__, type(node).__name__)}: it has fields, items, comparisons, "
            f"arithmetic, and, or, not, in"
        )
    if isinstance(node, ast.Name) and node.id not in _NAMES:
        raise UsageError(f"{node.id!r} is not known: an expression is of before, msg and after")
    if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
        raise UsageError(f"{node.attr!r} is not a field of data")
    if isinstance(node, ast.Constant) and not isinstance(node.value, (int, float, str, bool, type(None))):
        raise UsageError("an expression has numbers, texts, True, False and None")
    for child in ast.iter_child_nodes(node):
        _check(child, depth + 1)


def _check_shown(tree: ast.AST, redaction: Redaction) -> None:
    """Raise `UsageError` for an expression that asks for what is hidden: the answer would tell it."""
    for node in [] if redaction.is_empty else ast.walk(tree):
        if isinstance(node, _STEPS) and not isinstance(node.value, (*_STEPS, ast.Name)):
            raise UsageError(
                "where something is hidden, fields and items are those of before, msg and after: write after.customer.name"
            )
        if isinstance(node, _STEPS) and redaction.may_hide(_path(node)):
            raise UsageError("an expression cannot ask for what is hidden")


def _path(node: ast.AST) -> list[str | None]:
    """Return the names on the way to a part; None for a key that only a message tells, or that equals one of another type."""
    if isinstance(node, ast.Attribute):
        return [*_path(node.value), node.attr]
    if isinstance(node, ast.Subscript):
        key = node.slice.value if isinstance(node.slice, ast.Constant) else None
        return [*_path(node.value), str(key) if type(key) in (str, int) else None]
    return []


def _whole(tree: ast.AST) -> dict[ast.AST, _Use]:
    """Return the parts of a turn that are looked at as a whole, so that what they hold could be told from the answer."""
    used: dict[ast.AST, _Use] = {}
    inner: set[ast.AST] = set()
    for node in ast.walk(tree):  # those who use a part come before it
        if isinstance(node, ast.Compare):
            for operator_, left, right in zip(node.ops, [node.left, *node.comparators], node.comparators, strict=False):
                if isinstance(operator_, (ast.Is, ast.IsNot)) and len(node.ops) == 1:
                    used |= {left: "itself", right: "itself"}
                elif isinstance(operator_, (ast.In, ast.NotIn)) and len(node.ops) == 1:
                    used[right] = "its keys"
        if isinstance(node, _STEPS):
            inner.add(node.value)
        if isinstance(node, (*_STEPS, ast.Name)) and node not in inner:
            used.setdefault(node, "all of it")
    return used


_WORDS = {"Call": "calls", "Lambda": "functions", "JoinedStr": "f-strings", "Pow": "powers", "LShift": "shifts", "NamedExpr": "assignments",
          "ListComp": "comprehensions", "GeneratorExp": "comprehensions", "Await": "await", "Slice": "slices"}  # fmt: skip


def _evaluator(redaction: Redaction, whole: Mapping[ast.AST, _Use]) -> SimpleEval:
    """Return what evaluates an expression; `whole` are the parts that must not hold what is hidden."""
    try:
        from simpleeval import SimpleEval
    except ImportError:
        raise MissingExtra("inspector", "the inspector") from None

    shown = partial(_shown, redaction, whole)

    class Evaluator(SimpleEval):  # type: ignore[misc]  # its module has no types
        """Reads fields of data and items of mappings and lists, and nothing else."""

        def __init__(self) -> None:
            super().__init__(operators=_OPERATORS, functions={})
            own = {ast.Attribute: self._field, ast.Subscript: self._item, ast.Tuple: self._items, ast.List: self._items}
            nodes: Any = self.nodes  # its module has no types
            nodes.update({**own, ast.Name: self._turn})

        def _turn(self, node: ast.Name) -> object:
            return shown(node, self.names[node.id])

        def _field(self, node: ast.Attribute) -> object:
            return shown(node, _field_of(self._eval(node.value), node.attr))

        def _item(self, node: ast.Subscript) -> object:
            items = self._eval(node.value)
            if isinstance(items, Mapping) and redaction.hides_key_of(items):
                raise NotThere("it is hidden")
            return shown(node, _item_of(items, self._eval(node.slice)))

        def _items(self, node: ast.Tuple | ast.List) -> object:
            return [self._eval(each) for each in node.elts]

    return Evaluator()


def _shown(redaction: Redaction, whole: Mapping[ast.AST, _Use], node: ast.AST, value: object) -> object:
    """Return a part, or raise `NotThere` if the answer would tell what is hidden."""
    use = whole.get(node)
    if redaction.hides((), value):
        raise NotThere("it is hidden")
    if use == "its keys" and isinstance(value, Mapping):
        is_told = redaction.hides_key_of(value)
    else:
        is_told = use not in (None, "itself") and redaction.hides_within(_names(node), value)
    if is_told:
        raise NotThere("it holds what is hidden: ask for another part of it")
    return value


def _names(node: ast.AST) -> tuple[str, ...]:
    """Return the names that lead to a part; a key that only a message tells is one that no path names, or it had been refused."""
    return tuple("" if name is None else name for name in _path(node))


def _field_of(value: object, name: str) -> object:
    """Return a field of an object; of an enum's member its name or value."""
    from enum import Enum

    if isinstance(value, Enum) and name in ("name", "value"):
        return value.name if name == "name" else value.value
    if name in (field_names(value) or ()):
        return getattr(value, name)
    if isinstance(value, Mapping) and name in value:  # of a message without a program, which is what its JSON is
        return value[name]
    raise NotThere(f"a {type(value).__qualname__} has no field {name!r}")


def _item_of(value: object, step: object) -> object:
    """Return an item of a mapping, a list or a text. A mapping that makes what it does not have is not asked to."""
    if field_names(value) is not None or not isinstance(value, (Mapping, Sequence)):
        raise NotThere(f"a {type(value).__qualname__} has no items")
    try:
        items: Any = value  # what does not fit raises
        found = items.get(step, _NONE) if isinstance(value, Mapping) else items[step]
    except (LookupError, TypeError):
        found = _NONE
    if found is _NONE:
        raise NotThere(f"there is no item {step!r}"[:200]) from None
    return found


def _of_numbers(function: Callable[..., object]) -> Callable[..., object]:
    """Return the operation for numbers of an ordinary size, and for nothing else: texts and lists could be made to grow."""

    def work(*values: object) -> object:
        if not all(isinstance(each, (int, float)) for each in values):
            raise TypeError("arithmetic is of numbers")
        found = function(*values)
        if isinstance(found, int) and abs(found) > _LARGEST:
            raise OverflowError("the number is too large")
        return found

    return work


_NUMBERS: dict[type[ast.AST], Callable[..., object]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod, ast.USub: operator.neg, ast.UAdd: operator.pos,
}  # fmt: skip
_OPERATORS: dict[type[ast.AST], Callable[..., object]] = {
    **{kind: _of_numbers(function) for kind, function in _NUMBERS.items()},
    ast.Not: operator.not_, ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not, ast.In: lambda one, many: one in many,
    ast.NotIn: lambda one, many: one not in many,
}  # fmt: skip
