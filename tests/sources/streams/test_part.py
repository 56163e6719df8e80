"""Parts of a source: together they give each message once, each in order, with positions of their own."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tallies import TALLY, Add, encoded, key_of, lasts

import go_state as gs
from go_state.sources.streams.part import part_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "adds.jsonl"
    path.write_bytes(b"".join(encoded(f"k{k}", n) + b"\n" for n in range(100) for k in range(10)))
    return path


def parts(path: Path, of: int) -> list[Any]:
    return [gs.sources.part(gs.sources.JSONLines(path, Add), n, of=of, key=key_of) for n in range(of)]


def messages(source: Any, after: Any = None) -> list[Any]:
    return [message for message in source.read(after) if message is not None]


def test_each_message_is_in_one_part(file: Path) -> None:
    """The parts are disjoint, together they are the source, and each keeps its order."""
    found = [messages(each) for each in parts(file, 4)]
    whole = list(gs.sources.JSONLines(file, Add).read())
    assert sorted(itertools.chain(*found), key=whole.index) == whole
    for each in found:
        assert each == [message for message in whole if message in each]
        assert each
    keys = [{message.key for message in each} for each in found]
    assert sum(map(len, keys)) == 10


@pytest.mark.slow
def test_where_a_key_is_does_not_depend_on_the_process() -> None:
    """Python's own hash differs from process to process; what is stored here was computed once and for all."""
    assert [part_of(key, 7) for key in ("", "a", "shop 1", "ä", "\ud800")] == [0, 2, 5, 0, 3]
    code = "from go_state.sources.streams.part import part_of; print([part_of(str(n), 5) for n in range(50)])"
    printed = {
        subprocess.run([sys.executable, "-c", code], env={**_env(), "PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(printed) == 1


def _env() -> dict[str, str]:
    import os

    return dict(os.environ)


def test_positions_are_those_of_the_source(file: Path) -> None:
    """A pass that begins after a position gives what follows it, whatever was passed over before."""
    (source, *_) = parts(file, 3)
    reading = source.read()
    given = iter(reading)
    first = [message for message in itertools.islice(given, 20) if message is not None]
    assert messages(source, reading.position) == messages(source)[len(first) :]
    rest = [message for message in given if message is not None]
    assert first + rest == messages(source)
    assert reading.position == 1000


def test_parts_go_on_where_they_stopped(file: Path) -> None:
    """Each with a position of its own in one store; at the end every key has had each of its messages once."""
    store = gs.MemoryStore()
    for limit in (50, 70, None):
        for each in random.Random(1).sample(parts(file, 3), 3):
            gs.aggregate(TALLY, each, store=store, key=key_of, limit=limit)
    assert lasts(store, (f"k{k}" for k in range(10))) == {f"k{k}": 99 for k in range(10)}


def test_parts_of_another_number_are_other_sources(file: Path) -> None:
    """Their names differ, so the positions of 3 parts are not those of 4; one that is given the name all the same is refused."""
    (three, *_), (four, *_) = parts(file, 3), parts(file, 4)
    assert (three.name, four.name) == ("adds.jsonl#0/3", "adds.jsonl#0/4")
    with pytest.raises(gs.errors.SourceChanged, match="part 0 of 4"):
        four.recognise(three.fingerprint())
    three.recognise(three.fingerprint())


def test_a_file_that_was_changed_is_refused(file: Path) -> None:
    """What the source recognises in itself, its part does."""
    store, (first, *_) = gs.MemoryStore(), parts(file, 2)
    gs.aggregate(TALLY, first, store=store, key=key_of)
    file.write_bytes(file.read_bytes().replace(b'"n": 7}', b'"n": 8}'))
    with pytest.raises(gs.errors.SourceChanged):
        gs.aggregate(TALLY, parts(file, 2)[0], store=store, key=key_of)


def test_a_record_that_is_no_message_is_in_one_part(tmp_path: Path) -> None:
    """It has no key; one of the parts gives it to `on_error`, and the others pass over it."""
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b"{\n" * 20 + encoded("a", 0) + b"\n")
    results = [gs.aggregate(TALLY, each, store=gs.MemoryStore(), key=key_of, on_error=gs.SetAside()) for each in parts(path, 4)]
    assert sum(len(result.set_aside) for result in results) == 20
    assert sum(bool(result.set_aside) for result in results) > 1


def test_a_part_without_messages_saves_how_far_it_read(tmp_path: Path) -> None:
    """It does not read everything again each time."""
    path = tmp_path / "one_key.jsonl"
    path.write_bytes(b"".join(encoded("k", n) + b"\n" for n in range(3000)))
    store, read = gs.MemoryStore(), []
    for each in parts(path, 2):
        gs.aggregate(TALLY, each, store=store, key=key_of)
        read.append(gs.aggregate(TALLY, each, store=store, key=key_of).position)
    assert read == [3000, 3000]


def test_idle_streams_and_long_gaps_let_the_reader_look_up() -> None:
    """An endless source that gives None is asked on, and one whose messages are all of other parts gives None now and then."""

    class Reading:
        position = 0

        def __iter__(self) -> Iterator[Add | None]:
            yield None
            for self.position in range(1, 5001):
                yield Add("k", self.position)

        def close(self) -> None: ...

    class Source:
        name = "s"

        def fingerprint(self) -> str:
            return ""

        def recognise(self, fingerprint: str) -> None: ...
        def read(self, after: object = None) -> Reading:
            return Reading()

    other = 1 - part_of("k", 2)
    assert list(gs.sources.part(Source(), other, of=2, key=key_of).read()) == [None] * 5


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((-1, 2), "whole numbers"),
        ((2, 2), "whole numbers"),
        ((0, 0), "whole numbers"),
        ((True, 2), "whole numbers"),
        ((0, 1.5), "whole numbers"),
    ],
)
def test_wrong_numbers_are_refused(file: Path, arguments: tuple[Any, Any], why: str) -> None:
    with pytest.raises(gs.UsageError, match=why):
        gs.sources.part(gs.sources.JSONLines(file, Add), arguments[0], of=arguments[1], key=key_of)


def test_what_cannot_be_read_again_is_refused(file: Path) -> None:
    """A list, a topic and a part of a part say why."""
    with pytest.raises(gs.UsageError, match="read again from a position"):
        gs.sources.part([1, 2], 0, of=2, key=key_of)  # type: ignore[arg-type,type-var]
    with pytest.raises(gs.UsageError, match="of a part"):
        gs.sources.part(parts(file, 2)[0], 0, of=2, key=key_of)
    with pytest.raises(gs.UsageError, match="key="):
        gs.sources.part(gs.sources.JSONLines(file, Add), 0, of=2, key="k")  # type: ignore[arg-type]


@pytest.mark.processes
def test_killed_workers_begin_again_after_their_own_position(tmp_path: Path) -> None:
    """Three processes on one file, each killed as often as it comes to something, and started again: every key is exact."""
    path, where, keys, number = tmp_path / "adds.jsonl", tmp_path / "s", 12, 300
    path.write_bytes(b"".join(encoded(f"k{k}", n) + b"\n" for n in range(number) for k in range(keys)))
    chance, kills, worker = random.Random(4), 0, Path(__file__).with_name("part_worker.py")
    env = {**_env(), "PYTHONPATH": f"{_env().get('PYTHONPATH', '')}:{Path(__file__).parents[2]}:{Path(gs.__file__).parents[1]}"}

    def begin(n: int) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, worker, path, where, str(n), "3"], stdout=subprocess.PIPE, env=env)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    running = {n: begin(n) for n in range(3)}
    while running:
        for n, process in list(running.items()):
            try:
                code = process.wait(chance.uniform(0.05, 0.25))
            except subprocess.TimeoutExpired:
                if kills < 5:
                    process.kill()
                    process.wait()
                    process.stdout.close()  # type: ignore[union-attr]
                    running[n], kills = begin(n), kills + 1
                continue
            assert code == 0
            running.pop(n).stdout.close()  # type: ignore[union-attr]
    assert kills == 5
    with gs.LMDBStore(where) as store:
        assert lasts(store, (f"k{k}" for k in range(keys))) == {f"k{k}": number - 1 for k in range(keys)}
