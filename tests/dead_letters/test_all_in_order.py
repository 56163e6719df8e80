"""Whatever the file: messages and letters together are all its records, in order, however the runs are cut."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import go_state as gs


def fold(model: tuple[int, ...], msg: int) -> gs.Step[tuple[int, ...], int]:
    if msg < 0:
        raise ValueError
    return (*model, msg), ()


def strictly(row: dict[str, str]) -> int:
    number = int(row["n"])
    if str(number) != row["n"]:
        raise ValueError("written in another way, as with line ends around it")
    return number


folding: gs.Program[tuple[int, ...], int] = gs.Program(lambda: ((), ()), fold)

hostile = st.sampled_from(
    [
        b"{",
        b'"x"',
        b"\xff\xfe",
        b"\x00\x1b[2J",
        b'"\\ud800"',
        b"1 2",
        b"[" * 2000,
        b"1" * 5000,
        b"nul",
        b"\xc3",
        "\u2028x".encode(),
    ]
)
number = st.integers(0, 2**60).map(lambda each: json.dumps(each).encode())
negative = st.integers(-(2**60), -1).map(lambda each: json.dumps(each).encode())
record = st.one_of(number, negative, hostile)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.lists(record, max_size=30), st.integers(1, 7), st.sampled_from([None, 0, 3]), st.booleans())
def test_good_and_letters_are_all_in_order(records: list[bytes], limit: int, prefetch: Any, halts: bool) -> None:
    """Runs of `limit` messages, each of which may halt first, count each record once, as a message or as a letter."""
    with tempfile.TemporaryDirectory() as folder, gs.MemoryStore() as store:
        path = Path(folder) / "n.jsonl"
        path.write_bytes(b"".join(each + b"\n" for each in records))
        letters = gs.DeadLetters(store)
        aside: gs.SetAside[int] = gs.SetAside(letters)
        position = -1
        while True:
            options: dict[str, Any] = {"limit": limit, **({} if prefetch is None else {"prefetch": prefetch})}
            if halts:
                found = gs.aggregate(
                    folding, gs.sources.JSONLines(path, int), store=store, key="n", on_error=gs.Halt(), **options
                )
                if found.failed is not None:
                    assert found.ended == "failed"
                    options["limit"] = 1
            found = gs.aggregate(folding, gs.sources.JSONLines(path, int), store=store, key="n", on_error=aside, **options)
            if found.position == position:
                break
            position = found.position
        kept = [letter.raw if letter.message is None else letter.message for letter in letters]
        at = [letter.position for letter in letters]
        good = list(found.model)
        assert position == len(records)
        merged = [
            kept[at.index(place)] if place in at else json.dumps(good.pop(0)).encode() for place in range(1, len(records) + 1)
        ]
        assert merged == records
        assert good == []


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(number, negative, st.sampled_from([b'"', b'a"b', b"1,2", b'"1"2', b"\xff", b"x", b'"a\nb"'])), max_size=20
    )
)
def test_rows_are_all_there(rows: list[bytes]) -> None:
    """Of a table, the letters hold every byte that is not in a message; a quote that is not closed raises."""
    with tempfile.TemporaryDirectory() as folder, gs.MemoryStore() as store:
        path = Path(folder) / "n.csv"
        path.write_bytes(b"n\n" + b"".join(each + b"\n" for each in rows))
        letters = gs.DeadLetters(store)
        source: Any = gs.sources.CSV(path, parse=strictly, finished=True)
        with suppress(gs.errors.BadRecord):  # of a quote that is not closed
            found = gs.batch(folding, source, on_error=gs.SetAside(letters))
            halves_are_all(found.model, list(letters), rows)


def halves_are_all(model: tuple[int, ...], letters: list[gs.dead_letters.Letter], rows: list[bytes]) -> None:
    """Compare the bytes of messages and letters with those of the file's rows."""
    raw = b"".join(letter.raw.removeprefix(b"n\n") for letter in letters if isinstance(letter.raw, bytes))
    lost = b"".join(each.message + b"\n" for each in letters if each.message is not None)
    good = b"".join(b"%d\n" % each for each in model)
    assert sorted(raw + lost + good) == sorted(b"".join(each + b"\n" for each in rows))


def test_a_line_of_ten_megabytes(tmp_path: Path) -> None:
    """It is one letter, as it was, in a store on disk."""
    line = b'{"a": "' + b"x" * 10_000_000
    (tmp_path / "n.jsonl").write_bytes(b"1\n" + line + b"\n2\n")
    with gs.LMDBStore(tmp_path / "s") as store:
        letters = gs.DeadLetters(store)
        source: Any = gs.sources.JSONLines(tmp_path / "n.jsonl", int)
        found = gs.aggregate(folding, source, store=store, key="n", on_error=gs.SetAside(letters))
        (letter,) = letters
        assert letter.raw == line
        assert found.model == (1, 2)
