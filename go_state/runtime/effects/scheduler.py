"""The board: which commands are under way, which wait for their key or for room, and what ends with what.

held ──▶ (key taken? behind it) ──▶ (too many? waiting) ──▶ launched ──▶ ended ──▶ the next of its key, of those waiting, of its sequence
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Sequence
from typing import Any, Protocol

from go_state.core.commands import After, Call
from go_state.runtime.effects.effect import Effect, Group, Outcome
from go_state.runtime.effects.interpreter import Cancelling, Performing


class Marks(Protocol):
    """Where a durable run notes what is under way."""

    def opened(self, name: str) -> None:
        """Note a command before its turn is committed."""
        ...

    def ended(self, names: Sequence[str]) -> None:
        """Note that commands are done, once what they have sent is in the queue."""
        ...


class Board(Performing):
    """What is under way of one run, all in the run's own thread."""

    def __init__(self, at_once: int) -> None:
        super().__init__()
        self.marks: Marks | None = None
        self._at_once = at_once
        self._under_way: dict[Effect, None] = {}  # in the order of their beginning, those that wait included
        self._by_key: dict[Hashable, Effect] = {}
        self._held_keys: dict[Hashable, bool] = {}  # whether what is held will have taken the key, or given it up
        self._behind: dict[Hashable, deque[Effect]] = {}  # what waits for the end of the one with its key
        self._running: dict[Effect, None] = {}  # those that a task or thread has
        self._waiting: OrderedDict[Effect, None] = OrderedDict()  # for one of those that run to end
        self._ended: list[str] = []

    # ------------------------------------------------------------------ at the commit

    def _hold(self, held: Effect | Cancelling) -> Outcome:
        """Keep for the commit what begins or ends something; a turn that is rolled back has done neither."""
        if not self._in_turn:
            return self._act(held)
        self.held.append(held)
        if isinstance(held, Cancelling):
            given_up = [held.key] if held.key is not None else [key for key in self._all_keys() if self._is_in(key, held.scope)]
            self._held_keys.update(dict.fromkeys(given_up, False))
            return Outcome.UNDER_WAY
        if held.key is not None:
            self._held_keys[held.key] = True
        if self.marks is not None:
            self.marks.opened(held.name)
        return Outcome.UNDER_WAY

    def _all_keys(self) -> set[Hashable]:
        return {*self._by_key, *self._held_keys}

    def _is_taken(self, key: Hashable) -> bool:
        return self._held_keys.get(key, key in self._by_key)

    @staticmethod
    def _is_in(key: Any, scope: Any) -> bool:
        return bool(key[0][: len(scope)] == scope)

    def begin(self) -> None:
        """Begin what the committed turn has held, in order."""
        self.stir()
        for each in self.held:  # held until all are begun: an interrupt in between ends the run, and loses the note of none
            self._act(each)
        self.held, self._held_keys = [], {}
        self.settled()

    def drop(self) -> None:
        """Forget what a turn that is rolled back has held: the turn is taken again, and asks for it again."""
        dropped = self.leave()
        if self.marks is not None:
            for effect in dropped:
                self.marks.ended([effect.name, *marks_of(effect.group)])

    def leave(self) -> list[Effect]:
        """Let go of what is held, which stays noted as under way: a run that ends here has not begun it, and the next one does."""
        held, self.held, self._held_keys = self.held, [], {}
        left = [each for each in held if isinstance(each, Effect)]
        for effect in left:
            forget_coroutine(effect)
        return left

    def held_names(self) -> set[str]:
        """Return the names by which what is held is noted as under way, and those of what it is a part of."""
        held = [each for each in self.held if isinstance(each, Effect)]
        return {effect.name for effect in held}.union(*(marks_of(effect.group) for effect in held))

    def settled(self) -> None:
        """Hear that the messages of the last arrival are in the queue."""
        if self._ended and self.marks is not None:
            self.marks.ended(self._ended)
        self._ended = []

    def _act(self, held: Effect | Cancelling) -> Outcome:
        if isinstance(held, Cancelling):
            self._cancel_all(held)
            return Outcome.DONE
        effect, key = held, held.key
        if self.marks is not None and not self._in_turn:
            self.marks.opened(effect.name)
        self._under_way[effect] = None
        before = None if key is None else self._by_key.get(key)
        if before is not None and key is not None:
            busy = effect.command.busy if type(effect.command) is Call else "replace"
            if busy == "skip":
                self._cancel(effect)
                return Outcome.UNDER_WAY  # its group, if it has one, has heard of it
            if busy == "queue":
                self._behind.setdefault(key, deque()).append(effect)
                return Outcome.UNDER_WAY
            self._cancel_key(key)
        self._take_off(effect)
        return Outcome.UNDER_WAY

    def _take_off(self, effect: Effect) -> None:
        """Begin the command, or have it wait for room."""
        if effect.key is not None:
            self._by_key[effect.key] = effect
        command = effect.command
        if type(command) is After:
            self._launch(effect)
        elif len(self._running) >= self._at_once:
            self._waiting[effect] = None
        else:
            self._start(effect)

    def _start(self, effect: Effect) -> None:
        self._running[effect] = None
        self._launch(effect)

    def _launch(self, effect: Effect) -> None:
        """Set the timer, or begin the task or thread."""
        raise NotImplementedError

    def stir(self) -> None:
        """Have the feed look up from its messages."""
        raise NotImplementedError

    # ------------------------------------------------------------------ ending

    def _end(self, effect: Effect, outcome: Outcome, sent: list[Any]) -> None:
        """Take the effect off the board, let those that have waited for it begin, and go on with what it is a part of."""
        self._remove(effect)
        self._tell_group(effect.group, outcome, sent)

    def _remove(self, effect: Effect) -> None:
        effect.over = True
        self._under_way.pop(effect, None)
        self._waiting.pop(effect, None)
        self._ended.append(effect.name)
        for timer in effect.timers:
            timer.cancel()
        if effect in self._running:
            del self._running[effect]
            self._start_waiting()
        key = effect.key
        if key is not None and self._by_key.get(key) is effect:
            del self._by_key[key]
            self._take_next(key)

    def _take_next(self, key: Hashable) -> None:
        """Begin what waits for the key."""
        behind = self._behind.pop(key, None)
        while behind:
            following = behind.popleft()
            if not following.over:
                if behind:
                    self._behind[key] = behind
                self._take_off(following)
                return

    def _start_waiting(self) -> None:
        while self._waiting and len(self._running) < self._at_once:
            effect, _ = self._waiting.popitem(last=False)
            if not effect.over:
                self._start(effect)

    def _tell_group(self, group: Group | None, outcome: Outcome, sent: list[Any]) -> None:
        """Go on with the sequence or the `all` of which a part has ended."""
        while group is not None:
            if group.in_order:
                if outcome is Outcome.DONE:
                    outcome = self._go_on(group, sent)
            else:
                group.open -= 1
                if outcome is Outcome.FAILED:
                    self._fail(group)
                outcome = group.outcome() if group.begun and not group.open else Outcome.UNDER_WAY
                if group.failed and outcome is not Outcome.UNDER_WAY:
                    self._ended.append(group.mark)
            if outcome is Outcome.UNDER_WAY:
                return
            group = group.parent

    def _fail(self, group: Group) -> None:
        super()._fail(group)
        if self.marks is not None:
            self.marks.opened(group.mark)

    def _cancel(self, effect: Effect) -> None:
        """End a effect, from which nothing is heard any more."""
        if not effect.over:
            self._cancel_for_good(effect)

    def _cancel_for_good(self, effect: Effect) -> None:
        stop = effect.stop
        forget_coroutine(effect)
        self._end(effect, Outcome.FAILED, [])
        if stop is not None:
            stop()

    def _cancel_key(self, key: Hashable) -> None:
        behind = self._behind.pop(key, ())
        for effect in (*behind, *filter(None, [self._by_key.get(key)])):
            self._cancel(effect)

    def _cancel_all(self, what: Cancelling) -> None:
        if what.key is not None:
            self._cancel_key(what.key)
            return
        inside = [effect for effect in self._under_way if effect.scope[: len(what.scope)] == what.scope]
        for effect in inside:
            effect.over = True  # all of them first, so that none begins in the place of another
        for effect in reversed(inside):
            self._cancel_for_good(effect)

    # ------------------------------------------------------------------ looking

    @property
    def count(self) -> int:
        """How many commands are under way or wait to be; the end of a run waits for them."""
        return len(self._under_way)

    @property
    def is_full(self) -> bool:
        """Whether commands wait for others to end."""
        return bool(self._waiting)

    def begun(self) -> list[Effect]:
        """Return what is under way and was begun, in order."""
        behind = {*self._waiting, *(effect for behind in self._behind.values() for effect in behind)}
        return [effect for effect in self._under_way if effect not in behind]


def marks_of(group: Group | None) -> list[str]:
    """Return the marks of what a command is a part of."""
    marks = []
    while group is not None:
        marks.append(group.mark)
        group = group.parent
    return marks


def forget_coroutine(effect: Effect) -> None:
    """Close the coroutine of a call that will not be awaited."""
    coroutine, effect.coroutine = effect.coroutine, None
    if hasattr(coroutine, "close"):
        coroutine.close()
