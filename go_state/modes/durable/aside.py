"""What a durable run does with a message that is set aside: replays are to pass over it as well."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from typing import Any

from go_state.core.ports import Producer
from go_state.runtime.on_error import FailedMessage
from go_state.storage.journal.journal import Journal


class Aside:
    """Takes a message that is set aside: into the user's buffer, if there is one, and then into what replays pass over."""

    def __init__(
        self, journal: Journal[Any], position: int, error: Exception, buffer: Producer[FailedMessage[Any]] | None
    ) -> None:
        self._journal = journal
        self._position = position
        self._kind = type(error).__name__
        self._buffer = buffer

    def put(self, *failed: FailedMessage[Any]) -> Awaitable[None] | None:
        taken = None if self._buffer is None else self._buffer.put(*failed)
        if inspect.isawaitable(taken):
            return self._remember_after(taken)
        self._journal.run_record.set_aside(self._position, self._kind)
        return None

    async def _remember_after(self, taken: Awaitable[object]) -> None:
        await taken
        self._journal.run_record.set_aside(self._position, self._kind)
