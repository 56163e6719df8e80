"""Conditions of `--where`: what they hold of, and what they refuse."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

import go_state as gs
from go_state.cli.conditions import Members, expression, is_member


@dataclass(frozen=True)
class Model:
    total: int = 3
    name: str = "ann"
    lines: tuple[int, ...] = (1, 2)
    by_day: dict[str, int] = field(default_factory=lambda: {"mon": 4})


@pytest.mark.parametrize(
    ("written", "holds"),
    [
        ("after.total < 0", False),
        ("after.total >= before.total", True),
        ("after.total == 3 and not msg.total != 3", True),
        ("0 < after.total < 3", False),
        ("after.total - before.total + 1", True),
        ("after.lines[0] == 1 or after.nothing", True),
        ("after.by_day['mon'] in (4, 5)", True),
        ("'x' not in after.name", True),
        ("after.name + 'x' == 'annx'", True),
        ("-after.total // 2 == -2", True),
        ("after is None", False),
    ],
)
def test_an_expression_is_what_python_makes_of_it(written: str, holds: bool) -> None:
    """Comparisons, arithmetic, fields and items."""
    assert expression(written)(Model(), Model(), Model()) is holds


@pytest.mark.parametrize(
    "written",
    [
        "__import__('os').system('true')",
        "after.__class__",
        "after._hidden",
        "().__class__.__bases__[0].__subclasses__()",
        "open('x')",
        "len(after.lines) > 1",
        "[x for x in after.lines]",
        "(lambda: 1)()",
        "f'{after.__class__}'",
        "2 ** 999999999",
        "1 << 999999999",
        "(x := after)",
        "after.lines[0:1]",
        "after.total if True else open",
        "print",
        "after.total = 3",
        "",
        "after." + "a." * 2000,
        "(" * 400 + "1" + ")" * 400,
        "\0",
        "import os",
        "await after",
    ],
)
def test_nothing_is_called_and_nothing_hidden_is_reached(written: str) -> None:
    """Refused before anything is computed, with a sentence."""
    with pytest.raises(gs.UsageError, match="--where"):
        expression(written)


@pytest.mark.parametrize("written", ["msg.name * 999999999", "999999999 * after.lines", "'%999999999d' % after.total"])
def test_texts_are_not_multiplied(written: str) -> None:
    """Which would take all memory there is."""
    with pytest.raises(gs.UsageError, match="computes with numbers"):
        expression(written)(Model(), Model(), Model())


def test_one_form_for_fields_of_messages() -> None:
    """`journal show`, `erase` and `first` read it alike: paths lead into objects and into each element of a list."""
    message = ["Sale", {"customer": "c1", "amount": 9, "to": [{"city": "Oslo"}, {"city": "Rome"}]}]
    assert Members(["customer=c1", "amount=9", "to.city=Rome"], "Sale").hold(message)
    assert not Members(["customer=c1"], "Refund").hold(message)
    assert not Members(["to.city=Paris"]).hold(message)
    assert Members(["a==b"][:0], "").hold(message)
    assert not Members([])
    assert is_member("customer=after.total == 3")
    assert not is_member("after.total=3")
    assert not is_member("total == 3")
    with pytest.raises(gs.UsageError, match="compared by =="):
        expression("after.total=3")
