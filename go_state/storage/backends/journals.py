"""The journals of one store that are open, one of each name, and the names of those that lie in it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from go_state.core.errors import LeaseHeld, UsageError
from go_state.storage.records.backend import JournalStore
from go_state.storage.records.models import forget_all

if TYPE_CHECKING:
    from go_state.storage.journal.commit.writer import Durability
    from go_state.storage.journal.journal import SomeJournal
    from go_state.storage.records.lease import IfHeld

# Journals are imported in the functions, with what they need: a store without one need not wait for them.

_RECORDS = b"j/"  # how the names of the records of journals begin


class Journals:
    """Opens journals and ends them with their store."""

    def __init__(self, store: JournalStore) -> None:
        self._store = store
        self._open: dict[str, SomeJournal] = {}

    def open(self, name: str, durability: Durability | None, lease: IfHeld | None) -> SomeJournal:
        """Return the journal of this name; nothing is read. Raises `UsageError` if it is open in another way."""
        from go_state.storage.journal.journal import Journal
        from go_state.storage.records.records import Records

        self._store.check_usable()
        found = self._open.get(name)
        if found is not None and found.closed and found.is_read:
            raise UsageError(f"the journal {name!r} is closed, and its readers are not done: wait for them, or close them")
        if found is None or found.closed:
            how = "group" if durability is None else durability, "fail" if lease is None else lease
            before = None if found is None else found.writer.finish
            found = Journal(
                Records(self._store, name),
                self._store.backend.lease(name),
                *how,
                before=before,
                let_go=lambda journal: self.let_go(name, journal),
            )
            self._open[name] = found
        elif durability is not None and durability != found.durability:
            raise UsageError(f"the journal {name!r} is open already, with durability={found.durability!r}: close it first")
        return found

    def is_open(self, name: str) -> bool:
        """Return whether the journal of this name is open."""
        found = self._open.get(name)
        return found is not None and not found.closed

    def forget(self, name: str) -> bool:
        """Delete the journal of this name with all that is stored under the name, as nobody's but ours; return whether there was any."""
        if self.writes(name):
            raise LeaseHeld(name)
        with ExitStack() as held:
            if "\0" not in name:  # no journal is called so
                lease = self._store.backend.lease(name)
                lease.acquire()
                held.callback(lease.release)
            with self._store.backend.transaction(write=True) as transaction:
                return forget_all(transaction, name)

    def writes(self, name: str) -> bool:
        """Return whether the journal of this name is open here and has the lease."""
        return name in self._open and self._open[name].lease.is_held

    def check_not_written(self, names: Iterable[str]) -> None:
        """Raise `LeaseHeld` if somebody writes one of the journals; it may begin right afterwards."""
        for name in names:
            lease = self._store.backend.lease(name)
            lease.acquire()
            lease.release()

    def let_go(self, name: str, journal: object) -> None:
        """Forget a journal that was closed and has nothing more to do: a store may see any number of them."""
        if self._open.get(name) is journal:
            del self._open[name]

    def names(self) -> list[str]:
        """Return the names of the journals in the store, in the order of their bytes.

        A name ends at the first NUL, and what follows may be any bytes, those of a position among them. The records of a journal
        lie together, so one record of each journal is looked at, from the last journal on.
        """
        names: list[str] = []
        before = _RECORDS + b"\xff"  # no UTF-8 has this byte
        with self._store.backend.transaction() as transaction:
            while (found := transaction.at_or_before(before, 0)) is not None and found[0].startswith(_RECORDS):
                name = found[0][len(_RECORDS) :].partition(b"\0")[0]
                before = _RECORDS + name + b"\0"  # no record is called so: in each, its kind follows
                if transaction.get(before + b"m") is not None:
                    names.append(name.decode())
        return names[::-1]

    def end(self) -> None:
        """End every journal with the store, each of them also if another one fails."""
        with ExitStack() as ends:
            for journal in list(self._open.values()):
                ends.callback(journal.end)

    def leave_to_parent(self) -> None:
        """Called in a forked child: the journals are the parent's to write."""
        for journal in self._open.values():
            journal.leave_to_parent()
