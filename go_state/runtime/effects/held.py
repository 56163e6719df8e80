"""What a turn holds: the effects that it begins, and the ends of others, until it is committed, or dropped when it is rolled back.

What was running before a crash is held again in the same way, by its names (`Resuming`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from typing import Protocol

from go_state.core.commands import After, All, Call, Cmd, Send, Seq, checked_commands
from go_state.core.program import Commands
from go_state.core.subscriptions import Scope
from go_state.runtime.effects.place import Group, Origin, Outcome, Path, is_in, unmapped
from go_state.runtime.effects.scheduler import Cancelling, Effect, Step

_NO_SCOPE: Scope = ()


class Keys(Protocol):
    """What the interpreter asks the scheduler."""

    def is_taken(self, key: Hashable) -> bool:
        """Return whether an effect with the key is running, or waits to be started."""
        ...

    def keys_in(self, scope: Scope) -> Iterable[Hashable]:
        """Return the keys of a scope that are taken."""
        ...


class Marks(Protocol):
    """Where a durable run notes which effects are running."""

    def opened(self, name: str) -> None:
        """Note an effect, before its turn is committed."""
        ...

    def ended(self, names: Sequence[str]) -> None:
        """Remove the notes of effects, when what they have sent is in the queue."""
        ...


class Held:
    """What a turn begins and ends once it is committed, in order; a turn that is rolled back has begun nothing."""

    def __init__(self, keys: Keys) -> None:
        self.steps: list[Step] = []  #: always the same list
        self.keys: dict[Hashable, bool] = {}  #: whether what is held takes the key, or gives it up; always the same one
        self.marks: Marks | None = None
        self._keys = keys

    def hold(self, effect: Effect) -> Outcome:
        """Hold what goes on after the turn."""
        self.steps.append(effect)
        if effect.key is not None:
            self.keys[effect.key] = True
        if self.marks is not None:
            self.marks.opened(effect.name)
        return Outcome.RUNNING

    def hold_cancelling(self, cancelling: Cancelling) -> None:
        """Hold the end of the command with a key, or of all in a scope."""
        self.steps.append(cancelling)
        if cancelling.key is not None:
            self.keys[cancelling.key] = False
            return
        scope = cancelling.scope
        given_up = [*self._keys.keys_in(scope), *(key for key in self.keys if is_in(key, scope))]
        self.keys.update(dict.fromkeys(given_up, False))

    def is_taken(self, key: Hashable) -> bool:
        """Return whether an effect has the key, or will have it once the turn is committed."""
        held = self.keys.get(key)
        return self._keys.is_taken(key) if held is None else held

    def clear(self) -> None:
        """Hold nothing any more."""
        self.steps.clear()
        if self.keys:
            self.keys.clear()

    def drop(self) -> list[Effect]:
        """Hold nothing any more, and return the effects that were held; coroutines among them are closed."""
        dropped = [each for each in self.steps if isinstance(each, Effect)]
        self.clear()
        for effect in dropped:
            effect.close_coroutine()
        return dropped


class Resuming:
    """What is held of one turn's commands after a crash: those whose names were noted as running. Nothing is called."""

    def __init__(
        self, hold: Callable[[Effect], Outcome], fail: Callable[[Group], object], origin: Origin, names: Collection[str]
    ) -> None:
        self._hold = hold
        self._fail = fail
        self._origin = origin
        self._names = names

    def turn(self, commands: Commands[object]) -> None:
        """Hold what was running, by the numbers that it had in its turn."""
        number = 0
        for command in checked_commands(commands):
            if command is not None and type(command) is not Send:
                self._resume(command, _NO_SCOPE, None, (number,))
                number += 1

    def _resume(self, command: object, scope: Scope, group: Group | None, path: Path) -> Outcome:
        command, scope = unmapped(command, scope)
        if isinstance(command, (Seq, All)):
            return self._resume_parts(Group(command, scope, group, path, self._origin))
        if command is not None and not isinstance(command, Cmd) and callable(command):
            command = Call.of(command)
        if isinstance(command, (Call, After)):
            effect = Effect(command, scope, group, path, self._origin)
            if effect.name in self._names:
                return self._hold(effect)
        return Outcome.DONE

    def _resume_parts(self, top: Group) -> Outcome:
        """Resume the parts of a `seq` or `all`, however deep they are nested."""
        group, outcome = top, Outcome.DONE
        while True:
            part = None if group.in_order and outcome is Outcome.RUNNING else next(group.rest, None)
            if part is not None:
                command, scope = unmapped(part[1], group.scope)
                path: Path = (group.path, part[0])
                if isinstance(command, (Seq, All)):
                    group, outcome = Group(command, scope, group, path, self._origin), Outcome.DONE
                    continue
                outcome = self._resume(command, scope, group, path)
            else:
                if not group.in_order:
                    group.begun = True
                    if group.open and group.mark in self._names:
                        self._fail(group)
                    outcome = Outcome.RUNNING if group.open else Outcome.DONE
                if group is top or group.parent is None:
                    return outcome
                group = group.parent
            group.open += outcome is Outcome.RUNNING
