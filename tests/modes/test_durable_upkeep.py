"""What a durable run leaves behind: names for its effects, no more messages than asked for, and nothing written for nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers

import go_state as gs

drivers = both_drivers.drivers


@dataclass(frozen=True)
class Add:
    by: int


def total(model: int, msg: Add) -> gs.Step[int, Add]:
    return model + msg.by, ()


counter = gs.Program(lambda: (0, ()), total)


def lived(drivers: Drivers, path: Path, program: gs.Program[Any, Any], *messages: Add, **how: Any) -> Any:
    """Put the messages and run the program until they are done; return its model."""
    with gs.LMDBStore(path) as store:
        journal = store.journal("counter", of=Add)
        journal.put(*messages)
        journal.close()
        return drivers.run(program, journal, store=store, key="counter", **how)


def asking(asked: list[str], fails: Callable[[], bool]) -> gs.Program[int, Add]:
    """Return the counter whose every message has two commands that ask for their names, and may then fail."""

    def ask() -> None:
        asked.append(gs.effect_id())
        if fails():
            raise OSError("the bank does not answer")

    def update(model: int, msg: Add) -> gs.Step[int, Add]:
        return model + msg.by, [gs.Cmd.call(ask), ask]

    return gs.Program(lambda: (0, ()), update)


def test_an_effect_keeps_its_name_when_it_is_repeated(drivers: Drivers, tmp_path: Path) -> None:
    """A command that is performed again after a failure or restart has the name that it had, and no other has it."""
    path, asked = tmp_path / "s", list[str]()
    with pytest.raises(OSError, match="does not answer"):
        lived(drivers, path, asking(asked, lambda: len(asked) == 2), Add(1))
    assert lived(drivers, path, asking(asked, lambda: False), Add(2)) == 3
    first, second, *again = asked
    assert again[:2] == [first, second]
    assert len(set(asked)) == 4
    assert len(again) == 4


def test_only_commands_have_a_name() -> None:
    """Resources a command there is nothing to name."""
    with pytest.raises(gs.UsageError, match="inside a command alone"):
        gs.effect_id()


@pytest.mark.parametrize(
    ("retain", "start"), [(None, 0), (gs.Retain(), 7000), (gs.Retain(messages=3000), 6000), (gs.Retain(seconds=3600), 0)]
)
def test_no_more_messages_are_kept_than_asked_for(drivers: Drivers, tmp_path: Path, retain: Any, start: int) -> None:
    """What the oldest kept snapshot covers is dropped in blocks, and what the retention asks for stays."""
    path = tmp_path / "s"
    for _ in range(9):
        how = {"snapshots": gs.Snapshots(every=1000, keep=2), "retention": retain}
        model = lived(drivers, path, counter, *[Add(1)] * 1000, **how)
    assert model == 9000
    with gs.LMDBStore(path) as store:
        assert start <= store.journal("counter").statistics().start < start + 1024 + 1
        assert gs.replay(counter, store.journal("counter")) == 9000


@pytest.mark.slow
def test_a_long_run_stays_small_on_disk(drivers: Drivers, tmp_path: Path) -> None:
    """With a retention the file is no larger after many messages than after a few."""
    path, sizes = tmp_path / "s", []
    for _ in range(12):
        lived(drivers, path, counter, *[Add(1)] * 3000, snapshots=gs.Snapshots(every=1000), retention=gs.Retain())
        sizes.append(path.stat().st_size)
    assert max(sizes[6:]) < 2 * max(sizes[:4])  # 12 runs without it take three times as much


def test_a_run_without_messages_writes_no_snapshot(drivers: Drivers, tmp_path: Path) -> None:
    """Where the position has not moved the snapshot stays what it was, version included."""
    path, versions = tmp_path / "s", []
    for messages in ([Add(1)], [], []):
        lived(drivers, path, counter, *messages)
        with gs.LMDBStore(path) as store:
            versions.append(store.load("counter"))
    assert versions[0] == versions[1] == versions[2]


def test_export_and_import_keep_messages_and_times(tmp_path: Path) -> None:
    """A journal that went through JSON Lines has the messages and the times that it had."""
    with gs.LMDBStore(tmp_path / "a") as one, gs.LMDBStore(tmp_path / "b") as two:
        first, second = one.journal("j", of=Add), two.journal("j", of=Add, durability="put")
        for number in range(2500):
            first.put(Add(number))
        first.flush()
        assert first.export_to(tmp_path / "j.jsonl") == 2500
        assert second.import_from(tmp_path / "j.jsonl") == 2500
        assert list(first.read()) == list(second.read())


@dataclass(frozen=True)
class Noted:
    what: Any


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**40])
def test_export_and_import_keep_whole_numbers_whole(tmp_path: Path, number: int) -> None:
    """An integer of more than 64 bits comes back as that integer, at any depth."""
    with gs.LMDBStore(tmp_path / "a") as store:
        one, two = store.journal("one", of=Noted), store.journal("two", of=Noted)
        one.put(Noted(number), Noted([{"deep": number}]))
        one.export_to(tmp_path / "j.jsonl")
        two.import_from(tmp_path / "j.jsonl")
        assert two.slice() == [Noted(number), Noted([{"deep": number}])]
        assert type(two.slice()[0].what) is int


@pytest.mark.parametrize("at", ['"2026-01-01T00:00:00"', '"my-secret"', "5.5", "true", "null", '["my-secret"]'])
def test_a_time_without_a_zone_is_not_guessed(tmp_path: Path, at: str) -> None:
    """A time of entry that would be another one elsewhere, or is none, is refused, and not repeated."""
    (tmp_path / "j.jsonl").write_text(f'{{"at":{at},"message":["Add",{{"by":1}}]}}\n')
    with gs.LMDBStore(tmp_path / "a") as store, pytest.raises(gs.errors.BadRecord, match='its "at"') as raised:
        store.journal("j", of=Add).import_from(tmp_path / "j.jsonl")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("at", [2**63, -(2**63) - 1, 10**30])
def test_a_time_that_could_not_be_exported_again_does_not_enter(tmp_path: Path, at: int) -> None:
    """A journal can always be written as lines, whatever the lines said that it was read from."""
    (tmp_path / "j.jsonl").write_text(f'{{"at":{at},"message":["Add",{{"by":1}}]}}\n')
    with gs.LMDBStore(tmp_path / "a") as store:
        journal = store.journal("j", of=Add)
        with pytest.raises(gs.errors.BadRecord, match='its "at" is too far away'):
            journal.import_from(tmp_path / "j.jsonl")
        assert journal.export_to(tmp_path / "k.jsonl") == 0


@pytest.mark.parametrize(
    "line",
    [
        "{}", "[]", '{"at":"yesterday","message":["Add",{"by":1}]}', '{"at":"2026-01-01","message":["Sub",{}]}',
        '{"at":"2026-01-01T00:00:00Z","message":' + "[" * 100_000,
    ],
    ids=["nothing", "a list", "no time", "another message", "too deep"],
)  # fmt: skip
def test_a_line_that_is_no_message_enters_nothing(tmp_path: Path, line: str) -> None:
    """The line is named with what belongs there, and those before it have not entered."""
    (tmp_path / "j.jsonl").write_text('{"at":"2026-01-01T00:00:00Z","message":["Add",{"by":1}]}\n' + line)
    with gs.LMDBStore(tmp_path / "a") as store:
        journal = store.journal("j", of=Add)
        with pytest.raises(gs.errors.BadRecord, match="record 2 of"):
            journal.import_from(tmp_path / "j.jsonl")
        assert journal.statistics().end == 0
