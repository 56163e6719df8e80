"""What a durable run does with a message that is set aside: replays pass over it as well.

The journal's own note of that, and a letter in the journal's own store, are one with the cursor that passes the message. A policy that
names no place for it means the letters of the name `DEFAULT_NAME` in that store: there nothing is set aside that is seen nowhere.
"""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

from go_state.core.ports import Producer
from go_state.modes.keeping.filing import LetterWriter
from go_state.runtime.flow.waits import Blocking, Flow, Seldom
from go_state.runtime.on_error import FailedMessage, Failures, Kind, OnError, Policy, Raise, SetAside, decide, letter_box_of
from go_state.storage.journal.journal import SomeJournal
from go_state.storage.letters.box import DEFAULT_NAME, LetterBox
from go_state.storage.letters.letter import encode
from go_state.system.own_thread import OwnThread


class DeadLetters:
    """Decides what becomes of a failing message, and has the journal remember those that are set aside; `kept` is called then.

    It is the `Filing` of a durable run as well: a letter in the journal's own store is written by the flush that passes its message.
    """

    is_full = False

    def __init__(self, journal: SomeJournal, on_error: OnError, kept: Callable[[], object], writer: LetterWriter[Any]) -> None:
        self._journal = journal
        self._on_error = on_error
        self._kept = kept
        self._writer = writer

    @cached_property
    def _default(self) -> SetAside[object]:
        """The journal's own store. Made when it is needed: its checks of what it is given are a tenth of a program's start."""
        return SetAside(OwnLetters(LetterBox(self._journal.store, DEFAULT_NAME)))

    def decide(self, message: object, position: object, error: Exception) -> Policy:
        """Return the policy for the message; one that sets it aside does so into a `DeadLetter`, or into letters."""
        policy = decide(self._on_error, message, position, error)
        if not isinstance(policy, SetAside) or not isinstance(position, int):
            _name_commands(error, self._journal, position)
            return Raise()
        if policy.buffer is None:
            return self._default
        if letter_box_of(policy.buffer) is not None:
            return policy
        return SetAside(DeadLetter(self, position, error, policy.buffer if isinstance(policy.buffer, Producer) else None))

    def decide_on_command(self, message: object, position: object, error: Exception) -> Policy:
        """Return the policy for a message whose command has failed: its turn stays, and replays repeat it."""
        policy = decide(self._on_error, message, position, error)
        return self._default if isinstance(policy, SetAside) and policy.buffer is None else policy

    def set_record_aside(self, position: int, error: Exception, failures: Failures[Any], thread: OwnThread) -> Flow[None]:
        """Set a message aside that cannot be decoded, or raise why if the policy says so."""
        undecoded = yield Blocking(lambda: self._journal.history.undecoded(position), thread)
        policy = self.decide(undecoded, position, error)
        if not isinstance(policy, SetAside):
            raise error
        yield from failures.keep(FailedMessage(undecoded, position, error), policy, "record")

    def file(self, box: LetterBox, failed: FailedMessage[Any], kind: Kind) -> Flow[None]:
        """Write a letter with the journal, and with its note of the message; one in another store is written before that."""
        letter = self._writer.letter(failed, kind)
        letters = {}
        if box.store is self._journal.store:
            letters = {box.key(letter.id): encode(letter)}
        else:
            yield Seldom(lambda: box.write(letter))
        if kind == "command" or not isinstance(failed.position, int):
            self._journal.run_record.add_letters(letters)
        else:
            self.remember(failed.position, failed.error, letters)

    def remember(self, position: int, error: Exception, letters: Mapping[str, bytes] = MappingProxyType({})) -> None:
        """Make the journal pass over the message, from the flush on that writes its cursor."""
        self._kept()
        self._journal.run_record.set_aside(position, type(error).__name__, letters)


def _name_commands(error: Exception, journal: SomeJournal, position: object) -> None:
    """Note on the error how to go on from it: whoever reads it has a program that ends at the same message each time."""
    name, where = shlex.quote(journal.name), shlex.quote(journal.store.where)
    error.add_note(
        f"go_state ends here each time until the program is mended: start it again then, and the message is tried again; or pass over "
        f"it: go-state journal skip {where} {name} {position}"
    )


class OwnLetters(NamedTuple):
    """The letters of the name in the journal's own store, as a place for what is set aside."""

    box: LetterBox


class DeadLetter:
    """Takes one message that is set aside: into the user's buffer, and then into what replays pass over."""

    def __init__(
        self,
        dead_letters: DeadLetters,
        position: int,
        error: Exception,
        buffer: Producer[FailedMessage[object]] | None,
    ) -> None:
        self._dead_letters = dead_letters
        self._position = position
        self._error = error
        self._buffer = buffer

    def put(self, *failed: FailedMessage[object]) -> Awaitable[None] | None:
        """Put the message into the user's buffer and remember its position; an awaitable if the buffer's put returns one."""
        taken = None if self._buffer is None else self._buffer.put(*failed)
        if inspect.isawaitable(taken):
            return self._remember_after(taken)
        self._dead_letters.remember(self._position, self._error)
        return None

    async def _remember_after(self, taken: Awaitable[object]) -> None:
        await taken
        self._dead_letters.remember(self._position, self._error)
