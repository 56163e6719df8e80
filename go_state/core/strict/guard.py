"""The update of a strict program, with a guard around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from go_state.core.strict.assignable import Held
from go_state.core.strict.protection import Protection

_RECENT = 64  # models that are known to be read-only, and kept for that: as many keys as a keyed program may go through in turn

Update = TypeVar("Update", bound=Callable[..., object])


def guarded(update: Update) -> Update | Guarded:
    """Return the update with a guard, once."""
    return update if isinstance(update, Guarded) else Guarded(update)


class Guarded:
    """An update whose models are read-only; raises `ProgramError` when it changes the one that it is given."""

    __slots__ = ("__wrapped__", "_has_assignable", "_recent")

    def __init__(self, update: Callable[..., object]) -> None:
        self.__wrapped__ = update  # the name by which inspect and typing find the user's function
        self._recent: dict[int, object] = {}  # models that are read-only already, by identity
        self._has_assignable = False  # whether a model had an object that can be assigned to

    def __call__(self, model: object, message: object, *turn: object) -> Any:  # a step of the user's model
        """Return what update returns, with a model that is read-only."""
        if id(model) not in self._recent:
            model = self._read_only(model, None)
        before = Held(model) if self._has_assignable else None
        try:
            step = self.__wrapped__(model, message, *turn)
        except BaseException:
            if before is not None:
                before.put_back()  # what update has failed with says more than that it has changed something before
            raise
        if before is not None and (changed := before.put_back()) is not None:
            raise changed
        if type(step) is not tuple or len(step) != 2:
            return step
        return self._read_only(step[0], model), step[1]

    def _read_only(self, model: object, last: object) -> object:
        protection = Protection(last)
        try:
            model = protection.protect(model, last)
        except RecursionError:
            self._has_assignable = False  # it is too deep to be inspected
            return model
        self._has_assignable = self._has_assignable or protection.met_assignable
        self._recent.pop(id(model), None)
        self._recent[id(model)] = model
        if len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]
        return model

    def __reduce__(self) -> tuple[object, ...]:  # what it knows of models is of this process
        return Guarded, (self.__wrapped__,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Guarded) and self.__wrapped__ == other.__wrapped__

    def __hash__(self) -> int:
        return hash(self.__wrapped__)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)
