"""The interpreter: from a turn's commands to the messages that it sends, and the effects that it begins or ends.

It calls what is inline, plain functions without a thread, and nothing else: what goes on after the turn is only `held`, and is begun
once the turn is committed. The rest of a `seq` whose first part was waited for is performed in the same way when that has ended.

    commands ──▶ perform ──▶ messages, and held: effects to begin, keys and scopes to cancel, in order
    a group, of which a part has ended ──▶ go_on ──▶ messages, and held, likewise
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, MutableSequence
from types import CoroutineType, FunctionType, GeneratorType
from typing import Any

from go_state.core.call_options import PLAIN
from go_state.core.commands import (
    After,
    All,
    Call,
    Cancel,
    Cmd,
    Failure,
    Map,
    Reply,
    Send,
    Seq,
    checked_commands,
    not_a_command,
)
from go_state.core.errors import MissingExtra, ProgramError
from go_state.core.program import Commands
from go_state.core.subscriptions import Scope
from go_state.runtime.context import outside_a_command
from go_state.runtime.effects.held import Held, Keys, Resuming
from go_state.runtime.effects.place import (
    Group,
    Messages,
    Origin,
    Outcome,
    Path,
    TurnNames,
    keyed,
    origin,
    unmapped,
    wrapped,
    written,
)
from go_state.runtime.effects.scheduler import Cancelling, Effect, later
from go_state.runtime.flow.awaitables import is_awaitable
from go_state.runtime.raised import as_failure, text_of

_NO_SCOPE: Scope = ()
_FIRST: Path = (0,)
# In Python 3.11 a member of an enum takes 60 ns to look up.
_DONE, _FAILED, _RUNNING = Outcome.DONE, Outcome.FAILED, Outcome.RUNNING


class Interpreter:
    """Performs the commands of one run, a turn at a time."""

    def __init__(self, keys: Keys, names: TurnNames, *, inline: bool = True, brief: bool = False) -> None:
        self.holding = Held(keys)
        self.held = self.holding.steps  # a loop looks at it after each turn
        self.hold = self.holding.hold
        self.replies: MutableSequence[object] | None = None  # what the turn answers, if anybody may have asked
        self.brief = brief  # whether a timer that nothing can name is a `Later`, because nobody asks which effects are running
        self.scope_of: Callable[..., Scope] | None = None  # the scope of the commands of a message's turn that have none
        self._names = names
        self._inline = inline  # whether plain functions are called in the turn; a harness leaves all calls to its test
        self._message: object = None
        self._origin: Origin | None = None
        self._last: tuple[object, int] = (
            None,
            -1,
        )  # the position of the last turn that was named by it, and how many were there before
        self._bare = -1  # the number in its turn of the bare callable that is running
        self._path: Path | None = None  # of the call that is running inline
        self._plain: type = object  # the class of the last result that was not to be awaited: to find that out takes 130 ns

    # ------------------------------------------------------------------ a turn

    def perform(self, commands: object, message: object = None) -> Messages:
        """Call what is inline, in order, hold the rest, and return the messages in order; the empty tuple if there are none and
        nothing is held.

        An exception of a command is passed on: the turn is rolled back, and none of its messages enters the queue.
        """
        # Tried and dropped: `Send` in the loop's own lines (a chain of these 4 % faster, one of bare callables 8 % slower); a call with
        # one argument made as `fn(args[0])`, and cheaper checks in `Cmd.call` (no difference within 1 %).
        form = commands.__class__
        if form is list and len(commands) == 1:  # type: ignore[arg-type]  # as in most turns that ask for anything
            command = commands[0]  # type: ignore[index]
            kind = command.__class__
            messages: list[object]
            if kind is Send:
                sent: tuple[object, ...] = command.messages
                if len(sent) == 1 and sent[0] is not None:
                    return sent
            elif kind is FunctionType and self._inline:
                self._message, self._origin, self._bare = message, None, 0
                result = command()  # what a chain is made of, without a step more than it needs
                self._bare = -1
                if type(result) is self._plain and result is not None:
                    return (result,)
                messages = []
                self._returned(result, command, 0, messages)
                return messages if messages or self.held else ()
            elif kind is Call:
                self._message, self._origin = message, None
                fn, args, ok, err, how = command.parts
                if how is not PLAIN or err is not None or not self._inline:
                    messages = []
                    self._call(command, _NO_SCOPE, None, _FIRST, messages)
                    return messages if messages or self.held else ()
                self._path = _FIRST
                result = fn(*args)
                self._path = None
                if type(result) is self._plain:
                    result = result if ok is None else ok(result)
                    return () if result is None else (result,)
                messages = []
                self._take_result(result, command, _NO_SCOPE, None, _FIRST, messages)
                return messages if messages or self.held else ()
        return self._perform_each(commands if form is list or form is tuple else checked_commands(commands), message)  # type: ignore[arg-type]

    def _perform_each(self, commands: Iterable[Any], message: object) -> Messages:
        messages: list[object] = []
        number = -1
        for command in commands:
            kind = command.__class__
            if kind is Send:
                for each in command.messages:
                    if each is not None:
                        messages.append(each)  # noqa: PERF401  - a third faster than a comprehension for one message, the usual number
                continue
            if command is None:
                continue
            if number < 0:
                self._message, self._origin = message, None
            number += 1
            if kind is Call:
                self._call(command, _NO_SCOPE, None, (number,), messages)
            elif kind is After:
                if self.brief and command.key is None:
                    self.held.append(later((command, number, self._origin or self.origin())))
                else:
                    self.hold(Effect(command, _NO_SCOPE, None, (number,), self._origin or self.origin()))
            elif isinstance(command, Cmd) or not self._inline or not callable(command):
                self._perform(command, _NO_SCOPE, None, (number,), messages)
            else:
                self._bare = number
                result = command()
                self._bare = -1
                self._returned(result, command, number, messages)
        return messages if messages or self.held else ()  # a turn that holds something is committed by itself, and at once

    def _returned(self, result: object, command: Callable[[], object], number: int, sent: list[object]) -> None:
        """Take what a bare callable has returned."""
        if result is None:
            return
        if type(result) is self._plain or not self._is_awaitable(result):
            sent.append(result)
        else:
            self.holding.hold(Effect(Call.of(command), _NO_SCOPE, None, (number,), self.origin(), result))

    def drop(self) -> list[Effect]:
        """Return the effects that are held, and hold nothing any more; coroutines among them are closed."""
        self._bare, self._path = -1, None
        return self.holding.drop()

    def origin(self) -> Origin:
        """Return the turn whose commands are being performed."""
        turn = self._origin
        if turn is None:
            names = self._names
            position, (last, number) = names.where(), self._last
            if names.name is not None:
                turn = Origin(self._message, position, names.name())
            else:
                number = number + 1 if position == last else 0
                self._last = position, number
                turn = origin((self._message, position, None, names, number))
            self._origin = turn
        return turn

    @property
    def name(self) -> str:
        """The `effect_id` of the inline call that is running; `UsageError` if none is."""
        path = self._path
        if path is None:
            if self._bare < 0:
                raise outside_a_command()
            path = (self._bare,)
        return f"{self.origin().name}/{written(path)}"

    # ------------------------------------------------------------------ between turns

    def arrived(self, origin: Origin) -> None:
        """Called before something that belongs to a turn of earlier is delivered: its `ok=`, and what follows it in a `seq`."""
        self._origin, self._message = origin, None  # nobody waits any more for what it replies

    def message_of_failure(self, err: Callable[[Failure], object], error: BaseException, scope: Scope) -> object:
        """Return the message that a call's failure becomes, or None."""
        message = err(Failure(type(error).__name__, text_of(error)))
        return wrapped(message, scope) if scope and message is not None else message

    def part_ended(self, group: Group, outcome: Outcome, sent: list[object]) -> Outcome:
        """Go on with a `seq` or `all` of which a part has ended, add its messages to `sent`, and return what has become of it."""
        if group.in_order:
            return self._go_on(group, sent) if outcome is _DONE else outcome
        group.open -= 1
        if outcome is _FAILED:
            self._fail(group)
        return group.outcome()

    # ------------------------------------------------------------------ each kind

    def _perform(self, command: object, scope: Scope, group: Group | None, path: Path, sent: list[object]) -> Outcome:
        """Perform the command as far as that goes at once; its messages are added to `sent`."""
        if type(command) is Map:
            command, scope = unmapped(command, scope)
        match command:
            case None:
                pass
            case Send(messages):
                sent.extend(wrapped(each, scope) for each in messages if each is not None)
            case Call():
                return self._call(command, scope, group, path, sent)
            case After():
                return self.holding.hold(Effect(command, scope, group, path, self.origin()))
            case Cancel(key):
                self.holding.hold_cancelling(Cancelling(scope, None if key is None else keyed(scope, key)))
            case Seq() | All():
                return self._go_on(Group(command, scope, group, path, self.origin()), sent)
            case Reply(value):
                if self.replies is not None and self._message is not None:
                    self.replies.append(value)
            case Cmd():
                raise not_a_command(command)
            case _ if callable(command):
                return self._call(Call.of(command), scope, group, path, sent)
            case _:
                raise not_a_command(command)
        return _DONE

    def _call(self, call: Call[object], scope: Scope, group: Group | None, path: Path, sent: list[object]) -> Outcome:
        """Hold a call that goes on after the turn, or waits for its key; make any other."""
        how = call.how
        if how is PLAIN and self._inline:  # as most are
            return self._call_now(call, scope, group, path, sent)
        if how.goes_on or not self._inline:
            return self.holding.hold(Effect(call, scope, group, path, self.origin()))
        if how.key is None:
            return self._call_now(call, scope, group, path, sent)
        key = keyed(scope, how.key)  # raises before anything is done
        if how.busy != "replace" and self.holding.is_taken(key):
            return self.holding.hold(Effect(call, scope, group, path, self.origin()))  # waits behind it, or is left out
        outcome = self._call_now(call, scope, group, path, sent)
        if how.busy == "replace" and outcome is not _RUNNING:  # it has come in the place of the running one, and ended
            self.holding.hold_cancelling(Cancelling(scope, key))
        return outcome

    def _call_now(self, call: Call[object], scope: Scope, group: Group | None, path: Path, sent: list[object]) -> Outcome:
        """Call the function, and hold what it returns if that is to be awaited; add its message to `sent` if not."""
        fn, args, _, err, _ = call.parts
        self._path = path
        try:
            result = fn(*args)
        except Exception as error:
            if err is None or isinstance(as_failure(error), (ProgramError, MissingExtra)):
                raise
            self._path = None
            _add(self.message_of_failure(err, error, scope), sent)
            return _FAILED
        finally:
            self._path = None
        return self._take_result(result, call, scope, group, path, sent)

    def _take_result(
        self, result: object, call: Call[object], scope: Scope, group: Group | None, path: Path, sent: list[object]
    ) -> Outcome:
        """Hold what a function has returned if that is to be awaited; add its message to `sent` if not."""
        kind = type(result)
        if kind is CoroutineType or (kind is not self._plain and self._is_awaitable(result)):
            if self.scope_of is not None and not scope:
                scope = self.scope_of(self._message)
            effect = Effect(call, scope, group, path, self._origin or self.origin(), result)
            if effect.key is not None or self.holding.marks is not None:
                return self.hold(effect)
            self.held.append(effect)  # as `hold` does with one that has no key, in a run that notes nothing
            return _RUNNING
        _, _, ok, _, _ = call.parts
        message = result if ok is None else ok(result)
        if message is not None:
            sent.append(wrapped(message, scope) if scope else message)
        return _DONE

    def _is_awaitable(self, result: object) -> bool:
        """Return whether the result is to be awaited, and remember a class of which that cannot be."""
        if is_awaitable(result):
            return True
        if type(result) is not GeneratorType:  # some of these can be awaited, and some cannot
            self._plain = type(result)
        return False

    # ------------------------------------------------------------------ seq and all

    def _go_on(self, top: Group, sent: list[object]) -> Outcome:
        """Perform what is left of a `seq` or `all`, however deep its parts are nested, as far as that goes at once."""
        group, outcome = top, _DONE
        while True:
            part = None if group.in_order and outcome is not _DONE else next(group.rest, None)
            if part is not None:
                command, scope = unmapped(part[1], group.scope)
                path: Path = (group.path, part[0])
                group.open += 1
                if isinstance(command, (Seq, All)):
                    group, outcome = Group(command, scope, group, path, self.origin()), _DONE
                    continue
                outcome = self._perform(command, scope, group, path, sent)
            else:
                if not group.in_order:
                    outcome = self._all_begun(group)
                if group is top or group.parent is None:
                    return outcome
                group = group.parent
            if outcome is not _RUNNING:
                group.open -= 1
                group.failed |= outcome is _FAILED

    def _all_begun(self, group: Group) -> Outcome:
        group.begun = True
        if group.open and group.failed:
            self._fail(group)
        return group.outcome()

    def _fail(self, group: Group) -> None:
        """Note that a part of an `all` has failed, while others of it are running: what follows it will be left out."""
        group.failed = True
        if self.holding.marks is not None:
            self.holding.marks.opened(group.mark)

    # ------------------------------------------------------------------ after a crash

    def resume(self, commands: Commands[object], origin: Origin, names: Collection[str]) -> None:
        """Hold, of the commands of a turn before a crash, those that were running, by their names, and what follows them in a `seq`."""
        self._message, self._origin = origin.message, origin
        Resuming(self.hold, self._fail, origin, names).turn(commands)


def _add(message: object, sent: list[object]) -> None:
    if message is not None:
        sent.append(message)
