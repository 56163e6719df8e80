"""CSV: one message a row, its fields taken from the columns of their names."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar, overload

from go_state.core.errors import BadRecord, SourceError, UsageError
from go_state.sources.files import FileSource
from go_state.storage.codec import without_contents

Msg = TypeVar("Msg")


class _Records:
    def __init__(self, name: str, of: Any, missing: Sequence[str], delimiter: str) -> None:
        self._name = name
        self._of = of
        self._missing = frozenset(missing)
        self._delimiter = delimiter

    def __call__(self, lines: Iterator[bytes], skip: int, /) -> Iterator[Any]:
        rows = csv.reader(map(bytes.decode, lines), delimiter=self._delimiter, strict=True)
        full = (row for row in rows if row)  # a blank line is no row
        record = 0
        try:
            header = next(full, None)
            if header is None:
                return
            message_of = self._converter(header)
            record = sum(1 for _ in islice(full, skip))
            for row in full:
                record += 1
                if len(row) != len(header):
                    why = f"it has {len(row)} columns, and the header {len(header)} (line {rows.line_num})"
                    raise BadRecord(self._name, record, why)
                try:
                    message = message_of(row)
                except ValueError as error:
                    raise BadRecord(self._name, record, f"{without_contents(error)} (line {rows.line_num})") from None
                except Exception as error:  # of a class that checks its own fields: its words are not ours to repeat
                    why = f"its class raised {type(error).__qualname__} (line {rows.line_num})"
                    raise BadRecord(self._name, record, why) from None
                yield message
        except csv.Error as error:
            why = f"it cannot be split into columns: {error} (line {rows.line_num})"
            raise BadRecord(self._name, record + 1, why) from error

    def _converter(self, header: list[str]) -> Callable[[list[str]], Any]:
        twice = {name for name in header if header.count(name) > 1}
        if twice:
            raise SourceError(f"{self._name} has more than one column {', '.join(sorted(twice))}: give each a name of its own")
        if self._of is None:
            return lambda row: dict(zip(header, row, strict=True))
        from msgspec import convert

        from go_state.storage.fields import fields_of
        from go_state.storage.shape import shape_of

        fields, shape, missing = fields_of(self._of), shape_of(self._of), self._missing
        lacking = [field.name for field in fields if field.required and field.name not in header]
        if lacking:
            raise SourceError(
                f"{self._name} has no column {', '.join(lacking)}, which {self._of.__qualname__} needs; its columns are {', '.join(header)}"
            )
        columns = [(field.name, header.index(field.name), field.may_be_none) for field in fields if field.name in header]
        mirror, back = shape.mirror, shape.back

        def message_of(row: list[str]) -> Any:
            values = {name: None if optional and row[i] in missing else row[i] for name, i, optional in columns}
            message = convert(values, mirror, strict=False)
            return message if back is None else back(message)

        return message_of


class CSV(FileSource[Msg]):
    """A table with a header row, plain, .gz or .zip.

    `of` is the class of the messages: each of its fields takes the column of its name, turned into the field's type; other
    columns are left aside. A field that may be None is None where the column holds one of `missing`. Without `of` a message is a
    dict of strings. Positions count rows below the header; `name` is what the position is stored under, by default the file's
    name. Raises `SourceError` for a missing file or column, `BadRecord` for a row that is no message.
    """

    @overload
    def __init__(
        self: CSV[dict[str, str]],
        path: str | os.PathLike[str],
        of: None = None,
        *,
        name: str | None = None,
        delimiter: str = ",",
    ) -> None: ...
    @overload
    def __init__(
        self,
        path: str | os.PathLike[str],
        of: type[Msg],
        *,
        name: str | None = None,
        missing: Sequence[str] = ("",),
        delimiter: str = ",",
    ) -> None: ...
    def __init__(
        self,
        path: str | os.PathLike[str],
        of: Any = None,
        *,
        name: str | None = None,
        missing: Sequence[str] = ("",),
        delimiter: str = ",",
    ) -> None:
        if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n':
            raise UsageError(f'delimiter is one character, such as ";" or "\\t", not {delimiter!r}')
        if of is not None:
            from go_state.storage.fields import fields_of

            if not fields_of(of):
                raise UsageError(f"of= is a class whose fields are columns, such as a dataclass, not {of!r}")
        super().__init__(path, name, _Records(os.fspath(path), of, missing, delimiter))
