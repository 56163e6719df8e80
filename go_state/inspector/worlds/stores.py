"""A store with its journals, or one history, as a world in which nothing runs here: another process may write the store meanwhile."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Generic, TypeVar

from go_state.core.errors import Corrupt
from go_state.core.program import Program
from go_state.history.reading.histories import SourceHistory
from go_state.history.reading.opened import Opened, opened, with_key
from go_state.inspector.looking.stored import StoredHistory
from go_state.inspector.looking.subject import Is, State, Subject
from go_state.inspector.values.redaction import NOTHING, Redaction
from go_state.inspector.values.text import shown
from go_state.inspector.worlds.files import FileHistory
from go_state.inspector.worlds.growth import Growth
from go_state.inspector.worlds.ids import id_of, name_of_id
from go_state.inspector.worlds.world import Now, Page, SomeSubject, Summary, page_of
from go_state.storage.backends.record_store import RecordStore

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_OPEN = 32  # subjects whose timelines are kept
_FRESH = 1.0  # seconds for which the names of the journals are taken as they were


class StoreWorld(Generic[Model, Msg]):
    """The journals of a store, all of one program, or of none; `only` is the one that is looked at.

    Whoever writes it is not asked: that a journal grows is seen by its end, from one look to the next.
    """

    is_live = True

    def __init__(
        self,
        store: RecordStore,
        program: Program[Model, Msg] | None,
        *,
        prefix: str = "",
        only: str | None = None,
        called: str | None = None,
        redaction: Redaction = NOTHING,
    ) -> None:
        self.store: str | None = store.where
        self.program = called or (None if program is None else program.name or None)
        self._store = store
        self._given = program
        self._prefix = prefix
        self._only = only
        self.redaction = redaction
        self._subjects: OrderedDict[str, Subject[Model, Msg]] = OrderedDict()  # by name, the least recently used first
        self._names: tuple[float, list[str]] = (0.0, [])
        self._growth = Growth()

    def names(self, *, fresh: bool = False) -> list[str]:
        """Return the names of the journals, as they were within the last second, or, if `fresh`, as they are."""
        if self._only is not None:
            return [self._only]
        read, names = self._names
        if fresh or time.monotonic() - read > _FRESH or not names:
            names = [name for name in self._store.journal_names() if name.startswith(self._prefix)]
            self._names = time.monotonic(), names
        return names

    def page(self, search: str, after: str, limit: int) -> Page:
        """Return some of the journals."""
        names = [name for name in self.names() if search.casefold() in name[len(self._prefix) :].casefold()]
        some, following = page_of(names, name_of_id(after) or "", limit)
        self._growth.follow(some)
        return Page([self.summary_of(name) for name in some], None if following is None else id_of(following), len(names))

    def find(self, subject: str) -> SomeSubject | None:
        """Return the journal with the id."""
        name = name_of_id(subject)
        if name is None or not (name in self.names() or name in self.names(fresh=True)):
            return None
        return self.subject(name)

    def subject(self, name: str) -> Subject[Model, Msg]:
        """Return the journal of the name, which need not exist yet."""
        found = self._subjects.pop(name, None)
        if found is None:
            history = StoredHistory(self._store, name, self._given)
            found = Subject(self.what(name), history, self._opened(name, history), self.redaction)
        self._subjects[name] = found
        while len(self._subjects) > _OPEN:
            self._subjects.popitem(last=False)[1].close()
        return found

    def what(self, name: str) -> Is:
        """Return what a journal is called."""
        key = name.removeprefix(self._prefix)
        return Is(id_of(name), shown(name, 200), shown(key, 200) or shown(name, 200), "journal")

    def _opened(self, name: str, history: StoredHistory[Model, Msg]) -> Opened[Model, Msg] | None:
        if self._given is None:
            return None
        return opened("the inspector", with_key(self._given, name.removeprefix(self._prefix)), history)

    def summary_of(self, name: str) -> Summary:
        """Return what the list says of a journal; nothing of it is read but where it begins and ends."""
        history: StoredHistory[Model, Msg] = StoredHistory(self._store, name, None)
        try:
            first, end = history.span()
        except Corrupt as error:
            return Summary(self.what(name), 0, 0, error=shown(str(error), 200))
        end, applied = end or 0, history.applied()
        self._growth.seen(name, end)
        known = self._subjects.get(name)
        size = known.timeline.bytes if known is not None and known.timeline.is_complete else None
        lag = None if applied is None else max(end - applied, 0)
        return Summary(self.what(name), first, end, size, self._growth.state(name), lag)

    def summary(self, subject: SomeSubject) -> Summary:
        """Return what the list says of a journal."""
        return self.summary_of(subject.history.name)

    def now(self, subject: SomeSubject) -> Now | None:
        """Return whether the journal grows; more is not known of whoever writes it."""
        found = self.summary(subject)
        return Now(found.state, found.error, found.end, found.lag or 0, [])

    def states(self) -> Mapping[str, State]:
        """Return of every journal whether it grows, as it was within the last second."""
        names = self.names()
        begun = time.monotonic()
        for name in self._growth.due(set(names)):
            self.summary_of(name)
        self._growth.took(time.monotonic() - begun)
        return {id_of(name): self._growth.state(name) for name in names}

    def watched(self, subject: SomeSubject) -> AbstractContextManager[object]:
        """Note nothing."""
        return nullcontext()

    def close(self) -> None:
        """Stop what goes on in the background; the store belongs to whoever has opened it."""
        for subject in list(self._subjects.values()):
            subject.close()


class HistoryWorld(Generic[Model, Msg]):
    """One history: a file, the messages of an aggregate, or a `History` of the user's own."""

    is_live = False

    def __init__(
        self, work: Opened[Model, Msg], *, called: str | None = None, redaction: Redaction = NOTHING, is_file: bool = True
    ) -> None:
        name = work.history.name
        self.program = called
        self.store: str | None = name
        key = None if work.key is None else shown(work.key, 200)
        what = Is(id_of(name), shown(name, 200), key, "aggregate" if work.is_aggregate or not is_file else "file")
        self.redaction = redaction
        history = FileHistory(work.history) if isinstance(work.history, SourceHistory) else work.history
        self._subject: Subject[Model, Msg] = Subject(what, history, work, redaction)

    def page(self, search: str, after: str, limit: int) -> Page:
        """Return the history, if its name holds the text."""
        is_meant = search.casefold() in self._subject.what.name.casefold() and not after
        self._subject.begin()
        return Page([self.summary(self._subject)] if is_meant else [], None, 1)

    def find(self, subject: str) -> SomeSubject | None:
        """Return the history."""
        return self._subject if subject == self._subject.what.id else None

    def summary(self, subject: SomeSubject) -> Summary:
        """Return what the list says of it."""
        first, end = subject.span()
        error = subject.timeline.error
        return Summary(subject.what, first, end, None, error=None if error is None else shown(str(error), 500))

    def now(self, subject: SomeSubject) -> Now | None:
        """Return that it does not run."""
        return None

    def states(self) -> Mapping[str, State]:
        """Return that nothing runs."""
        return {}

    def watched(self, subject: SomeSubject) -> AbstractContextManager[object]:
        """Note nothing."""
        return nullcontext()

    def close(self) -> None:
        """Stop what goes on in the background."""
        self._subject.close()
