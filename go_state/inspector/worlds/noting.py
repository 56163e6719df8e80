"""What the commands of one app do while somebody looks: noted in its own thread as references, and made into stories by whoever looks.

It stands between the run and whoever else observes its effects. When nobody looks any more it takes itself away, at the next thing that
happens, because only the run's own thread may.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from go_state.core.commands import Call, name_of
from go_state.inspector.looking.known import UNFINISHED, EffectState, EffectStory
from go_state.runtime.effects.lifecycle import Lifecycle
from go_state.runtime.observing.commands import Observed

E = TypeVar("E", bound=Observed)

_KEPT = 10_000  # effects of which is known what they did
_WAITING = 4 * _KEPT  # notes that nobody has looked at
_clock = time.perf_counter


class _Note(NamedTuple):
    """Something that happened to an effect."""

    what: str
    effect: Observed
    at: float
    with_it: object  # the error, or the messages


class _Kept:
    """An effect, and what is known of it."""

    __slots__ = ("begun", "effect", "sent", "story")

    def __init__(self, effect: Observed) -> None:
        command = effect.command
        function = name_of(command.fn) if isinstance(command, Call) else "after"
        self.effect = effect  # kept, so that its id is not given to another
        self.story = EffectStory(effect.name, function, "waiting")
        self.begun: float | None = None
        self.sent: Sequence[object] = ()


class Noting:
    """Notes what the effects of one run do. All but `begin`, `end` and the questions is called in the run's own thread."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle
        self._inner = lifecycle.observed
        self._notes: deque[tuple[str, Observed, float, object]] = deque(maxlen=_WAITING)
        self._kept: OrderedDict[int, _Kept] = OrderedDict()  # by the id of the effect object, the oldest first
        self._by_turn: dict[int, list[_Kept]] = {}
        self._senders: dict[int, _Kept] = {}  # by the id of a message that it has sent
        self._is_wanted = False
        self._taking = threading.Lock()  # guards that it is put in place, or taken away
        self._folding = threading.Lock()  # guards the stories

    def begin(self) -> None:
        """Note what happens from now on; what was not over when nobody looked any more is forgotten, for its end is not known."""
        with self._folding:
            self._fold()
            for name in [name for name, kept in self._kept.items() if kept.story.state in UNFINISHED]:
                self._forget(self._kept.pop(name))
        with self._taking:
            self._is_wanted = True
            if self._lifecycle.observed is not self:
                self._inner = self._lifecycle.observed
                self._lifecycle.observe(self)

    def end(self) -> None:
        """Note nothing more."""
        self._is_wanted = False

    # ------------------------------------------------------------------ called in the run's own thread

    def _note(self, what: str, effect: Observed, with_it: object = None) -> None:
        if self._is_wanted:
            self._notes.append((what, effect, _clock(), with_it))
            return
        with self._taking:
            if not self._is_wanted:
                self._lifecycle.observe(self._inner)

    def held(self, steps: Iterable[object]) -> None:
        """Called in the turn that begins these, before any of them begins."""
        if self._inner is not None:
            self._inner.held(steps)

    def launch(self, launch: Callable[[E], object], effect: E) -> None:
        """Launch an effect."""
        self._note("launched", effect)
        if self._inner is None:
            launch(effect)
        else:
            self._inner.launch(launch, effect)

    def retried(self, effect: Observed, wait: float) -> None:
        """Called when a try has failed, and the next one comes after `wait` seconds."""
        self._note("retried", effect)
        if self._inner is not None:
            self._inner.retried(effect, wait)

    def sent(self, effect: Observed, messages: Sequence[object]) -> None:
        """Called with the messages of a result, or of a failure, before they enter the queue."""
        self._note("sent", effect, messages)
        if self._inner is not None:
            self._inner.sent(effect, messages)

    def failed(self, effect: Observed, error: BaseException) -> None:
        """Called when an effect has failed; its end follows."""
        self._note("failed", effect, (type(error).__qualname__, _said(error)))
        if self._inner is not None:
            self._inner.failed(effect, error)

    def ended(self, effect: Observed) -> None:
        """Called when an effect has ended."""
        self._note("done", effect)
        if self._inner is not None:
            self._inner.ended(effect)

    def cancelled(self, effect: Observed) -> None:
        """Called when an effect was cancelled, whether it was launched or not."""
        self._note("cancelled", effect)
        if self._inner is not None:
            self._inner.cancelled(effect)

    # ------------------------------------------------------------------ made by whoever looks

    def _fold(self) -> None:
        """Make stories of what was noted; called with the lock held."""
        notes = self._notes
        while notes:
            note = _Note(*notes.popleft())
            kept = self._kept.get(id(note.effect)) or self._first_of(note)
            if kept is not None:
                _tell(kept, note)
                if note.what == "sent":
                    self._send(kept, note)
        while len(self._kept) > _KEPT:
            self._forget(self._kept.popitem(last=False)[1])

    def _first_of(self, note: _Note) -> _Kept | None:
        position = note.effect.origin.position
        if note.what not in ("launched", "cancelled"):  # it had begun before anybody looked
            return None
        kept = self._kept[id(note.effect)] = _Kept(note.effect)
        if type(position) is int:
            self._by_turn.setdefault(position, []).append(kept)
        return kept

    def _send(self, kept: _Kept, note: _Note) -> None:
        assert isinstance(note.with_it, Sequence)
        kept.sent = [*kept.sent, *note.with_it]  # what follows a command is sent after what it has sent itself
        kept.story.entered = ()
        for message in note.with_it:
            self._senders[id(message)] = kept

    def _forget(self, kept: _Kept) -> None:
        for message in kept.sent:
            self._senders.pop(id(message), None)
        position = kept.effect.origin.position
        if type(position) is int and (others := self._by_turn.get(position)) is not None:
            others.remove(kept)
            if not others:
                del self._by_turn[position]

    def of_turn(self, position: int, entered: Callable[[Sequence[object], int], tuple[int, ...]]) -> Sequence[EffectStory]:
        """Return the effects of a turn; `entered` finds the positions of messages."""
        with self._folding:
            self._fold()
            found = self._by_turn.get(position, [])
            for kept in found:
                if kept.sent and (not kept.story.entered or -1 in kept.story.entered):
                    kept.story.entered = entered(kept.sent, position)
            return [kept.story for kept in found]

    def failures(self, positions: Iterable[int]) -> set[int]:
        """Return those of the turns of which a command has failed."""
        with self._folding:
            self._fold()
            turns = {position: self._by_turn.get(position, ()) for position in positions}
        return {position for position, found in turns.items() if any(kept.story.error is not None for kept in found)}

    def origin(self, message: object) -> tuple[int, str] | None:
        """Return which turn's command has sent this very object, and the command's function."""
        with self._folding:
            self._fold()
            kept = self._senders.get(id(message))
            if kept is None or not any(each is message for each in kept.sent):
                return None
            position = kept.effect.origin.position
            return (position if type(position) is int else -1), kept.story.function


def _said(error: BaseException) -> str:
    """Return what an error says, which must not end the app if that fails."""
    try:
        return str(error)[:2000]
    except Exception:
        return ""


_STATES: dict[str, EffectState] = {
    "launched": "running", "retried": "retrying", "failed": "failed", "done": "done", "cancelled": "cancelled",
}  # fmt: skip


def _tell(kept: _Kept, note: _Note) -> None:
    """Go on with the story of an effect."""
    story, what = kept.story, note.what
    if what == "launched":
        kept.begun = note.at
    if what in ("launched", "retried"):
        story.tries = max(story.tries, 1) if what == "launched" else story.tries + 1
    if what == "failed" and isinstance(note.with_it, tuple):
        story.error, story.said = note.with_it
    is_over = what in ("failed", "done", "cancelled")
    if is_over and kept.begun is not None and story.seconds is None:
        story.seconds = note.at - kept.begun
    if what in _STATES and not (what == "done" and story.state in ("failed", "cancelled")):
        story.state = _STATES[what]
