"""Where messages for a durable app enter its journal, whoever sends them and from wherever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from go_state.storage.journal.journal import Journal
from go_state.system.running import running_loop

Msg = TypeVar("Msg")


class Entrance(Generic[Msg]):
    """The put of a journal, as far as it may be waited for.

    In a thread a message is put as into any journal, so with the durability "put" it is on disk when `put` returns. On an event
    loop, which waits for no disk, and while the app waits for its lease, it is left to the app to be written.
    """

    def __init__(self, journal: Journal[Msg], *, on_loop: bool) -> None:
        self._journal = journal
        self._at_once = journal.durability == "put"
        self.put: Callable[..., None] = self._put  #: puts messages, in order and together; raises as a journal's put
        if not self._at_once:
            # Without a check for a running loop, which takes microseconds on Python 3.11. An app on a loop writes in its own
            # thread, and so often that nobody who sends to it needs to.
            self.put = journal.inlet.put_later if on_loop else self._put_in_group

    def _put(self, *messages: Msg) -> None:
        if self._may_write():
            self._journal.put(*messages)
        else:
            self._journal.inlet.put_later(*messages)

    def _put_in_group(self, *messages: Msg) -> None:
        if self._journal.writer.rules.is_full and self._may_write():
            self._journal.flush()  # whoever sends faster than the app can write writes, and so is as fast as the disk
        self._journal.inlet.put_later(*messages)

    def _may_write(self) -> bool:
        return self._journal.lease.is_held and running_loop() is None

    def put_known(self, message: Msg, know: Callable[[int], object], *others: Msg) -> None:
        """Put one message, the others together with it; `know(position)` is called before its turn. Raises as a journal's put."""
        if self._at_once and self._may_write():
            self._journal.inlet.put_known(message, know, *others)
        else:
            self._journal.inlet.put_later(message, *others, know=know)
