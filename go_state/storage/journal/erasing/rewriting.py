"""The way through a journal that is rewritten: block by block, each message to the user's function, and to whoever folds models anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from go_state.core.errors import UsageError
from go_state.storage.journal.erasing.stage import Stage
from go_state.storage.journal.history import Recorded, Rewrite
from go_state.storage.journal.parts import Parts
from go_state.storage.letters.box import LetterBox
from go_state.storage.letters.box import names as letter_boxes
from go_state.storage.records.layout import EMPTIED, Block, pack_block, split
from go_state.storage.records.records import SNAPSHOT

Msg = TypeVar("Msg")
Taken = TypeVar("Taken", contravariant=True)


class Rewritten(NamedTuple):
    """What a rewriting has done, or would do: of `messages`, how many were replaced and emptied, and the `snapshots` made anew.

    `first` is the position of the first message that it changed, None if there was none: then nothing was written to the journal.
    `letters` is how many dead letters of the journal, in its own store, were deleted or given another message.
    """

    messages: int
    replaced: int
    emptied: int
    snapshots: int
    first: int | None
    letters: int = 0


class Refolding(Protocol[Taken]):
    """Makes the snapshots of a journal's program anew."""

    @property
    def positions(self) -> Sequence[int]:
        """Where snapshots stand, in order."""
        ...

    def take(self, position: int, at: float, before: Taken | None, after: Taken | None) -> None:
        """Fold a message: what it was, and what it is now, None if it was emptied. Those that were set aside are not given."""
        ...

    def snapshot(self, position: int) -> bytes:
        """Return the snapshot that stands before the message at the position."""
        ...


def rewrite(
    parts: Parts[Msg],
    fn: Rewrite,
    refolding: Refolding[Msg] | None,
    *,
    dry_run: bool,
    progress: Callable[[int], object] | None,
) -> Rewritten:
    """Rewrite the journal; see `Journal.rewrite`."""
    if not callable(fn):
        raise UsageError(
            f"rewrite takes a function from an entry to its message, or None to empty it, not a {type(fn).__qualname__}"
        )
    if dry_run:
        counting = _Rewriting(parts, fn, None, None, progress)
        return counting.run()._replace(letters=len(_letters_of(parts, counting.changed)))
    with parts.writer.exclusive():
        _check_rests(parts)
        stage = Stage(parts.records)
        stage.clear()
        try:
            rewriting = _Rewriting(parts, fn, refolding, stage, progress)
            done = rewriting.run()
            if done.first is not None:
                _check_no_command(parts, rewriting.changed)
                _check_snapshots(parts, refolding)
                letters = _letters_of(parts, rewriting.changed)
                stage.switch(parts.kind.written_as.types, letters, has_snapshots=SNAPSHOT in parts.positions.stored)
                done = done._replace(letters=len(letters))
        except BaseException:
            with suppress(Exception):  # the first error tells more, and the next rewriting deletes what is left
                stage.clear()
            raise
        finally:
            _look_anew(parts)
        return done


def _check_rests(parts: Parts[Msg]) -> None:
    """Raise `UsageError` if somebody reads the journal, who would have the one half as it was."""
    with parts.log.lock:
        if parts.log.cursors:
            raise UsageError(f"the journal {parts.records.name!r} is being read: end its program and its readers first")


def _check_snapshots(parts: Parts[Msg], refolding: Refolding[Msg] | None) -> None:
    """Raise `UsageError` if snapshots would have to go without which the program could not begin."""
    records = parts.records
    if refolding is None and SNAPSHOT in parts.positions.stored and records.start:
        raise UsageError(
            f"the journal {records.name!r} begins at {records.start}, and its snapshots hold what was before: give its program= to "
            f"make them anew; nothing was written"
        )


def _check_no_command(parts: Parts[Msg], changed: set[int]) -> None:
    """Raise `UsageError` if a command of a message that changes has not ended: its program finds it again by that message."""
    turns = (name.split("/")[1] for name in parts.records.running())
    running = sorted({int(turn) for turn in turns if turn.isdecimal()} & changed)
    if running:
        raise UsageError(
            f"a command of the message at position {running[0]} of {parts.records.name!r} has not ended: run its program until it has, "
            f"and rewrite the journal then; nothing was written"
        )


def _letters_of(parts: Parts[Msg], changed: set[int]) -> list[str]:
    """Return the keys of the letters in the same store that hold messages which change, with what they failed with."""
    if not changed:
        return []
    store, journal = parts.records.store, parts.records.name
    boxes = [LetterBox(store, name) for name in letter_boxes(store)]
    return [
        box.key(letter.id)
        for box in boxes
        for letter in box.letters()
        if letter.journal == journal and letter.position in changed
    ]


def _look_anew(parts: Parts[Msg]) -> None:
    with parts.log.lock:
        parts.tail.forget_all()
    with suppress(Exception):  # what is on disk is looked at again with the next use
        parts.records.refresh()
        with parts.log.lock:
            parts.positions.stored = dict(parts.records.reached)


class _Rewriting(Generic[Msg]):
    """One rewriting, or the counting of what it would do."""

    def __init__(
        self,
        parts: Parts[Msg],
        fn: Rewrite,
        refolding: Refolding[Msg] | None,
        stage: Stage | None,
        progress: Callable[[int], object] | None,
    ) -> None:
        self._parts = parts
        self._fn = fn
        self._refolding = refolding
        self._stage = stage
        self._progress = progress
        self._aside = parts.run_record.all_set_aside()
        self._snapshots = [] if refolding is None else list(refolding.positions)
        self._made = self._messages = self._emptied = 0
        self.changed: set[int] = set()

    def run(self) -> Rewritten:
        """Go through the journal, and stage what changes."""
        records, end = self._parts.records, self._parts.records.end
        for block in records.blocks(records.start):
            found = [self._record(block, *each) for each in self._each(block)]
            new = list(self._new_blocks(block, found)) if any(changed for _, changed in found) else []
            if self._stage is not None:
                for position, data in new:
                    self._stage.block(position, data)
            if self._progress is not None:
                self._progress(block.end)
        self._make_snapshots(end)
        number = len(self.changed)
        return Rewritten(self._messages, number - self._emptied, self._emptied, self._made, min(self.changed, default=None))

    def _each(self, block: Block) -> Iterator[tuple[int, int, bytes, Msg | None]]:
        """Give the position, time, JSON and value of each message; None for one that cannot be read, or that a migration drops."""
        messages, error = self._parts.kind.decode_as_far(block)
        times = (at for number, at in block.times() for _ in range(number))
        for position, at, record in zip(range(block.first, block.end), times, block.records(), strict=True):
            index = position - block.first
            if index >= len(messages) and error is not None:
                raise error
            yield position, at, record, messages[index]

    def _record(self, block: Block, position: int, at: int, record: bytes, message: Msg | None) -> tuple[bytes, bool]:
        """Return the JSON that the message has from now on, and whether that is another."""
        if position < self._parts.records.start:  # forgotten, and in the file only because of those behind it
            return EMPTIED, False
        self._make_snapshots(position)
        self._messages += 1
        if record == EMPTIED:
            return record, False
        try:
            encoded = self._taken(position, at / 1e6, record, message)
        except Exception as error:
            error.add_note(f"rewrite was at position {position} of {self._parts.records.name!r}, and nothing was written")
            raise
        if encoded != record:
            self.changed.add(position)
            self._emptied += encoded == EMPTIED
        return encoded, encoded != record

    def _taken(self, position: int, at: float, record: bytes, message: Msg | None) -> bytes:
        """Return the JSON that the message has from now on, once it is folded."""
        from msgspec import json

        shown = json.decode(record) if message is None else message
        returned: Any = self._fn(Recorded(position, at, shown))  # a message, or it is refused below
        if returned is shown:
            encoded, after = record, message
        else:
            encoded = EMPTIED if returned is None else self._parts.kind.encode_one(returned)
            after = returned
        if self._refolding is not None and position not in self._aside:
            self._refolding.take(position, at, message, after)
        return encoded

    def _make_snapshots(self, position: int) -> None:
        while self._snapshots and self._snapshots[0] <= position and self._refolding is not None:
            at = self._snapshots.pop(0)
            data = self._refolding.snapshot(at)
            if self._stage is not None:
                self._stage.snapshot(at, data)
            self._made += 1

    def _new_blocks(self, block: Block, found: list[tuple[bytes, bool]]) -> Iterator[tuple[int, bytes]]:
        """Give the blocks in the place of one: messages that stay keep the schema and the types that they were written with."""
        schema, types = self._parts.kind.written_as.schema, self._parts.kind.written_as.types
        digest = "" if types is None else types.digest
        if types is not None and (block.schema, block.types) != (schema, digest):
            self._parts.records.check_shapes(types, schema)
        position, times = block.first, block.times()
        written_today = (schema, digest)
        as_it_was = (block.schema, block.types)
        runs = groupby(found, key=lambda each: written_today if each[1] and each[0] != EMPTIED else as_it_was)
        for (number, name), run in runs:
            records = [record for record, _ in run]
            own, times = split(times, len(records))
            yield position, pack_block(number, name.encode(), own, records)
            position += len(records)
