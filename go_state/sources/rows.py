"""Rows of a table: what the standard csv module reads, and rows with longer fields than it takes."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from go_state.sources.contents import Lines

_LONGEST = 1 << 27  # characters of one row: if a quote is not closed, the rest of the file would be one row


class Rows:
    """The rows of the lines, in order, blank ones included as empty lists; to be iterated once.

    The csv module has a limit to the length of a field, which is the whole process's. A row that it refuses for that is split
    here, by the same rules: a field that begins with a quote ends with one, and quotes inside are doubled.
    """

    def __init__(self, lines: Lines, delimiter: str) -> None:
        self._delimiter = delimiter
        self._held: list[str] = []  # the lines of the row that is being read
        self._texts = self._decoded(lines)
        self._rows = csv.reader(self._texts, delimiter=delimiter, strict=True)
        self._more = 0  # how many lines csv has not seen

    @property
    def line(self) -> int:
        """The number of the line that was read last, from 1."""
        return self._rows.line_num + self._more

    def _decoded(self, lines: Lines) -> Iterator[str]:
        hold = self._held.append
        for line in lines:
            text = line.decode()
            hold(text)
            yield text

    def __iter__(self) -> Iterator[list[str]]:
        done = self._held.clear
        while True:
            try:
                for row in self._rows:
                    done()
                    yield row
                return
            except csv.Error:
                if sum(map(len, self._held)) <= csv.field_size_limit():
                    raise
            row = self._split(list(self._held))
            done()
            yield row

    def _split(self, lines: list[str]) -> list[str]:
        """Split a row, whose first lines are given, taking more of them while a quote is open."""
        row: list[str] = []
        text, at = "".join(lines), 0
        while True:
            if text.startswith('"', at):
                field, text, at = self._quoted(text, at + 1)
            else:
                end = text.find(self._delimiter, at)
                end = len(text.rstrip("\r\n")) if end < 0 else end
                field, at = text[at:end], end
            row.append(field)
            if not text.startswith(self._delimiter, at):
                break
            at += 1
        if text[at:].strip("\r\n"):
            raise csv.Error(f"{self._delimiter!r} expected after '\"'")
        return row

    def _quoted(self, text: str, at: int) -> tuple[str, str, int]:
        """Return the field that begins after a quote, and the text and the place after the quote that ends it."""
        parts: list[str] = []
        length = 0
        while True:
            end = text.find('"', at)
            parts.append(text[at:] if end < 0 else text[at:end])
            length += len(parts[-1])
            if length > _LONGEST:
                raise csv.Error(f"a field is longer than {_LONGEST} characters: is a quote not closed?")
            if end < 0:
                text, at = self._next_line(), 0
            elif text.startswith('"', end + 1):
                parts.append('"')
                at = end + 2
            else:
                return "".join(parts), text, end + 1

    def _next_line(self) -> str:
        text = next(self._texts, None)
        if text is None:
            raise csv.Error("its last quote is not closed")
        self._held.clear()
        self._more += 1
        return text
