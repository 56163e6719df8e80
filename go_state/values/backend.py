"""What a server is asked for: the port under a value elsewhere, one for each key."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import NamedTuple, Protocol


class Entry(NamedTuple):
    """What the key holds at a revision: its bytes, or None if it has none. Revisions only grow; 0 stands before the first."""

    revision: int
    data: bytes | None


class Unreachable(Exception):
    """The server does not answer, or the connection is lost. For a write it is not known whether it was made, unless `unsent`."""

    def __init__(self, why: str, *, unsent: bool = False) -> None:
        super().__init__(why)
        self.unsent = unsent


class MadeAnew(Exception):
    """What is there now is not what was there before: its revisions began again, and say nothing about ours."""


class Backend(Protocol):
    """One key on a server. All methods are called in one event loop, and raise `Unreachable`, or `MadeAnew`."""

    @property
    def where(self) -> str:
        """The key and the server, for messages; no secret."""
        ...

    async def read(self) -> Entry:
        """Return the newest entry: no later read returns an older one."""
        ...

    async def write(self, data: bytes | None) -> int:
        """Set the key, or delete it, and return the revision of that."""
        ...

    async def replace(self, before: Entry, data: bytes) -> tuple[bool, Entry]:
        """Set the key if nobody has set it since `before`; return whether it was set, and the entry that is there now."""
        ...

    def changes(self, after: int) -> AsyncGenerator[Entry, None]:
        """Give the entries after a revision, in order, as they come. It may leave out all but the newest, and ends by raising."""
        ...
