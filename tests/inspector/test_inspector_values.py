"""Values as the page has them: bounded, escaped, and without what is hidden."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from typing import Any

import pytest
from immutables import Map

from go_state.core.errors import UsageError
from go_state.inspector.trying.expressions import Condition
from go_state.inspector.values.differing import differing
from go_state.inspector.values.parts import part_at
from go_state.inspector.values.redaction import Redaction
from go_state.inspector.values.summary import summary
from go_state.inspector.values.tree import PAGE, Trees


@dataclass(frozen=True)
class Card:
    number: str
    owner: str


@dataclass(frozen=True)
class Customer:
    email: str
    cards: tuple[Card, ...] = ()


@dataclass(frozen=True)
class Nested:
    inner: Nested | None


def nodes(tree: Any) -> int:
    return 1 + sum(nodes(child["value"]) for child in tree["children"] or ())


HOSTILE = {
    "markup": "<script>alert(1)</script>",
    "control": "a\x00\x1b[2Jb",
    "bidi": "\u202eevil\u2066",
    "surrogate": "\ud800",
    "long": "x" * 10_000_000,
    "x" * 100_000: 1,
    "many": list(range(100_000)),
    "number": 10**10_000,
    "nan": float("nan"),
    "bytes": b"\x00" * 1_000_000,
}


def test_a_hostile_value_is_shown_cut_and_escaped_with_its_sizes() -> None:
    """Whatever it holds, a tree is small, can be written as JSON, and has no character that is not seen as what it is."""
    tree = Trees().tree(HOSTILE)
    written = json.dumps(tree, ensure_ascii=False, allow_nan=False)
    assert len(written) < 100_000
    assert written.isprintable()
    assert nodes(tree) < 1000
    children = {child["label"]: child["value"] for child in tree["children"]}
    assert children['"long"']["size"] == 10_000_000
    assert children['"many"']["size"] == 100_000
    assert children['"bidi"']["text"] == '"\\u202eevil\\u2066"'
    assert children['"control"']["text"] == '"a\\u0000\\u001b[2Jb"'
    assert "bits" in children['"number"']["text"]


def test_a_value_that_is_nested_deeply_is_shown_and_compared() -> None:
    """A model a thousand deep has a tree, a line, and differences."""
    one: Nested | None = None
    other: Nested | None = Nested(None)
    for _ in range(5000):
        one, other = Nested(one), Nested(other)
    assert nodes(Trees().tree(other, before=one)) < 20
    assert len(summary(other)) <= 200
    found = list(differing(one, other))
    assert len(found) == 1
    assert found[0].path.count("inner") == 5001 - 1


def test_children_are_given_in_pages_and_found_by_their_steps() -> None:
    """Each child is reached by the step that its tree has, whatever its key is."""
    value = {"a": 1, (1, 2): {"b": [10, 20]}, "k" * 1000: 3, 7: 4}
    tree: Any = Trees().tree(value)
    for child, part in zip(tree["children"], value.values(), strict=True):
        assert [each for _, each in part_at(value, [child["step"]])] == [part]
    page: Any = Trees().tree(list(range(250)), start=PAGE)
    assert [child["step"] for child in page["children"]] == list(range(100, 200))
    assert page["more"] == 50
    with pytest.raises(UsageError):
        list(part_at(value, ["a", "b"]))


def test_what_has_changed_beyond_a_page_is_counted_and_the_first_of_it_shown() -> None:
    """Whatever the keys are, in mappings, lists and sets; what was the same is not marked."""
    before = {number: [number] for number in range(5000)}
    after = before | {number: [-number] for number in (7, 300, *range(4000, 4030))}
    tree: Any = Trees().tree(after, (), before)
    assert [child["label"] for child in tree["children"] if child["changed"]] == ["7"]
    assert tree["more"] == 4900
    assert tree["more_changed"] == 31
    assert [child["label"] for child in tree["beyond"]] == ["300", *map(str, range(4000, 4009))]
    assert all(next(part_at(after, [child["step"]]))[1] == [-int(child["label"])] for child in tree["beyond"])
    last: Any = Trees().tree(after, (), before, start=4900)
    assert (last["more"], last["more_changed"], last["beyond"]) == (0, 0, [])
    inner: Any = Trees().tree({"a": after}, (), {"a": before})
    assert inner["children"][0]["value"]["more_changed"] == 31
    many: Any = Trees().tree(list(range(1, 5001)), (), list(range(5000)))
    assert many["more_changed"] == 1000  # and counts no further
    of_set: Any = Trees().tree(set(range(51)), (), set(range(50)))
    assert [child["label"] for child in of_set["children"] if child["changed"]] == ["50"]


def test_differences_are_the_smallest_parts_that_differ() -> None:
    """Fields, keys and items are told apart; one that was taken out of a list is one difference."""
    before = Customer("a", (Card("1", "x"), Card("2", "y"), Card("3", "z")))
    after = Customer("b", (Card("1", "x"), Card("3", "z")))
    assert [(each.path, each.names) for each in differing(before, after)] == [
        ("email", ("email",)),
        ("cards[1]", ("cards", "1")),
    ]
    assert [each.path for each in differing({"a": 1, "b": 2}, {"a": 1, "c": 2})] == ['["c"]', '["b"]']
    assert [each.path for each in differing(Map(a=1), Map(a=2))] == ['["a"]']
    assert not list(differing(float("nan"), float("nan")))
    assert [each.path for each in differing(1, True)] == [""]


@pytest.mark.slow
def test_comparing_a_large_map_that_shares_what_did_not_change_is_quick() -> None:
    """A hundred thousand entries are looked at, not written."""
    before = Map({f"k{number}": Card(str(number), "x") for number in range(100_000)})
    after = before.set("k5", Card("5", "y"))
    begun = time.perf_counter()
    assert [each.path for each in differing(before, after)] == ['["k5"].owner']
    assert time.perf_counter() - begun < 30  # it ends


def test_what_is_hidden_is_hidden_by_path_and_by_class() -> None:
    """Nothing of a hidden value is in its tree, its line or its differences' values."""
    value = Customer("secret", (Card("4111", "secret"),))
    for redact in (["email", "owner"], ["email", Card], "*", ["email", "cards.*.owner"]):
        redaction = Redaction(redact)
        assert "secret" not in json.dumps(Trees(redaction).tree(value))
        assert "secret" not in summary(value, redaction)
    assert "4111" in json.dumps(Trees(Redaction("owner")).tree(value))
    with pytest.raises(UsageError):
        Redaction([3])  # type: ignore[list-item]


@pytest.mark.parametrize(
    "written",
    [
        "open('x')", "after.__class__", "before.real", "().__class__", "[x for x in msg]", "f'{msg}'", "2 ** 99999", "'a' * 999999999",
        "lambda: 1", "msg := 1", "other", "after.email.upper()", "1 if msg else open", "a" * 2000, "(" * 300, "msg[1:2]", "b'x'", "1j", "",
        "import os", "'%s' % msg", "-'a'", "[1] * 9999999",
    ],
)  # fmt: skip
def test_an_expression_can_call_nothing_and_grow_nothing(written: str) -> None:
    """What is no condition over data is refused, or is told of no message; nothing of it happens."""
    try:
        condition = Condition(written)
    except UsageError:
        return
    assert condition(Customer("a"), Card("1", "x"), Customer("b")) is False
    assert condition.trouble


def test_an_expression_reads_fields_items_and_members() -> None:
    """Fields of data, keys and indices, comparisons and arithmetic."""
    before, after = Customer("a"), Customer("b", (Card("1", "x"),))
    for written in (
        "before.email != after.email",
        "after.cards[0].owner == 'x'",
        "msg['n'] + 1 == 3",
        "msg['n'] in (1, 2)",
        "not before.cards",
    ):
        assert Condition(written)(before, {"n": 2}, after), written
    missing = Condition("after.cards[3].owner == 'x'")
    assert not missing(before, None, after)
    assert "no item" in (missing.trouble or "")


def test_an_expression_cannot_ask_for_what_is_hidden() -> None:
    """The answer would tell it."""
    for written in ("msg.email == 'x'", "after.cards[0].number == '1'", "after['email'] == 'x'", "after[msg.key] == 'x'"):
        with pytest.raises(UsageError):
            Condition(written, Redaction(["email", "number"]))
    by_class = Condition("after.cards[0] == before.cards[0]", Redaction(Card))
    assert not by_class(Customer("a", (Card("1", "x"),)), None, Customer("a", (Card("1", "x"),)))


def test_huge_numbers_do_not_stop_a_condition() -> None:
    """Arithmetic ends at some size."""
    condition = Condition("*".join(["msg"] * 30) + " > 0")
    assert not condition(None, sys.maxsize, None)
    assert "too large" in (condition.trouble or "")
