"""Commands: what a program wants done, as values.

A turn returns commands beside its model. They are equal when they ask for the same, print what they ask for, and do nothing by
themselves: `runtime.effects` performs them. A bare callable without arguments is a command too, and `None` is none.

    in the turn       send, reply, calls of plain functions, and what `seq` and `all` hold of these
    after the commit  calls of coroutine functions and with `thread=True`, `after`; of a `seq` all that follows one of these

>>> Cmd.send("tick")
Send(messages=('tick',))
>>> Cmd.call(len, "four", ok=str)
Call(len, 'four', ok=str)
>>> Cmd.map([Cmd.send("tick"), None], dict.fromkeys)
[Map(command=Send(messages=('tick',)), wrap=<built-in method fromkeys of type object at 0x...>, leading=()), None]
"""

# A type variable with a default is solved if its argument is left out, whatever this rule says.
# pyright: reportInvalidTypeVarUse=false

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Never, TypeAlias, TypeVar, Union, Unpack, overload

from go_state.core.call_options import FOREVER, PLAIN, CallOptions, How, call_options, check_seconds, checked_key
from go_state.core.errors import ProgramError

Msg = TypeVar("Msg", covariant=True)
Child = TypeVar("Child")
Result = TypeVar("Result")
Sent = TypeVar("Sent")
if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault  # type checkers know it, whether it is installed or not

    Erred = TypeVarWithDefault("Erred", default=Never)  # nothing, if no err= is given
else:
    Erred = TypeVar("Erred")


@dataclass(frozen=True, slots=True)
class Failure:
    """What a failed call says, as a value that a message can carry: the exception's class name and its text.

    A call that took longer than its `timeout` has the kind "TimedOut".
    """

    kind: str
    text: str


class Cmd(Generic[Msg]):
    """A command whose messages are `Msg`; made by the functions below, matched by the classes under them."""

    __slots__ = ()

    @staticmethod
    def send(*messages: Sent) -> Cmd[Sent]:
        """Send the messages, in order, to the program itself: they enter the queue after all that is already there."""
        send: Send[Sent] = _new_send()
        _set_messages(send, messages)
        return send

    @staticmethod
    def reply(value: object) -> Cmd[Any]:
        """Answer whoever sent this turn's message by `app.ask`, once the turn is committed; nobody, if it was not asked."""
        return Reply(value)

    # Four overloads: mypy infers nothing from a union of a coroutine function and a plain one.
    @overload
    @staticmethod
    def call(
        fn: Callable[..., Awaitable[Result]],
        *args: object,
        ok: Callable[[Result], Sent | None],
        err: Callable[[Failure], Erred | None] | None = ...,
        **how: Unpack[How],
    ) -> Cmd[Sent | Erred]: ...
    @overload
    @staticmethod
    def call(
        fn: Callable[..., Result],
        *args: object,
        ok: Callable[[Result], Sent | None],
        err: Callable[[Failure], Erred | None] | None = ...,
        **how: Unpack[How],
    ) -> Cmd[Sent | Erred]: ...
    @overload
    @staticmethod
    def call(
        fn: Callable[..., Awaitable[Sent | None]],
        *args: object,
        err: Callable[[Failure], Erred | None] | None = ...,
        **how: Unpack[How],
    ) -> Cmd[Sent | Erred]: ...
    @overload
    @staticmethod
    def call(
        fn: Callable[..., Sent | None],
        *args: object,
        err: Callable[[Failure], Erred | None] | None = ...,
        **how: Unpack[How],
    ) -> Cmd[Sent | Erred]: ...
    @staticmethod
    def call(
        fn: Callable[..., object],
        *args: object,
        ok: Callable[..., object] | None = None,
        err: Callable[[Failure], object] | None = None,
        **how: Unpack[How],
    ) -> Cmd[object]:
        """Call `fn(*args)`; `ok(result)` is the message, or without `ok` the result itself, and `None` is not a message.

        A plain function is called inside the turn; an exception of it rolls the turn back. A coroutine function is a task, and with
        `thread=True` a plain one runs in a thread: both begin after the commit, their message enters when they are done, and an
        exception is for `on_error` to decide. With `err` an exception is the message `err(Failure(kind, text))` instead.

        How it is performed is said by `how`: `key`, `busy`, `thread`, `timeout`, `retry`. Of the commands with one `key` one runs at a
        time, and `Cmd.cancel(key)` ends it; the next takes its place with `busy="replace"`, the default, waits for its end with "queue",
        and is left out with "skip". One that takes the place of the running one ends it at the commit, whether it succeeds or its
        failure becomes a message. In an aggregate with a model for each key all models share one run, and so the keys of commands.
        `timeout` is in seconds, for all tries of `retry`, a `Retry`, together. Raises `ProgramError` for what cannot be performed.
        """
        if not callable(fn):
            hint = "pass the function itself, and its arguments after it"
            raise ProgramError(f"fn of Cmd.call is a function, not a {type(fn).__qualname__}: {hint}")
        if not (ok is None or callable(ok)) or not (err is None or callable(err)):
            role, given = ("err", err) if ok is None or callable(ok) else ("ok", ok)
            raise ProgramError(f"{role} of Cmd.call is a function, not a {type(given).__qualname__}")
        call: Call[object] = _new_call()
        _set_parts(call, (fn, args, ok, err, call_options(**how) if how else PLAIN))
        return call

    @staticmethod
    def after(seconds: float, *messages: Sent, key: Hashable = None) -> Cmd[Sent]:
        """Send the messages when `seconds` have passed since the commit; another `after` with the key takes its place.

        It is forgotten when the process ends, and in a durable run begins anew: a long wait belongs in the model, for `Sub.at`.
        """
        if not (type(seconds) is float and 0.0 <= seconds < FOREVER):  # as most are
            check_seconds("the time of Cmd.after", seconds)
        after: After[Sent] = _new_after()
        _set_seconds(after, seconds)
        _set_later(after, messages)
        _set_after_key(after, key if key is None else checked_key(key))
        return after

    @staticmethod
    def cancel(key: Hashable = None) -> Cmd[Any]:
        """End the command with the key, also one that has not begun; without a key, all of the child that the command belongs to,
        as `Cmd.map` makes it, or of the whole program, with all the models of an aggregate. Nothing enters the queue from what was cancelled.
        """
        return Cancel(checked_key(key))

    @staticmethod
    def all(*commands: Command[Sent]) -> Cmd[Sent]:
        """Perform the commands side by side: it is done when all of them are, and has failed when one has."""
        return All(tuple(checked_commands(commands)))

    @staticmethod
    def seq(*commands: Command[Sent]) -> Cmd[Sent]:
        """Perform the commands one after the other, each when the one before is done and its message has entered; those that
        follow one that has failed, or was cancelled, are left out.
        """
        return Seq(tuple(checked_commands(commands)))

    @staticmethod
    def map(commands: Iterable[Command[Child]] | None, wrap: Callable[..., Sent], *leading: object) -> list[Command[Sent]]:
        """Make a child's commands the parent's: each message `m` becomes `wrap(*leading, m)`.

        The list has the length of the child's, `None` stays `None`, and a child that sends nothing still sends nothing. Raises
        `ProgramError` if `wrap` is no function, or the commands are none.
        """
        if not callable(wrap):
            raise ProgramError(f"Cmd.map wraps each message by a function or class, not by a {type(wrap).__qualname__}")
        return [None if command is None else Map(command, wrap, leading) for command in checked_commands(commands)]


Command: TypeAlias = Union[Cmd[Msg], Callable[[], Union[Msg, None]], None]
"""What a turn may return: a command value, a callable that returns a message or `None`, or `None`."""


@dataclass(frozen=True, slots=True)
class Send(Cmd[Msg]):
    """Messages to the program itself."""

    messages: tuple[Msg, ...]


@dataclass(frozen=True, slots=True)
class Reply(Cmd[Any]):
    """An answer to whoever asks."""

    value: object


CallParts: TypeAlias = tuple[
    Callable[..., Any],  # any result: what it gives is the business of ok
    tuple[object, ...],
    Callable[[Any], Any] | None,
    Callable[[Failure], Any] | None,
    CallOptions,
]
"""Of a call: the function, its arguments, `ok`, `err`, and how it is performed."""


@dataclass(frozen=True, repr=False, match_args=False)
class Call(Cmd[Msg]):
    """A function to call. Its parts are one tuple, because each slot more takes 40 ns to fill: see `slots_of`."""

    __slots__ = (
        "parts",
    )  # so, and not by the decorator: of a copy of the class, which that makes, `call.fn = ...` is another error
    parts: CallParts
    __match_args__ = ("fn", "args", "ok", "err", "how")

    def __reduce__(self) -> tuple[type[Call[Msg]], tuple[CallParts]]:
        return Call, (self.parts,)

    @staticmethod
    def of(fn: Callable[[], Any]) -> Call[Any]:
        """Return the call of a function without arguments, whose result is the message."""
        return Call((fn, (), None, None, PLAIN))

    @property
    def fn(self) -> Callable[..., Any]:
        """The function."""
        return self.parts[0]

    @property
    def args(self) -> tuple[object, ...]:
        """Its arguments."""
        return self.parts[1]

    @property
    def ok(self) -> Callable[[Any], Msg | None] | None:
        """What makes the message of its result."""
        return self.parts[2]

    @property
    def err(self) -> Callable[[Failure], Msg | None] | None:
        """What makes the message of its failure."""
        return self.parts[3]

    @property
    def how(self) -> CallOptions:
        """How it is performed."""
        return self.parts[4]

    @property
    def key(self) -> Hashable:
        """Its key, if it has one."""
        return self.parts[4].key

    def __repr__(self) -> str:
        fn, args, ok, err, how = self.parts
        said = [_named(fn), *map(repr, args)]
        given = {
            "ok": (ok, None),
            "err": (err, None),
            **{each.name: (getattr(how, each.name), each.default) for each in fields(how)},
        }
        for word, (value, default) in given.items():
            if value != default:
                said.append(f"{word}={_named(value) if callable(value) else repr(value)}")
        return f"Call({', '.join(said)})"


@dataclass(frozen=True, slots=True)
class After(Cmd[Msg]):
    """Messages to the program itself, later."""

    seconds: float
    messages: tuple[Msg, ...]
    key: Hashable = None


@dataclass(frozen=True, slots=True)
class Cancel(Cmd[Any]):
    """The end of a running command, or of all."""

    key: Hashable = None


@dataclass(frozen=True, slots=True)
class All(Cmd[Msg]):
    """Commands side by side."""

    commands: tuple[Command[Msg], ...]


@dataclass(frozen=True, slots=True)
class Seq(Cmd[Msg]):
    """Commands one after the other."""

    commands: tuple[Command[Msg], ...]


@dataclass(frozen=True, slots=True)
class Map(Cmd[Msg]):
    """A child's command, whose messages are wrapped for the parent."""

    command: Cmd[object] | Callable[[], object]  # the child's message type is gone once wrapped
    wrap: Callable[..., Msg]
    leading: tuple[object, ...]


def slots_of(kind: type) -> tuple[Callable[[], Any], tuple[Callable[[object, object], None], ...]]:
    """Return what makes an empty value of a frozen class with slots, and what fills each slot, in the order of the fields.

    A frozen dataclass fills each through `object.__setattr__`, at 60 ns; the slot's own descriptor takes 30. A `Cmd.send` is made in
    0.15 us instead of 0.27. Tried and dropped: to fill a subclass that is not frozen and then set `__class__` (0.38), a slot
    behind a property (0.17, and 40 ns more for each look), and a subclass of tuple (0.16), which is equal to any other tuple.
    A `Cmd.call` with a slot for each option took 0.69, with one for all of them 0.44, with one for all its parts 0.30.
    """
    return partial(object.__new__, kind), tuple(vars(kind)[each.name].__set__ for each in fields(kind))


_new_send, (_set_messages,) = slots_of(Send)
_new_call, (_set_parts,) = slots_of(Call)
_new_after, (_set_seconds, _set_later, _set_after_key) = slots_of(After)


def not_a_command(found: object) -> ProgramError:
    """Return the error that says what is among the commands and is not one, and how a command is made."""
    kind = type(found).__qualname__
    if isinstance(found, Cmd):
        return ProgramError(f"{kind} is not one of go_state's commands: use Cmd.call for your own effects")
    return ProgramError(
        f"a {kind} is among the commands: a command is made by gs.Cmd, or is a callable without arguments, or None (to send a "
        f"message to the program itself, return gs.Cmd.send(message))"
    )


def checked_commands(commands: Iterable[Command[Sent]] | None) -> Sequence[Command[Sent]]:
    """Return the commands of a step as they are, `None` as none, or raise a `ProgramError` that says how they are written."""
    if isinstance(commands, (list, tuple)):
        return commands
    if commands is None:
        return ()
    kind = type(commands).__qualname__
    if callable(commands) or isinstance(commands, Cmd):
        raise ProgramError(f"one command was returned alone, a {kind}: return a list of them, `return model, [command]`")
    raise ProgramError(
        f"the second part of a step is a list or tuple of commands, not a {kind}: `return model, [command]`, or ()"
    )


def name_of(fn: object) -> str:
    """Return what a function is called where it is defined; of another object, which may print somebody's data, its class."""
    name: str = getattr(fn, "__qualname__", None) or type(fn).__qualname__
    return name


def _named(fn: object) -> str:
    """Return what a function is called where it is defined, and what any other object prints."""
    return getattr(fn, "__qualname__", None) or repr(fn)
