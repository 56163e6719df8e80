"""Snapshots: a model in an envelope that says what it is, whose every byte is under a checksum.

    go_state 1 3f1c9a5be0d7c284                               format, checksum
    {"schema":["Counter",1],"positions":{"flights.csv":...}}  header
    {"count":3}                                               the model, by its codec

The checksum is BLAKE2b over the key and everything but itself, so a snapshot under another key is damaged too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from go_state.core.errors import Corrupt, Incompatible, NotStorable
from go_state.core.ports import Codec, Position, Store

Model = TypeVar("Model")

_FORMAT = b"go_state 1"


class Mark(NamedTuple):
    """How far a source was read, and which source it was."""

    position: Position
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Loaded(Generic[Model]):
    """A model as it was stored, the version its next write has to name, the marks of the sources that made it, and its seal."""

    model: Model
    version: int
    marks: Mapping[str, Mark]
    seal: bytes


@dataclass(frozen=True, slots=True)
class Schema(Generic[Model]):
    """What is stored: the model's name (and those it had before), the number of its schema, and how its bytes are made."""

    names: tuple[str, ...]
    number: int
    codec: Codec[Model] = field(compare=False)

    def seal(self, key: str, model: Model, marks: Mapping[str, Mark]) -> bytes:
        """Return the snapshot's bytes; `NotStorable` when the model would not read back equal."""
        import orjson  # here and below: it costs more to import than it saves a program that stores nothing

        header = {
            "schema": [self.names[0], self.number],
            "positions": {name: [m.position, m.fingerprint] for name, m in marks.items()},
        }
        try:
            head = orjson.dumps(header)
        except orjson.JSONEncodeError as error:
            raise NotStorable("the position of a source", f"it is no JSON value ({error})") from error
        payload = self.codec.encode(model)
        if not isinstance(payload, bytes):
            raise NotStorable("the model", f"its codec's encode returned a {type(payload).__qualname__}: it returns bytes")
        body = b"%b\n%b" % (head, payload)
        return b"%b %b\n%b" % (_FORMAT, _checksum(key, body), body)

    def open(self, key: str, data: bytes) -> tuple[Model, dict[str, Mark]]:
        """Return the model and the marks; `Corrupt` or `Incompatible` when the bytes are not this schema's."""
        name, number, marks, payload = read_envelope(key, data)
        if name not in self.names:
            raise Incompatible(key, "schema name", f"it is {name!r}, and the program's is {self.names[0]!r}")
        if number != self.number:
            raise Incompatible(key, "schema number", f"it is {number}, and the program's is {self.number}")
        try:
            return self.codec.decode(payload), marks
        except ValueError as error:
            raise Incompatible(key, "model", str(error)) from error

    def load(self, store: Store, key: str) -> Loaded[Model] | None:
        """Return what the store has under the key, or None."""
        stored = store.load(key)
        if stored is None:
            return None
        model, marks = self.open(key, stored.data)
        return Loaded(model, stored.version, marks, seal_of(stored.data))


def seal_of(data: bytes) -> bytes:
    """Return a snapshot's first line, which differs between any two snapshots of a key that differ."""
    return data.partition(b"\n")[0]


def is_envelope(data: bytes) -> bool:
    """Tell whether the bytes set out to be a snapshot."""
    return data.startswith(b"go_state ")


def read_envelope(key: str, data: bytes) -> tuple[str, int, dict[str, Mark], bytes]:
    """Return schema name, schema number, marks and payload of a snapshot; `Corrupt` unless every byte is as it was written."""
    import orjson

    first, _, body = data.partition(b"\n")
    start, _, checksum = first.rpartition(b" ")
    if start != _FORMAT:
        if start.startswith(b"go_state "):
            raise Incompatible(
                key, "format", f"it is {start.decode(errors='replace')!r}, and this release reads {_FORMAT.decode()!r}"
            )
        raise Corrupt(key, "it does not begin as a snapshot does")
    if checksum != _checksum(key, body):
        raise Corrupt(key, "its checksum does not match")
    header, _, payload = body.partition(b"\n")
    try:
        fields: dict[str, Any] = orjson.loads(header)
        name, number = fields["schema"]
        marks = {source: Mark(*mark) for source, mark in fields["positions"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Corrupt(key, "its header cannot be read") from error
    return name, number, marks, payload


def _checksum(key: str, body: bytes) -> bytes:
    from hashlib import blake2b  # here, as orjson above: OpenSSL comes with it

    digest = blake2b(_FORMAT + b"\0" + key.encode() + b"\0", digest_size=8)
    digest.update(body)
    return digest.hexdigest().encode()
