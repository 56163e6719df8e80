"""Records that name their class in a field, records that a function parses, and records that are no messages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

import go_state as gs


@dataclass(frozen=True)
class Sale:
    shop: str
    amount: float
    note: str = ""


@gs.stored_as("Refund", was=("Return",))
@dataclass(frozen=True)
class MoneyBack:
    shop: str
    amount: float


@dataclass(frozen=True)
class Typed:
    type: Literal["typed"]
    shop: str


class Up(msgspec.Struct, frozen=True, tag="up", tag_field="op"):
    by: int


class Down(msgspec.Struct, frozen=True, tag=2, tag_field="op"):
    by: int


def rows(tmp_path: Path, text: str, *args: Any, **options: Any) -> list[Any]:
    (tmp_path / "n.jsonl").write_text(text)
    return list(gs.sources.JSONLines(tmp_path / "n.jsonl", *args, finished=True, **options).read())


def table(tmp_path: Path, text: str, *args: Any, **options: Any) -> list[Any]:
    (tmp_path / "n.csv").write_text(text)
    return list(gs.sources.CSV(tmp_path / "n.csv", *args, finished=True, **options).read())


def test_a_field_says_which_class_it_is(tmp_path: Path) -> None:
    """The field holds the class's stored name, of today or before, wherever it stands in the object."""
    text = '{"type":"Sale","shop":"a","amount":1}\n{"shop":"b","amount":2.5,"type":"Refund"}\n{"type":"Return","shop":"c","amount":3}\n'
    assert rows(tmp_path, text, Sale | MoneyBack, tag="type") == [Sale("a", 1.0), MoneyBack("b", 2.5), MoneyBack("c", 3.0)]
    assert rows(tmp_path, '{"kind":"Sale","shop":"a","amount":1}', Sale, tag="kind") == [Sale("a", 1.0)]


def test_names_of_ones_own(tmp_path: Path) -> None:
    """A mapping gives classes other names; a class may also have the field itself."""
    text = '{"type":"s1","shop":"a","amount":1}\n{"type":"typed","shop":"b"}\n{"type":"s2","shop":"a","amount":2}'
    tags = {"s1": Sale, "s2": Sale, "typed": Typed}
    assert rows(tmp_path, text, Sale | Typed, tag="type", tags=tags) == [Sale("a", 1), Typed("typed", "b"), Sale("a", 2)]


def test_structs_have_tags_of_their_own(tmp_path: Path) -> None:
    """What msgspec calls a Struct in a field is honoured, without a word."""
    assert rows(tmp_path, '{"op":"up","by":1}\n{"op":2,"by":2}', Up | Down) == [Up(1), Down(2)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"type":"Other","shop":"secret","amount":1}', "its type is not one of Sale, Refund, Return"),
        ('{"type":7,"shop":"secret","amount":1}', "its type is not one of Sale, Refund, Return"),
        ('{"shop":"secret","amount":1}', "missing required field `type`"),
        ('{"type":"Sale","shop":"secret"}', "missing required field `amount`"),
        ('{"type":"Sale","shop":"secret","amount":1,"secret":2}', "unknown field"),
        ('["Sale",{"shop":"secret","amount":1}]', "Expected `object`"),
        ("[" * 5000, "not a message"),
    ],
)
def test_what_is_wrong_with_a_record(tmp_path: Path, text: str, why: str) -> None:
    """An unknown name comes with those that are known; nothing of the record is told."""
    good = '{"type":"Sale","shop":"a","amount":1}'
    first, bad, last = rows(tmp_path, f"{good}\n{text}\n{good}\n", Sale | MoneyBack, tag="type")
    assert first == last == Sale("a", 1.0)
    assert why in str(bad.error)
    assert "record 2 of " in str(bad.error)
    assert bad.raw == text.encode()


def test_a_column_says_which_class_it_is(tmp_path: Path) -> None:
    """Each class takes its own columns; a row of no class is given with the header, which it takes to read it again."""
    text = "type,shop,amount,by\nSale,a,1,\nup,,,5\nnone,b,2,\nRefund,c,x,\n"
    found = table(tmp_path, text, Sale | MoneyBack | Up, tag="type")
    assert [found[0], found[1]] == [Sale("a", 1.0), Up(5)]
    assert [each.error.record for each in found[2:]] == [3, 4]
    assert "its type is not one of Sale, Refund, Return, up (line 4)" in str(found[2].error)
    assert found[3].raw == b"type,shop,amount,by\nRefund,c,x,\n"
    source = gs.sources.CSV(tmp_path / "n.csv", Sale | MoneyBack | Up, tag="type")  # type: ignore[arg-type]
    assert source.decode(found[3].raw.replace(b"x", b"4")) == MoneyBack("c", 4.0)
    with pytest.raises(gs.errors.BadRecord):
        source.decode(found[3].raw)
    with pytest.raises(gs.errors.SourceError, match="no column kind"):
        table(tmp_path, text, Sale | Up, tag="kind")


def test_a_function_parses(tmp_path: Path) -> None:
    """It gets a line's bytes, or a row as a dict; what it raises is a bad record, without its words; None is no message."""
    found = rows(tmp_path, "1\nx\n0\n3\n", parse=lambda raw: int(raw) or None)
    assert (found[0], found[2], found[3]) == (1, None, 3)
    assert str(found[1].error).endswith("parse= raised ValueError")
    found = table(tmp_path, "n,m\n1,2\n3\n5,x\n", parse=lambda row: int(row["n"]) + int(row["m"]))
    assert found[0] == 3
    assert ["columns" in str(found[1].error), "ValueError" in str(found[2].error)] == [True, True]


@pytest.mark.parametrize(
    "options",
    [
        {"tag": "type"},
        {"of": Sale, "tag": 7},
        {"of": Sale, "tags": {"a": Sale}},
        {"of": Sale, "tag": "type", "tags": [Sale]},
        {"of": Sale, "parse": int},
        {"parse": 7},
    ],
)
def test_arguments_that_do_not_fit(tmp_path: Path, options: dict[str, Any]) -> None:
    """A source whose arguments cannot work together is refused when it is made."""
    (tmp_path / "n").write_text("")
    for kind in (gs.sources.JSONLines, gs.sources.CSV):
        with pytest.raises(gs.UsageError):
            kind(tmp_path / "n", **options)


def test_a_source_of_ones_own_gives_what_it_cannot_decode() -> None:
    """Its positions go on past it, and `on_error` decides, in every mode that reads sources."""

    class Reading:
        position = 0

        def __iter__(self) -> Any:
            for number in (1, "two", 3):
                self.position += 1
                yield number if isinstance(number, int) else gs.sources.Undecoded({"text": number}, bad)

        def close(self) -> None: ...

    class Numbers:
        name = "numbers"

        def fingerprint(self) -> str:
            return ""

        def recognise(self, fingerprint: str) -> None: ...

        def read(self, after: Any = None) -> Any:
            return Reading()

    bad = gs.errors.BadRecord("numbers", 2, "it is a word")

    def add(model: int, msg: int) -> gs.Step[int, int]:
        return model + msg, ()

    program: gs.Program[int, int] = gs.Program(lambda: (0, ()), add)
    with gs.MemoryStore() as store:
        letters = gs.DeadLetters(store)
        found = gs.aggregate(program, Numbers(), store=store, key="n", on_error=gs.SetAside(letters))
        assert (found.model, found.position, found.processed, found.letters) == (4, 3, 2, 1)
        assert [each.raw for each in letters] == [{"text": "two"}]
    result = gs.batch(program, Numbers(), on_error=gs.SetAside())
    assert [(each.message, each.position, each.error) for each in result.set_aside] == [({"text": "two"}, 2, bad)]
    with pytest.raises(gs.errors.BadRecord, match="record 2 of numbers"):
        gs.batch(program, Numbers())
    assert gs.batch(program, iter(Numbers().read()), on_error=gs.SetAside()).model == 4
