"""CSV: typed rows, records of many lines, and errors that name the record."""

import csv
import datetime
import decimal
import enum
import io
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sources_support import messages

import go_state as gs
from go_state.sources.contents import Lines
from go_state.sources.rows import Rows, UnendedError


class Color(enum.Enum):
    RED = "red"


@dataclass(frozen=True)
class Row:
    a: int
    b: str | None = None


@dataclass(frozen=True)
class Painted:
    color: Color


@dataclass(frozen=True)
class Priced:
    day: datetime.date
    price: decimal.Decimal


class Named(NamedTuple):
    a: int


def read(tmp_path: Path, data: str | bytes, of: Any = Row, **options: Any) -> list[Any]:
    path = tmp_path / "rows.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return messages(gs.sources.CSV(path, of, finished=True, **options).read())


def test_rows_become_messages(tmp_path: Path) -> None:
    """Columns are found by name, in any order, others left aside, and turned into the fields' types."""
    assert read(tmp_path, "x,b,a\n?,two,1\n?,,2\n") == [Row(1, "two"), Row(2, None)]
    assert read(tmp_path, "a,b\n1,2\n", None) == [{"a": "1", "b": "2"}]
    assert read(tmp_path, "color\nred\n", Painted) == [Painted(Color.RED)]


def test_a_named_tuple_is_a_message(tmp_path: Path) -> None:
    """A NamedTuple takes its fields from the columns of their names, like any class."""
    assert read(tmp_path, "a\n1\n", Named) == [Named(1)]


def test_missing_values_are_none(tmp_path: Path) -> None:
    """What missing= lists is None where the field may be, and nowhere else."""
    assert read(tmp_path, "a,b\n1,NA\n2,\n", missing=("NA",)) == [Row(1, None), Row(2, "")]
    with pytest.raises(gs.errors.BadRecord):
        read(tmp_path, "a,b\nNA,x\n", missing=("NA",))


@pytest.mark.parametrize("data", ["", "a,b\n", "a,b", b"\xef\xbb\xbfa,b\r\n", "a,b\n\n\n"])
def test_a_table_without_rows_is_empty(tmp_path: Path, data: str | bytes) -> None:
    """An empty file, a header only and blank lines hold no message."""
    assert read(tmp_path, data) == []


def test_line_ends_of_every_system_are_read(tmp_path: Path) -> None:
    """Unix and Windows line ends separate rows, and stay as they are inside quotes."""
    assert read(tmp_path, b'\xef\xbb\xbfa,b\r\n1,"x\r\ny"\r\n') == [Row(1, "x\r\ny")]
    assert read(tmp_path, b"a,b\n1,2\n") == [Row(1, "2")]


BAD_ROWS = {
    "too few": "3", "too many": "3,4,5", "wrong type": "x,4", "unclosed": '3,"4', "after quote": '3,"4"x', "fraction": "1.5,x",
    "empty number": ",x", "spaces": "   ",
    "long row": '3,4,"' + "x" * 200_000 + '"', "after a long quote": '3,"' + "x" * 200_000 + '"y', "long unclosed": '3,"' + "x\n" * 90_000,
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_names_its_record(tmp_path: Path, bad: str) -> None:
    """A row that is no message raises BadRecord with its number and line, blank lines not counted as records."""
    with pytest.raises(gs.errors.BadRecord, match=r"\(line \d+\)") as raised:
        read(tmp_path, f'a,b\n1,"2\n2"\n\n2,3\n{bad}')
    assert raised.value.record == 3


def test_bytes_that_are_not_utf8_name_their_record(tmp_path: Path) -> None:
    """A row that is not UTF-8 raises BadRecord with its number, however far down it is."""
    for record in (3, 3000):
        with pytest.raises(gs.errors.BadRecord, match="UTF-8") as raised:
            read(tmp_path, b"a,b\n" + b"1,2\n" * (record - 1) + b"3,\xff\n" + b"4,5\n" * 3000)
        assert raised.value.record == record


def test_a_nul_is_data_or_refused(tmp_path: Path) -> None:
    """A NUL in a text is a character like others, and in a number a bad record."""
    assert read(tmp_path, "a,b\n1,\0\n") == [Row(1, "\0")]
    with pytest.raises(gs.errors.BadRecord):
        read(tmp_path, "a,b\n\0,1\n")


def test_a_lacking_column_is_named(tmp_path: Path) -> None:
    """A table without a column that the class needs raises SourceError that names it and those there are."""
    with pytest.raises(gs.errors.SourceError, match=r"no column a, .* b, c"):
        read(tmp_path, "b,c\n1,2\n")


def test_a_column_twice_is_refused(tmp_path: Path) -> None:
    """Two columns of one name cannot be told apart: which one would be read is not guessed."""
    with pytest.raises(gs.errors.SourceError):
        read(tmp_path, "a,a\n1,2\n")


@pytest.mark.parametrize("header", ["a,b,b", "a,,", "a,b,,", "a,a ,a ", "b,b,a"])
def test_columns_that_nobody_asks_for_may_have_one_name(tmp_path: Path, header: str) -> None:
    """A name that no field has, or none at all, may stand over several columns, as at the end of many a spreadsheet."""
    row = ",".join("1" if name == "a" else "" for name in header.split(","))
    assert read(tmp_path, f"{header}\n{row}\n", Named) == [Named(1)]


@dataclass(frozen=True)
class Optional:
    a: int = 0
    b: str = ""


def test_a_table_of_which_nothing_is_a_field_is_refused(tmp_path: Path) -> None:
    """Under another delimiter than the file's every row would be made of defaults."""
    with pytest.raises(gs.errors.SourceError, match="delimiter"):
        read(tmp_path, "a;b\n1;x\n", Optional)
    assert read(tmp_path, "a;c\n1;x\n", Optional, delimiter=";") == [Optional(1)]


@pytest.mark.parametrize("missing", ["NA", "", (None,), ("", 0)])
def test_missing_is_a_tuple_of_texts(tmp_path: Path, missing: Any) -> None:
    """A text alone would stand for each of its letters."""
    with pytest.raises(gs.UsageError, match="missing="):
        read(tmp_path, "a,b\n1,N\n", Row, missing=missing)


def test_columns_without_a_name_are_left_aside(tmp_path: Path) -> None:
    """Without a class a single one is called "", and of several, which a dict cannot hold, each must be empty."""
    assert read(tmp_path, ",a\n1,2\n", None) == [{"": "1", "a": "2"}]
    assert read(tmp_path, "a,,\n1,,\n", None) == [{"a": "1"}]
    with pytest.raises(gs.errors.BadRecord, match="column without a name") as raised:
        read(tmp_path, "a,,\n1,,\n1,,2\n", None)
    assert raised.value.record == 2


@pytest.mark.parametrize("limit", [100, 131_072])
@pytest.mark.parametrize("end", ["", ",z", "\r\n", ",z\n", ',"q""q"\n', ",\r"])
@pytest.mark.parametrize("long", ["plain", "quoted", "lines", "quotes", "first"])
def test_long_fields_are_read(tmp_path: Path, long: str, end: str, limit: int) -> None:
    """A field longer than the csv module takes is split by the same rules, and the module's limit stays as it is."""
    before = csv.field_size_limit(limit)
    text = {"lines": "x\ny\r\n", "quotes": 'x""'}.get(long, "x")
    text *= 150_000 // len(text)
    row = {"plain": f"1,{text}{end}", "first": f'"{text}",2{end}'}.get(long, f'1,"{text}"{end}')
    data = f"a,b{',c' if 'z' in end or 'q' in end or end[:1] == ',' else ''}\n{row}"
    try:
        found = read(tmp_path, data.encode(), None)
        assert csv.field_size_limit(10**9) == limit
        with (tmp_path / "rows.csv").open(newline="") as file:
            assert found == list(csv.DictReader(file, strict=True))
    finally:
        csv.field_size_limit(before)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(['"', '""', ",", "a", "bc", "\n", "\r\n", "\r", "long"])).map("".join), st.sampled_from([1, 2, 4])
)
def test_what_is_split_here_is_split_as_the_csv_module_does(text: str, limit: int) -> None:
    """With a limit that few rows keep to, rows and refusals, None here, are those that the module gives without it."""
    expected: list[list[str] | None] = []
    reader, unended = csv.reader(io.StringIO(text, newline=""), strict=True), False
    while True:
        try:
            expected.append(next(reader))
        except StopIteration:
            break
        except csv.Error as error:
            if unended := "end of data" in str(error):
                break
            expected.append(None)
    before = csv.field_size_limit(limit)
    try:
        rows, found = Rows(Lines(io.BytesIO(text.encode()).read, finished=True), ","), []
        try:
            found.extend(None if rows.why else row for row in rows)
        except UnendedError:
            assert unended
        assert found == expected
    finally:
        csv.field_size_limit(before)


def test_rows_after_a_long_one_are_counted_on(tmp_path: Path) -> None:
    """A row that was split apart is one record, and the lines of those after it are told rightly."""
    long = '1,"' + "x\n" * 100_000 + '"\n'
    with pytest.raises(gs.errors.BadRecord, match=r"\(line 200005\)") as raised:
        read(tmp_path, f"a,b\n\n{long}{long}bad,2\n")
    assert raised.value.record == 3


def test_errors_do_not_tell_the_contents(tmp_path: Path) -> None:
    """A bad value is named by its column and not repeated."""
    with pytest.raises(gs.errors.BadRecord) as raised:
        read(tmp_path, "color\nmy-secret\n", Painted)
    assert "my-secret" not in str(raised.value)


@pytest.mark.parametrize(("of", "delimiter"), [(Row, ";;"), (Row, ""), (int, ",")])
def test_wrong_arguments_are_usage_errors(tmp_path: Path, of: Any, delimiter: str) -> None:
    """A delimiter that is none and a type that is no class of fields raise a go_state error."""
    with pytest.raises(gs.GoStateError):
        read(tmp_path, "a,b\n1,2\n", of, delimiter=delimiter)


@pytest.mark.parametrize("limit", range(1, 7))
def test_reading_goes_on_amid_records_of_many_lines(tmp_path: Path, limit: int) -> None:
    """An aggregate that is interrupted after any record goes on with the next, however many lines each takes."""
    path, store, texts = tmp_path / "r.csv", gs.MemoryStore(), ["1", 'x\n\n"",2\n', "\r\n", "a,b\n9,9", "", "e"]
    path.write_text("a,b\n" + "\n".join(f'{n},"{text}"\n' for n, text in enumerate(texts)), newline="")
    whole = gs.batch(_joined, gs.sources.CSV(path, Row)).model
    assert whole.count("|") == len(texts)
    for _ in range(len(texts)):
        result = gs.aggregate(_joined, gs.sources.CSV(path, Row), store=store, key="k", limit=limit)
    assert (result.model, result.position) == (whole, len(texts))


def _join(model: str, msg: Row) -> str:
    return f"{model}|{msg.a}:{msg.b}"


_joined: gs.Program[str, Row] = gs.reducer(str, _join)


@pytest.mark.parametrize(
    ("data", "of"),
    [
        (b"a\nmy-secret\n", Row), (b"color\nmy-secret\n", Painted), (b"day,price\nmy-secret,1\n", Priced),
        (b"day,price\n2020-01-01,my-secret\n", Priced), (b"a,b\nmy-secret\n", None), (b"a,b\nmy-secret,2,3\n", None),
        (b'a,b\n"my-secret"x,1\n', None), (b'a,b\n1,"my-secret', None), (b"a,b\n1,my-secret\xff\n", None),
        (b"a,b\n1,my-secret\xff\n", Row), (b"a,b\nmy,secret" + b"my-secret" * 30_000, Row),
        (b'a,b\n1,"my-secret"x' + b"my-secret" * 30_000, Row),
    ],
    ids=range(12),
)  # fmt: skip
def test_a_bad_rows_traceback_does_not_tell_the_contents(tmp_path: Path, data: bytes, of: Any) -> None:
    """Neither the error nor what is logged of it, causes and contexts included, repeats the row."""
    with pytest.raises(gs.errors.BadRecord) as raised:
        read(tmp_path, data, of)
    logged = "".join(traceback.format_exception(raised.value))
    assert "record 1 of" in logged
    assert "secret" not in logged
