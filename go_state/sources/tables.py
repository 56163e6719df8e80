"""CSV: one message a row, its fields taken from the columns of their names."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar, overload

from go_state.core.errors import BadRecord, SourceError, UsageError
from go_state.sources.contents import Lines
from go_state.sources.files import FileSource
from go_state.sources.rows import Rows
from go_state.storage.types.annotations import Instance, class_of

if TYPE_CHECKING:
    from go_state.sources.columns import Parse
    from go_state.storage.types.classes.fields import Field

Msg = TypeVar("Msg")
Make: TypeAlias = Callable[[list[str]], Instance]
"""Makes a message of a row: an object of the class that was given, or a dict of strings."""


class _Records(Generic[Msg]):
    def __init__(self, name: str, of: type[Msg] | None, missing: Sequence[str], delimiter: str) -> None:
        self._name = name
        self._of = of
        self._missing = frozenset(missing)
        self._delimiter = delimiter

    def __call__(self, lines: Lines, skip: int, /) -> Iterator[Msg]:
        rows, record = Rows(lines, self._delimiter), 0
        full = (row for row in rows if row)  # a blank line is not a row
        try:
            header = next(full, None)
            if header is None:
                lines.rest = b""  # at most half a header, and no record
                return
            width, message_of = len(header), self._reader(header)
            for row in full:
                record += 1
                if record <= skip:
                    continue
                if len(row) != width:
                    raise _BadRowError(f"it has {len(row)} columns, and the header {width}")
                yield message_of(row)
        except _BadRowError as error:
            raise BadRecord(self._name, record, f"{error} (line {rows.line})") from None
        except csv.Error as error:
            if not lines.exhausted or lines.finished:
                why = f"it cannot be split into columns: {error} (line {rows.line})"
                raise BadRecord(self._name, record + 1, why) from None
            lines.is_open = True  # the lines have ended between two quotes
        finally:
            lines.complete = record

    def _reader(self, header: list[str]) -> Make:
        """Return what makes a message of a row."""
        if self._of is not None:
            return self._converter(header)
        nameless = [i for i, name in enumerate(header) if not name] if header.count("") > 1 else []
        self._check_names(header, {name for name in header if name})
        if not nameless:
            return lambda row: dict(zip(header, row, strict=True))

        def without_nameless(row: list[str]) -> dict[str, str]:
            if any(row[i] for i in nameless):
                raise _BadRowError("it has something in a column without a name, of which there are several: name them")
            return {name: text for name, text in zip(header, row, strict=True) if name}

        return without_nameless

    def _check_names(self, header: list[str], wanted: set[str]) -> None:
        twice = sorted(name for name in wanted if header.count(name) > 1)
        if twice:
            raise SourceError(f"{self._name} has more than one column {', '.join(twice)}: give each a name of its own")

    def _converter(self, header: list[str]) -> Make:
        from go_state.sources.columns import parser_of
        from go_state.storage.types.classes.fields import fields_of, maker_of, takes_fields_in_order

        fields, cls = fields_of(self._of), class_of(self._of)
        self._check_names(header, {field.name for field in fields})
        lacking = [field.name for field in fields if field.required and field.name not in header]
        if lacking:
            raise SourceError(
                f"{self._name} has no column {', '.join(lacking)}, which {cls.__qualname__} needs; its columns are {', '.join(header)}"
            )
        there = [field for field in fields if field.name in header]
        if not there:  # every row would be made of defaults
            raise SourceError(
                f"{self._name} has no column of {cls.__qualname__}'s fields; its columns are {', '.join(header)}: is the delimiter another?"
            )
        parameters = [field.parameter for field in there]
        columns = [(header.index(field.name), parser_of(field, self._missing)) for field in there]
        make = maker_of(cls)
        in_order = len(there) == len(fields) and takes_fields_in_order(cls, parameters)

        def message_of(row: list[str]) -> Instance:
            try:
                values = [row[i] if parse is None else parse(row[i]) for i, parse in columns]
            except Exception:  # of the parsers, which may quote the text
                raise _BadRowError(self._misfit(row, there, columns)) from None
            try:
                return cls(*values) if in_order else make(**dict(zip(parameters, values, strict=True)))
            except Exception as error:  # of a class that checks its own fields: its words are not ours to repeat
                raise _BadRowError(f"its class raised {type(error).__qualname__}") from None

        return message_of

    def _misfit(self, row: list[str], fields: list[Field], columns: list[tuple[int, Parse | None]]) -> str:
        """Say which column holds no value of its field, without the text."""
        from go_state.sources.columns import may_be_none

        for field, (i, parse) in zip(fields, columns, strict=True):
            try:
                _ = parse is None or parse(row[i])
            except Exception as error:
                kind = field.annotation.__qualname__ if isinstance(field.annotation, type) else str(field.annotation)
                empty = row[i] in self._missing and not may_be_none(field.annotation)
                hint = ", which missing= says is not a value, and the field cannot be None" if empty else ""
                return f"its column {field.name} holds no {kind} ({type(error).__qualname__}){hint}"
        return "its columns hold other values each time they are read"


class _BadRowError(Exception):
    """A row that is not a message; the text says why, and nothing of what it holds."""


class CSV(FileSource[Msg]):
    """A table with a header row, plain, .gz or .zip.

    `of` is the class of the messages: each of its fields takes the column of its name, turned into the field's type as Python
    does: what `int`, `float`, `Decimal`, `UUID`, `date.fromisoformat` and their like take is taken, true, false, 1 and 0 are bools,
    and nothing is guessed. Other columns are ignored. A field that may be None is None if the column holds one of `missing`.
    Without `of` a message is a dict of strings.

    Positions count rows below the header; `name` is what the position is stored under, by default the file's name; `finished`
    says whether a last row without a line end is whole, see `FileSource`. Raises `SourceError` for a missing file or column,
    `BadRecord` for a row that is not a message.
    """

    @overload
    def __init__(
        self: CSV[dict[str, str]],
        path: str | os.PathLike[str],
        of: None = None,
        *,
        name: str | None = None,
        delimiter: str = ",",
        finished: bool | None = None,
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
        finished: bool | None = None,
    ) -> None: ...
    def __init__(
        self,
        path: str | os.PathLike[str],
        of: type[Msg] | None = None,
        *,
        name: str | None = None,
        missing: Sequence[str] = ("",),
        delimiter: str = ",",
        finished: bool | None = None,
    ) -> None:
        if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n':
            raise UsageError(f'delimiter is one character, such as ";" or "\\t", not {delimiter!r}')
        if isinstance(missing, str) or not all(isinstance(text, str) for text in missing):
            raise UsageError('missing= is a tuple of the texts that stand for None, such as ("", "NA")')
        if of is not None:
            from go_state.storage.types.classes.fields import fields_of

            if not fields_of(of):
                raise UsageError(f"of= is a class whose fields are columns, such as a dataclass, not {of!r}")
        super().__init__(path, name, _Records(os.fsdecode(path), of, missing, delimiter), finished)
