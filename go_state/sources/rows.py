"""Rows of a table: what the standard csv module reads, and rows with longer fields than it takes."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from go_state.sources.contents import Lines
from go_state.sources.decoding import not_utf8

_LONGEST = 1 << 27  # characters of one row: if a quote is not closed, the rest of the file would be one row


class UnendedError(Exception):
    """A row has no end, so nobody knows where the next one begins; the text says why."""


class Rows:
    """The rows of the lines, in order, blank ones included as empty lists; to be iterated once.

    The csv module has a limit to the length of a field, which is the whole process's. A row that it refuses for that is split
    here, by the same rules: a field that begins with a quote ends with one, and quotes inside are doubled.
    """

    def __init__(self, lines: Lines, delimiter: str) -> None:
        self._delimiter = delimiter
        self._lines = lines
        self._held: list[str] = []  # the lines of the row that is being read
        self._texts = self._decoded(lines)
        self._rows = csv.reader(self._texts, delimiter=delimiter, strict=True)
        self._more = 0  # how many lines csv has not seen
        self._misfit = ""
        self.why = ""  #: why the row last given cannot be split into columns, empty if it can

    @property
    def line(self) -> int:
        """The number of the line that was read last, from 1."""
        return self._rows.line_num + self._more

    def raw(self) -> bytes:
        """Return the lines of the row last given, as they are in the file."""
        return "".join(self._held).encode(errors="surrogateescape")

    def _decoded(self, lines: Lines) -> Iterator[str]:
        hold = self._held.append
        for line in lines:
            try:
                text = line.decode()
            except UnicodeDecodeError as error:
                text = line.decode(errors="surrogateescape")  # so that the next row is found, and `raw` is what it was
                self._misfit = not_utf8(error)
            hold(text)
            yield text

    def __iter__(self) -> Iterator[list[str]]:
        """Give the rows; one that cannot be split is empty, and `why` says why. `UnendedError` for one without an end."""
        done = self._held.clear
        while True:
            row: list[str] = []
            try:
                for row in self._rows:
                    if self._misfit:
                        break
                    yield row
                    done()
                else:
                    return
            except csv.Error as error:
                row = self._refused(error)
            if self._misfit:
                row, self.why, self._misfit = [], self._misfit, ""
            yield row
            self.why = ""
            done()

    def _refused(self, error: csv.Error) -> list[str]:
        """Return a row that the csv module refuses: split here if it is only too long for it, or else empty."""
        try:
            if sum(map(len, self._held)) <= csv.field_size_limit():
                raise error
            return self._split(list(self._held))
        except csv.Error as refusal:
            if self._lines.exhausted:  # it wanted another line: a quote is not closed
                raise UnendedError(str(refusal)) from None
            self.why = f"it cannot be split into columns: {refusal}"
            return []

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
                raise UnendedError(f"a field is longer than {_LONGEST} characters: is a quote not closed?")
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
            raise UnendedError("its last quote is not closed")
        self._more += 1
        return text
