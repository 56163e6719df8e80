"""Subscriptions: the inputs that a program wants while its model is as it is, as values.

`subscriptions(model)` returns them. After each turn the runtime compares keys: what is new is started, what is gone is ended, and what
stays goes on. After a restart they start again from the restored model, and a replay starts none: `runtime/subscriptions` does this.

A program with thousands of entities gives the mapping that holds them to `Sub.each`: an entry whose value is the same object as in the
turn before is not looked at again, and 10,000 of them, of which one changes, cost a turn less than a millisecond. The very same
subscription in the same place is not looked at again either, so values that are kept, in the model or a cache, cost as little.

>>> Sub.every(1.0, "tick", key="clock")
Every(seconds=1.0, message='tick', key='clock', scope=())
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeAlias, TypeVar, overload

from go_state.core.commands import slots_of
from go_state.core.errors import ProgramError
from go_state.core.naming import number_or_kind

Msg = TypeVar("Msg", covariant=True)
Child = TypeVar("Child")
Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)
Entity = TypeVar("Entity")
Sent = TypeVar("Sent")

Scope: TypeAlias = tuple[tuple[Any, ...], ...]  # functions and values of any kind
"""The wrappers around a child's messages, the outermost first: `(wrap, *leading)` for each `map`."""


class Sub(Generic[Msg]):
    """A subscription whose messages are `Msg`; made by the functions below.

    Two with one key are the same: what is running is not started again, although its message may be another by now. If no `key` is
    given it is made of the other arguments, which then have to be hashable.
    """

    __slots__ = ()

    @overload
    @staticmethod
    def every(seconds: float, message: Callable[[], Sent], *, key: Hashable = None) -> Sub[Sent]: ...
    @overload
    @staticmethod
    def every(seconds: float, message: Sent, *, key: Hashable = None) -> Sub[Sent]: ...
    @staticmethod
    def every(seconds: float, message: object, *, key: Hashable = None) -> Sub[object]:
        """Send the message, or what the function makes, every `seconds`. A beat that is too late is left out, and so is one that
        comes while the one before still waits in the queue. Raises `ProgramError` for a number that is not greater than 0.
        """
        if type(seconds) not in (int, float) or not 0 < seconds < float("inf"):
            raise ProgramError(f"the time of Sub.every is a number of seconds greater than 0, not {number_or_kind(seconds)}")
        every: Every[object] = _new_every()
        _set_seconds(every, seconds)
        _set_message(every, message)
        _set_key(every, _key(("every", seconds, message) if key is None else key))
        _set_scope(every, ())
        return every

    @overload
    @staticmethod
    def at(when: float, message: Callable[[], Sent], *, key: Hashable = None) -> Sub[Sent]: ...
    @overload
    @staticmethod
    def at(when: float, message: Sent, *, key: Hashable = None) -> Sub[Sent]: ...
    @staticmethod
    def at(when: float, message: object, *, key: Hashable = None) -> Sub[object]:
        """Send the message, or what the function makes, once at the time `when`, in seconds since 1970 (UTC), or at once if that is
        over. The system's clock counts: if it is set back meanwhile the message waits for its time, and if it is set forward, or went
        on while the machine slept, the run notices when its wait next ends. Raises `ProgramError` for a `when` that is no number.
        """
        if type(when) not in (int, float) or when != when:
            raise ProgramError(
                f"the time of Sub.at is a number of seconds since 1970, such as turn.at + 60, not {number_or_kind(when)}"
            )
        at: At[object] = _new_at()
        _set_when(at, when)
        _set_at_message(at, message)
        _set_at_key(at, _key(("at", when, message) if key is None else key))
        _set_at_scope(at, ())
        return at

    @overload
    @staticmethod
    def stream(
        fn: Callable[..., AsyncIterator[Item]], *args: object, ok: Callable[[Item], Sent | None], key: Hashable = None
    ) -> Sub[Sent]: ...
    @overload
    @staticmethod
    def stream(fn: Callable[..., AsyncIterator[Sent]], *args: object, key: Hashable = None) -> Sub[Sent]: ...
    @staticmethod
    def stream(
        fn: Callable[..., AsyncIterator[Item]], *args: object, ok: Callable[[Item], object] | None = None, key: Hashable = None
    ) -> Sub[object]:
        """Send what the async generator `fn(*args)` gives, each item as it is or as `ok` makes it. It is closed when the subscription
        ends; when it ends by itself it is not begun again, and an exception of it is for `on_error` to decide.
        """
        if not callable(fn):
            raise ProgramError(
                f"Sub.stream takes an async generator function, and its arguments after it, not a {type(fn).__qualname__}"
            )
        return Stream(fn, args, ok, _key(("stream", fn, args) if key is None else key))

    @overload
    @staticmethod
    def signal(number: int, message: Callable[[], Sent], *, key: Hashable = None) -> Sub[Sent]: ...
    @overload
    @staticmethod
    def signal(number: int, message: Sent, *, key: Hashable = None) -> Sub[Sent]: ...
    @staticmethod
    def signal(number: int, message: object, *, key: Hashable = None) -> Sub[object]:
        """Send the message whenever the process gets the signal of this `number`, such as `signal.SIGTERM`, in the place of
        what Python does then.

        The program has to run in the main thread, the only one in which Python handles signals.
        """
        _check_signal(number)
        return Signal(number, message, ("signal", int(number)) if key is None else _key(key))

    @staticmethod
    def each(
        mapping: Mapping[Key, Entity], fn: Callable[[Key, Entity], Sub[Sent] | None], *, key: Hashable = None
    ) -> Sub[Sent]:
        """Want `fn(key, value)`, a subscription or None, for each entry of a mapping: a dict or a persistent map of the model.

        `fn` is called for an entry that is new, or whose value is another object than after the turn before; the others are not
        looked at, so what it returns depends on its two arguments alone. Each entry has its own subscription, whatever the key of that.
        Two with one function and no `key` of their own are the same, which raises `ProgramError`.

        >>> Sub.each({"ann": 60.0}, lambda name, due: Sub.at(due, name)).key[0]
        'each'
        """
        if not isinstance(mapping, Mapping):
            raise ProgramError(f"Sub.each takes a mapping, such as a dict of the model, not a {type(mapping).__qualname__}")
        if not callable(fn):
            raise ProgramError(f"Sub.each takes a function of a key and a value, not a {type(fn).__qualname__}")
        return Each(mapping, fn, _key(("each", getattr(fn, "__code__", fn)) if key is None else key))

    @staticmethod
    def map(subs: Iterable[Sub[Child]] | None, wrap: Callable[..., Sent], *leading: object) -> list[Sub[Sent]]:
        """Make a child's subscriptions `subs` the parent's: each message `m` becomes `wrap(*leading, m)`, and keys are the
        child's own.
        """
        around = (wrap, *leading)
        _key(around)
        return [replace(sub, scope=(around, *sub.scope)) for sub in checked_subscriptions(subs)]


@dataclass(frozen=True, slots=True)
class Every(Sub[Msg]):
    """A message at every beat of a clock."""

    seconds: float
    message: object  # a message, or a function that makes one
    key: Hashable
    scope: Scope = ()


@dataclass(frozen=True, slots=True)
class At(Sub[Msg]):
    """A message at a time."""

    when: float
    message: object
    key: Hashable
    scope: Scope = ()


@dataclass(frozen=True, slots=True)
class Stream(Sub[Msg]):
    """What an async generator gives."""

    fn: Callable[..., AsyncIterator[object]]
    args: tuple[object, ...]
    ok: Callable[..., object] | None
    key: Hashable
    scope: Scope = ()


@dataclass(frozen=True, slots=True)
class Signal(Sub[Msg]):
    """A message at each signal."""

    number: int
    message: object
    key: Hashable
    scope: Scope = ()


@dataclass(frozen=True, slots=True)
class Each(Sub[Msg]):
    """A subscription for each entry of a mapping."""

    mapping: Mapping[Any, Any] = field(repr=False)  # Any, here and below: of the program's own classes
    fn: Callable[[Any, Any], object]
    key: Hashable
    scope: Scope = ()


_new_every, (_set_seconds, _set_message, _set_key, _set_scope) = slots_of(Every)
_new_at, (_set_when, _set_at_message, _set_at_key, _set_at_scope) = slots_of(At)


def checked_subscriptions(subs: object) -> list[Any]:  # of the kinds above, of any messages
    """Return the subscriptions, `None` left out, or raise a `ProgramError` that says how they are written."""
    if subs is None:
        return []
    if isinstance(subs, Sub) or not isinstance(subs, Iterable):
        raise ProgramError(
            f"subscriptions(model) returns a list of gs.Sub, such as [gs.Sub.every(1.0, Tick())], not a {type(subs).__qualname__}"
        )
    checked = [sub for sub in subs if sub is not None]
    for sub in checked:
        if not isinstance(sub, (Every, At, Stream, Signal, Each)):
            raise ProgramError(f"a {type(sub).__qualname__} is among the subscriptions: they are made by gs.Sub")
    return checked


def checked_entry(sub: Any, scope: Scope) -> Any:  # of the kinds above, of any messages
    """Return what the function of `Sub.each` has made of an entry, in the scope of that; `ProgramError` if it is something else."""
    if sub is None or isinstance(sub, (Every, At, Stream, Signal)):
        return sub if sub is None or not scope else replace(sub, scope=(*scope, *sub.scope))
    raise ProgramError(
        f"the function of Sub.each returns one subscription, such as gs.Sub.at(when, Due(key)), or None, not a {type(sub).__qualname__}"
    )


def _check_signal(number: object) -> None:
    """Raise `ProgramError` unless it is a signal that a process can handle."""
    if not isinstance(number, int) or isinstance(number, bool):
        raise ProgramError(f"Sub.signal takes the number of a signal, such as signal.SIGTERM, not {number!r}")
    import signal  # here: few programs subscribe to one

    unheard = {getattr(signal, name, None) for name in ("SIGKILL", "SIGSTOP")}
    if number not in signal.valid_signals() or number in unheard:
        raise ProgramError(
            f"Sub.signal takes a signal that a process can handle, such as signal.SIGTERM, not {number!r}: the system has no such "
            f"signal, or lets nobody handle it, as SIGKILL and SIGSTOP"
        )


def _key(key: Hashable) -> Hashable:
    try:
        hash(key)
    except TypeError:
        raise ProgramError(
            "a subscription is known by its key, a value that can be hashed: give it one by key=, such as a string"
        ) from None
    return key
