"""CSV: one message a row, its fields taken from the columns of their names."""

from __future__ import annotations

import csv
import os
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar, overload

from go_state.core.errors import BadRecord, SourceError
from go_state.sources.files import FileSource

Msg = TypeVar("Msg")


class _Records:
    def __init__(self, name: str, of: Any, missing: Sequence[str], delimiter: str) -> None:
        self._name = name
        self._of = of
        self._missing = frozenset(missing)
        self._delimiter = delimiter

    def __call__(self, lines: Iterator[str], skip: int, /) -> Iterator[Any]:
        rows = csv.reader(lines, delimiter=self._delimiter, strict=True)
        record = 0
        try:
            header = next(rows, None)
            if header is None:
                return
            message_of = self._converter(header)
            record = sum(1 for _ in islice((row for row in rows if row), skip))
            for row in rows:
                if not row:
                    continue  # a blank line
                record += 1
                if len(row) != len(header):
                    raise BadRecord(
                        self._name, record, f"it has {len(row)} columns, and the header {len(header)} (line {rows.line_num})"
                    )
                try:
                    message = message_of(row)
                except ValueError as error:
                    raise BadRecord(self._name, record, f"{error} (line {rows.line_num})") from error
                yield message
        except csv.Error as error:
            raise BadRecord(
                self._name, record + 1, f"it cannot be split into columns: {error} (line {rows.line_num})"
            ) from error

    def _converter(self, header: list[str]) -> Callable[[list[str]], Any]:
        if self._of is None:
            return lambda row: dict(zip(header, row, strict=True))
        from msgspec import convert

        kind, missing = self._of, self._missing
        hints = typing.get_type_hints(kind)
        needed = _required(kind, hints)
        lacking = [name for name in needed if name not in header]
        if lacking:
            raise SourceError(
                f"{self._name} has no column {', '.join(lacking)}, which {kind.__qualname__} needs; its columns are {', '.join(header)}"
            )
        columns = [(name, header.index(name), _may_be_none(hint)) for name, hint in hints.items() if name in header]

        def message_of(row: list[str]) -> Any:
            values = {name: None if optional and row[i] in missing else row[i] for name, i, optional in columns}
            return convert(values, kind, strict=False)

        return message_of


def _required(kind: Any, hints: dict[str, Any]) -> list[str]:
    """Return the fields that have no default."""
    import inspect

    parameters = inspect.signature(kind).parameters
    return [name for name in hints if name in parameters and parameters[name].default is inspect.Parameter.empty]


def _may_be_none(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType) and type(None) in typing.get_args(hint)


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
        super().__init__(path, name, _Records(os.fspath(path), of, missing, delimiter))
