"""A place: the program of one key among many, through all its lives, one at a time.

Its states are those of `states.py`. Only a running program is given messages directly. It is asked to end when nobody is putting
one, and from then on what is sent is kept here, in order, for the next life. So no message can come to a queue whose end the program
has already seen, in which it would stay unread, or be sent a second time by a sender who believes that it was not taken.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from go_state.core.errors import AppEnded, Closed, LeaseHeld
from go_state.modes.app.app import App
from go_state.modes.keyed_apps.sent import Sent, check_may_wait, give, has_failed
from go_state.modes.keyed_apps.states import Places, State
from go_state.system.running import running_task
from go_state.watch.value import Value

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_NEW, _RUNNING, _RESTING = State.NEW, State.RUNNING, State.RESTING  # looked at for every message


class Place(Generic[Model, Msg]):
    """The program of one key, used from any thread."""

    def __init__(self, key: str, places: Places) -> None:
        self.key = key
        self.over: Value[bool] = Value()  # set once it has failed or stopped
        self._places = places
        self._apps: Value[App[Model, Msg]] = Value()  # each life's
        self._lock = threading.Lock()  # guards all below; nobody waits for anything while holding it
        self.state = State.NEW  #: of the program
        self.present: App[Model, Msg] | None = (
            None  #: the app of the present life, or of the last; None while it is being begun
        )
        self._backlog: list[Sent[Msg]] = []  # what was sent and is to be given to the next app
        self._giving: list[Sent[Msg]] = []  # what is in the hands of whoever begins an app
        self._entering: list[Sent[Msg]] = []  # what is being put into the queue of the app, in any order
        self._ended_early: App[Model, Msg] | None = None  # an app that has ended while it was being given what was sent
        self._asked = False  # to rest, in this life
        self._by_itself = False  # whether only the alarm has used it so far
        self._for_good = False  # whether no further life is to go on beyond what was sent
        self._drain = True
        self._error: BaseException | None = None

    @property
    def waiting(self) -> int:
        """How many messages wait for its next life to begin."""
        with self._lock:
            return sum(len(sent.messages) for sent in (*self._backlog, *self._giving))

    @property
    def is_over(self) -> bool:
        """Whether no app of it is running, or will be."""
        return self.over.version > 0

    def enter(self, sent: Sent[Msg]) -> bool:
        """Send, without waiting for anything but a put; False when the caller is to look for the key's place once more.

        Raises `Closed` when the program has failed, and what the put raises.
        """
        app, entered, self._by_itself = self.present, False, False
        try:
            with self._lock:
                if self.state is _RUNNING and app is self.present:
                    entered = True
                    self._entering.append(sent)
            if not entered or app is None:
                return self._enter_later(sent)
            if sent.waiting is not None:
                check_may_wait(app)
            sent.put_into(app)
            return True
        except Closed:
            if not entered or app is None:
                raise
            if app.life.error is not None:
                raise has_failed(self.key, app.life.error) from app.life.error
            return self._keep(sent)
        finally:
            if entered:
                self._entering.pop()  # the first call here, so that Ctrl-C cannot come before it
                # Looked at after that: whoever puts the app to rest looks first who is entering, with the lock held, after it has set this.
                if self.state is _RESTING:
                    self._rest_if_left()

    def _enter_later(self, sent: Sent[Msg]) -> bool:
        """Keep what was sent for the life that is begun, or the next one, and begin it if there is none; False to look again."""
        with self._lock:
            if self.state in (State.STOPPED, State.RUNNING):
                return False
            self._check_failed()
            if sent.waiting is not None and self.present is not None:
                check_may_wait(self.present, rests=True)
            self._backlog.append(sent)
            begins = self.state is _NEW
        if begins:
            self._begin_for(sent)
        return True

    def live(self) -> App[Model, Msg] | None:
        """Return the app, begun if there is none; it may be about to end. None when the place is over. Raises as `enter` does."""
        with self._lock:
            if self.state is State.STOPPED:
                return None
            self._check_failed()
            self._by_itself = False
            begins = self.state is _NEW
            app, lives = self.present, self._apps.version
        if begins:
            self._begin_for(None)
        if app is None:  # the thread that begins it needs no more than a moment
            with suppress(Closed):  # it could not be begun
                app = self._apps.watch(since=lives).get()
        return app

    def _check_failed(self) -> None:
        if self.state is State.FAILED:
            raise has_failed(self.key, self._error)

    def _rest_if_left(self) -> None:
        """Put the app to rest if it was asked to, and no sender is putting a message any more."""
        with self._lock:
            app = self.present if self.state is _RESTING and not self._entering else None
        if app is not None:
            app.life.ask_to_end(drain=self._drain)

    def _keep(self, sent: Sent[Msg]) -> bool:
        """Keep for the next life what an app has refused that ends by itself; False when it has ended."""
        with self._lock:
            if self.state is State.STOPPED:
                return False
            self._check_failed()
            if not self._drain:
                raise AppEnded(_STOPPED)
            if self.state is State.RUNNING:
                self.state = State.RESTING
            self._backlog.append(sent)
            return True

    # ------------------------------------------------------------------ beginning

    def wake(self, done: Callable[[], object]) -> None:
        """Begin a life because the program has something to do by itself; `done` is called when it is begun, or cannot be."""
        self._by_itself = True

        def begin() -> None:
            try:
                error = self._begin(None)
                if isinstance(error, Exception):
                    self._places.lost(error)  # nobody else is told
            finally:
                done()

        begin() if self._places.is_here() else self._places.call_there(begin)

    def _begin_for(self, sent: Sent[Msg] | None) -> None:
        """Begin a life for a caller that uses the key, on the event loop of the programs if they have one."""
        error = self._begin_where_it_can_be(sent)
        if error is not None:
            raise error

    def _begin_where_it_can_be(self, sent: Sent[Msg] | None) -> BaseException | None:
        if self._places.is_here():
            return self._begin(sent)
        self._places.call_there(lambda: self._begin(None))
        return None

    def _begin(self, own: Sent[Msg] | None) -> BaseException | None:
        """Begin a life, unless somebody else does, and give it what was sent meanwhile; return what its own sender is to be told."""
        mine, made = False, list[App[Model, Msg]]()
        try:
            with self._lock:
                mine = self.state is _NEW
                if mine:
                    self.state = State.LOADING
            if not mine:
                return None
            app = self._places.make(self.key, self._idle, self._ended, made.append)
        except BaseException as error:  # a journal that cannot be opened, no thread left, Ctrl-C
            if not mine:
                raise
            if made and not isinstance(error, Exception):
                self._interrupted(made[0])
            else:
                self._not_begun(own, error)
            return error
        failure: Exception | None = None
        try:
            with self._lock:
                self.present = app
            self._apps.set(app)
            while (batch := self._next_batch()) is not None:
                left, failed = give(app, batch, own, self._places.lost)
                failure = failure or failed
                if left:
                    self._put_back(left)
                    break
        except BaseException:
            self._interrupted(app)
            raise
        self._begun(app)
        return failure

    def _interrupted(self, app: App[Model, Msg]) -> None:
        """Put an app to rest whose beginning Ctrl-C, say, has ended: the next life takes what this one was not given."""
        with self._lock:
            self.present, self._asked = app, True
        self._apps.set(app)
        self._put_back(self._giving)
        self._begun(app)

    def _next_batch(self) -> list[Sent[Msg]] | None:
        """Return what is to be given to the app that was begun; None, and it is no longer being begun, when that is all."""
        with self._lock:
            if self._backlog and self._drain and self._ended_early is not self.present:
                batch = self._giving = self._backlog
                self._backlog = []
                return batch
            if self._ended_early is not self.present:
                self.state = State.RESTING if self._asked else State.RUNNING
            return None

    def _put_back(self, left: list[Sent[Msg]]) -> None:
        """Leave what was not given for the next life."""
        with self._lock:
            self._backlog[:0], self._giving = left, []
            if self._ended_early is not self.present:
                self.state = State.RESTING

    def _begun(self, app: App[Model, Msg]) -> None:
        """Called when the app is started: act on what was asked of it, or happened to it, meanwhile."""
        with self._lock:
            ended, self._ended_early = self._ended_early is app, None
            rests = self.state is State.RESTING and self._asked and self.present is app
            drain = self._drain
        if ended:
            self._end_life(app)
        elif rests:
            app.life.ask_to_end(drain=drain)

    def _not_begun(self, own: Sent[Msg] | None, error: BaseException) -> None:
        """End the place: only for the caller, who may try again, if nobody else has sent anything; otherwise for good."""
        with self._lock:
            lost, self._backlog = [sent for sent in self._backlog if sent is not own], []
            if not isinstance(error, Exception):  # an interruption says nothing of the program: the next caller begins it
                self.state, self._backlog = _NEW, lost
                return
            self.state = State.FAILED if lost else State.STOPPED
            self._error = error if lost else None
        self._apps.close(error)  # for those who wait for an app
        self._bury(lost)

    # ------------------------------------------------------------------ ending

    def _idle(self, app: App[Model, Msg]) -> None:
        """Called by the app when there was no message for long and nobody waits for its models."""
        with self._lock:
            own = app is self.present  # and not one whose beginning was interrupted, and that nobody has
            if self.state is State.LOADING or (own and (self.state is not State.RUNNING or self._entering)):
                return  # it may be the one that is begun, and about to be given what was sent
            if own:
                self.state = State.RESTING
        app.life.ask_to_end()

    def ask_to_rest(self, *, drain: bool = True, for_good: bool = False) -> None:
        """Ask the app to end when its queue is drained, or after the running turn; `for_good`, with what was sent until now."""
        with self._lock:
            self._asked, self._drain, self._for_good = True, self._drain and drain, self._for_good or for_good
            new, lost = self.state is _NEW and for_good, list[Sent[Msg]]()
            begins = new and self._drain and bool(self._backlog)
            unused = new and not begins
            if unused:
                self.state, lost, self._backlog = State.STOPPED, self._backlog, []
            elif self.state is State.RUNNING:
                self.state = State.RESTING
            rests = self.state is State.RESTING and (not self._entering or not drain)
            app = self.present
        if unused:
            self._bury(lost)
        elif begins:  # what was sent by a caller that was interrupted before it could begin a life
            self._begin_where_it_can_be(None)
        elif rests and app is not None:
            app.life.ask_to_end(drain=self._drain)

    def _ended(self, app: App[Model, Msg]) -> None:
        """Called by the app when it has ended and nothing of it runs any more."""
        with self._lock:
            if self.state is State.LOADING:
                self._ended_early = app  # whoever begins it goes on from here, when it has given what there is
                return
            if app is not self.present:
                return  # its beginning was interrupted, and nobody has it
        self._end_life(app)

    def _end_life(self, app: App[Model, Msg]) -> None:
        """Begin the next life if something was sent meanwhile, or be over."""
        with self._lock:
            self._error = app.life.error
            retries = self._by_itself and isinstance(self._error, LeaseHeld) and not self._backlog
            if retries:
                self._error = None
            lost: list[Sent[Msg]] = []
            again = self._error is None and bool(self._backlog) and self._drain and not _is_cancelled()
            if again:
                self.state, self.present, self._asked = _NEW, None, self._for_good
            else:
                self.state = State.STOPPED if self._error is None else State.FAILED
                lost, self._backlog = self._backlog, []
        if again:
            self._begin(None)
        else:
            self._bury(lost, app.life.run.wakes_at)
            if retries:  # another process runs it
                self._places.retry(self.key)

    def _bury(self, lost: list[Sent[Msg]], due: float | None = None) -> None:
        for sent in lost:
            sent.refuse(has_failed(self.key, self._error) if self._error is not None else AppEnded(_STOPPED))
        self._places.forget(self.key, self, self._error, due)
        self._apps.close()
        self.over.set(True)
        if self._error is not None:
            self._places.tell(self.key, self._error)


_STOPPED = "the programs were stopped before the message had its turn"


def _is_cancelled() -> bool:
    """Return whether the calling task was cancelled, as all are when an event loop ends: nothing is begun there any more."""
    task = running_task()
    return task is not None and task.cancelling() > 0
