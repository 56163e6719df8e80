"""How files end: a last record without its end is neither lost nor counted twice, and a file is opened once."""

import asyncio
import gzip
import os
import pickle
import threading
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers

import go_state as gs
from go_state.sources.files import OpenedFile

drivers = both_drivers.drivers


@dataclass(frozen=True)
class Row:
    n: int
    word: str = ""


def _append(model: tuple[Any, ...], msg: Any) -> tuple[Any, ...]:
    return (*model, msg)


_rows: gs.Program[Any, Any] = gs.reducer(tuple, _append)
ROWS: Any = gs.JsonCodec(tuple[Row, ...])


def read(path: Path, store: gs.MemoryStore, **options: Any) -> tuple[Row, ...]:
    """Aggregate the file, and return all rows that were counted so far."""
    limit, make = options.pop("limit", None), gs.sources.CSV if ".csv" in path.name else gs.sources.JSONLines
    result = gs.aggregate(_rows, make(path, Row, **options), store=store, key="k", codec=ROWS, limit=limit)
    model: tuple[Row, ...] = result.model
    return model


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(gzip.compress(data) if path.suffix == ".gz" else data)


def as_lines(kind: str, *numbers: int) -> bytes:
    """Return the rows of these numbers as the kind of file has them, a header before the first."""
    if ".csv" in kind:
        return b"".join(b"%d,w\n" % n if n > 1 else b"n,word\n1,w\n" for n in numbers)
    return b"".join(b'{"n":%d,"word":"w"}\n' % n for n in numbers)


KINDS = ["a.csv", "a.jsonl", "a.csv.gz", "a.jsonl.gz"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_grows_byte_by_byte_is_read_once(tmp_path: Path, kind: str) -> None:
    """Wherever its writer has come to when a pass begins, each record is counted once, whole, when its line has ended."""
    path, store, data, counted = tmp_path / kind, gs.MemoryStore(), as_lines(kind, 1, 2, 34), []
    for end in range(len(data)):
        append(path, data[end : end + 1])
        counted.append(read(path, store, finished=False))
    assert counted[-1] == (Row(1, "w"), Row(2, "w"), Row(34, "w"))
    assert [len(rows) for rows in counted] == sorted(len(rows) for rows in counted)


@pytest.mark.parametrize("kind", KINDS)
def test_a_last_record_without_its_end_is_told(tmp_path: Path, kind: str) -> None:
    """It is left for the next pass, and the warning names the file, the record and what to say."""
    path, store = tmp_path / kind, gs.MemoryStore()
    append(path, as_lines(kind, 1, 2)[:-1])
    with pytest.warns(gs.errors.UnfinishedRecord, match=r"record 2 of .*finished=True") as told:
        assert read(path, store) == (Row(1, "w"),)
    warning: Any = told[0].message
    assert (warning.path, warning.record) == (str(path), 2)
    again = pickle.loads(pickle.dumps(warning))
    assert (str(again), again.record) == (str(warning), 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_last_record_counts_once_the_file_is_said_to_be_finished(tmp_path: Path, kind: str) -> None:
    """What one pass has left, the next one counts with finished=True, and no pass after that tells of it or counts it again."""
    path, store = tmp_path / kind, gs.MemoryStore()
    append(path, as_lines(kind, 1, 2)[:-1])
    both = (Row(1, "w"), Row(2, "w"))
    assert len(read(path, store, finished=False)) == 1
    assert [read(path, store, finished=True), read(path, store), read(path, store, finished=False)] == [both, both, both]


@pytest.mark.parametrize("kind", ["a.csv", "a.csv.gz"])
@pytest.mark.parametrize("between", [0, 1])
def test_a_finished_record_that_goes_on_is_refused(tmp_path: Path, kind: str, between: int) -> None:
    """Growth that continues a record which was counted raises, with advice that would not count it twice."""
    path, store = tmp_path / kind, gs.MemoryStore()
    append(path, b"n,word\n1,a\n2,b")
    for finished in [True, None][: between + 1]:
        read(path, store, finished=finished)
    cut, before = path.stat().st_size, store.load("k")
    append(path, b"c\n3,d\n")
    for finished in (True, None, False):
        with pytest.raises(gs.errors.SourceChanged, match=f"since byte {cut}.*cut the file off there"):
            read(path, store, finished=finished)
    assert store.load("k") == before


@pytest.mark.parametrize("nothing", [gzip.compress(b""), b"\0\0"], ids=["an empty member", "padding"])
def test_a_finished_record_is_remembered_while_nothing_is_added(tmp_path: Path, nothing: bytes) -> None:
    """A .gz file that grew by bytes that hold nothing still says of its last record that it was counted without a line end."""
    path, store = tmp_path / "a.csv.gz", gs.MemoryStore()
    append(path, b"n,word\n1,a\n2,b")
    read(path, store, finished=True)
    path.write_bytes(path.read_bytes() + nothing)
    assert read(path, store) == (Row(1, "a"), Row(2, "b"))
    append(path, b"c\n3,d\n")
    with pytest.raises(gs.errors.SourceChanged, match="finished=True allows"):
        read(path, store)


@pytest.mark.parametrize("kind", ["a.csv.gz", "a.jsonl.gz"])
def test_a_gz_file_that_grows_is_read_wherever_its_writer_has_come_to(tmp_path: Path, kind: str) -> None:
    """Cut at any byte, also amid a header or checksum, it gives each record once, when its line is there."""
    path, store, counted = tmp_path / kind, gs.MemoryStore(), list[int]()
    data = b"".join(gzip.compress(part) for part in (as_lines(kind, 1, 2), as_lines(kind, 3)[:3], as_lines(kind, 3)[3:]))
    for end in range(len(data) + 1):
        path.write_bytes(data[:end])
        counted.append(len(read(path, store, finished=False)))
    assert counted == sorted(counted)
    assert [row.n for row in read(path, store)] == [1, 2, 3]


def test_a_gz_file_that_is_being_written_gives_what_was_flushed(tmp_path: Path) -> None:
    """Its writer has not ended the member, and what has been flushed of it is read, each time from where the last run stopped."""
    path, store, writer, counted = tmp_path / "a.csv.gz", gs.MemoryStore(), zlib.compressobj(wbits=31), list[list[int]]()
    with path.open("ab") as file:
        for part in (b"n,word\n1,a\n", b"2,b\n3", b",c\n"):
            file.write(writer.compress(part) + writer.flush(zlib.Z_SYNC_FLUSH))
            file.flush()
            counted.append([row.n for row in read(path, store, finished=False)])
    assert counted == [[1], [1, 2], [1, 2, 3]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_finished_file_may_grow_by_whole_records(tmp_path: Path, kind: str) -> None:
    """Growth that begins with the line end which was lacking shows that the record was whole: it reads on."""
    path, store = tmp_path / kind, gs.MemoryStore()
    append(path, as_lines(kind, 1, 2)[:-1])
    read(path, store, finished=True)
    append(path, b"\n" + as_lines(kind, 3))
    assert [row.n for row in read(path, store)] == [1, 2, 3]


def test_a_zip_is_always_finished(tmp_path: Path) -> None:
    """An archive that can be opened is complete, and so is the last record in it."""
    with zipfile.ZipFile(tmp_path / "a.csv.zip", "w") as archive:
        archive.writestr("a.csv", "n,word\n1,a\n2,b")
    assert read(tmp_path / "a.csv.zip", gs.MemoryStore()) == (Row(1, "a"), Row(2, "b"))


@pytest.mark.parametrize("end", [b'2,"', b'2,"b\n', b'2,"b\n\nc\n', b'2,"b\n""', b'2,"b\r\n'])
def test_an_open_quote_at_the_end_waits_for_its_end(tmp_path: Path, end: bytes) -> None:
    """A row of several lines counts when its quote is closed, whatever the lines in it look like."""
    path, store = tmp_path / "a.csv", gs.MemoryStore()
    append(path, b"n,word\n1,a\n" + end)
    with pytest.warns(gs.errors.UnfinishedRecord, match="record 2 of"):
        assert read(path, store) == (Row(1, "a"),)
    append(path, b'"\n3,c\n')
    rows = read(path, store)
    assert [row.n for row in rows] == [1, 2, 3]
    assert rows == gs.batch(_rows, gs.sources.CSV(path, Row)).model


def test_an_open_quote_in_a_finished_file_is_a_bad_record(tmp_path: Path) -> None:
    """With nothing more to come the row is not whole, and is not left out."""
    append(tmp_path / "a.csv", b'n,word\n1,a\n2,"b\n')
    with pytest.raises(gs.errors.BadRecord) as raised:
        read(tmp_path / "a.csv", gs.MemoryStore(), finished=True)
    assert raised.value.record == 2


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("kind", KINDS)
def test_line_ends_of_every_system_end_a_record(tmp_path: Path, kind: str, mark: bytes, end: bytes) -> None:
    """Lines of Unix, Windows and old Macs are read, and read on, with and without a byte order mark."""
    path, store = tmp_path / kind, gs.MemoryStore()
    append(path, mark + as_lines(kind, 1, 2).replace(b"\n", end))
    assert len(read(path, store)) == 2
    append(path, as_lines(kind, 3).replace(b"\n", end))
    assert [row.n for row in read(path, store)] == [1, 2, 3]


def test_a_windows_line_end_that_comes_in_halves_is_one(tmp_path: Path) -> None:
    """A pass that finds the first half of a line end and one that finds the second count the row once."""
    path, store = tmp_path / "a.csv", gs.MemoryStore()
    for part in (b"n,word\r", b"\n1,a\r", b"\n", b"2,b\r\n"):
        append(path, part)
        rows = read(path, store)
    assert rows == (Row(1, "a"), Row(2, "b"))


@pytest.mark.parametrize("rest", [b"", b"  ", b"\t"])
def test_blanks_after_the_last_line_are_no_record(tmp_path: Path, rest: bytes) -> None:
    """Space at the end of a file of JSON Lines is nothing to tell of, and what it becomes is read."""
    path, store = tmp_path / "a.jsonl", gs.MemoryStore()
    append(path, as_lines("a.jsonl", 1) + rest)
    assert len(read(path, store)) == 1
    append(path, as_lines("a.jsonl", 2))
    assert len(read(path, store)) == 2


def test_a_header_without_its_end_waits(tmp_path: Path) -> None:
    """Half a header is not taken for the table's columns."""
    path, store = tmp_path / "a.csv", gs.MemoryStore()
    append(path, b"n,wo")
    assert read(path, store) == ()
    append(path, b"rd\n1,a\n")
    assert read(path, store) == (Row(1, "a"),)


def test_a_limit_before_the_end_tells_nothing(tmp_path: Path) -> None:
    """A run that has not come to the last record says nothing of it."""
    path = tmp_path / "a.csv"
    append(path, b"n,word\n1,a\n2,b")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read(path, gs.MemoryStore(), limit=1) == (Row(1, "a"),)


@pytest.mark.parametrize("finished", ["yes", 2])
def test_finished_is_yes_no_or_not_known(tmp_path: Path, finished: Any) -> None:
    """Anything but True, False and None is a UsageError."""
    append(tmp_path / "a.csv", b"n\n")
    with pytest.raises(gs.UsageError, match="finished="):
        gs.sources.CSV(tmp_path / "a.csv", finished=finished)


class _Rotating(gs.MemoryStore):
    """A store beside which a file is rotated between two steps of a run that is about to read it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.rotates = False

    def rotate(self) -> None:
        if self.rotates:
            self.rotates = False
            self.path.rename(self.path.with_suffix(".1"))
            append(self.path, b"n,word\n7,new\n8,new\n9,new\n")


@pytest.mark.slow
@pytest.mark.parametrize("step", ["fingerprint", "recognise", "read"])
def test_a_file_that_is_rotated_while_it_is_opened_loses_no_row(
    drivers: Drivers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """What is recognised is what is read: the old file, and the new one is noticed by the next run."""
    path = tmp_path / "a.csv"
    store = _Rotating(path)
    append(path, b"n,word\n1,old\n2,old\n")
    read(path, store)
    append(path, b"3,old\n")
    real, store.rotates = getattr(OpenedFile, step), True

    def rotated(*args: Any) -> Any:
        store.rotate()
        return real(*args)

    monkeypatch.setattr(OpenedFile, step, rotated)
    model = drivers.aggregate(_rows, gs.sources.CSV(path, Row), store=store, key="k", codec=ROWS).model
    assert (store.rotates, [row.n for row in model]) == (False, [1, 2, 3])
    with pytest.raises(gs.errors.SourceChanged):
        read(path, store)


def test_a_source_of_ones_own_around_a_file_notices_a_rotation(tmp_path: Path) -> None:
    """A pass that follows a fingerprint is of the file which was described, or refused."""
    path = tmp_path / "a.csv"
    append(path, b"n,word\n1,old\n")
    source = gs.sources.CSV(path, Row)
    source.fingerprint()
    path.rename(tmp_path / "old.csv")
    append(path, b"n,word\n7,new\n")
    with pytest.raises(gs.errors.SourceChanged):
        source.read()
    assert list(source.read()) == [Row(7, "new")]


@pytest.mark.parametrize("kind", ["a.jsonl", "a.jsonl.gz"])
def test_a_file_that_becomes_shorter_while_it_is_read_is_noticed(tmp_path: Path, kind: str) -> None:
    """A log that is cut off to be written anew ends the pass by SourceChanged, not as if it had come to its end."""
    path = tmp_path / kind
    append(path, b"".join(b'{"n":%d,"word":"%s"}\n' % (n, os.urandom(500).hex().encode()) for n in range(2000)))
    reading = gs.sources.JSONLines(path, Row).read()
    given = iter(reading)
    assert next(given).n == 0
    os.truncate(path, 100)
    with pytest.raises(gs.errors.SourceChanged, match="became shorter"):
        list(given)


def test_what_is_opened_is_closed_when_a_run_does_not_begin(drivers: Drivers, tmp_path: Path) -> None:
    """A file that is not recognised, or whose position cannot be stored, is not left open."""
    path, store = tmp_path / "a.csv", gs.MemoryStore()
    append(path, b"n,word\n1,a\n")
    read(path, store)
    path.write_bytes(b"n,word\n2,a\n")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(gs.errors.SourceChanged):
        gs.aggregate(_rows, gs.sources.CSV(path, Row), store=store, key="k", codec=ROWS)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("shown", [False, True])
async def test_a_run_that_is_cancelled_while_a_file_is_opened_closes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: bool
) -> None:
    """What was opened in a thread for a run that nobody waits for any more is not left open."""
    path, hashing, go_on, real = tmp_path / "a.csv", threading.Event(), threading.Event(), OpenedFile.fingerprint
    append(path, b"n,word\n1,a\n")

    def slow(opened: OpenedFile[Any]) -> str:
        hashing.set()
        assert go_on.wait(30)
        return real(opened)

    monkeypatch.setattr(OpenedFile, "fingerprint", slow)
    source: Any = gs.sources.CSV(path, Row)
    source = gs.sources.progress(source) if shown else source
    before = len(os.listdir("/proc/self/fd"))
    run = asyncio.ensure_future(gs.aggregate_async(_rows, source, store=gs.MemoryStore(), key="k", codec=ROWS))
    await asyncio.to_thread(hashing.wait, 30)
    run.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert len(os.listdir("/proc/self/fd")) == before
