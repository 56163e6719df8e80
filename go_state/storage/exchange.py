"""A journal as JSON Lines that a person can read and write, and back.

{"position":0,"at":"2026-11-23T05:00:00.000000Z","message":["Add",{"by":1}]}
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Raw

from go_state.core.errors import BadRecord

if TYPE_CHECKING:
    from go_state.storage.journal import Journal

Msg = TypeVar("Msg")

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_CHUNK = 1000  # messages that enter together


def export_to(journal: Journal[Any], path: str | os.PathLike[str], *, start: int | None = None, end: int | None = None) -> int:
    """Write the messages from `start` to before `end`, one a line, and return how many they were."""
    journal.flush()
    number = 0
    with open(path, "wb") as file:
        for line in lines(journal, start, end):
            file.write(line)
            number += 1
    return number


def lines(journal: Journal[Any], start: int | None = None, end: int | None = None) -> Iterator[bytes]:
    """Give each message as a line."""
    import orjson

    for block, first, last in journal.raw(start, end):
        records = block.records()
        position = block.first
        for number, at in block.times():
            for _ in range(number):
                if first <= position < last:
                    when = datetime.datetime.fromtimestamp(at / 1e6, datetime.UTC).isoformat(timespec="microseconds")
                    head = orjson.dumps({"position": position, "at": when.replace("+00:00", "Z")})
                    yield head[:-1] + b',"message":' + records[position - block.first] + b"}\n"
                position += 1


def import_from(journal: Journal[Msg], path: str | os.PathLike[str], *, watch: Callable[[int], object] | None = None) -> int:
    """Append the messages of such a file, with their times, and return how many they were; positions count on from the journal's.

    Every line is read before the first message enters: `BadRecord` names the line that is no message of the journal's type.
    `watch` is called with the number of lines read so far, which are twice those of the file in the end.
    """
    checked, number = 0, 0
    messages = _messages(journal, path)
    while chunk := list(islice(messages, _CHUNK)):
        checked += len(chunk)
        if watch is not None:
            watch(checked)
    messages = _messages(journal, path)
    while chunk := list(islice(messages, _CHUNK)):
        journal.put_dated([message for _, message in chunk], [at for at, _ in chunk])
        number += len(chunk)
        if watch is not None:
            watch(checked + number)
    journal.flush()
    return number


def _messages(journal: Journal[Msg], path: str | os.PathLike[str]) -> Iterator[tuple[int, Msg]]:
    """Give time (microseconds since 1970) and message of each line."""
    from msgspec import json

    from go_state.storage.codec import without_contents

    name, decoder = os.fspath(path), json.Decoder(dict[str, Raw])
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                fields = decoder.decode(line)
                at = _microseconds(json.decode(fields["at"]))
                message = journal.decode(bytes(fields["message"]))  # as it is written: its numbers have passed through no float
            except (ValueError, KeyError, TypeError, ArithmeticError) as error:
                missing = f"it has no {error}" if isinstance(error, KeyError) else without_contents(error)
                why = f'{missing}; a line is {{"at": "2026-01-31T12:00:00Z", "message": ["Add", {{"by": 1}}]}}'
                raise BadRecord(name, number, why) from None
            yield at, message


def _microseconds(text: object) -> int:
    """Return the time since 1970; `ValueError` for what is no time, or one without a zone, which would be another elsewhere."""
    try:
        when = datetime.datetime.fromisoformat(text)  # type: ignore[arg-type]  # anything else is a TypeError
    except (ValueError, TypeError):
        raise ValueError('its "at" is no time') from None
    if when.tzinfo is None:
        raise ValueError('its "at" has no time zone')
    return (when - _EPOCH) // datetime.timedelta(microseconds=1)
