"""Performing a turn's commands: the inline ones at once, and the others as manager that are held for the commit.

`None` is no command and no message. The rest of a `seq` whose first part was waited for is performed in the same way, later.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Hashable, Sequence
from types import NoneType
from typing import Any, NamedTuple

from go_state.core.commands import After, All, Call, Cancel, Cmd, Map, Reply, Send, Seq, checked_commands, not_a_command
from go_state.core.errors import ProgramError, UsageError
from go_state.core.subscriptions import Scope
from go_state.runtime.effects.context import failure_of
from go_state.runtime.effects.effect import Effect, Group, Origin, Outcome, Path, keyed, wrapped, written
from go_state.runtime.flow.awaitables import is_awaitable
from go_state.runtime.raised import as_failure


class Cancelling(NamedTuple):
    """The end of the command with a key, or of all in a scope."""

    scope: Scope
    key: Hashable


def unmapped(command: Any, scope: Scope) -> tuple[Any, Scope]:
    """Return a child's command, and in its scope what its messages are wrapped by."""
    while type(command) is Map:
        command, scope = command.command, (*scope, (command.wrap, *command.leading))
    return command, scope


class Performing:
    """The half of `EffectManager` that performs; the other half has what is under way."""

    def __init__(self) -> None:
        self.where: Callable[[], object] = lambda: None  # the position of the turn under way
        self.journal_id = ""  # what this run's turns are called by, and where nothing else is given a random name
        self.turn_name: Callable[[], str] = self._name_turn
        self._last_named: tuple[object, int] = (None, -1)
        self.held: list[Effect | Cancelling] = []  # what the turn under way begins, or ends, once it is committed
        self.replies: list[object] | None = None  # of the turn under way, where somebody may have asked
        self._in_turn = True
        self._path: Path | None = None  # of the inline command under way
        self._number = 0  # of the turn's commands that are more than messages
        self._message: Any = None
        self._origin: Origin | None = None

    def perform(self, commands: object, message: Any = None) -> Sequence[Any]:
        """Perform the inline commands in order, hold the others, and return the messages in order, the empty tuple where there
        are none and nothing is held.

        An exception of a command passes on: the turn is rolled back and none of its messages enters the queue.
        """
        messages: list[Any] = []
        self._number = 0
        for command in checked_commands(commands):
            if command is not None:
                for each in command.messages if type(command) is Send else self._perform_one(command, message):
                    if each is not None:
                        messages.append(each)  # noqa: PERF401  - a third faster than a comprehension for one message, the usual number
        return messages if messages or self.held else ()  # a turn that holds something is settled by itself, and at once

    def _perform_one(self, command: object, message: Any) -> list[Any]:
        number = self._number
        if not number:
            self._message, self._origin = message, None
        self._number = number + 1
        sent: list[Any] = []
        self._perform(command, (), None, (number,), sent)
        return sent

    def resume(self, commands: object, message: Any, names: Collection[str]) -> None:
        """Hold of a turn's commands those that were under way, by their names, when a run ended, and what follows them in a sequence."""
        self._number, self._message, self._origin = 0, message, None
        for command in checked_commands(commands):
            if command is not None and type(command) is not Send:
                self._resume(command, (), None, (self._number,), names)
                self._number += 1

    def _resume(self, command: Any, scope: Scope, group: Group | None, path: Path, names: Collection[str]) -> Outcome:
        command, scope = unmapped(command, scope)
        if isinstance(command, (Seq, All)):
            return self._resume_parts(Group(command, scope, group, path, self._turn()), names)
        call = command if isinstance(command, (Cmd, NoneType)) else Call(command)
        if isinstance(call, (Call, After)):
            effect = Effect(call, scope, group, path, self._turn(), None)
            if effect.name in names:
                return self._hold(effect)
        return Outcome.DONE

    def _resume_parts(self, top: Group, names: Collection[str]) -> Outcome:
        """Resume the parts of a `seq` or `all`, however deep they are nested."""
        group, outcome = top, Outcome.DONE
        while True:
            part = None if group.in_order and outcome is Outcome.UNDER_WAY else next(group.rest, None)
            if part is not None:
                command, scope = unmapped(part[1], group.scope)
                path = (group.path, part[0])
                if isinstance(command, (Seq, All)):
                    group, outcome = Group(command, scope, group, path, self._turn()), Outcome.DONE
                    continue
                outcome = self._resume(command, scope, group, path, names)
            else:
                if not group.in_order:
                    group.begun = True
                    if group.open and group.mark in names:
                        self._fail(group)
                    outcome = Outcome.UNDER_WAY if group.open else Outcome.DONE
                if group is top or group.parent is None:
                    return outcome
                group = group.parent
            group.open += outcome is Outcome.UNDER_WAY

    def _perform(self, command: Any, scope: Scope, group: Group | None, path: Path, sent: list[Any]) -> Outcome:
        """Perform the command as far as that goes at once; its messages are added to `sent`."""
        if type(command) is Call:
            return self._call(command, scope, group, path, sent)
        command, scope = unmapped(command, scope)
        match command:
            case None:
                pass
            case Send(messages):
                sent.extend(wrapped(each, scope) for each in messages if each is not None)
            case Call():
                return self._call(command, scope, group, path, sent)
            case After():
                return self._hold(Effect(command, scope, group, path, self._turn(), None))
            case Cancel(key):
                self._hold(Cancelling(scope, None if key is None else keyed(scope, key)))
            case Seq() | All():
                return self._go_on(Group(command, scope, group, path, self._turn()), sent)
            case Reply(value):
                if self._in_turn and self.replies is not None and self._message is not None:
                    self.replies.append(value)
            case Cmd():
                raise not_a_command(command)
            case _ if callable(command):
                return self._call(Call(command), scope, group, path, sent)
            case _:
                raise not_a_command(command)
        return Outcome.DONE

    def _call(self, call: Call[Any], scope: Scope, group: Group | None, path: Path, sent: list[Any]) -> Outcome:
        if call.thread or call.timeout is not None or call.retry is not None:
            return self._hold(Effect(call, scope, group, path, self._turn(), None))
        key = None if call.key is None else keyed(scope, call.key)  # raises before anything is done
        if key is not None and call.busy != "replace" and self._is_taken(key):
            return self._hold(Effect(call, scope, group, path, self._turn(), None))  # its turn comes, or it is left out
        self._path = path
        try:
            result = call.fn(*call.args)
        except Exception as error:
            if call.err is None or isinstance(as_failure(error), ProgramError):
                raise
            self._say(call.err(failure_of(error)), scope, sent)
            return Outcome.FAILED
        finally:
            self._path = None
        if result is not None and is_awaitable(result):
            return self._hold(Effect(call, scope, group, path, self._turn(), result))
        if key is not None and call.busy == "replace":
            self._hold(Cancelling(scope, key))
        return self._said(call, result, scope, sent)

    def _said(self, call: Call[Any], result: Any, scope: Scope, sent: list[Any]) -> Outcome:
        self._say(result if call.ok is None else call.ok(result), scope, sent)
        return Outcome.DONE

    def _hold(self, held: Effect | Cancelling) -> Outcome:
        """Have what begins or ends something done at the commit."""
        raise NotImplementedError

    def _is_taken(self, key: Hashable) -> bool:
        """Tell whether a command with the key is under way, or will be at the commit."""
        raise NotImplementedError

    @staticmethod
    def _say(message: Any, scope: Scope, sent: list[Any]) -> None:
        if message is not None:
            sent.append(wrapped(message, scope))

    def _turn(self) -> Origin:
        if self._origin is None:
            self._origin = Origin(self._message, self.where(), self.turn_name())
        return self._origin

    def _name_turn(self) -> str:
        """Return a name for the turn under way: that of the run, the position, and how many there were at it."""
        if not self.journal_id:
            self.journal_id = os.urandom(8).hex()
        position, number = self.where(), 0
        if position == self._last_named[0]:
            number = self._last_named[1] + 1
        self._last_named = (position, number)
        return f"{self.journal_id}/{'' if position is None else position}+{number}"

    def _name_inline(self) -> str:
        """Return the `effect_id` of the inline command under way."""
        if self._path is None:
            raise UsageError("effect_id() is known inside a command alone: what Cmd.call calls, or a bare callable")
        return f"{self._turn().name}/{written(self._path)}"

    def _go_on(self, top: Group, sent: list[Any]) -> Outcome:
        """Perform what is left of a `seq` or `all`, however deep its parts are nested, as far as that goes at once."""
        group, outcome = top, Outcome.DONE
        while True:
            part = None if group.in_order and outcome is not Outcome.DONE else next(group.rest, None)
            if part is not None:
                command, scope = unmapped(part[1], group.scope)
                path = (group.path, part[0])
                group.open += 1
                if isinstance(command, (Seq, All)):
                    group, outcome = Group(command, scope, group, path, self._turn()), Outcome.DONE
                    continue
                outcome = self._perform(command, scope, group, path, sent)
            else:
                if not group.in_order:
                    outcome = self._all_begun(group)
                if group is top or group.parent is None:
                    return outcome
                group = group.parent
            if outcome is not Outcome.UNDER_WAY:
                group.open -= 1
                group.failed |= outcome is Outcome.FAILED

    def _all_begun(self, group: Group) -> Outcome:
        group.begun = True
        if not group.open:
            return group.outcome()
        if group.failed:
            self._fail(group)
        return Outcome.UNDER_WAY

    def _fail(self, group: Group) -> None:
        """Note that a part of an `all` has failed, while others of it are under way."""
        group.failed = True
