"""The audience of a running program: its watchers, and those who wait for one message's turn.

The loop tells it of every turn, and when what turns have made may be shown: at once where there is no journal, and once it is on
disk where there is one. All of this runs in the program's own thread or task; only waiting is done elsewhere.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from go_state.core.errors import Closed, Denied, NoReply
from go_state.middleware.chain import Chain
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.flow.driver import Answer
from go_state.system.running import running_task
from go_state.waking.together import wake_all
from go_state.watch.fields import Fields
from go_state.watch.value import UNSET, Value

if TYPE_CHECKING:
    from go_state.waking.loop_waker import LoopWaker
    from go_state.waking.thread_waker import ThreadWaker

Model = TypeVar("Model")


OnDenied: TypeAlias = Callable[[Any, Denied], object]
"""What is called with a message that was denied while nobody waited for it, and with the denial."""


class Stopped(BaseException):
    """Ends a run between two messages; never seen outside."""


class Waiting:
    """One sender who sleeps until the turn of its message is through: for the model after it, or for its answer."""

    __slots__ = ("asks", "error", "gone", "position", "result", "trace", "waker")

    def __init__(self, waker: ThreadWaker | LoopWaker, *, asks: bool) -> None:
        self.asks = asks
        self.waker = waker
        self.position = -1
        self.gone = False  # whether it waits no longer
        self.result: Any = UNSET
        self.error: BaseException | None = None
        self.trace: TracebackType | None = None  # of the error, which others raise as well: each begins from here

    def fail(self, error: BaseException) -> None:
        """Have the outcome be an error, as it is now."""
        self.error, self.trace = error, error.__traceback__

    def outcome(self) -> Any:
        """Return what the turn has made for the sender, or raise what it has failed with."""
        if self.error is not None:
            raise self.error.with_traceback(self.trace)
        return self.result


def _ended_before(error: BaseException | None) -> Closed:
    if error is None:
        return Closed("the app has ended before the message had its turn")
    closed = Closed(
        f"the app has failed before the message had its turn, with a {type(error).__qualname__}, which is the cause of this"
    )
    closed.__cause__ = error
    return closed


async def _then_stopped(waits: Answer) -> None:
    """Wait for what the middleware of the last turn asks for, and end the run then."""
    await waits.on_loop()
    raise Stopped


class Audience(Generic[Model]):
    """Who looks at one running program."""

    def __init__(self, view: Callable[[Model], object] | None, on_denied: OnDenied | None) -> None:
        self.models: Value[Model] = Value()
        self.ended: Value[bool] = Value()
        self.fields: Fields | None = None
        self.is_drained = False  #: whether the end of the app waits for nothing but its commands
        self.where: Callable[[], object] = lambda: None  # the position of the turn under way
        self.chain: Chain[Model, Any] | None = None  # of the program's middleware
        self._denied: Denied | None = None  # what the turn under way was denied with
        self._on_denied = on_denied
        self._view = view
        self._model: Any = UNSET
        self._stopping = False
        self._lock = threading.Lock()  # guards the four below
        self._waiting: dict[int, Waiting] = {}  # by the position of their message
        self._entering: set[Waiting] = set()  # whose message has no position yet
        self._over = False
        self._over_by: BaseException | None = None
        self._following = threading.Lock()  # held by who begins to follow the fields
        self._error: BaseException | None = None  # what the program has ended with
        self._made: list[Waiting] = []  # whose turn is through and not yet to be shown
        self._failed: list[Waiting] = []  # whose turn has ended the run
        self._replies: list[object] = []  # of the turn under way

    # ------------------------------------------------------------------ what the loop tells

    def begin(self, manager: EffectManager) -> None:
        """Begin to hear what the turns of a run answer."""
        manager.connect_replies(self._replies, self._drained)

    def _drained(self) -> None:
        """Hear that what is under way alone is waited for, none of which is to wait for a model from now on."""
        if self.is_drained:
            return
        self.is_drained = True
        self.models.wake()
        if self.fields is not None:
            self.fields.wake()

    def turned(self, model: Model) -> None:
        """Hear of a turn: its model, which may not be shown yet."""
        if self.chain is not None:
            self._denied = self.chain.denied
            self.chain.turned(model)
        if self._waiting:
            self._keep(model)
        if self._replies:
            self._replies.clear()
        if self._denied is not None and self._on_denied is not None and self.chain is not None:
            self._on_denied(self.chain.message, self._denied)
        self._denied = None
        if self._stopping:
            raise Stopped

    def stands(self, model: Model) -> bool:
        """Hear of the newest model that stays, whatever comes now; tell those who wait, and whether the view has yet to see it."""
        is_new = model is not self._model
        self.shown(model, False)
        return is_new

    def shown(self, model: Model, to_view: bool = True) -> None:
        """Hear of the newest model that may be shown."""
        if model is not self._model:
            self._model = model
            self.models.publish(model)
            if self.fields is not None:
                self.fields.committed(model, self.models.version)
        if self._made:
            made, self._made = self._made, []
            wake_all([waiting.waker for waiting in made])
        if to_view and self._view is not None:
            self._view(model)

    def turned_and_shown(self, model: Model) -> Answer | None:
        """Hear of a turn that is shown at once."""
        stopping = False
        if self._waiting or self._replies or self._stopping or self.chain is not None:
            try:
                self.turned(model)
            except Stopped:
                stopping = True
        self.shown(model)
        waits = None if self.chain is None else self.chain.shown()
        if not stopping:
            return waits
        if waits is None or running_task() is None:
            raise Stopped
        return Answer(_then_stopped(waits), "a middleware")

    def _keep(self, model: Model) -> None:
        """Note what the turn under way has made for the one who waits for it."""
        with self._lock:
            waiting = self._waiting.pop(self.where(), None)  # type: ignore[call-overload]  # a position, in every app
        if waiting is None:
            return
        if self._denied is not None:
            waiting.error = self._denied
            self._denied = None  # its sender hears of it
        elif not waiting.asks:
            waiting.result = model
        elif self._replies:
            waiting.result = self._replies[-1]
        else:
            waiting.error = NoReply()
        self._made.append(waiting)

    def failed(self, error: BaseException) -> None:
        """Hear that the turn under way was rolled back and its message set aside."""
        self._replies.clear()
        with self._lock:
            waiting = self._waiting.pop(self.where(), None)  # type: ignore[call-overload]
        if waiting is not None:
            waiting.fail(error)
            wake_all((waiting.waker,))

    def undone(self, error: BaseException) -> None:
        """Hear that the turn under way was rolled back, and that its error ends the run."""
        with self._lock:
            waiting = self._waiting.pop(self.where(), None)  # type: ignore[call-overload]
        if waiting is not None and isinstance(error, Exception):
            waiting.fail(error)
            self._failed.append(waiting)

    def over(self, error: BaseException | None) -> None:
        """Hear that there will be no more turns; tell those whose message had none, or whose turn is not known to stay."""
        with self._lock:
            self._over, self._over_by = True, error
            left = [*self._made, *self._waiting.values(), *self._entering]
            failed, self._waiting, self._made, self._failed = self._failed, {}, [], []
            self._entering = set()
        self._tell_of_end(left)
        wake_all([waiting.waker for waiting in failed])

    def end(self, error: BaseException | None) -> None:
        """End: watchers get the last model, and then the error."""
        self._error = error
        self.models.close(error)
        if self.fields is not None:
            self.fields.close(error)
        self.ended.set(True)

    def follow(self) -> Fields:
        """Return the fields of the models, which are compared from here on; from any thread. `Empty` before the first model.

        The program goes on meanwhile. A model that it publishes is either seen here, and then begun with, or it is published after
        the fields are there, and then the program compares it with the one begun with.
        """
        with self._following:
            begun = self.fields is not None
            while not begun:
                version, model = self.models.versioned()
                self.fields = Fields(model, version, self.models.before_wait)
                if self.is_drained:  # looked at after the fields are there: `drained` does it the other way round
                    self.fields.wake()
                begun = self.models.version == version
            fields: Fields = self.fields  # type: ignore[assignment]  # it was begun
            if self.models.closed:  # looked at after the fields are there: `end` does it the other way round
                fields.close(self._error)
            return fields

    # ------------------------------------------------------------------ what others ask

    def stop(self) -> None:
        """Have the run end after the turn under way."""
        self._stopping = True

    @property
    def stopping(self) -> bool:
        """Whether the run is to end after the turn under way."""
        return self._stopping

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody waits for a model, or for a change."""
        return self.models.is_waited_for or (self.fields is not None and self.fields.is_waited_for)

    def entered(self, waiting: Waiting) -> None:
        """Hear that the one's message was taken; until `expect` says which position it has, the one hears of the end."""
        with self._lock:
            if waiting.position >= 0 or waiting.gone:
                return
            if not self._over:
                self._entering.add(waiting)
                return
        self._tell_of_end((waiting,))

    def expect(self, waiting: Waiting, position: int) -> None:
        """Have the one wait for the message at the position, which no reader has yet."""
        with self._lock:
            self._entering.discard(waiting)
            waiting.position = position
            if not (self._over or waiting.gone):
                self._waiting[position] = waiting
            if not self._over:
                return
        self._tell_of_end((waiting,))  # to whom that was told before, it changes nothing

    def _tell_of_end(self, left: Collection[Waiting]) -> None:
        for waiting in left:
            if waiting.error is None:
                waiting.fail(_ended_before(self._over_by))
        wake_all([waiting.waker for waiting in left])

    def forget(self, waiting: Waiting) -> None:
        """Let go of one who waits no longer."""
        with self._lock:
            waiting.gone = True
            self._entering.discard(waiting)
            if self._waiting.get(waiting.position) is waiting:  # or its message has not entered, and another has that position
                del self._waiting[waiting.position]
