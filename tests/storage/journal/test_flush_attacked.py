"""A flush that is interrupted, overtaken, or finds no room: what was put is there once, in order, with all that belongs to it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from interrupts import Interrupt, at_every_point

import go_state as gs


@pytest.fixture
def often_switched() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.slow
def test_an_interrupted_flush_is_done_by_the_next(tmp_path: Path) -> None:
    """Messages, a reader's position, what was set aside and the running commands are on disk, each once, wherever Ctrl-C came."""
    with gs.LMDBStore(tmp_path / "s") as store, store.journal("j", of=int) as journal:
        reader = journal.consumer(name="mailer")
        put = 0

        def interrupted(interrupt: Interrupt) -> None:
            nonlocal put
            journal.put(put)
            reader.get()
            reader.commit()
            journal.put(put + 1)
            journal.put(put + 2, put + 3)
            put += 4
            journal.run_record.set_aside(put - 1, "ValueError")
            journal.run_record.opened(f"turn/{put}")
            with interrupt:
                journal.flush()
            journal.flush()
            records = journal.parts.records
            assert [entry.message for entry in journal.read()] == list(range(put))
            assert records.cursors()["mailer"] == reader.committed
            assert records.set_aside().keys() == set(range(3, put, 4))
            assert records.running()[-1] == f"turn/{put}"

        at_every_point(interrupted)


@pytest.mark.usefixtures("often_switched")
def test_readers_beside_writers_miss_nothing(tmp_path: Path) -> None:
    """Whoever flushes writes for all: each reader is given every message once, those of one sender in the order of their puts."""
    senders, each = 4, 150
    with gs.LMDBStore(tmp_path / "s") as store, store.journal("j", of=tuple[int, int]) as journal:
        given: dict[str, list[tuple[int, int]]] = {}

        def send(sender: int) -> None:
            for number in range(each):
                journal.put((sender, number))

        def read(name: str, consumer: gs.Consumer[tuple[int, int]]) -> None:
            with consumer:
                given[name] = list(consumer)

        consumers = {name: journal.consumer(name=name) for name in ("one", "other", "")}
        readers = [threading.Thread(target=read, args=found) for found in consumers.items()]
        writers = [threading.Thread(target=send, args=(sender,)) for sender in range(senders)]
        for thread in (*readers, *writers):
            thread.start()
        for thread in writers:
            thread.join(60)
        journal.close()
        for thread in readers:
            thread.join(60)
        on_disk = [entry.message for entry in journal.read()]
        assert given == dict.fromkeys(consumers, on_disk)
        for sender in range(senders):
            assert [message for message in on_disk if message[0] == sender] == [(sender, number) for number in range(each)]
        assert journal.parts.records.cursors() == {"one": senders * each, "other": senders * each}


def test_what_was_answered_is_on_a_full_disk(tmp_path: Path) -> None:
    """An app that finds no room fails, and so does whoever waits for a turn; every turn that was answered has its message on disk."""

    def update(model: int, text: str) -> gs.Step[int, str]:
        return model + 1, ()

    def init() -> gs.Step[int, str]:
        return 0, ()

    program = gs.Program(init, update, name="counter")
    answered: list[int] = []

    def apply(app: gs.App[int, str]) -> None:
        try:
            while True:
                answered.append(app.apply("x" * 5000, timeout=30))
        except (gs.errors.StoreFull, gs.errors.AppEnded):
            pass

    def fill() -> None:
        with gs.LMDBStore(tmp_path / "s", map_size=1 << 20) as store, gs.start(program, store=store, key="k") as app:
            threads = [threading.Thread(target=apply, args=(app,)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)

    with pytest.raises(gs.errors.StoreFull):
        fill()
    assert answered
    with gs.LMDBStore(tmp_path / "s", map_size=1 << 24) as store, gs.start(program, store=store, key="k") as app:
        assert app.apply("last") > max(answered)
