"""Ctrl-C in the thread that writes for others: they are told what has become of their messages."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import pytest
from buffer.test_interrupts import Interrupt, at_every_point
from hooked_writes import Writes

import go_state as gs
from go_state.core.errors import StoreFull
from go_state.storage.journal.commit.group_commit import Pending
from go_state.storage.journal.commit.lease_queue import LeaseQueue
from go_state.storage.records.writes.entry import Entry, Snapshot


@pytest.mark.slow
def test_an_interrupted_writer_leaves_nobody_asleep(tmp_path: Path) -> None:
    """Another sender's messages were written with the interrupted one's: it is woken, and told the position of its own."""

    def interrupted(interrupt: Interrupt) -> None:
        with gs.LMDBStore(tmp_path / f"{interrupt.left}") as store:
            journal = store.journal("j", of=str, durability="put")
            journal.writer.begin()
            told: list[int] = []
            other = Pending(["other"], journal.kind.encode(["other"]), journal.writer.now(1), told.append)
            journal.parts.stage.staged.append(other)
            with interrupt:
                journal.inlet.put_known("mine", lambda position: None)
            journal.flush()
            assert journal.slice()[told[-1] :][:1] == ["other"]
            assert other.done

    at_every_point(interrupted)


@pytest.mark.slow
def test_an_interrupted_writer_that_fails_leaves_nobody_asleep(tmp_path: Path) -> None:
    """The others have been told of the failure, or lead, or are written for: what they were told is so."""

    def fail(entry: Entry) -> int:
        raise StoreFull("the disk is full")

    def interrupted(interrupt: Interrupt) -> None:
        with gs.LMDBStore(tmp_path / f"{interrupt.left}") as store:
            journal = store.journal("j", of=str, durability="put")
            journal.writer.begin()
            other = Pending(["other"], journal.kind.encode(["other"]), journal.writer.now(1))
            journal.parts.stage.staged.append(other)
            writes = Writes(journal)
            writes.replace(fail)
            with interrupt, suppress(StoreFull):
                journal.put("mine")
            writes.restore()
            if other.leads:
                journal.writer.lead(other)
                journal.parts.stage.leave(other)
            journal.flush()
            assert other.done
            assert journal.slice().count("other") == (other.error is None)

    at_every_point(interrupted)


@pytest.mark.slow
def test_messages_enter_with_their_snapshot_or_not_at_all(tmp_path: Path) -> None:
    """What an interrupted save would have written with it is not left to a flush without it."""

    def interrupted(interrupt: Interrupt) -> None:
        with gs.LMDBStore(tmp_path / f"{interrupt.left}") as store:
            journal = store.journal("j", of=str)
            journal.put("first")
            with interrupt:
                journal.writer.save(Snapshot("j", 0, b"model", 0, None, 1, 0), ["with it"])
            journal.put("last")
            assert journal.slice() == ["first", *(["with it"] if store.load("j") else []), "last"]

    at_every_point(interrupted)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a file that is dropped is closed, and says so
def test_an_interrupted_owner_leaves_no_lease(tmp_path: Path) -> None:
    """A journal that was closed already has nobody who would give it back later."""

    def interrupted(interrupt: Interrupt) -> None:
        path = tmp_path / f"{interrupt.left}"
        with gs.LMDBStore(path) as store:
            journal = store.journal("j", of=str)
            journal.put("first")
            journal.close()
            with interrupt:
                journal.lease.acquire()
            journal.writer.let_go()
            with store.journal("j", of=str) as next_one:
                next_one.put("last")

    at_every_point(interrupted)


def test_an_interrupted_reader_is_not_open(tmp_path: Path) -> None:
    """Nobody has it, to close it: the next one of its name is opened."""
    with gs.LMDBStore(tmp_path / "s") as store:
        journal = store.journal("j", of=str)
        journal.put("first")

        def interrupted(interrupt: Interrupt) -> None:
            with interrupt:
                journal.consumer(name="mailer")
            if interrupt.came:
                journal.consumer(name="mailer").close()

        at_every_point(interrupted)


def test_an_interrupted_write_keeps_no_other_from_beginning(tmp_path: Path) -> None:
    """The transaction it has left open is undone by the thread's next one, whoever holds on to the error."""
    with gs.LMDBStore(tmp_path / "s") as store:
        journal = store.journal("j", of=str)

        def interrupted(interrupt: Interrupt) -> None:
            journal.put("message")
            try:
                interrupt.__enter__()
                journal.flush()
            except KeyboardInterrupt:  # held while the next one is written
                journal.flush()
            finally:
                interrupt.__exit__(None)
            journal.put("another")
            journal.flush()

        at_every_point(interrupted)


def test_an_interrupted_close_of_a_reader_is_done_again(tmp_path: Path) -> None:
    """The second one ends it, and gives the lease of a closed journal back."""

    def interrupted(interrupt: Interrupt) -> None:
        with gs.LMDBStore(tmp_path / f"{interrupt.left}") as store:
            journal = store.journal("j", of=str)
            journal.put("first")
            reader = journal.consumer(name="mailer")
            journal.close()
            with interrupt:
                reader.close()
            reader.close()
            with store.journal("j", of=str) as next_one:
                next_one.put("last")

    at_every_point(interrupted)


@pytest.mark.slow
def test_an_interrupted_run_leaves_its_journal_to_the_next(tmp_path: Path) -> None:
    """Its reader is closed and its lease given back, wherever Ctrl-C comes once its last turn is through."""

    def update(model: int, msg: int) -> gs.Step[int, int]:
        if interrupts:
            interrupts.pop().__enter__()
        return model + msg, ()

    def init() -> gs.Step[int, int]:
        return 0, ()

    interrupts: list[Interrupt] = []

    def interrupted(interrupt: Interrupt) -> None:
        with gs.LMDBStore(tmp_path / f"{interrupt.left}") as store:
            journal = store.journal("sum", of=int)
            journal.put(1)
            journal.close()
            interrupts.append(interrupt)
            try:  # a block of `suppress` would be interrupted itself
                gs.run(gs.Program(init, update), journal)
            except KeyboardInterrupt:
                pass
            finally:
                interrupt.__exit__(None)
            with store.journal("sum", of=int) as again:
                again.put(2)
            assert gs.run(gs.Program(init, update), again) == 3

    at_every_point(interrupted)


@pytest.mark.slow
def test_a_run_that_is_interrupted_while_it_waits_loses_nothing(tmp_path: Path) -> None:
    """What comes while it sleeps is in the model once, wherever Ctrl-C comes between its first turn and its end."""

    def update(model: int, msg: int) -> gs.Step[int, int]:
        if interrupts:
            interrupts.pop().__enter__()
        return model + msg, ()

    def init() -> gs.Step[int, int]:
        return 0, ()

    interrupts: list[Interrupt] = []

    def interrupted(interrupt: Interrupt) -> None:
        ended, name = Event(), f"sum {interrupt.left}"

        def put_when_it_sleeps() -> None:
            while not (journal.log.sleepers or ended.wait(0.0005)):
                pass
            journal.put(2)
            journal.close()

        journal = store.journal(name, of=int)
        journal.put(1)
        other = Thread(target=put_when_it_sleeps)
        interrupts.append(interrupt)
        try:  # a block of `suppress` would be interrupted itself
            other.start()
            gs.run(gs.Program(init, update), journal)
        except KeyboardInterrupt:
            pass
        finally:
            interrupt.__exit__(None)
            ended.set()
        other.join(10)
        with store.journal(name, of=int) as again:
            again.put(4)
        assert gs.run(gs.Program(init, update), again) == 7

    with gs.LMDBStore(tmp_path / "s") as store:
        at_every_point(interrupted)


@pytest.mark.slow
def test_an_interrupted_truncate_is_seen(tmp_path: Path) -> None:
    """What it has taken off the disk is not looked for any more, and what follows has its place."""

    def interrupted(interrupt: Interrupt) -> None:
        with gs.LMDBStore(tmp_path / f"{interrupt.left}") as store:
            journal = store.journal("j", of=int)
            for number in range(4):
                journal.put(number)
                journal.flush()
            with interrupt:
                journal.truncate(2)
            journal.put(4)
            assert journal.slice() in ([0, 1, 2, 3, 4], [2, 3, 4])
            assert journal.statistics().start == 5 - len(journal.slice())
            journal.truncate(2)
            assert journal.slice() == [2, 3, 4]

    at_every_point(interrupted)


def test_an_interrupted_wait_for_a_lease_leaves_the_lead_to_others() -> None:
    class Free:
        """A lease that nobody holds."""

        token = b""

        def acquire(self, if_held: object = "fail", given_up: object = None) -> bool:
            return True

        def release(self) -> None:
            pass

    def interrupted(interrupt: Interrupt) -> None:
        queue = LeaseQueue("j", Free(), "wait", lambda: None)
        with interrupt:
            queue.wait(None)
        others = Thread(target=queue.wait, args=(None,), daemon=True)
        others.start()
        others.join(10)
        assert not others.is_alive()

    at_every_point(interrupted)
