"""What a turn holds: the effects that it begins, and the ends of others, until it is committed, or dropped when it is rolled back."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Protocol

from go_state.core.subscriptions import Scope
from go_state.runtime.effects.place import Outcome, is_in
from go_state.runtime.effects.scheduler import Cancelling, Effect, Step


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
