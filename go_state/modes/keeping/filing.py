"""How what is set aside becomes a letter, and when it is written: at once, or together with what the run saves.

An aggregate whose letters lie in its own store writes them in the transaction of its save, and so never before it: a record that is
read again after a crash, and then succeeds, leaves no letter. A durable run does likewise, with its cursor; see `modes/durable`. All
others write at once, and the same letter again in its own place.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from go_state.core.ports import Store, Write
from go_state.core.program import Program
from go_state.runtime.flow.waits import Flow, Seldom
from go_state.runtime.on_error import FailedMessage, Kind
from go_state.storage.codec.codecs import message_codec
from go_state.storage.codec.message_codec import MessageCodec
from go_state.storage.codec.program_types import message_type, migrations_of
from go_state.storage.letters.box import LetterBox
from go_state.storage.letters.letter import Letter, encode, id_of, said

Msg = TypeVar("Msg")

_MOST = 10_000  # letters in memory: beyond that an aggregate saves in between


class LetterWriter(Generic[Msg]):
    """Makes letters of what one run sets aside.

    `place` returns what tells the run's letters from those of every other, if `source` alone does not.
    """

    def __init__(
        self,
        program: Program[Any, Msg],
        *,
        source: str = "",
        journal: str = "",
        key: Callable[[Msg], object] | None = None,
        place: Callable[[], str] | None = None,
    ) -> None:
        self.source = source
        self._program = program
        self._journal = journal
        self._key = key
        self._run = f"run {os.urandom(16).hex()}"  # without a name nobody can tell that two are the same
        self._place = place
        self._codec: MessageCodec[Msg] | None = None
        self._last: tuple[object, int] = (None, 0)  # the position that has failed last, and how often
        self._commands: dict[str, int] = {}  # how many commands of each position have failed after their turn

    @property
    def codec(self) -> MessageCodec[Msg]:
        """The codec of the program's messages; `NotStorable` if its annotations do not say what they are."""
        if self._codec is None:
            program = self._program
            self._codec = message_codec(message_type(program), program.schema, migrations_of(program))
        return self._codec

    def letter(self, failed: FailedMessage[Any], kind: Kind) -> Letter:
        """Return the letter of a message, or of a raw record."""
        record = kind == "record"
        place = self.source or self._run if self._place is None or not self.source else self._place()
        return Letter(
            id_of(place, failed.position, self._number(failed.position, kind), by_command=kind == "command"),
            self.source,
            failed.position,
            type(failed.error).__qualname__,
            said(failed.error),
            time.time(),
            message=None if record else self.codec.encode(failed.message),
            raw=failed.message if record else None,
            schema=self._program.schema,
            key=None if record else self._key_of(failed.message),
            journal=self._journal,
            failed=kind,
        )

    def _number(self, position: object, kind: Kind) -> int:
        """Return which failure of the position it is: a message may have led to several that fail."""
        if kind == "command":
            number = self._commands[repr(position)] = self._commands.get(repr(position), -1) + 1
            return number
        before, number = self._last
        number = number + 1 if before == position else 0
        self._last = position, number
        return number

    def _key_of(self, message: Msg) -> str | None:
        if self._key is None:
            return None
        try:
            found = self._key(message)
        except Exception:  # which may be what the message has failed with
            return None
        return found if isinstance(found, str) else None


def place_in_aggregate(name: str, key: str | None, source: str) -> str:
    """Return the place of an aggregate's letters: two programs, or models, that read one source have letters of their own."""
    return "\0".join(("aggregate", name, key or "", source))


class LetterFiling(Generic[Msg]):
    """Writes the letters of one run; those in the store `kept_in` wait for its save."""

    def __init__(self, writer: LetterWriter[Msg], *, kept_in: Store | None = None) -> None:
        self.writer = writer
        self._kept_in = kept_in
        self._waiting: dict[LetterBox, dict[str, bytes | None]] = {}

    def file(self, box: LetterBox, failed: FailedMessage[Any], kind: Kind) -> Flow[None]:
        """Write a letter, or remember to."""
        letter = self.writer.letter(failed, kind)
        if box.store is self._kept_in:
            self._waiting.setdefault(box, {})[letter.id] = encode(letter)
        else:
            yield Seldom(lambda: box.write(letter))

    @property
    def is_full(self) -> bool:
        """Whether so many letters wait for the save that it is due."""
        return sum(map(len, self._waiting.values())) >= _MOST

    def change(self, box: LetterBox, letter_id: str, letter: Letter | None) -> None:
        """Write a letter, or delete it, with the next save."""
        self._waiting.setdefault(box, {})[letter_id] = None if letter is None else encode(letter)

    def writes(self) -> dict[str, Write]:
        """Return what the save is to write for the letters."""
        return {key: write for box, changes in self._waiting.items() for key, write in box.writes(changes).items()}

    def written(self) -> None:
        """Called when all of it is stored."""
        self._waiting = {}

    # ------------------------------------------------------------------ for a run that may go back

    def noted(self) -> Mapping[LetterBox, int]:
        """Return what there is to go back to: how many letters of each box wait."""
        return {box: len(changes) for box, changes in self._waiting.items()}

    def go_back(self, to: Mapping[LetterBox, int]) -> None:
        """Forget the letters that were filed since."""
        self._waiting = {box: dict(list(changes.items())[: to.get(box, 0)]) for box, changes in self._waiting.items()}
