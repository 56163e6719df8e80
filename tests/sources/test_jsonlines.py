"""JSON Lines: one message a line, and errors that name the record."""

import datetime
import decimal
import enum
import json
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from sources_support import messages

import go_state as gs


class Color(enum.Enum):
    RED = "red"


@dataclass(frozen=True)
class Add:
    by: int
    note: str = ""


@dataclass(frozen=True)
class Sub:
    by: int


def read(tmp_path: Path, data: str | bytes, of: Any = None) -> list[Any]:
    path = tmp_path / "messages.jsonl"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return messages(gs.sources.JSONLines(path, of, finished=True).read())


def test_plain_values_are_read(tmp_path: Path) -> None:
    """Without a type a message is what JSON holds."""
    assert read(tmp_path, '{"a":1}\n[1]\n"x"\n2.5\n') == [{"a": 1}, [1], "x", 2.5]


def test_classes_are_read(tmp_path: Path) -> None:
    """A class is read from an object, a union of classes by name."""
    assert read(tmp_path, '{"by":1,"note":"n"}\n', Add) == [Add(1, "n")]
    assert read(tmp_path, '["Add",{"by":1,"note":""}]\n["Sub",{"by":2}]', Add | Sub) == [Add(1), Sub(2)]


def test_a_field_with_a_default_may_be_missing(tmp_path: Path) -> None:
    """A line without a field that has a default is read, as a CSV file without its column is."""
    assert read(tmp_path, '{"by":1}\n', Add) == [Add(1)]


@pytest.mark.parametrize("data", ["", "\n\n", " \n\t\n", b"\xef\xbb\xbf"])
def test_an_empty_file_has_no_messages(tmp_path: Path, data: str | bytes) -> None:
    """An empty file, blank lines and a lone byte order mark hold no message."""
    assert read(tmp_path, data) == []


def test_line_ends_of_every_system_are_read(tmp_path: Path) -> None:
    """Unix and Windows line ends separate messages; separators of Unicode inside a text do not."""
    assert read(tmp_path, '\ufeff1\r\n2\n3\n"a\u2028b\x85c"\n4') == [1, 2, 3, "a\u2028b\x85c", 4]


@pytest.mark.parametrize("bad", ['{"by":', "NaN", "1 2", '"\\ud800"', "[" * 5000, '{"by":1}}', "nul", "\x00"])
def test_a_bad_line_names_its_record(tmp_path: Path, bad: str) -> None:
    """A line that is no JSON raises BadRecord with its number, blank lines not counted."""
    with pytest.raises(gs.errors.BadRecord) as raised:
        read(tmp_path, f"1\n\n2\n{bad}\n4\n")
    assert raised.value.record == 3


@pytest.mark.parametrize("bad", ["{}", '{"by":"1"}', '{"by":1,"note":"","more":1}', "[]", "null", "1", '["Add",{"by":1}]'])
def test_a_line_of_another_type_names_its_record(tmp_path: Path, bad: str) -> None:
    """A line that is not the message's type raises BadRecord with its number."""
    with pytest.raises(gs.errors.BadRecord) as raised:
        read(tmp_path, '{"by":1,"note":""}\n' + bad, Add)
    assert raised.value.record == 2


def test_bytes_that_are_not_utf8_name_their_record(tmp_path: Path) -> None:
    """A line that is not UTF-8 is given with its number and its bytes, between the good ones."""
    path = tmp_path / "n.jsonl"
    path.write_bytes(b'1\n2\n3\n"\xff"\n5\n')
    one, two, three, bad, five = gs.sources.JSONLines(path).read()
    assert [one, two, three, five] == [1, 2, 3, 5]
    assert (bad.raw, bad.error.record) == (b'"\xff"', 4)
    assert "UTF-8" in str(bad.error)


def test_a_message_type_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A type that JSON cannot hold raises NotStorable."""
    with pytest.raises(gs.errors.NotStorable):
        read(tmp_path, "1\n", complex)


@dataclass(frozen=True)
class Anything:
    value: Any
    rest: list[Any]


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**63) - 1, 10**18, -(10**19), 3**200])
def test_whole_numbers_stay_whole(tmp_path: Path, number: int) -> None:
    """An integer of more than 64 bits is that integer, at any depth, with and without a type."""
    data = f'{{"value":{number},"rest":[{number},1.5,{{"deep":[{number}]}}]}}\n'
    rest = [number, 1.5, {"deep": [number]}]
    assert read(tmp_path, data, Anything) == [Anything(number, rest)]
    (found,) = read(tmp_path, data)
    assert (found, type(found["value"]), type(found["rest"][0])) == ({"value": number, "rest": rest}, int, int)
    assert read(tmp_path, f"{number}\n", int | float) == [number]


@pytest.mark.parametrize("text", ["0." + "1" * 30, "1" * 30 + ".5", '"' + "1" * 30 + '"', "1" * 30 + "e0"])
def test_other_numbers_of_many_digits_are_what_they_were(tmp_path: Path, text: str) -> None:
    """A fraction is a float and a text is a text, however many digits they have."""
    (found,) = read(tmp_path, text)
    assert (found, type(found)) == (json.loads(text), type(json.loads(text)))


@pytest.mark.parametrize("bad", ["1" * 25 + " NaN", '{"a":' + "1" * 25, '["\\ud800",' + "1" * 25 + "]", "[" * 3000 + "1" * 25])
def test_a_bad_line_with_a_long_number_is_as_bad(tmp_path: Path, bad: str) -> None:
    """What is refused with a short number is refused with a long one."""
    with pytest.raises(gs.errors.BadRecord):
        read(tmp_path, bad)


def test_null_is_no_message(tmp_path: Path) -> None:
    """A null counts as a record and is ignored as a message, also across an interruption."""
    (path := tmp_path / "n.jsonl").write_text("null\n1\nnull\n2\nnull\n")
    store = gs.MemoryStore()
    runs = [gs.aggregate(_counter, gs.sources.JSONLines(path), store=store, key="k", limit=1) for _ in range(3)]
    assert [run.model for run in runs] == [1, 12, 12]


def _add(model: int, msg: int) -> int:
    return model * 10 + msg


_counter: gs.Program[int, int] = gs.reducer(int, _add)


@dataclass(frozen=True)
class Typed:
    color: Color = Color.RED
    size: Literal["s", "m"] = "s"
    day: datetime.date = datetime.date(2020, 1, 1)
    price: decimal.Decimal = decimal.Decimal(1)
    notes: tuple[Add | int, ...] = ()
    more: dict[Color, int] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("of", "bad"),
    [
        (None, b"my-secret"), (None, b'"my-secret'), (None, b'{"color":my-secret'), (None, b'"my-secret\xff"'),
        (None, b'{"my-secret\xff":1}'), (None, b'"my-secret\\ud800"'), (str, b'"my-secret\xff"'), (str, b'"my-secret\\ud800"'),
        (int, b'"my-secret"'), (int, b"my-secret"), (Typed | Add, b'["my-secret",{}]'), (Typed | Add, b'"my-secret"'),
        (Typed, b'{"color":"my-secret"}'), (Typed, b'{"size":"my-secret"}'), (Typed, b'{"day":"my-secret"}'),
        (Typed, b'{"price":"my-secret"}'), (Typed, b'{"notes":["my-secret"]}'), (Typed, b'{"notes":[["my-secret",{}]]}'),
        (Typed, b'{"more":{"my-secret":1}}'), (Typed, b'{"more":{"my-secret\xff":1}}'),
    ],
)  # fmt: skip
def test_a_bad_lines_traceback_does_not_tell_the_contents(tmp_path: Path, of: Any, bad: bytes) -> None:
    """Neither the error nor what is logged of it repeats the line, and no decoder's error, which holds it, is its cause."""
    with pytest.raises(gs.errors.BadRecord) as raised:
        read(tmp_path, bad, of)
    assert raised.value.__cause__ is None
    logged = "".join(traceback.format_exception(raised.value))
    assert "record 1 of" in logged
    assert "secret" not in logged
