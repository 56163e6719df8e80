"""The files of a day as a source of the shop's own: a line that is malformed is counted, and passed over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from go_state.sources import JSONLines

Msg = TypeVar("Msg")


def tagged(*classes: type, field: str = "type") -> Callable[[bytes], Any]:
    """Return the function that makes a message of a line whose field `type` names one of the classes."""
    named = {cls.__name__: msgspec.json.Decoder(cls).decode for cls in classes}
    peek = msgspec.json.Decoder(msgspec.defstruct("Line", [("tag", str)], rename={"tag": field})).decode

    def parse(line: bytes) -> Any:
        return named[peek(line).tag](line)

    return parse


class Lines(Generic[Msg]):
    """A file of lines with a `parse` of one's own. `malformed` are the numbers of the lines on which it has raised."""

    def __init__(self, path: Path, parse: Callable[[bytes], Msg]) -> None:
        self._file: JSONLines[Any] = JSONLines(path)  # which recognises the file, and knows how far it was read
        self.path, self.name, self.parse = path, path.name, parse
        self.malformed: list[int] = []

    def fingerprint(self) -> str:
        return self._file.fingerprint()

    def recognise(self, fingerprint: str) -> None:
        self._file.recognise(fingerprint)

    def read(self, after: int | None = None) -> LinesReading[Msg]:
        return LinesReading(self, after or 0)


class LinesReading(Generic[Msg]):
    """One pass, after the first `position` lines."""

    def __init__(self, lines: Lines[Msg], position: int) -> None:
        self.position = position
        self._lines = lines
        self._file = lines.path.open("rb")

    def __iter__(self) -> Iterator[Msg]:
        after, parse = self.position, self._lines.parse
        for number, line in enumerate(self._file, 1):
            if number <= after:
                continue
            try:
                message = parse(line)
            except (ValueError, KeyError, TypeError):
                self._lines.malformed.append(number)
                continue
            self.position = number
            yield message

    def close(self) -> None:
        self._file.close()
