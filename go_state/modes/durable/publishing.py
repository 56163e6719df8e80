"""When the models of a durable run are shown.

Once a message is on disk a replay finds its turn again, and makes the same model: the model is shown as soon as the turn is processed
and its message on disk. What others send is on disk before update sees it; what turns send to themselves is written with the next flush,
so a chain of them is one write. A turn that did something which a replay would do again is shown only when the disk knows that it is
processed: one that has called a function or started a command, one whose message was set aside, and any turn of a program whose
middleware acts on what became of it. Such a turn is not taken before its message is on disk: what is done under its position and its
`gs.effect_id()` would be done under others after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

from go_state.core.commands import Reply, Send
from go_state.middleware.chain import Chain
from go_state.runtime.feeds.log_feed import LogFeed
from go_state.runtime.flow.waits import Flow, Wait
from go_state.runtime.turn import Loop
from go_state.storage.journal.commit.flush_rules import FlushRules
from go_state.storage.journal.reader import JournalCursor

Model = TypeVar("Model")
Shown = TypeVar("Shown", contravariant=True)
P = ParamSpec("P")
Step = TypeVar("Step")
Msg = TypeVar("Msg")

_NONE: object = ()  # one object in CPython, by which a step without commands is known fastest
_WITHOUT_EFFECT = {Send, Reply, type(None)}  # a message enters with its turn's commit; an answer is only given


class Onlooker(Protocol[Shown]):
    """Something that follows a durable run, such as an app: called with each turn, and with each model that may be shown."""

    def listen_to(self, feed: LogFeed[Any], /) -> None:
        """Called before the first turn, with the feed, which knows the position of the turn that is being taken."""
        ...

    def committed(self, model: Shown, /) -> None:
        """Called after each turn, whose model may not be shown yet."""
        ...

    def rolled_back(self, error: BaseException, /, *, ends: bool) -> None:
        """Called after a turn was rolled back; see `AfterRollback`."""
        ...

    @property
    def on_published(self) -> Sequence[Callable[[Shown], object]]:
        """What is called, in this order, with the newest model that may be shown."""
        ...


class Publishing(Generic[Model]):
    """Shows the models of one run: to its middleware, to whoever looks on, and to the program's view, in this order."""

    def __init__(
        self,
        view: Callable[[Model], object] | None,
        onlooker: Onlooker[Model] | None,
        chain: Chain[Model, Any] | None,
    ) -> None:
        self._view = view
        self._onlooker = onlooker
        self._on_published = () if onlooker is None else onlooker.on_published
        self._chain = chain
        self._shown: object = _NOTHING
        #: Whether the newest model is shown only once the disk knows that its turn is processed.
        self.waits_for_disk = chain is not None
        self._is_final = False  # whether the last flush of the run is done
        self._is_unseen = False  # whether the view has not seen the last model by then

    def note_effects(self) -> None:
        """Called in a turn that does something which a replay would do again."""
        self.waits_for_disk = True

    def written(self, model: Model) -> Flow[None] | tuple[()]:
        """Show the model, whose turn the disk knows to be processed."""
        self.waits_for_disk = self._chain is not None
        return self.show(model)

    def show(self, model: Model) -> Flow[None] | tuple[()]:
        """Show the model: the newest, if several turns were processed together."""
        is_new, self._shown = model is not self._shown, model
        wait = None if self._chain is None else self._chain.shown()
        for published in self._on_published:
            published(model)
        if self._view is not None and is_new:
            self._view(model)
        return () if wait is None else _one(wait)

    def tell_of_end(self, model: Model) -> None:
        """Called at the end of the run, however it ends: publish the turns that are on disk now."""
        if self._onlooker is not None:
            self._is_unseen = model is not self._shown
            for published in self._on_published:
                published(model)
            self._is_final = True

    def show_last(self, model: Model) -> Flow[None]:
        """Show what the last turns have made, if the run ended before that and somebody looks on."""
        if not self._is_final:
            return
        if self._is_unseen and self._view is not None:
            self._view(model)
        if self._chain is not None and (wait := self._chain.shown()) is not None:
            yield wait


class OnDisk(Generic[Model, Msg]):
    """What those who wait for a run wait for: what is done is on disk, and shown. `flush` writes."""

    def __init__(
        self,
        loop: Loop[Model, Msg],
        cursor: JournalCursor[Msg],
        rules: FlushRules[Msg],
        publishing: Publishing[Model],
        flush: Callable[[], Flow[None]],
    ) -> None:
        self._loop = loop
        self._cursor = cursor
        self._rules = rules
        self._publishing = publishing
        self._flush = flush

    def place(self) -> Flow[None]:
        """Write what was sent and has no position before that."""
        if self._rules.has_staged:
            yield from self._flush()

    def commit(self) -> Flow[None]:
        """Write what is processed, and show it."""
        if self._rules.is_unwritten(self._cursor):
            yield from self._flush()
        yield from self._publishing.written(self._loop.model)


def _one(wait: Wait) -> Flow[None]:
    yield wait


_NOTHING = object()  # which no model is


def noting_effects(update: Callable[P, Step], note: Callable[[], object]) -> Callable[P, Step]:
    """Return the update that calls `note()` when it returns a command that does something which a replay would do again.

    What `note` raises is raised in the place of the step.
    """

    @wraps(update)
    def noted(*args: P.args, **kwargs: P.kwargs) -> Step:
        step = update(*args, **kwargs)
        if isinstance(step, tuple) and len(step) == 2 and step[1] is not _NONE and have_effects(step[1]):
            note()
        return step

    return noted


def have_effects(commands: object) -> bool:
    """Return whether commands do more than send messages and answer; what is not commands is for the loop to refuse."""
    return isinstance(commands, (list, tuple)) and any(type(each) not in _WITHOUT_EFFECT for each in commands)
