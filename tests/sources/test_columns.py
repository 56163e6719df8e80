"""Text in a column as the value of a field: what Python's own types take, and nothing else."""

import datetime
import decimal
import enum
import math
import traceback
import uuid
from dataclasses import make_dataclass
from pathlib import Path
from typing import Any, Literal, NewType

import pytest
from sources_support import messages

import go_state as gs

INTS = [
    "5",
    "05",
    "+5",
    " 5",
    "5 ",
    "-0",
    "1_000",
    "1" * 30,
    "-" + "9" * 40,
    "٣",
    "5.0",
    "1e3",
    "0x10",
    "five",
    "5 5",
    "_5",
    "null",
]
FLOATS = [
    ".5",
    "5.",
    "+5",
    "05",
    " 5",
    "1e5",
    "1_0.5",
    "inf",
    "-Infinity",
    "1e400",
    "12345678901234567890",
    "5,0",
    "0x1p3",
    "1e",
    "null",
]
DECIMALS = ["5", " 5.0", ".5", "1e3", "0.1000", "1_000", "Infinity", "5,0", "null"]
DATES = [
    "2024-01-31",
    "20240131",
    "2024-W05-3",
    "2024W053",
    "1704067200",
    "2024-02-30",
    "2024-01-31T10:00",
    "31.01.2024",
    " 2024-01-31",
    "0",
]
MOMENTS = [
    "2024-01-31",
    "20240131",
    "2024-01-31T10",
    "2024-01-31 10:00:00.5",
    "20240131T100000Z",
    "2024-01-31T10:00+02:00",
    "1704067200",
    "5",
    "5.5",
    "now",
]
TIMES = ["10:00", "1000", "10", "10:00:00.123456", "10:00+02:00", "T10:00", "25:00", "36000.5", "noon"]
UUIDS = [
    "12345678-1234-5678-1234-567812345678",
    "{12345678123456781234567812345678}",
    "urn:uuid:12345678123456781234567812345678",
    "1",
]


def field(tmp_path: Path, kind: Any, text: str, **options: Any) -> Any:
    """Read the text as a field of the type."""
    path = tmp_path / "a.csv"
    path.write_text(f'v\n"{text}"\n', newline="")
    (row,) = messages(gs.sources.CSV(path, make_dataclass("Row", [("v", kind)]), **options).read())
    return row.v


@pytest.mark.parametrize(
    ("kind", "of_python", "text"),
    [
        (kind, of_python, text)
        for kind, of_python, texts in [
            (int, int, INTS), (float, float, FLOATS), (decimal.Decimal, decimal.Decimal, DECIMALS),
            (datetime.date, datetime.date.fromisoformat, DATES), (datetime.datetime, datetime.datetime.fromisoformat, MOMENTS),
            (datetime.time, datetime.time.fromisoformat, TIMES), (uuid.UUID, uuid.UUID, UUIDS), (str, str, [" x ", "null", "05"]),
        ]
        for text in texts
    ],
)  # fmt: skip
def test_a_field_is_what_python_makes_of_its_text(tmp_path: Path, kind: Any, of_python: Any, text: str) -> None:
    """What the type itself takes is taken, of any number of digits, and what it refuses is a bad record."""
    try:
        expected = of_python(text)
    except (ValueError, ArithmeticError):
        with pytest.raises(gs.errors.BadRecord, match=r"its column v holds no .* \(line 2\)"):
            field(tmp_path, kind, text)
        return
    found = field(tmp_path, kind, text)
    assert (found, type(found)) == (expected, kind)
    assert field(tmp_path, kind | None, text) == expected


def test_not_a_number_is_a_float(tmp_path: Path) -> None:
    """Python's float takes nan, and so does a field."""
    assert math.isnan(field(tmp_path, float, "nan"))


class Color(enum.Enum):
    RED = "red"
    BLUE = 2


class Level(enum.IntEnum):
    LOW = 1


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


Count = NewType("Count", int)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (Color, "red", Color.RED), (Color, "2", Color.BLUE), (Level, "01", Level.LOW), (Rights, "3", Rights.READ | Rights.WRITE),
        (Literal["a", 1], "a", "a"), (Literal["a", 1], "1", 1), (Literal[True], "true", True), (Count, "05", 5),
        (bool, "True", True), (bool, "0", False), (int | float, "5", 5), (float | int, "5", 5), (int | float, ".5", 0.5),
        (int | str, "05", "05"), (str | datetime.date, "20240101", "20240101"), (Any, "5", "5"),
        (bool | float, "1", 1.0), (bool | decimal.Decimal, "0", decimal.Decimal(0)), (bool | float, "true", True),
        (datetime.datetime | datetime.date, "2024-01-01", datetime.date(2024, 1, 1)),
        (datetime.datetime | datetime.date, "2024-01-01T05:00", datetime.datetime(2024, 1, 1, 5)),
        (datetime.timedelta, "P1D", datetime.timedelta(days=1)), (bytes, "YQ==", b"a"),
    ],
)  # fmt: skip
def test_a_field_of_another_type_is_read(tmp_path: Path, kind: Any, text: str, expected: Any) -> None:
    """Members are found by their values, and where text itself is a value it stays as it is."""
    found = field(tmp_path, kind, text)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Color, "green"),
        (Level, "2"),
        (Literal["a", 1], "2"),
        (bool, "yes"),
        (bool, "2"),
        (datetime.timedelta, "5"),
        (bytes, "x"),
    ],
)
def test_a_text_that_is_no_value_is_a_bad_record(tmp_path: Path, kind: Any, text: str) -> None:
    """Nothing is guessed: neither a member, nor a number of seconds, nor what is meant by yes."""
    with pytest.raises(gs.errors.BadRecord):
        field(tmp_path, kind, text)


type_of_none = type(None)


@pytest.mark.parametrize("kind", [int | None, str | None, datetime.date | None, Literal["a", None], Color | None, type_of_none])
@pytest.mark.parametrize("missing", [("",), ("NA", "-"), ("null",)])
def test_only_what_missing_lists_is_none(tmp_path: Path, kind: Any, missing: tuple[str, ...]) -> None:
    """A text is None if missing= says so; "null" is a text like any other."""
    assert [field(tmp_path, kind, text, missing=missing) for text in missing] == [None] * len(missing)
    for text in {"", "NA", "-", "null", "NULL", "None"} - {*missing}:
        if kind == str | None:
            assert field(tmp_path, kind, text, missing=missing) == text
            continue
        with pytest.raises(gs.errors.BadRecord):
            field(tmp_path, kind, text, missing=missing)


def test_a_missing_value_where_none_may_be_says_so(tmp_path: Path) -> None:
    """The error names the column, and that its type has no None."""
    with pytest.raises(gs.errors.BadRecord, match=r"column v .* missing= .* cannot be None"):
        field(tmp_path, int, "")


@pytest.mark.parametrize(
    "kind", [int, float, decimal.Decimal, uuid.UUID, Color, Literal["a"], datetime.date, bytes, bool, int | float]
)
def test_a_misfit_does_not_tell_the_text(tmp_path: Path, kind: Any) -> None:
    """What Python's types say of a text quotes it: their words stay out of the error and of what is logged of it."""
    text = "-".join(["my", "secret"])  # in no line of code that a traceback shows
    with pytest.raises(gs.errors.BadRecord) as raised:
        field(tmp_path, kind, text)
    assert text not in "".join(traceback.format_exception(raised.value))


def test_what_a_class_says_of_its_fields_is_not_repeated(tmp_path: Path) -> None:
    """A ValueError of a class that checks its own fields is told by its name."""

    def check(self: Any) -> None:
        raise ValueError(f"{self.v} is wrong")

    (tmp_path / "a.csv").write_text("v\nmy-secret\n")
    kind = make_dataclass("Checked", [("v", str)], namespace={"__post_init__": check})
    with pytest.raises(gs.errors.BadRecord, match="its class raised ValueError") as raised:
        messages(gs.sources.CSV(tmp_path / "a.csv", kind).read())
    assert "secret" not in "".join(traceback.format_exception(raised.value))
