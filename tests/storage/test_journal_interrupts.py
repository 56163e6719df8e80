"""Ctrl-C in the thread that writes for others: they are told what has become of their messages."""

from __future__ import annotations

from pathlib import Path

from buffer.test_interrupts import Interrupt, at_every_point

import go_state as gs
from go_state.storage.stage import Staged


def test_an_interrupted_writer_leaves_nobody_asleep(tmp_path: Path) -> None:
    """Another sender's messages were written with the interrupted one's: it is woken, and told the position of its own."""

    def interrupted(interrupt: Interrupt) -> None:
        with gs.LMDBStore(tmp_path / f"{interrupt.left}") as store:
            journal = store.journal("j", of=str, durability="put")
            journal.begin()
            told: list[int] = []
            other = Staged(["other"], journal._encode(["other"]), journal._now(1), told.append)
            journal._stage._staged.append(other)
            with interrupt:
                journal.put_known("mine", lambda position: None)
            journal.flush()
            assert journal.slice()[told[-1] :][:1] == ["other"]
            assert other.done

    at_every_point(interrupted)
