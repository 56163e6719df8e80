"""The effects of a run, and the scheduler of these: which of them run, which wait for their key or for room, and what comes next.

It launches and stops nothing itself: whoever calls carries out the `Orders` that it returns, and tells it what has ended. All of it
happens in the run's own thread or task.

begin ──▶ (key taken? queued behind it) ──▶ (no room? waiting) ──▶ launch ──▶ end ──▶ launch the next of its key, the next of those waiting
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from go_state.core.commands import After, Call
from go_state.core.subscriptions import Scope
from go_state.runtime.effects.place import Group, Messages, Origin, Path, is_in, keyed, wrapped, written
from go_state.system.timers import Timer

if TYPE_CHECKING:
    from go_state.observe.observer import Tracer


class Effect:
    """One call or timer that goes on after its turn, or waits to be started. A timer lies in the heap of timers itself."""

    __slots__ = (
        "action", "carried", "command", "coroutine", "due", "group", "key", "origin", "over", "parked", "path", "run", "scope", "since",
        "timer", "tries", "try_timer",
    )  # fmt: skip
    due: float
    # By tracers, with its messages; not there without them: see `runtime/observing/commands.py`.
    carried: tuple[tuple[Tracer, object], ...]
    is_turn = False  # it is something that its run waits for, see `runtime/inside.py`, but not a turn
    when = None  # it is not set by the time of day

    def __init__(
        self,
        command: Call[object] | After[object],
        scope: Scope,
        group: Group | None,
        path: Path,
        origin: Origin,
        coroutine: object = None,
    ) -> None:
        self.command = command
        self.scope = scope
        self.group = group
        self.path = path
        self.origin = origin
        key = command.parts[4].key if type(command) is Call else command.key
        self.key: Hashable = None if key is None else keyed(scope, key)
        self.coroutine = coroutine  # of a function that was called in the turn and returned something to await
        self.over = False  # it has ended, or was cancelled: what it still brings is ignored
        self.parked = False  # it waits for its next try
        self.run: object = None  # what runs its function, while that has not returned
        self.tries = 0  # how many of its tries have failed
        self.since: float | None = None  # when it was launched, or has begun to wait, of the monotonic clock
        self.action: Callable[..., object] | None = (
            None  # of a timer that is set: what happens at `due`, of the monotonic clock
        )
        self.timer: Timer | None = None  # of its timeout
        self.try_timer: Timer | None = None  # of the wait for its next try

    @property
    def next_due(self) -> float | None:
        """When its timer is due, or that of its timeout; None if none is set."""
        if self.action is not None:
            return self.due
        return None if self.timer is None else self.timer.due

    def cancel_timeout(self) -> None:
        """Cancel its timeout, and the wait for its next try."""
        if self.timer is not None:
            self.timer.cancel()
        if self.try_timer is not None:
            self.try_timer.cancel()

    def is_of(self, run: object) -> bool:
        """Return whether its function is running for the run, and the calling code so a part of that."""
        return self.run is run

    @property
    def name(self) -> str:
        """Its effect id."""
        return f"{self.origin.name}/{written(self.path)}"

    @property
    def call(self) -> Call[object]:
        """Its command, when it is a call."""
        assert isinstance(self.command, Call)
        return self.command

    def messages_of(self, result: object) -> Messages:
        """Return the messages that it sends when it is done; raises what its `ok=` raises."""
        command, scope = self.command, self.scope
        if isinstance(command, Call):
            _, _, ok, _, _ = command.parts
            message = result if ok is None else ok(result)
            if message is None:
                return ()
            return (wrapped(message, scope) if scope else message,)
        messages = command.messages
        if not scope and len(messages) == 1 and messages[0] is not None:
            return messages
        return [wrapped(each, scope) for each in messages if each is not None]

    def close_coroutine(self) -> None:
        """Close the coroutine of a call that will not be awaited."""
        coroutine, self.coroutine = self.coroutine, None
        close = getattr(coroutine, "close", None)
        if close is not None:
            close()

    def __repr__(self) -> str:
        return f"<Effect {self.name}: {self.command}>"


class Cancelling(NamedTuple):
    """The end of the command with a key, or, if the key is None, of all in a scope."""

    scope: Scope
    key: Hashable


class Later(NamedTuple):
    """A timer that is a part of nothing and has no key, in a run whose effects nobody asks for: it becomes an effect if it has to.

    An effect takes 160 bytes and a place in two tables: of 100,000 timers each took 4.0 us for its objects alone, half of it in the
    garbage collector, and takes 1.9 so. Tried and dropped: an effect with half the slots (3.7), and a heap of pairs of numbers with
    the effects in a dict beside it (3.5).
    """

    command: After[object]
    number: int  # in its turn
    origin: Origin


later: Final[Callable[[tuple[After[object], int, Origin]], Later]] = partial(tuple.__new__, Later)
"""Make a `Later` of its fields, in half the time that a call of the class takes."""

Step: TypeAlias = Effect | Later | Cancelling
"""What a turn's commands begin or end, once the turn is committed."""


class Orders(NamedTuple):
    """What is to be done now: effects that were cancelled, to stop, and then effects to launch, each in order."""

    stop: Sequence[Effect] = ()
    launch: Sequence[Effect] = ()


_NOTHING = Orders()


class Scheduler:
    """The effects of one run. At most `at_once` calls run at a time; timers take no room."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._effects: dict[Effect, None] = {}  # in the order of their beginning, those that wait included
        self._in_child: dict[Hashable, dict[Effect, None]] = {}  # those with a scope, by its outermost part, in the same order
        self.laters = 0  #: how many timers were begun that are no effects yet
        self._by_key: dict[Hashable, Effect] = {}
        self._behind: dict[Hashable, deque[Effect]] = {}  # what waits for the end of the one with its key
        self.launched: dict[Effect, None] = {}  #: calls that a task or thread has; always the same dict
        self._waiting: OrderedDict[Effect, None] = OrderedDict()  # calls that wait for room

    # ------------------------------------------------------------------ asked by the interpreter

    def is_taken(self, key: Hashable) -> bool:
        """Return whether an effect with the key is running, or waits to be started."""
        return key in self._by_key

    def keys_in(self, scope: Scope) -> Iterable[Hashable]:
        """Return the keys of a scope that are taken."""
        keys = (effect.key for effect in self._in_scope(scope))
        return [key for key in keys if key is not None and is_in(key, scope)]

    # ------------------------------------------------------------------ beginning and ending

    def begin(self, step: Effect | Cancelling) -> Orders:
        """Begin an effect, or cancel what the step names."""
        if isinstance(step, Cancelling):
            return self._cancel(step)
        key = step.key
        if key is None:
            return Orders((), (step,)) if self.admit(step) else _NOTHING
        self._effects[step] = None
        if step.scope:
            self._enter_child(step)
        stop: Sequence[Effect] = ()
        launch: list[Effect] = []
        if key in self._by_key:
            busy = step.command.how.busy if isinstance(step.command, Call) else "replace"
            if busy == "skip":
                return Orders((step,), self.end(step))
            if busy == "queue":
                self._behind.setdefault(key, deque()).append(step)
                return _NOTHING
            stop = self._of_key(key)
            launch = self._end_all(stop)
        self._take_key(step, launch)
        return Orders(stop, launch)

    def admit(self, effect: Effect) -> bool:
        """Begin an effect that no key stands in the way of; return whether it is to be launched now: if not, it waits for room."""
        self._effects[effect] = None
        if effect.scope:
            self._enter_child(effect)
        if type(effect.command) is Call:
            if len(self.launched) >= self._at_once:
                self._waiting[effect] = None
                return False
            self.launched[effect] = None
        return True

    def adopt(self, timer: object) -> Effect:
        """Make an effect of a timer that was begun and is none yet."""
        assert isinstance(timer, Later)  # nothing else lies in the heap of timers as it does
        effect = Effect(timer.command, (), None, (timer.number,), timer.origin)
        self._effects[effect] = None
        self.laters -= 1
        return effect

    def end(self, effect: Effect) -> Sequence[Effect]:
        """Take an effect that has ended, or was cancelled, out; return what is to be launched in its place."""
        effect.over = True
        self._effects.pop(effect, None)
        if effect.scope:
            self._leave_child(effect)
        was_launched = self.launched.pop(effect, effect) is None
        if not self._waiting and effect.key is None:  # as of most
            return ()
        launch: list[Effect] = []
        if was_launched:
            self._fill_room(launch)
        else:
            self._waiting.pop(effect, None)
        key = effect.key
        if key is not None and self._by_key.get(key) is effect:
            del self._by_key[key]
            self._launch_next(key, launch)
        return launch

    def end_everything(self) -> list[Effect]:
        """Take all effects out, and return them, in the order of their beginning."""
        effects = list(self._effects)
        for effect in effects:
            effect.over = True
        for kept in (self._effects, self._in_child, self._by_key, self._behind, self.launched, self._waiting):
            kept.clear()
        return effects

    def _take_key(self, effect: Effect, launch: list[Effect]) -> None:
        self._by_key[effect.key] = effect
        if self.admit(effect):
            launch.append(effect)

    def _launch_next(self, key: Hashable, launch: list[Effect]) -> None:
        """Launch what waits for the key."""
        behind = self._behind.pop(key, None)
        while behind:
            following = behind.popleft()
            if not following.over:
                if behind:
                    self._behind[key] = behind
                self._take_key(following, launch)
                return

    def _fill_room(self, launch: list[Effect]) -> None:
        while self._waiting and len(self.launched) < self._at_once:
            effect, _ = self._waiting.popitem(last=False)
            if not effect.over:
                self.launched[effect] = None
                launch.append(effect)

    # ------------------------------------------------------------------ cancelling

    def _cancel(self, what: Cancelling) -> Orders:
        if what.key is not None:
            stop = self._of_key(what.key)
        else:
            stop = self._in_scope(what.scope)
            for effect in stop:
                effect.over = True  # all of them first, so that none begins in the place of another
            stop.reverse()
        return Orders(stop, self._end_all(stop))

    def _in_scope(self, scope: Scope) -> list[Effect]:
        """Return the effects of a scope, in the order of their beginning."""
        child = _child_of(scope)
        some = self._effects if child is None else self._in_child.get(child, ())
        return [effect for effect in some if effect.scope[: len(scope)] == scope]

    def _enter_child(self, effect: Effect) -> None:
        self._in_child.setdefault(_child_of(effect.scope), {})[effect] = None

    def _leave_child(self, effect: Effect) -> None:
        child = _child_of(effect.scope)
        effects = self._in_child.get(child, {})
        effects.pop(effect, None)
        if not effects:
            self._in_child.pop(child, None)

    def _of_key(self, key: Hashable) -> list[Effect]:
        """Return the effects of a key, those queued behind the one that has it first; nothing is queued any more."""
        found = [*self._behind.pop(key, ())]
        if key in self._by_key:
            found.append(self._by_key[key])
        return [effect for effect in found if not effect.over]

    def _end_all(self, effects: Sequence[Effect]) -> list[Effect]:
        launch: list[Effect] = []
        for effect in effects:
            launch += self.end(effect)
        return launch

    # ------------------------------------------------------------------ looking

    @property
    def count(self) -> int:
        """How many effects run or wait to; the end of a run waits for them."""
        return len(self._effects) + self.laters

    @property
    def is_full(self) -> bool:
        """Whether calls wait for room."""
        return bool(self._waiting)

    def is_busy(self) -> bool:
        """Return, also to other threads, whether a call is running and does not wait for its next try."""
        return bool(self.launched) and any(not effect.parked for effect in tuple(self.launched))

    def everything(self) -> list[Effect]:
        """Return, also to other threads, the effects in the order of their beginning, those that wait included."""
        return list(self._effects)  # in one step of CPython: the run may begin and end some at any time

    def is_launched(self, effect: Effect) -> bool:
        """Return, also to other threads, whether the call runs in a task or thread."""
        return effect in self.launched

    def waiting(self) -> list[Effect]:
        """Return the calls that wait for room, in order."""
        return list(self._waiting)

    def begun(self) -> list[Effect]:
        """Return the effects that were launched, in the order of their beginning."""
        behind = {*self._waiting, *(effect for behind in self._behind.values() for effect in behind)}
        return [effect for effect in self._effects if effect not in behind]


def _child_of(scope: Scope) -> Hashable:
    """Return the outermost child of a scope; None of the whole program, and of a child whose name cannot be hashed."""
    try:
        hash(scope[:1])
    except TypeError:
        return None
    return scope[0] if scope else None
