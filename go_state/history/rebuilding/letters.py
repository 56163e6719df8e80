"""The letters of a source, as they are once its messages were folded again: gone if their messages count now, and new for others.

A message that an aggregate has set aside and that update takes now is in the model from here on, and a letter of it that stayed would
count it twice when it is retried. So they are written in the transaction of the models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

from go_state.core.errors import BadRecord, GoStateError
from go_state.core.ports import Entry, Store, Write
from go_state.history.reading.opened import Opened, PassedOver
from go_state.modes.keeping.filing import LetterWriter, place_in_aggregate
from go_state.runtime.on_error import FailedMessage, Policy, SetAside, decide, letter_box_of
from go_state.storage.letters.box import LetterBox, names
from go_state.storage.letters.letter import Letter, begin_of_ids, encode, group_of, group_of_id

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class LettersOfSource(Generic[Model, Msg]):
    """The letters in a store that an aggregate has written of one source; `passed` is what the fold passes over, by them."""

    def __init__(self, work: Opened[Model, Msg], store: Store, source: str, schema_names: tuple[str, ...]) -> None:
        key = work.key if work.key_of is None else None
        self._store = store
        self._on_error = work.passed.on_error
        self._begins = [begin_of_ids(place_in_aggregate(name, key, source)) for name in schema_names]
        place = place_in_aggregate(schema_names[0], key, source)
        key_of: Callable[[Msg], object] = (lambda _: work.key) if work.key_of is None else work.key_of
        self._writer: LetterWriter[Msg] = LetterWriter(work.program, source=source, key=key_of, place=lambda: place)
        self._boxes = [LetterBox(store, name) for name in names(store)]
        self._only = work.key if work.key_of is not None else None  # whose model alone is made again
        self._key_of = key_of
        self._positions = {group_of_id(letter.id) for _, letter in self._letters()}
        self._keys: dict[str, object] = {}  # of the messages at these positions, whose key may not have been known before
        self._failed: dict[str, list[tuple[Msg | None, object, Exception]]] = {}  # by position, what the fold has passed over
        self.passed: PassedOver[Msg] = PassedOver(self._decide, self._keep)

    def _letters(self) -> Iterator[tuple[LetterBox, Letter]]:
        """Give the letters of messages that do not count: the turn of one whose command has failed stays."""
        for box in self._boxes:
            for begin in self._begins:
                yield from ((box, letter) for letter in box.letters(begin) if letter.failed != "command")

    def _decide(self, message: object, position: object, error: Exception) -> Policy:
        """Pass over what was set aside, and over the rest as `on_error` says."""
        policy = decide(self._on_error, message, position, error)
        return SetAside() if group_of(position) in self._positions and not isinstance(policy, SetAside) else policy

    def _keep(self, entry: Entry[Msg], message: Msg | None, error: Exception) -> None:
        position = _own_position(entry)
        if message is None and isinstance(error, BadRecord):
            self._check_known(entry, group_of(position), position, error)
        self._failed.setdefault(group_of(position), []).append((message, position, error))

    def _check_known(self, entry: Entry[Msg], group: str, position: object, error: BadRecord) -> None:
        """Raise the error of a record of which there is no letter: one that was retried with another decoder is in the models."""
        raw = None if entry.undecoded is None else entry.undecoded.raw
        if group not in self._positions and not isinstance(decide(self._on_error, raw, position, error), SetAside):
            error.add_note(
                "There is no letter of this record, which cannot be decoded, in the store: if it was retried with another decode=, give "
                "rebuild a source that reads it, with parse=; if it is to be left out, on_error=gs.SetAside()."
            )
            raise error

    def seen(self, entries: Iterator[Entry[Msg]]) -> Iterator[Entry[Msg]]:
        """Give the entries; those of which there are letters are looked at."""
        if self._only is None or not self._positions:
            return entries
        return self._seen(entries)

    def _seen(self, entries: Iterator[Entry[Msg]]) -> Iterator[Entry[Msg]]:
        for entry in entries:
            if entry.message is not None and (group := group_of(_own_position(entry))) in self._positions:
                with suppress(Exception):  # which its turn raises
                    self._keys[group] = self._key_of(entry.message)
            yield entry

    def _counts(self, letter: Letter) -> bool:
        """Return whether the letter's message is of a model that is made again."""
        key = self._keys.get(group_of_id(letter.id)) if letter.key is None else letter.key
        return self._only is None or key == self._only

    def changes(self) -> tuple[dict[str, Write], int]:
        """Return what to write for the letters, and how many are gone because their messages count now."""
        changes: dict[LetterBox, dict[str, bytes | None]] = {}
        there: set[tuple[str, bytes | None]] = set()
        gone = 0
        for box, letter in self._letters():
            group = group_of_id(letter.id)
            again = [message for message, _, _ in self._failed.get(group, ()) if self._is_of(letter, message)]
            if again:
                there.add((group, letter.message))
                if letter.message is not None:  # as its class is today, in the place of a new letter
                    there.update((group, self._writer.codec.encode(message)) for message in again if message is not None)
                continue
            if not self._counts(letter):
                continue
            changes.setdefault(box, {})[letter.id] = None
            gone += 1
        for box, letter in self._new(there):
            changes.setdefault(box, {})[letter.id] = encode(letter)
        return {key: write for box, each in changes.items() for key, write in box.writes(each).items()}, gone

    def _is_of(self, letter: Letter, message: Msg | None) -> bool:
        """Return whether the letter is of what has failed again: a record of which there is a message by now, or the same message.

        The message's class may be another by now. So the letter is compared as today's types read it; if they cannot, whatever fails at
        its position is taken for it, because a letter too many is seen, and the message of one too few would be lost.
        """
        if letter.message is None or message is None:
            return True
        data = self._writer.codec.encode(message)
        return data == letter.message or self._as_of_today(letter, letter.message) in {None, data}

    def _as_of_today(self, letter: Letter, data: bytes) -> bytes | None:
        """Return the letter's message as today's types and migrations write it; None if they cannot read it."""
        codec = self._writer.codec
        try:
            return codec.encode(codec.decode_stored(letter.id, data, letter.schema))
        except GoStateError:
            return None

    def _new(self, there: set[tuple[str, bytes | None]]) -> Iterator[tuple[LetterBox, Letter]]:
        """Give letters of what has failed and has none, if `on_error` puts it into letters of this store."""
        raw = {position for position, data in there if data is None}
        for position, failed in self._failed.items():
            for message, own, error in failed:
                data = None if message is None else self._writer.codec.encode(message)
                policy = None if message is None else decide(self._on_error, message, own, error)
                box = letter_box_of(policy.buffer) if isinstance(policy, SetAside) else None
                letter = self._writer.letter(FailedMessage(message, own, error), "turn") if message is not None else None
                if (position, data) in there or position in raw or box is None or letter is None:
                    continue
                if box.store is self._store:
                    yield box, letter


def _own_position(entry: Entry[Msg]) -> object:
    """Return what the aggregate calls the entry's position, of whichever type."""
    return entry.position if entry.source_position is None else entry.source_position
