"""A lease that is taken for something that is refused after all is given back."""

from __future__ import annotations

from pathlib import Path

import pytest

import go_state as gs
from go_state.storage.journal.commit.writer import Durability


@pytest.mark.parametrize("durability", ["group", "put"])
def test_a_put_that_comes_too_late_leaves_no_lease(
    tmp_path: Path, durability: Durability, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal that is closed while a put is on its way refuses it, and another journal of the name can be written."""
    with gs.LMDBStore(tmp_path / "s") as store:
        journal = store.journal("j", of=int, durability=durability)
        journal.put(1)
        acquire = journal.lease.acquire

        def acquire_and_close() -> None:
            acquire()
            journal.close()

        monkeypatch.setattr(journal.lease, "acquire", acquire_and_close)
        journal.log.locked_put = True  # as before the first put
        with pytest.raises(gs.Closed):
            journal.put(2)
        assert not journal.lease.is_held
        again = store.journal("j", of=int)
        again.put(3)
        assert again.slice() == [1, 3]


def test_the_upkeep_of_a_closed_journal_leaves_no_lease(tmp_path: Path) -> None:
    """What is old can be forgotten, and another journal of the name be written after that."""
    with gs.LMDBStore(tmp_path / "s") as store:
        journal = store.journal("j", of=int)
        journal.put(1, 2)
        journal.close()
        journal.truncate(1)
        journal.skip(1)
        for act in (lambda: journal.remove_reader("nobody"), lambda: journal.skip(9)):
            with pytest.raises(gs.UsageError):
                act()
        assert not journal.lease.is_held
        again = store.journal("j", of=int)
        again.put(3)
        assert again.set_aside() == {1: "skipped"}


@pytest.mark.parametrize("option", [{"lease": "wiat"}, {"durability": "bogus"}, {"durability": "put"}])
def test_options_of_a_journal_that_is_given_are_checked(tmp_path: Path, option: dict[str, str]) -> None:
    """A wrong word is refused, and so is what the open journal is not."""
    program: gs.Program[int, int] = gs.Program(lambda: (0, ()), lambda model, msg: (model + msg, ()))
    with gs.LMDBStore(tmp_path / "s") as store:
        journal = store.journal("j", of=int)
        journal.close()
        with pytest.raises(gs.UsageError):
            gs.run(program, journal, **option)  # type: ignore[call-overload, arg-type]
