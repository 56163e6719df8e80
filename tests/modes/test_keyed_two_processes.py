"""Two processes run the programs of many keys in one file: each key is one's at a time, and the death of one is the other's work."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import go_state as gs
from go_state.core.errors import LeaseHeld
from go_state.modes.keyed_apps import alarm

pytestmark = pytest.mark.processes


@dataclass(frozen=True)
class Room:
    counted: int = 0
    remind_at: float | None = None
    reminded: int = 0


@dataclass(frozen=True)
class Count:
    pass


@dataclass(frozen=True)
class Remind:
    seconds: float


@dataclass(frozen=True)
class Due:
    pass


Msg = Count | Remind | Due


def update(model: Room, msg: Msg, turn: gs.Turn) -> gs.Step[Room, Msg]:
    match msg:
        case Count():
            return replace(model, counted=model.counted + 1), ()
        case Remind(seconds):
            return replace(model, remind_at=turn.at + seconds), ()
        case Due():
            return replace(model, remind_at=None, reminded=model.reminded + 1), ()


def timers(model: Room) -> list[gs.Sub[Msg]]:
    return [] if model.remind_at is None else [gs.Sub.at(model.remind_at, Due(), key="due")]


room: gs.Program[Room, Msg] = gs.Program(lambda: (Room(), ()), update, subscriptions=timers, name="room")


async def count(rooms: gs.KeyedApps[Room, Msg], keys: list[str], noted: Path) -> None:
    """Count in each room again and again, and note how often that was answered."""

    async def one(key: str) -> None:
        for number in range(1, 10_000):
            try:
                await rooms[key].apply_async(Count())
            except gs.Closed:
                return  # the room is the other process's
            with (noted / key).open("a") as file:
                file.write(f"{number}\n")

    await asyncio.gather(*map(one, keys))


async def other(path: str, noted: str, first: int, end: int) -> None:
    """Be the other process, until it is killed."""
    with gs.LMDBStore(path) as store:
        async with gs.start_keyed_async(room, store=store, prefix="r/", on_failed=lambda *_: None) as rooms:
            rooms["reminded"].send(Remind(1.0))
            await rooms.settle_async()
            sys.stdout.write("begun\n")
            sys.stdout.flush()
            await count(rooms, [str(number) for number in range(first, end)], Path(noted))
            await asyncio.Event().wait()


def begun(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parent, stdout=subprocess.PIPE)


def answered(noted: Path, key: str) -> int:
    file = noted / key
    return len(file.read_text().splitlines()) if file.exists() else 0


async def test_rooms_of_two_processes_lose_nothing_when_one_is_killed(tmp_path: Path) -> None:
    """Every count that was answered is kept; a room of both is refused to one, whose others in the same writes go on."""
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    code = f"import asyncio, {__name__} as t; asyncio.run(t.other({str(tmp_path / 's')!r}, {str(theirs)!r}, 15, 40))"
    killed = begun(code)
    try:
        assert killed.stdout is not None
        assert await asyncio.to_thread(killed.stdout.readline) == b"begun\n"
        with gs.LMDBStore(tmp_path / "s") as store:
            failed: dict[str, BaseException] = {}
            async with gs.start_keyed_async(room, store=store, prefix="r/", on_failed=failed.__setitem__) as rooms:
                counting = asyncio.create_task(count(rooms, [str(number) for number in range(25)], ours))
                waits = [(theirs, range(15, 40)), (ours, range(15))]
                while len(failed) < 10 or not all(answered(whose, str(key)) for whose, keys in waits for key in keys):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                killed.kill()
                killed.wait()
                assert sorted(failed, key=int) == [str(key) for key in range(15, 25)]
                assert {type(error) for error in failed.values()} == {LeaseHeld}
                for key in list(failed):
                    assert rooms.restart(key)
                counting.cancel()
                await asyncio.gather(counting, return_exceptions=True)
                await rooms.settle_async(30)
                for number in range(40):
                    key = str(number)
                    model = await rooms[key].apply_async(Count())
                    assert model.counted > answered(ours, key) + answered(theirs, key) > 0
    finally:
        killed.kill()
        killed.communicate()


async def test_a_reminder_of_a_process_that_has_died_is_given_by_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was asked for after this process had looked in the store, and is found by a later look; once."""
    monkeypatch.setattr(alarm, "LOOKS", 0.1)
    with gs.LMDBStore(tmp_path / "s") as store:
        async with gs.start_keyed_async(room, store=store, prefix="r/", idle=0.2) as rooms:
            code = f"import asyncio, {__name__} as t; asyncio.run(t.other({str(tmp_path / 's')!r}, {str(tmp_path)!r}, 0, 0))"
            killed = begun(code)
            try:
                assert killed.stdout is not None
                assert await asyncio.to_thread(killed.stdout.readline) == b"begun\n"
            finally:
                killed.kill()
                killed.communicate()
            ends = time.monotonic() + 30
            while (kept := gs.peek(room, store, "reminded", prefix="r/")) is None or not kept.model.reminded:
                assert time.monotonic() < ends
                await asyncio.sleep(0.05)
            await rooms.settle_async(10)
        last = gs.peek(room, store, "reminded", prefix="r/")
        assert last is not None
        assert last.model == Room(reminded=1)
