"""Files as sources: known again by their bytes, read on from where an aggregate stopped, plain or compressed."""

import gzip
import os
import threading
import traceback
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers
from sources_support import messages

import go_state as gs

drivers = both_drivers.drivers


def _add(model: int, msg: int) -> int:
    return model * 10 % 1_000_003 + msg


counter: gs.Program[int, int] = gs.reducer(int, _add)
NUMBERS = range(1, 1001)


def lines(path: Path, numbers: Any = NUMBERS) -> Path:
    """Write the numbers as JSON Lines, compressed as the path says."""
    data = "".join(f"{number}\n" for number in numbers).encode()
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(data))
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("folder/inside.jsonl", data)
            archive.writestr("__MACOSX/._inside.jsonl", b"\x00")
    else:
        path.write_bytes(data)
    return path


def count(path: Path, store: gs.MemoryStore, **options: Any) -> Any:
    name = options.pop("name", None)
    return gs.aggregate(counter, gs.sources.JSONLines(path, name=name), store=store, key="k", **options)


WHOLE = gs.batch(counter, NUMBERS).model


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz", "jsonl.zip"])
@pytest.mark.parametrize("prefetch", [0, 7])
def test_a_limited_aggregate_goes_on_where_it_stopped(tmp_path: Path, suffix: str, prefetch: int) -> None:
    """Runs that are ended by their limit together read every record once, in order."""
    path, store, processed = lines(tmp_path / f"n.{suffix}"), gs.MemoryStore(), []
    while not processed or processed[-1] == 99:
        processed.append(count(path, store, limit=99, prefetch=prefetch).processed)
    assert processed == [99] * 10 + [10]
    assert gs.load_model(counter, store=store, key="k") == WHOLE


@pytest.mark.parametrize("prefetch", [0, 7])
def test_a_stopped_aggregate_goes_on_where_it_stopped(tmp_path: Path, prefetch: int) -> None:
    """A run that is stopped in mid-file saves its position, and the next goes on with the record after it."""
    path, store, stop = lines(tmp_path / "n.jsonl"), gs.MemoryStore(), threading.Event()

    def update(model: int, msg: int) -> tuple[int, tuple[()]]:
        if msg == 400:
            stop.set()
        return _add(model, msg), ()

    program, source, codec = gs.Program(lambda: (0, ()), update, name="int"), gs.sources.JSONLines(path), gs.JsonCodec(int)
    first = gs.aggregate(program, source, store=store, key="k", codec=codec, stop=stop, prefetch=prefetch)
    assert (first.ended, first.position, first.processed) == ("stopped", 400, 400)
    stop.clear()
    second = gs.aggregate(program, source, store=store, key="k", codec=codec, prefetch=prefetch)
    assert (second.ended, second.processed, second.model) == ("exhausted", 600, WHOLE)


def test_a_failed_aggregate_goes_on_after_its_last_save(tmp_path: Path) -> None:
    """A bad record ends the run at the last snapshot before it; when it is cut off, nothing is counted twice."""
    path, store = tmp_path / "n.jsonl", gs.MemoryStore()
    path.write_text("1\n2\n3\n4\n")
    count(path, store)
    with path.open("a") as file:
        file.write("5\n6\nbad\n")
    with pytest.raises(gs.errors.BadRecord) as raised:
        count(path, store, snapshots=gs.Snapshots(every=1))
    assert raised.value.record == 7
    assert gs.load_model(counter, store=store, key="k") == 123456


def test_a_file_read_to_its_end_is_not_read_again(tmp_path: Path) -> None:
    """A second run over the same file processes nothing and writes nothing."""
    path, store = lines(tmp_path / "n.jsonl"), gs.MemoryStore()
    count(path, store)
    before = store.load("k")
    assert count(path, store).processed == 0
    assert store.load("k") == before


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz"])
def test_a_grown_file_goes_on(tmp_path: Path, suffix: str) -> None:
    """What was appended to a file, or as a further member to a gz file, is read on."""
    path, store = lines(tmp_path / f"n.{suffix}", [1, 2]), gs.MemoryStore()
    count(path, store)
    path.write_bytes(path.read_bytes() + lines(tmp_path / f"more.{suffix}", [3, 4]).read_bytes())
    assert (count(path, store).processed, gs.load_model(counter, store=store, key="k")) == (2, 1234)
    assert count(path, store).processed == 0


@pytest.mark.parametrize("change", ["first", "last", "shorter", "empty", "recompressed"])
def test_a_changed_file_is_refused(tmp_path: Path, change: str) -> None:
    """A file whose bytes were changed anywhere, or cut off, raises SourceChanged with its name and stores nothing."""
    path, store = lines(tmp_path / "n.jsonl"), gs.MemoryStore()
    count(path, store, limit=10)
    before, data = store.load("k"), path.read_bytes()
    changed = {
        "first": b"2" + data[1:],
        "last": data[:-1] + b" ",
        "shorter": data[:-1],
        "empty": b"",
        "recompressed": b"\n" + data,
    }
    path.write_bytes(changed[change])
    with pytest.raises(gs.errors.SourceChanged) as raised:
        count(path, store)
    assert (raised.value.name, store.load("k")) == ("n.jsonl", before)


def test_another_name_is_another_source(tmp_path: Path) -> None:
    """A file under another name has a position of its own, beside the first's."""
    path, store = lines(tmp_path / "n.jsonl", [1, 2]), gs.MemoryStore()
    assert [count(path, store, name=name).processed for name in ("a", "b", "a", "b", None)] == [2, 2, 0, 0, 2]
    assert gs.load_model(counter, store=store, key="k") == 121212


def test_a_moved_file_is_the_same_source(tmp_path: Path) -> None:
    """The same bytes under the same file name in another folder are not read again."""
    path, store = lines(tmp_path / "n.jsonl", [1, 2]), gs.MemoryStore()
    count(path, store)
    (tmp_path / "other").mkdir()
    assert count(path.rename(tmp_path / "other" / "n.jsonl"), store).processed == 0


def test_the_fingerprint_of_another_kind_of_source_is_refused(tmp_path: Path) -> None:
    """A name under which a source of another kind stored its position raises SourceChanged."""
    with pytest.raises(gs.errors.SourceChanged):
        gs.sources.JSONLines(lines(tmp_path / "n.jsonl")).recognise("topic-7")


@pytest.mark.parametrize(("path", "what"), [("missing.csv", "not there"), (".", "a folder"), ("pipe", "no file")])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, path: str, what: str) -> None:
    """What is missing, a folder or a pipe raises SourceError when the source is made, and says which it is."""
    os.mkfifo(tmp_path / "pipe")
    for kind in (gs.sources.CSV, gs.sources.JSONLines):
        with pytest.raises(gs.errors.SourceError, match=f"is {what}: give the path of a file"):
            kind(tmp_path / path)


@pytest.mark.parametrize("members", [0, 2])
def test_a_zip_holds_one_file(tmp_path: Path, members: int) -> None:
    """A zip with no file or with two raises SourceError that says how many."""
    with zipfile.ZipFile(tmp_path / "n.zip", "w") as archive:
        for number in range(members):
            archive.writestr(f"{number}.jsonl", "1\n")
    with pytest.raises(gs.errors.SourceError, match=f"{members} files"):
        messages(gs.sources.JSONLines(tmp_path / "n.zip").read())


@pytest.mark.parametrize(
    "litter",
    [".DS_Store", "folder/.DS_Store", "__MACOSX/x", "folder/__MACOSX/x", "a/Thumbs.db", "desktop.ini", "._inside.jsonl"],
)
def test_what_desktops_leave_in_a_zip_is_left_aside(tmp_path: Path, litter: str) -> None:
    """A folder's own files of macOS and Windows do not count as files of the archive."""
    with zipfile.ZipFile(tmp_path / "n.zip", "w") as archive:
        archive.writestr("folder/", "")
        archive.writestr(litter, b"\0\xff")
        archive.writestr("folder/inside.jsonl", "1\n2\n")
    assert list(gs.sources.JSONLines(tmp_path / "n.zip").read()) == [1, 2]


def test_a_hidden_file_alone_in_a_zip_is_read(tmp_path: Path) -> None:
    """Where nothing else is there, a file whose name begins with a dot is the one that is meant."""
    with zipfile.ZipFile(tmp_path / "n.zip", "w") as archive:
        archive.writestr(".log.jsonl", "1\n")
    assert list(gs.sources.JSONLines(tmp_path / "n.zip").read()) == [1]


@pytest.mark.parametrize(
    ("offset", "value", "advice"),
    [("method", 9, "Deflate64"), ("flags", 1, "encrypted"), ("version", 99, "unpack it"), ("method", 77, "unpack it")],
)
def test_a_zip_that_python_does_not_read_says_what_to_do(tmp_path: Path, offset: str, value: int, advice: str) -> None:
    """An archive in Deflate64, an encrypted one and one of a newer kind raise SourceError with the path and advice."""
    path = tmp_path / "n.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("n", "1\n")
    data = bytearray(path.read_bytes())
    central = data.index(b"PK\1\2")
    local = {"version": 4, "flags": 6, "method": 8}[offset]
    data[local] = data[central + local + 2] = value
    path.write_bytes(bytes(data))
    with pytest.raises(gs.errors.SourceError, match=rf"n\.zip.*{advice}"):
        messages(gs.sources.JSONLines(path).read())


@pytest.mark.slow
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, "gzip"])
def test_no_damage_lets_an_error_of_a_library_out(tmp_path: Path, method: Any) -> None:
    """Wherever a byte is changed or the file is cut off, it is read as it was, or an error of ours names the file."""
    path, numbers = tmp_path / ("n.gz" if method == "gzip" else "n.zip"), [*range(20)]
    whole = b"".join(b"%d\n" % n for n in numbers)
    if method == "gzip":
        path.write_bytes(gzip.compress(whole))
    else:
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("n", whole)
    data = path.read_bytes()
    for at in range(1, len(data)):
        for damaged in (data[:at], data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]):
            path.write_bytes(damaged)
            try:
                assert list(gs.sources.JSONLines(path).read()) == numbers
            except gs.errors.SourceError as error:
                assert path.name in str(error)  # noqa: PT017  - either is right


def test_a_file_that_is_no_archive_is_not_quoted(tmp_path: Path) -> None:
    """What a file under a wrong name begins with is somebody's data."""
    for name in ("n.gz", "n.zip"):
        (tmp_path / name).write_bytes(b"my-secret\n" * 20)
        with pytest.raises(gs.errors.SourceError, match=name) as raised:
            messages(gs.sources.JSONLines(tmp_path / name).read())
        assert "my" not in str(raised.value).removeprefix(str(tmp_path))
        assert "b'my'" not in "".join(traceback.format_exception(raised.value))


def damaged(path: Path, how: str) -> Path:
    data = bytearray(path.read_bytes())
    if how == "cut":
        data = data[:-20] if path.suffix == ".gz" else data[:100]
    elif how == "text":
        data = bytearray(b"1\n2\n")
    else:
        data[80] ^= 1
    path.write_bytes(bytes(data))
    return path


@pytest.mark.parametrize("suffix", ["gz", "zip"])
@pytest.mark.parametrize("how", ["cut", "text", "flipped"])
def test_a_damaged_archive_is_a_source_error(tmp_path: Path, suffix: str, how: str) -> None:
    """A compressed file that is cut short, damaged or not compressed at all raises SourceError, not an error of its library."""
    path = damaged(lines(tmp_path / f"n.{suffix}"), how)
    with pytest.raises(gs.errors.SourceError):
        messages(gs.sources.JSONLines(path).read())


def test_a_source_stays_with_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is that of the folder in which the source was made, and may be given as bytes."""
    for folder, number in (("one", 1), ("two", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "n.jsonl").write_text(f"{number}\n")
    monkeypatch.chdir(tmp_path / "one")
    sources: Any = [gs.sources.JSONLines(path) for path in ("n.jsonl", Path("n.jsonl"), b"n.jsonl")]  # type: ignore[call-overload]
    monkeypatch.chdir(tmp_path / "two")
    assert [list(source.read()) for source in sources] == [[1], [1], [1]]


def test_an_odd_file_name_is_read(tmp_path: Path) -> None:
    """A file whose name is not UTF-8 is aggregated, or refused by a go_state error that asks for a name."""
    path = tmp_path / os.fsdecode(b"\xff.jsonl")
    try:
        lines(path, [1])
    except OSError:
        pytest.skip("this file system takes no such name")
    try:
        assert count(path, gs.MemoryStore()).processed == 1
    except gs.GoStateError:
        assert count(path, gs.MemoryStore(), name="odd").processed == 1


def test_a_reading_that_is_left_closes_its_file(tmp_path: Path) -> None:
    """A batch that is refused before it begins leaves no file open."""
    source: Any = gs.sources.JSONLines(lines(tmp_path / "n.jsonl"))
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(gs.UsageError) as raised:
        gs.batch(counter, source, producer=object())  # type: ignore[arg-type]
    assert (len(os.listdir("/proc/self/fd")), raised.type) == (before, gs.UsageError)


@pytest.mark.parametrize("prefetch", [0, 7])
@pytest.mark.parametrize("end", ["4\n", "4", ""])
@pytest.mark.parametrize("make", [gs.sources.JSONLines, gs.sources.CSV])
def test_what_is_appended_to_a_file_while_it_is_read_is_for_the_next_pass(
    drivers: Drivers, tmp_path: Path, make: Any, end: str, prefetch: int
) -> None:
    """A pass ends where the file ended when it began, and the next one recognises the file and reads the rest once."""
    path, store = tmp_path / "n", gs.MemoryStore()
    path.write_text("9\n1\n2\n")

    def append(model: int, msg: Any) -> int:
        if not appended:
            appended.append(True)
            with path.open("a") as file:
                file.write(f"3\n{end}")
        return model + 1

    appended: list[bool] = []
    program: gs.Program[int, Any] = gs.reducer(int, append)
    runs = [drivers.aggregate(program, make(path, finished=True), store=store, key="k", prefetch=prefetch) for _ in range(3)]
    first, more = (3 if make is gs.sources.JSONLines else 2), 1 + bool(end)  # the first line of a table is its header
    assert [run.processed for run in runs] == [first, more, 0]
    assert [run.position for run in runs] == [first, first + more, first + more]


@pytest.mark.parametrize("prefetch", [0, 7])
def test_a_line_of_which_half_is_written_meanwhile_waits_for_its_end(drivers: Drivers, tmp_path: Path, prefetch: int) -> None:
    """What another process has begun to write while the file is read is neither a bad record nor lost."""
    path, store = tmp_path / "n.jsonl", gs.MemoryStore()
    path.write_text("1\n")

    def append(model: str, msg: Any) -> str:
        with path.open("a") as file:
            file.write('{"half"' if msg == 1 else "")
        return model + str(msg)

    program: gs.Program[str, Any] = gs.reducer(str, append)
    source = gs.sources.JSONLines(path)
    assert drivers.aggregate(program, source, store=store, key="k", prefetch=prefetch).model == "1"
    with path.open("a") as file:
        file.write(":2}\n")
    assert drivers.aggregate(program, source, store=store, key="k", prefetch=prefetch).model == "1{'half': 2}"


def test_a_source_read_again_sees_what_was_added(tmp_path: Path) -> None:
    """The length that a fingerprint describes is that of the pass which follows it, not of those after."""
    path = tmp_path / "n"
    path.write_text("1\n")
    source = gs.sources.JSONLines(path)
    source.fingerprint()
    with path.open("a") as file:
        file.write("2\n")
    assert [list(source.read()), list(source.read())] == [[1], [1, 2]]


@pytest.mark.parametrize("text", ['{"word":"secret"}', "word\nsecret"])
def test_what_a_class_raises_names_the_record(tmp_path: Path, text: str) -> None:
    """A class that checks its own fields may raise anything; the record is named and its contents are not."""

    @dataclass
    class Known:
        word: str

        def __post_init__(self) -> None:
            _ = {}[self.word]  # type: ignore[var-annotated]

    path = tmp_path / "words"
    path.write_text(text)
    make: Any = gs.sources.JSONLines if text.startswith("{") else gs.sources.CSV
    with pytest.raises(gs.errors.BadRecord, match=r"record 1 of .*: its class raised KeyError") as raised:
        messages(make(path, Known, finished=True).read())
    assert "secret" not in "".join(traceback.format_exception(raised.value))


def test_a_source_is_iterated_over_without_traps(tmp_path: Path) -> None:
    """Whoever reads a file by hand gets messages, and the error of a record that is none; the file is closed behind them."""
    path = tmp_path / "numbers.jsonl"
    path.write_text("1\n2\nx\n3\n")
    source = gs.sources.JSONLines(path, int)
    numbers = iter(source)
    assert [next(numbers), next(numbers)] == [1, 2]
    with pytest.raises(gs.errors.BadRecord, match="record 3"):
        next(numbers)
    path.write_text("1\n2\n")
    assert list(source) == list(source) == [1, 2]
    assert gs.batch(gs.reducer(int, lambda model, msg: model + msg), source).position == 2
