"""How a call is performed: its key, its time, its thread, how often it is tried; checked when the command is made."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypedDict

from go_state.core.errors import ProgramError
from go_state.core.naming import number_or_kind

Busy: TypeAlias = Literal["replace", "queue", "skip"]
"""What becomes of a command whose key is taken: it takes the place of the running one, comes after it, or is left out."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a call is tried, `attempts` times in all, and how long it waits in between: `wait` seconds, twice as long each
    time, up to `longest`, plus a random part of up to `jitter`. Only exceptions of the kinds in `on` are tried again.

    Performed by tenacity: `pip install "go-state[retry]"`; without it the call raises `MissingExtra`, which no `err=` takes
    for an outcome, when it is performed. Raises `ProgramError` for numbers that make no sense.
    """

    attempts: int = 3
    wait: float = 0.5
    longest: float = 60.0
    jitter: float = 0.1
    on: tuple[type[Exception], ...] = (Exception,)

    def __post_init__(self) -> None:
        if type(self.attempts) is not int or self.attempts < 1:
            raise ProgramError(f"attempts of a Retry is a whole number from 1, not {self.attempts!r}")
        for word in ("wait", "longest", "jitter"):
            check_seconds(f"{word} of a Retry", getattr(self, word))
        kinds = self.on if isinstance(self.on, tuple) else (self.on,)
        if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds):
            raise ProgramError("on of a Retry is a tuple of classes of exceptions, such as (OSError,)")


class How(TypedDict, total=False):
    """How a call is performed, as keyword arguments; see `Cmd.call`."""

    key: Hashable
    busy: Busy
    thread: bool
    timeout: float | None
    retry: Retry | None


@dataclass(frozen=True, slots=True)
class CallOptions:
    """How a call is performed, checked; most calls share the one value that asks for nothing, `PLAIN`."""

    key: Hashable = None
    busy: Busy = "replace"
    thread: bool = False
    timeout: float | None = None
    retry: Retry | None = None

    @property
    def goes_on(self) -> bool:
        """Whether the call goes on after its turn, whatever kind of function it calls."""
        return self.thread or self.timeout is not None or self.retry is not None


PLAIN = CallOptions()
FOREVER = float("inf")


def call_options(
    key: Hashable = None,
    busy: Busy = "replace",
    thread: bool = False,
    timeout: float | None = None,
    retry: Retry | None = None,
) -> CallOptions:
    """Return the options of a `Cmd.call`, or raise a `ProgramError` that says which of them cannot be."""
    if busy != "replace" and busy not in ("queue", "skip"):
        raise ProgramError(f'busy of Cmd.call is "replace", "queue" or "skip", not {busy!r}')
    if timeout is not None:
        check_seconds("timeout of Cmd.call", timeout)
    if retry is not None and not isinstance(retry, Retry):
        raise ProgramError(f"retry of Cmd.call is a gs.Retry(...), not a {type(retry).__qualname__}")
    return CallOptions(checked_key(key), busy, bool(thread), timeout, retry)


def checked_key(key: Hashable) -> Hashable:
    """Return the key; `ProgramError` if it cannot be hashed."""
    try:
        hash(key)
    except TypeError:
        raise ProgramError(
            f"a key is a value that can be hashed, such as a string or a tuple, not a {type(key).__qualname__}"
        ) from None
    return key


def check_seconds(role: str, seconds: object) -> None:
    """Raise `ProgramError` unless it is a number of seconds from 0."""
    if type(seconds) not in (int, float) or not 0 <= seconds < FOREVER:  # type: ignore[operator]  # a number by then
        raise ProgramError(f"{role} is a number of seconds from 0, not {number_or_kind(seconds)}")
