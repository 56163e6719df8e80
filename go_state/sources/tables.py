"""CSV: one message a row, its fields taken from the columns of their names."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import UnionType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias, TypeVar, overload

from go_state.core.errors import BadRecord, SourceError, UsageError
from go_state.core.ports import Undecoded
from go_state.sources.contents import Lines
from go_state.sources.decoding import (
    Tags,
    UndecodableError,
    check_decoding,
    named_classes,
    parsed_by,
    unknown_tag,
    why_undecodable,
)
from go_state.sources.files import FileSource
from go_state.sources.rows import Rows, UnendedError
from go_state.storage.types.annotations import Instance, TypeForm, class_of

if TYPE_CHECKING:
    from go_state.sources.columns import Parse
    from go_state.storage.types.classes.fields import Field

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault  # type checkers know it, whether it is installed or not

    Msg = TypeVarWithDefault("Msg", default=dict[str, str])  # a row, if nothing says what a message is
else:
    Msg = TypeVar("Msg")
Make: TypeAlias = Callable[[list[str]], Instance]
"""Makes a message of a row: an object of the class that was given, or a dict of strings."""


class How(NamedTuple):
    """How a row becomes a message; see `CSV`."""

    of: TypeForm
    tag: str | None
    tags: Tags | None
    parse: Callable[[dict[str, str]], object] | None  # returns a message


class _Records(Generic[Msg]):
    def __init__(self, name: str, how: How, missing: Sequence[str], delimiter: str) -> None:
        self._name = name
        self._how = how
        self._missing = frozenset(missing)
        self._delimiter = delimiter

    def __call__(self, lines: Lines, skip: int, /) -> Iterator[Msg | Undecoded]:
        rows, record, header, width = Rows(lines, self._delimiter), 0, b"", 0
        message_of: Make = _before_header
        try:
            for row in rows:
                if not row and not rows.why:
                    continue  # a blank line is not a row
                if not header:
                    header, width, message_of = rows.raw(), len(row), self._reader(row, rows.why)
                    continue
                record += 1
                if record <= skip:
                    continue
                try:
                    message = message_of(row if len(row) == width else _misfitting(row, width, rows.why))
                except Exception as error:
                    bad = BadRecord(self._name, record, f"{why_undecodable(error)} (line {rows.line})")
                    yield Undecoded(with_header(header, rows.raw()), bad)
                    continue
                yield message
            if not header:
                lines.rest = b""  # at most half a header, and no record
        except UnendedError as error:
            if not lines.exhausted or lines.finished:
                why = f"it cannot be split into columns: {error} (line {rows.line})"
                raise BadRecord(self._name, record + 1, why) from None
            lines.is_open = True  # the lines have ended between two quotes
        finally:
            lines.complete = record

    def _reader(self, header: list[str], why: str) -> Make:
        """Return what makes a message of a row, below a header that is whole if there is no reason `why` not."""
        if why:
            raise BadRecord(self._name, 0, f"its header, of which every record has need: {why}")
        of, how = self._how.of, self._how
        if how.parse is not None:
            parse, as_dict = parsed_by(how.parse), self._as_dict(header)
            return lambda row: parse(as_dict(row))
        if of is None:
            return self._as_dict(header)
        tag = how.tag
        if tag is None:
            return self._converter(header, of)
        if header.count(tag) != 1:
            raise SourceError(
                f"{self._name} has {header.count(tag) or 'no'} column {tag}, which tag= names; its columns are {', '.join(header)}"
            )
        at, named = header.index(tag), {str(name): kind for name, kind in named_classes(of, how.tags).items()}
        makers = {name: self._converter(header, kind) for name, kind in named.items()}

        def message_of(row: list[str]) -> Instance:
            make = makers.get(row[at])
            if make is None:
                raise unknown_tag(tag, named)
            return make(row)

        return message_of

    def _as_dict(self, header: list[str]) -> Make:
        nameless = [i for i, name in enumerate(header) if not name] if header.count("") > 1 else []
        self._check_names(header, {name for name in header if name})
        if not nameless:
            return lambda row: dict(zip(header, row, strict=True))

        def without_nameless(row: list[str]) -> dict[str, str]:
            if any(row[i] for i in nameless):
                raise UndecodableError("it has something in a column without a name, of which there are several: name them")
            return {name: text for name, text in zip(header, row, strict=True) if name}

        return without_nameless

    def _check_names(self, header: list[str], wanted: set[str]) -> None:
        twice = sorted(name for name in wanted if header.count(name) > 1)
        if twice:
            raise SourceError(f"{self._name} has more than one column {', '.join(twice)}: give each a name of its own")

    def _converter(self, header: list[str], of: TypeForm) -> Make:
        from go_state.sources.columns import parser_of
        from go_state.storage.types.classes.fields import fields_of, maker_of, takes_fields_in_order

        fields, cls = fields_of(of), class_of(of)
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
                raise UndecodableError(self._misfit(row, there, columns)) from None
            try:
                return cls(*values) if in_order else make(**dict(zip(parameters, values, strict=True)))
            except Exception as error:  # of a class that checks its own fields: its words are not ours to repeat
                raise UndecodableError(f"its class raised {type(error).__qualname__}") from None

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


def _before_header(row: list[str]) -> Instance:
    raise AssertionError("the first row is the header")


def _misfitting(row: list[str], width: int, why: str) -> list[str]:
    raise UndecodableError(why or f"it has {len(row)} columns, and the header {width}")


def with_header(header: bytes, row: bytes) -> bytes:
    """Return a table of one row, which can be read by itself."""
    return header + (b"" if header.endswith((b"\n", b"\r")) else b"\n") + row


class CSV(FileSource[Msg]):
    """A table with a header row in the file at `path`, plain, .gz or .zip; columns are told apart by `delimiter`.

    `of` is the class of the messages: each of its fields takes the column of its name, turned into the field's type as Python
    does: what `int`, `float`, `Decimal`, `UUID`, `date.fromisoformat` and their like take is taken, true, false, 1 and 0 are
    bools, and nothing is guessed. Other columns are ignored. A field that may be None is None if the column holds one of
    `missing`. With `tag="type"`, `of` may be a union: the column of that name says which class a row is, by the name that the
    class is stored under, or the one that it has in `tags`, a mapping of names to classes. Or `parse` is a function of the row,
    a dict of strings, that returns a message, or None for none. Without any of them a message is a dict of strings.

    A row that is no message is given as an `Undecoded`, whose `raw` is the header and the row, and on which `on_error` decides.
    Positions count rows below the header; `name` is what the position is stored under, by default the file's name; `finished`
    says whether a last row without a line end is whole, see `FileSource`. Raises `SourceError` for a missing file or column, and
    `BadRecord` for a row of which nobody knows where it ends: its quote is not closed.
    """

    @overload
    def __init__(
        self: CSV[Any],
        path: str | os.PathLike[str],
        of: UnionType,  # a union is no type to every checker, and without a type of message it would be a dict
        *,
        tag: str,
        tags: Mapping[str, type] | None = None,
        name: str | None = None,
        missing: Sequence[str] = ("",),
        delimiter: str = ",",
        finished: bool | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self,
        path: str | os.PathLike[str],
        of: type[Msg] | None = None,
        *,
        tag: str | None = None,
        tags: Mapping[str, type] | None = None,
        parse: Callable[[dict[str, str]], Msg | None] | None = None,
        name: str | None = None,
        missing: Sequence[str] = ("",),
        delimiter: str = ",",
        finished: bool | None = None,
    ) -> None: ...
    def __init__(
        self,
        path: str | os.PathLike[str],
        of: type[Msg] | UnionType | None = None,
        *,
        tag: str | None = None,
        tags: Mapping[str, type] | None = None,
        parse: Callable[[dict[str, str]], Msg | None] | None = None,
        name: str | None = None,
        missing: Sequence[str] = ("",),
        delimiter: str = ",",
        finished: bool | None = None,
    ) -> None:
        if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n':
            raise UsageError(f'delimiter is one character, such as ";" or "\\t", not {delimiter!r}')
        if isinstance(missing, str) or not all(isinstance(text, str) for text in missing):
            raise UsageError('missing= is a tuple of the texts that stand for None, such as ("", "NA")')
        check_decoding(of, tag, tags, parse)
        if of is not None and tag is None:
            from go_state.storage.types.classes.fields import fields_of

            if not fields_of(of):
                raise UsageError(f"of= is a class whose fields are columns, such as a dataclass, not {of!r}")
        super().__init__(path, name, _Records(os.fsdecode(path), How(of, tag, tags, parse), missing, delimiter), finished)

    def decode(self, raw: bytes) -> Msg:
        """Return the message of a table of one row, such as the `raw` of an `Undecoded`; `BadRecord` if it is not one."""
        found = list(self.records(Lines(io.BytesIO(raw).read, finished=True), 0))
        if len(found) != 1:
            raise BadRecord(self.path, "that was kept", f"it has {len(found)} rows below its header, not one")
        if isinstance(found[0], Undecoded):
            raise found[0].error
        return found[0]
