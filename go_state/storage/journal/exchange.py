"""A journal as JSON Lines that a person can read and write, and back.

{"position":0,"at":"2026-11-23T05:00:00.000000Z","message":["Add",{"by":1}]}
{"position":1,"at":"2026-11-23T05:00:01.000000Z","aside":"ValueError","message":["Add",{"by":-1}]}

`aside` says why runs and replays pass over the message; one that is imported is passed over likewise. A message that was emptied
is `null`, and has its place in what is imported as well. `position` is for the reader: an import counts on from where the journal
ends.
"""

from __future__ import annotations

import base64
import datetime
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import IO, Any, NamedTuple, TypeVar

from msgspec import Raw

from go_state.core.errors import BadRecord
from go_state.storage.journal.history import History
from go_state.storage.records.layout import EMPTIED

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_CHUNK = 1000  # messages that enter together
Msg = TypeVar("Msg")

_TIMES = range(-(1 << 63), 1 << 63)  # what is read again from a journal's lines; the calendar has its place in the middle of it


def export_to(
    history: History[Msg],
    aside: Mapping[int, str],
    check: Callable[[str | os.PathLike[str]], object],
    path: str | os.PathLike[str],
) -> int:
    """Write the messages, one a line, and return how many they were; `check` raises for a path that must not be written."""
    check(path)
    number = 0
    with open(path, "wb") as file:
        for line in lines(history, aside):
            file.write(line)
            number += 1
    return number


def lines(history: History[Msg], aside: Mapping[int, str], start: int | None = None, end: int | None = None) -> Iterator[bytes]:
    """Give each message as a line, without bounds also those that are not on disk yet; `aside` says which are passed over, and why."""
    import orjson

    for block, first, last in history.all_blocks() if start is end is None else history.raw(start, end):
        records = block.records()
        position = block.first
        for number, at in block.times():
            for _ in range(number):
                if first <= position < last:
                    why = {"aside": aside[position]} if position in aside else {}
                    head = orjson.dumps({"position": position, "at": _written(at), **why})
                    yield head[:-1] + b',"message":' + records[position - block.first] + b"}\n"
                position += 1


def as_member(payload: bytes) -> bytes:
    """Return a stored model as the member of an object in one line: as JSON, or in base64 if its codec makes something else."""
    from msgspec import DecodeError
    from msgspec.json import format as formatted

    try:
        return b'"model": ' + formatted(payload, indent=-1)
    except (DecodeError, RecursionError):
        return b'"base64": "%b"' % base64.b64encode(payload)


def _written(at: int) -> str | int:
    """Return a time as people write it, or, if the calendar has no such year, its microseconds since 1970."""
    try:
        return (_EPOCH + at * _MICROSECOND).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except OverflowError:
        return at


def _microseconds(at: object) -> int:
    """Return the microseconds since 1970 of a time as `_written` writes it.

    Raises `ValueError` for what is not a time, or one without a zone, which would be another elsewhere.
    """
    if type(at) is int:
        if at not in _TIMES:
            raise ValueError('its "at" is too far away to be a time in microseconds')
        return at
    try:
        when = datetime.datetime.fromisoformat(at)  # type: ignore[arg-type]  # anything else is a TypeError
    except (ValueError, TypeError):
        raise ValueError('its "at" is not a time') from None
    if when.tzinfo is None:
        raise ValueError('its "at" has no time zone')
    return (when - _EPOCH) // _MICROSECOND


def import_from(
    put: Callable[[Sequence[Any], Sequence[int], Mapping[int, str]], object],
    decode: Callable[[bytes], object],
    path: str | os.PathLike[str],
    *,
    progress: Callable[[int], object] | None = None,
) -> int:
    """Put the messages of such a file, with their times, and return how many they were; positions count on from the journal's.

    Every line is read before the first message enters: `BadRecord` names the line that is not a message of the journal's type. So
    what can be read only once, such as a pipe, is copied into a temporary file first. `put(messages, times, aside)` is called with
    times in microseconds since 1970. `progress` is called with the number of lines read so far, which are twice those of the file
    in the end.
    """
    name, checked, number = os.fspath(path), 0, 0
    with _reread(name) as file:
        messages = _messages(decode, name, file)
        while chunk := list(islice(messages, _CHUNK)):
            checked += len(chunk)
            if progress is not None:
                progress(checked)
        file.seek(0)
        messages = islice(_messages(decode, name, file), checked)  # what was written to the file meanwhile is not checked
        while chunk := list(islice(messages, _CHUNK)):
            aside = {index: line.aside for index, line in enumerate(chunk) if line.aside}
            put([line.message for line in chunk], [line.at for line in chunk], aside)
            number += len(chunk)
            if progress is not None:
                progress(checked + number)
    return number


@contextmanager
def _reread(path: str) -> Iterator[IO[bytes]]:
    """Open a file that can be read again from its beginning."""
    with open(path, "rb") as file:
        if file.seekable():
            yield file
            return
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(file, copy)
            copy.seek(0)
            yield copy


class _Line(NamedTuple):
    """One message, when it entered (microseconds since 1970), and why it is passed over, if it is."""

    at: int
    message: object
    aside: str


def _messages(decode: Callable[[bytes], object], name: str, file: IO[bytes]) -> Iterator[_Line]:
    from msgspec import json

    from go_state.storage.codec.depth import with_room
    from go_state.storage.codec.error_texts import without_contents

    decoder = json.Decoder(dict[str, Raw])
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            fields = with_room(decoder.decode, line)
            at = _microseconds(json.decode(fields["at"]))
            record = bytes(fields["message"])  # as it is written: its numbers have passed through no float
            message = None if record == EMPTIED else decode(record)
            aside = json.decode(fields["aside"], type=str) if "aside" in fields else ""
        except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
            missing = f"it has no {error}" if isinstance(error, KeyError) else without_contents(error)
            why = f'{missing}; a line is {{"at": "2026-01-31T12:00:00Z", "message": ["Add", {{"by": 1}}]}}'
            raise BadRecord(name, number, why) from None
        yield _Line(at, message, aside)
