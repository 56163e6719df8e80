"""JSON Lines: one message a line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar, overload

from go_state.core.errors import BadRecord
from go_state.sources.contents import Lines
from go_state.sources.files import FileSource
from go_state.storage.codec.error_texts import without_contents

Msg = TypeVar("Msg")


class _Records(Generic[Msg]):
    def __init__(self, name: str, of: type[Msg] | None) -> None:
        self._name = name
        self._of = of

    def __call__(self, lines: Lines, skip: int, /) -> Iterator[Msg]:
        decode = self._decoder()
        record = 0
        for line in lines:
            if not line.strip():
                continue
            record += 1
            if record <= skip:
                continue
            try:
                message = decode(line)
            except UnicodeDecodeError:
                raise
            except (ValueError, RecursionError) as error:
                raise BadRecord(self._name, record, f"it is not a message: {without_contents(error)}") from None
            except Exception as error:  # of a class that checks its own fields: its words are not ours to repeat
                raise BadRecord(self._name, record, f"its class raised {type(error).__qualname__}") from None
            yield message
        lines.complete = record

    def _decoder(self) -> Callable[[bytes], Msg]:
        if self._of is None:
            from msgspec import json

            # orjson would read a whole number of more than 64 bits as a float
            decode: Callable[[bytes], Msg] = json.Decoder().decode
            return decode
        from go_state.storage.codec.json_codec import JsonCodec

        codec: JsonCodec[Msg] = JsonCodec(self._of, whole_floats=True)
        return codec.decode


class JSONLines(FileSource[Msg]):
    """A file with one JSON value a line, plain, .gz or .zip; blank lines are skipped, and lines end as on any system.

    `of` is the type of the messages, as for `JsonCodec`: a class is read from an object, a union of classes from
    `["Name", {...}]`. Without it a message is what JSON holds: a dict, a list, a string. Positions count records; `name` is what
    the position is stored under, by default the file's name; `finished` says whether a last record without a line end is whole,
    see `FileSource`. Raises `SourceError` for a missing file, `BadRecord` for a line that is not a message.
    """

    @overload
    def __init__(
        self: JSONLines[Any],
        path: str | os.PathLike[str],
        of: None = None,
        *,
        name: str | None = None,
        finished: bool | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self, path: str | os.PathLike[str], of: type[Msg], *, name: str | None = None, finished: bool | None = None
    ) -> None: ...
    def __init__(
        self,
        path: str | os.PathLike[str],
        of: type[Msg] | None = None,
        *,
        name: str | None = None,
        finished: bool | None = None,
    ) -> None:
        super().__init__(path, name, _Records(os.fsdecode(path), of), finished)
