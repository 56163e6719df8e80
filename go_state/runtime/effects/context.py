"""What a command under way can know of itself: its name for others, and how one command is called."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from go_state.core.commands import Failure
from go_state.core.errors import UsageError

effect_name: ContextVar[Callable[[], str] | None] = ContextVar("go_state_effect", default=None)  # names the command under way


def effect_id() -> str:
    """Return a name for what the command under way does, the same at every repetition of it, for others to know it again by.

    Give it as the idempotency key of a payment, or the id of a mail. It is the same at every try of a `retry=`; in a durable run when
    the command is performed again after a crash, and in a batch of a source with positions when its message comes again.
    Raises `UsageError` outside a command.
    """
    name = effect_name.get()
    if name is None:
        raise UsageError("effect_id() is known inside a command alone: what Cmd.call calls, or a bare callable")
    return name()


def failure_of(error: BaseException) -> Failure:
    """Return the value that says what a command has failed with."""
    return Failure(type(error).__name__, str(error))
