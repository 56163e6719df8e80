"""The running subscriptions: after each turn that made another model, what is new is begun and what is gone is ended."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

from go_state.core.commands import name_of
from go_state.core.errors import ProgramError
from go_state.core.subscriptions import At, Each, Every, Signal, Stream, Sub, checked_entry, checked_subscriptions
from go_state.runtime.effects.endings import Delivery, Trouble
from go_state.runtime.effects.inbox import Input
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.effects.place import wrapped
from go_state.runtime.raised import as_failure
from go_state.runtime.subscriptions.comparing import different, different_entries, goes_on
from go_state.runtime.subscriptions.running import Asked, Broken, Produced, Running
from go_state.runtime.subscriptions.signals import Signals
from go_state.runtime.subscriptions.streams import Streams
from go_state.runtime.subscriptions.timed import Timed

Model = TypeVar("Model")
Msg = TypeVar("Msg")
Wanted: TypeAlias = Asked | Each[object] | None  # what a program may return among others


class Subscribed(Generic[Model, Msg]):
    """The subscriptions of one run."""

    def __init__(self, subscriptions: Callable[[Model], Iterable[Sub[Msg]] | None], manager: EffectManager) -> None:
        self.timed = Timed(manager)  #: those that a clock makes speak
        self._subscriptions = subscriptions
        self._manager = manager
        self._streams = Streams(manager)
        self._signals = Signals(manager)
        self._running: dict[Hashable, Running] = {}  # an entry of an `Each` as well, under the key of that and its own
        self._each: dict[Hashable, Each[object]] = {}  # as the newest model has them
        self._asked: Sequence[Wanted] = ()  # what the newest model has asked for, as it was: compared by identity
        self._model: object = self  # no model of anybody's
        self._ended = False
        self._waits: Callable[[], bool] | None = None  # whether nothing is to begin yet
        manager.connect_inputs(self)

    def wait_while(self, waits: Callable[[], bool]) -> None:
        """Begin nothing as long as the function returns true: a run goes on from where it was, and the newest model is still to come."""
        self._waits = waits

    @property
    def is_waiting(self) -> bool:
        """Whether nothing is begun yet."""
        return self._waits is not None

    def committed(self, model: Model) -> None:
        """Begin and end what another model than the last asks for."""
        if model is not self._model:
            self.follow(model)

    def follow(self, model: Model) -> None:
        """Begin and end what the model asks for.

        What it asks for is compared with what the model before it has asked for, first by identity: of subscriptions that a program
        keeps, in its model or a cache, only those are looked at whose place is taken by another.
        """
        if self._waits is not None:
            if self._waits():
                return
            self._waits = None
        self._model = model
        if self._ended:
            return
        wanted = self._subscriptions(model)
        asked = wanted if type(wanted) is tuple else list(in_any_order(wanted))
        before, now = different(self._asked, asked)
        if before or now:
            before, now = self._renew(before, now)
            if before or now:
                self._change(before, checked_subscriptions(now))
                self._manager.inbox.look()
                self._manager.inbox.wake()
        self._asked = asked
        self.timed.resume(_NONE)  # what begins later begins anew

    def _renew(self, before: Sequence[Wanted], now: Sequence[Wanted]) -> tuple[list[Wanted], list[Wanted]]:
        """Keep running what an equal one is in the place of, made anew, as most programs make all of them in each turn; return the
        others. Of an `Each` only the entries are looked at that are different.
        """
        others: tuple[list[Wanted], list[Wanted]] = [*before[len(now) :]], [*now[len(before) :]]
        for old, new in zip(before, now, strict=False):
            kept = isinstance(new, (Every, At, Each)) and isinstance(old, (Every, At, Each))
            if kept and new and old and old.key == new.key and old.scope == new.scope and goes_on(old, new):
                if isinstance(new, Each):
                    self._follow_each(new)
                else:
                    self._running[(new.scope, new.key)].sub = new
                continue
            others[0].append(old)
            others[1].append(new)
        return others

    def _change(self, before: Sequence[Wanted], now: Sequence[Asked | Each[object]]) -> None:
        """Begin and end what is different between two parts of what two models have asked for."""
        gone = {(sub.scope, sub.key): sub for sub in before if sub is not None}
        wanted: dict[Hashable, Asked | Each[object]] = {}
        for sub in now:
            key: Hashable = (sub.scope, sub.key)
            if key in wanted or ((key in self._running or key in self._each) and key not in gone):
                raise ProgramError(f"two subscriptions have the key {sub.key!r}: give each its own")
            wanted[key] = sub
        for key, old in gone.items():
            new = wanted.get(key)
            if isinstance(old, Each) and not (isinstance(new, Each) and goes_on(old, new)):
                self._end_each(key)
            elif not isinstance(old, Each) and (new is None or not goes_on(old, new)):
                self._end_one(key)
        for key, sub in wanted.items():
            if isinstance(sub, Each):
                self._follow_each(sub)
            else:
                self._follow_one(key, sub)

    # ------------------------------------------------------------------ one of them, and the entries of an Each

    def _follow_one(self, key: Hashable, sub: Asked) -> None:
        """Begin it, or let it go on if only its message is another."""
        running = self._running.get(key)
        if running is not None:
            if running.sub is sub or goes_on(running.sub, sub):
                running.sub = sub
                return
            self._end(running)
        self._running[key] = begun = Running(sub)
        self._begin(begun)

    def _end_one(self, key: Hashable) -> None:
        if (running := self._running.pop(key, None)) is not None:
            self._end(running)

    def _follow_each(self, now: Each[object]) -> None:
        """Begin and end the subscriptions of the entries that are not those of the model before."""
        key: Hashable = (now.scope, now.key)
        before = self._each.get(key)
        gone, changed = different_entries({} if before is None else before.mapping, now.mapping)
        for entry in gone:
            self._end_one((key, entry))
        mapping, fn, scope = now.mapping, now.fn, now.scope
        for entry in changed:
            sub = checked_entry(fn(entry, mapping[entry]), scope)
            if sub is None:
                self._end_one((key, entry))
            else:
                self._follow_one((key, entry), sub)
        self._each[key] = now  # at the end: what fails is not counted as done
        if gone or changed:
            self._manager.inbox.look()
            self._manager.inbox.wake()

    def _end_each(self, key: Hashable) -> None:
        for entry in self._each.pop(key).mapping:
            self._end_one((key, entry))

    # ------------------------------------------------------------------ looking

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._running)

    @property
    def may_rest(self) -> bool:
        """Whether all of them are timers, which a program at rest keeps in its store."""
        return all(type(running.sub) in (Every, At) for running in self._running.values())

    def running(self) -> tuple[Asked, ...]:
        """Return those that are running."""
        return tuple(running.sub for running in self._running.values())

    def streams(self) -> list[tuple[Running, Stream[object]]]:
        """Return the streams that are running."""
        return [(running, running.sub) for running in self._running.values() if isinstance(running.sub, Stream)]

    def listening(self, number: object) -> list[Running]:
        """Return those that listen for the signal."""
        return [running for running in self._running.values() if type(running.sub) is Signal and running.sub.number == number]

    # ------------------------------------------------------------------ beginning and ending

    def rest(self) -> None:
        """Send nothing more: streams and signals end, and what comes due from now on is missed, for the next life to send."""
        if self.timed.is_resting:
            return
        self.timed.is_resting = True
        for running in self._running.values():
            if type(running.sub) not in (Every, At):
                self._end(running)

    def end(self) -> None:
        """End them all, for good."""
        self._ended = True
        for running in self._running.values():
            self._end(running)
        self._running.clear()
        self._each.clear()

    def _begin(self, running: Running) -> None:
        if self._manager.observation is not None:
            self._manager.observation.subscription_started(running.sub)
        match running.sub:
            case Every() | At():
                self.timed.begin(running)
            case Stream() if not self.timed.is_resting:
                self._streams.begin(running)
            case Signal() if not self.timed.is_resting:
                self._signals.begin(running)

    def _end(self, running: Running) -> None:
        """End one: what it still produces is ignored."""
        if self._manager.observation is not None and not running.over:
            self._manager.observation.subscription_ended(running.sub)
        running.over = True
        match running.sub:
            case Every() | At():
                self.timed.end(running)
            case Stream():
                self._streams.end(running)
            case Signal():
                self._signals.end(running)

    # ------------------------------------------------------------------ what they produce

    def deliver(self, arrival: Input) -> Delivery:
        """Return what an arrival of a subscription sends."""
        if isinstance(arrival, Broken):
            return self._deliver_failure(arrival)
        assert isinstance(arrival, Produced)
        running, item = arrival
        if running.room is not None:
            self._manager.credits.append(running.room.release)
        if running.over:
            return Delivery()
        sub = running.sub
        if type(sub) is Every:
            running.beat = self._manager.taken() + self._manager.backlog() + 1
        try:
            message = _message(sub, item)
            return Delivery() if message is None else Delivery((wrapped(message, sub.scope),))
        except BaseException as error:
            return Delivery((), Trouble(error, arrival.origin))

    @staticmethod
    def _deliver_failure(arrival: Broken) -> Delivery:
        sub = arrival.running.sub
        failure = as_failure(arrival.error, f"the stream {name_of(sub.fn) if isinstance(sub, Stream) else sub}")
        if arrival.running.over and isinstance(failure, Exception):
            return Delivery()
        return Delivery((), Trouble(failure, arrival.origin))


_NONE: dict[float, float] = {}


def _message(sub: Asked, item: object) -> object:
    """Return what a subscription sends."""
    if isinstance(sub, Stream):
        return item if sub.ok is None else sub.ok(item)
    return sub.message() if callable(sub.message) else sub.message


def in_any_order(wanted: object) -> Iterable[Any]:
    """Return what a program has asked for as an iterable, or raise `ProgramError`."""
    return wanted if type(wanted) is list else checked_subscriptions(wanted)


def subscribed(
    subscriptions: Callable[[Model], Iterable[Sub[Msg]] | None] | None, manager: EffectManager
) -> Subscribed[Model, Msg] | None:
    """Return the subscriptions of a run; None for a program that has none."""
    return None if subscriptions is None else Subscribed(subscriptions, manager)
