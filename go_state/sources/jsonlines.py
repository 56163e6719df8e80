"""JSON Lines: one message a line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from types import UnionType
from typing import Any, Generic

from go_state.core.errors import BadRecord
from go_state.core.ports import Undecoded
from go_state.sources.contents import Lines
from go_state.sources.decoding import Msg, Tags, check_decoding, decoded_alone, json_decoder, why_undecodable
from go_state.sources.files import FileSource


class _Records(Generic[Msg]):
    def __init__(self, name: str, decoder: Callable[[], Callable[[bytes], Msg]]) -> None:
        self._name = name
        self.decoder = decoder

    def __call__(self, lines: Lines, skip: int, /) -> Iterator[Msg | Undecoded]:
        decode = self.decoder()
        record = 0
        for line in lines:
            if not line.strip():
                continue
            record += 1
            if record <= skip:
                continue
            try:
                message = decode(line)
            except Exception as error:
                bad = BadRecord(self._name, record, why_undecodable(error))
                yield Undecoded(line.rstrip(b"\r\n"), bad)
                continue
            yield message
        lines.complete = record


class JSONLines(FileSource[Msg]):
    """A file, at `path`, with one JSON value a line, plain, .gz or .zip; blank lines are skipped, and lines end as on any
    system.

    `of` is the type of the messages, as for `JsonCodec`: a class is read from an object, a union of classes from
    `["Name", {...}]`. With `tag="type"` an object names its class in that field instead: by the name that the class is stored under,
    by its own tag if it is a msgspec Struct that has one, or by the name that it has in `tags`, a mapping of names to classes. Or
    `parse` is a function of the bytes of a line that returns a message, or None for none. Without any of them a message is what JSON
    holds: a dict, a list, a string.

    A line that is no message is given as an `Undecoded`, on which `on_error` decides. Positions count records; `name` is what the
    position is stored under, by default the file's name; `finished` says whether a last record without a line end is whole, see
    `FileSource`. Raises `SourceError` for a missing file.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        of: type[Msg] | UnionType | None = None,
        *,
        tag: str | None = None,
        tags: Tags | None = None,
        parse: Callable[[bytes], Msg | None] | None = None,
        name: str | None = None,
        finished: bool | None = None,
    ) -> None:
        check_decoding(of, tag, tags, parse)
        self._decoder: Callable[[], Callable[[bytes], Any]] = lambda: json_decoder(of, tag=tag, tags=tags, parse=parse)
        super().__init__(path, name, _Records(os.fsdecode(path), self._decoder), finished)

    def decode(self, raw: bytes) -> Msg:
        """Return the message of `raw`, one line, as when the file is read; `BadRecord` if it is not one."""
        message: Msg = decoded_alone(self._decoder(), raw, self.path)
        return message
