"""A running app, or the apps of many keys, with the store that they have: as they are, without starting any."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Generic, TypeVar

from go_state.history.reading.opened import opened
from go_state.inspector.looking.stored import StoredHistory
from go_state.inspector.looking.subject import Is, State, Subject
from go_state.inspector.values.redaction import Redaction
from go_state.inspector.values.text import shown
from go_state.inspector.worlds.ids import id_of, name_of_id
from go_state.inspector.worlds.recording import Recording
from go_state.inspector.worlds.stores import StoreWorld
from go_state.inspector.worlds.world import Now, Page, SomeSubject, Summary, page_of
from go_state.modes.app.app import App
from go_state.modes.app.runs.journal_run import JournalRun
from go_state.modes.keyed_apps.keyed_apps import KeyedApps
from go_state.storage.journal.journal import Journal

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_LIVES = 64  # subjects of running apps that are kept


class Life(Generic[Model, Msg]):
    """One app as a subject: its journal, or its last messages."""

    def __init__(self, app: App[Model, Msg], name: str, key: str | None, redaction: Redaction) -> None:
        run = app.life.run
        journal: Journal[Msg] | None = run.journal if isinstance(run, JournalRun) else None
        self.app = app
        self.recording: Recording[Model, Msg] = Recording(name, run.loop)
        what = Is(
            id_of(name), shown(name, 200), None if key is None else shown(key, 200), "live" if journal is None else "journal"
        )
        if journal is None:
            run_id, recording = app.life.manager.names.run_id, self.recording
            self.subject: Subject[Model, Msg] = Subject(
                what, recording, opened("the inspector", run.program, recording), redaction,
                start=recording.start, turn_name=lambda position: f"{run_id}/{position}+0", known=recording,
            )  # fmt: skip
        else:
            history: StoredHistory[Model, Msg] = StoredHistory(journal.store, journal.name, run.program)
            work = opened("the inspector", run.program, history)
            self.subject = Subject(what, history, work, redaction, known=self.recording)

    def summary(self) -> Summary:
        """Return what the list says of it."""
        first, end = self.subject.span()
        now = self.now()
        return Summary(self.subject.what, first, end, None, now.state, now.queue, now.error)

    def now(self) -> Now:
        """Return what the app does."""
        app = self.app
        states: dict[str, State] = {"failed": "failed", "stopped": "ended"}
        error = app.error
        said = None if error is None else shown(f"{type(error).__qualname__}: {error}", 500)
        if error is not None and not self.subject.redaction.is_empty:
            said = type(error).__qualname__
        if app.state in states:
            return Now(states[app.state], said, app.life.run.processed, 0, [])
        statistics = app.statistics()
        return Now("running", said, statistics.processed, statistics.queue_size, app.effects())


class AppWorld(Generic[Model, Msg]):
    """One app."""

    is_live = True

    def __init__(self, app: App[Model, Msg], *, called: str | None, redaction: Redaction) -> None:
        run = app.life.run
        journal = run.journal if isinstance(run, JournalRun) else None
        self.store: str | None = None if journal is None else journal.store.where
        self.program: str | None = called or app.life.name
        self.redaction = redaction
        self._life: Life[Model, Msg] = Life(app, app.life.name if journal is None else journal.name, None, redaction)

    def page(self, search: str, after: str, limit: int) -> Page:
        """Return the app, if its name holds the text."""
        is_meant = search.casefold() in self._life.subject.what.name.casefold() and not after
        return Page([self._life.summary()] if is_meant else [], None, 1)

    def find(self, subject: str) -> SomeSubject | None:
        """Return the app."""
        return self._life.subject if subject == self._life.subject.what.id else None

    def summary(self, subject: SomeSubject) -> Summary:
        """Return what the list says of it."""
        return self._life.summary()

    def now(self, subject: SomeSubject) -> Now | None:
        """Return what it does."""
        return self._life.now()

    def states(self) -> Mapping[str, State]:
        """Return its state."""
        return {self._life.subject.what.id: self._life.now().state}

    def watched(self, subject: SomeSubject) -> AbstractContextManager[object]:
        """Note its turns for as long as the block lasts."""
        return self._life.recording.watched()

    def close(self) -> None:
        """Stop what goes on in the background."""
        self._life.subject.close()


class KeyedWorld(Generic[Model, Msg]):
    """The apps of many keys: those that run, those that have failed, and those at rest of which the store has messages."""

    is_live = True

    def __init__(self, apps: KeyedApps[Model, Msg], *, called: str | None, redaction: Redaction) -> None:
        kept = apps.kept
        self.program: str | None = called or kept.program.name or kept.program.update.__module__
        self.store: str | None = None if kept.store is None else kept.store.where
        self._apps = apps
        self._prefix = kept.prefix
        self.redaction = redaction
        self._stored = (
            None if kept.store is None else StoreWorld(kept.store, kept.program, prefix=kept.prefix, redaction=redaction)
        )
        self._lives: OrderedDict[str, Life[Model, Msg]] = OrderedDict()  # by key, the least recently used first

    def _keys(self) -> list[str]:
        stored = [] if self._stored is None else [name.removeprefix(self._prefix) for name in self._stored.names()]
        return sorted({*stored, *self._apps, *self._apps.failed()})

    def page(self, search: str, after: str, limit: int) -> Page:
        """Return some of the keys."""
        keys = [key for key in self._keys() if search.casefold() in key.casefold()]
        name = name_of_id(after)
        some, following = page_of(keys, "" if name is None else name.removeprefix(self._prefix), limit)
        return Page([self._summary(key) for key in some], None if following is None else self._id(following), len(keys))

    def _id(self, key: str) -> str:
        return id_of(self._prefix + key)

    def _life(self, key: str) -> Life[Model, Msg] | None:
        """Return the key's life, if it runs or was looked at when it did."""
        app, life = self._apps.running(key), self._lives.get(key)
        if app is not None and (life is None or life.app is not app):
            life = Life(app, self._prefix + key, key, self.redaction)
        if life is not None:
            self._lives[key] = life
            self._lives.move_to_end(key)
            while len(self._lives) > _LIVES:
                self._lives.popitem(last=False)[1].subject.close()
        return life if app is not None or self._stored is None else None

    def find(self, subject: str) -> SomeSubject | None:
        """Return the subject of a key."""
        name = name_of_id(subject)
        if name is None or not name.startswith(self._prefix):
            return None
        life = self._life(name.removeprefix(self._prefix))
        if life is not None:
            return life.subject
        return None if self._stored is None else self._stored.find(subject)

    def _key(self, subject: SomeSubject) -> str:
        return (name_of_id(subject.what.id) or "").removeprefix(self._prefix)

    def summary(self, subject: SomeSubject) -> Summary:
        """Return what the list says of it."""
        return self._summary(self._key(subject))

    def _summary(self, key: str) -> Summary:
        """Return what the list says of a key; of one that runs nothing is made for that."""
        app, error = self._apps.running(key), self._apps.failed().get(key)
        state: State = "failed" if error is not None else "running" if app is not None else "resting"
        said = None if error is None else type(error).__qualname__
        if self._stored is not None:
            found = self._stored.summary_of(self._prefix + key)
            return found._replace(state=state, error=said)
        what = Is(self._id(key), shown(self._prefix + key, 200), shown(key, 200), "live")
        life = self._lives.get(key)
        first, end = (0, 0) if life is None else life.subject.span()
        return Summary(what, first, max(end, 0 if app is None else app.life.run.processed), None, state, None, said)

    def now(self, subject: SomeSubject) -> Now | None:
        """Return what the key's app does; what it came to, if it is at rest."""
        key = self._key(subject)
        error, life = self._apps.failed().get(key), self._life(key)
        if error is not None:
            return Now("failed", type(error).__qualname__, 0, 0, [])
        return Now("resting", None, 0, 0, []) if life is None or self._apps.running(key) is None else life.now()

    def states(self) -> Mapping[str, State]:
        """Return which run, and which have failed."""
        found: dict[str, State] = {self._id(key): "running" for key in self._apps}
        found.update({self._id(key): "failed" for key in self._apps.failed()})
        return found

    def watched(self, subject: SomeSubject) -> AbstractContextManager[object]:
        """Note its turns for as long as the block lasts."""
        life = self._life(self._key(subject))
        return nullcontext() if life is None else life.recording.watched()

    def close(self) -> None:
        """Stop what goes on in the background."""
        for life in self._lives.values():
            life.subject.close()
        if self._stored is not None:
            self._stored.close()
