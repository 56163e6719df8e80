"""What comes of the messages that were sent before a moment: the messages of their turns, the calls of these, what those send, and so on.

A run keeps track of it only while somebody waits for it. It notes each message that it brings itself, and whose it is: a turn's, or a
call's, which has the position of its turn. What others send after the moment is none of it.
"""

from __future__ import annotations

from collections.abc import Collection, Sized
from typing import Protocol, TypeVar

Waiting = TypeVar("Waiting")


class Consequences:
    """The messages before the position `mark`, and what comes of them."""

    __slots__ = ("_later", "_mark")

    def __init__(self, mark: int) -> None:
        self._mark = mark
        self._later: set[int] = set()  # the positions of those messages from the mark on that are needed yet

    def have(self, position: object) -> bool:
        """Return whether the message at the position is one of them; what is of no message, such as init's calls, is theirs as well."""
        return not isinstance(position, int) or position < self._mark or position in self._later

    def note(self, by: object, first: int, end: int) -> None:
        """Note that the turn of the message at `by`, or a call of that turn, has sent the messages from `first` to before `end`."""
        if self.have(by):
            self._later.update(range(first, end))

    def are_done(self, processed: int, calls: Collection[object]) -> bool:
        """Return whether all are, if the messages before `processed` are, and calls go on that the messages at these positions have made."""
        if processed < self._mark:
            return False
        self._later = {each for each in self._later if each >= processed or each in calls}
        return not self._later and not any(self.have(each) for each in calls)


class Awaited(Protocol):
    """Those who wait until a run has done what it was sent, and what comes of that."""

    @property
    def waiting(self) -> Sized:
        """Those who wait: always the same container, so that a look whether there are any is no call."""
        ...

    def reached(self) -> None:
        """Called when the run has nothing to do: wakes everybody."""
        ...

    def see(self) -> bool:
        """Look for those who have begun to wait since, and return whether there are any."""
        ...

    def begin(self, end: int, /) -> None:
        """Give them the position: they wait for the messages before it."""
        ...

    def note(self, by: object, first: int, end: int, /) -> None:
        """See `Consequences.note`."""
        ...

    def done(self, processed: int, calls: Collection[object], /) -> bool:
        """Return whether somebody's messages are done, with all that comes of them; `wake_done` wakes these."""
        ...

    def wake_done(self) -> None:
        """Wake those of whom `done` has found that they need wait no longer: it is committed."""
        ...
