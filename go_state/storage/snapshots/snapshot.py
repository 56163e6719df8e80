"""Snapshots: a model in an envelope that says what it is, whose every byte is under a checksum.

    go_state 1 3f1c9a5be0d7c284               format, checksum
    {"schema":["Counter",1],"types":"5c1d...",...}   header: also the program's revision and the positions of its sources
    {"count":3}                               the model, by its codec

The checksum is BLAKE2b over the key and everything but itself, so a snapshot under another key is damaged too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from go_state.core.errors import Corrupt, Incompatible, NotStorable, StoreError
from go_state.core.migrations import FailedMigrationError, Json, Migration, NoMigrationError, migrate
from go_state.core.ports import Codec, Position, Store, Stored

if TYPE_CHECKING:
    import hashlib

    from go_state.storage.snapshots.plans import Plan
    from go_state.storage.types.description import Description

Model = TypeVar("Model")

_FORMAT = b"go_state 1"


class Mark(NamedTuple):
    """How far a source was read, and which source it was."""

    position: Position
    fingerprint: str


class Loaded(NamedTuple, Generic[Model]):
    """A model as it was stored, the version that its next write has to name, the marks of its sources, its seal, its revision, and how
    many bytes it had.
    """

    model: Model
    version: int
    marks: Mapping[str, Mark]
    seal: bytes
    revision: int = 1
    size: int = 0


@dataclass(frozen=True, slots=True)
class Schema(Generic[Model]):
    """What is stored: the model's name (and its former names), the number of its schema, its codec, and the types that it is made of."""

    names: tuple[str, ...]
    number: int
    codec: Codec[Model] = field(compare=False)
    revision: int = 1
    migrations: Mapping[int, Migration] = field(default_factory=dict, compare=False)
    types: Description | None = field(default=None, compare=False)
    _plan: list[Plan] = field(default_factory=list, compare=False, repr=False)  # how models are taken apart, once it is made
    _known: set[str] = field(default_factory=set, compare=False, repr=False)  # digests of types that were compared, or stored

    def seal(self, key: str, model: Model, marks: Mapping[str, Mark], *, is_small: bool = False) -> bytes:
        """Return the snapshot's bytes; `NotStorable` if the model would not read back equal.

        A model that `is_small` is encoded in one call, without being weighed, which takes a third of the time of encoding it.
        """
        sealing = self.sealing(key, model, marks, is_small=is_small)
        body = b"".join(sealing.body())
        return sealing.seal() + body

    def sealing(self, key: str, model: Model, marks: Mapping[str, Mark], *, is_small: bool = False) -> Sealing:
        """Return the snapshot to be made in pieces, each in milliseconds. Raises `NotStorable` as `seal` does."""
        import orjson  # here and below: it costs more to import than it saves a program that stores nothing

        header: dict[str, object] = {
            "schema": [self.names[0], self.number],
            "types": "" if self.types is None else self.types.digest,
            "revision": self.revision,
            "positions": {name: [m.position, m.fingerprint] for name, m in marks.items()},
        }
        try:
            head = orjson.dumps(header)
        except orjson.JSONEncodeError as error:
            raise NotStorable("the position of a source", f"it is no JSON value ({error})") from error
        if any(type(mark.position) is not int for mark in marks.values()):
            _check_positions(head, header["positions"])
        return Sealing(key, head, self._pieces(model, is_small))

    def _pieces(self, model: Model, is_small: bool) -> Iterator[bytes]:
        from go_state.storage.codec.json_codec import JsonCodec
        from go_state.storage.snapshots.pieces import pieces, plan_of

        if isinstance(self.codec, JsonCodec):
            if is_small:
                yield self.codec.encode(model)
                return
            if not self._plan:
                self._plan.append(plan_of(self.codec))
            yield from pieces(self._plan[0], model)
            return
        try:
            payload = self.codec.encode(model)
        except (StoreError, MemoryError):
            raise
        except Exception as error:  # of the user's codec, whose words may quote the model
            raise NotStorable("the model", f"its codec's encode raised {type(error).__qualname__}") from error
        if not isinstance(payload, bytes):
            raise NotStorable("the model", f"its codec's encode returned a {type(payload).__qualname__}: it returns bytes")
        yield payload

    def open(self, key: str, data: bytes) -> tuple[Model, dict[str, Mark]]:
        """Return the model and the marks; `Corrupt` or `Incompatible` if the bytes are not this schema's."""
        envelope = read_envelope(key, data)
        return self._model(key, envelope), envelope.marks

    def _model(self, key: str, envelope: Envelope) -> Model:
        if envelope.name not in self.names:
            raise Incompatible(key, "schema name", f"it is {envelope.name!r}, and the program's is {self.names[0]!r}")
        try:
            return self._decoded(envelope.payload if envelope.number == self.number else self._migrated(envelope))
        except NoMigrationError as error:
            raise Incompatible(key, "schema number", f"{error}{self._misfit(envelope)}") from None
        except FailedMigrationError as error:
            raise Incompatible(key, "model", str(error)) from error.__cause__
        except ValueError as error:
            raise Incompatible(key, "model", str(error)) from error.__cause__

    def _decoded(self, payload: bytes) -> Model:
        """Return the model; `ValueError`, which says why, if the payload holds none."""
        from go_state.storage.codec.json_codec import JsonCodec

        try:
            return self.codec.decode(payload)
        except (StoreError, MemoryError):
            raise
        except Exception as error:  # of the user's codec, whose words may quote the model
            if isinstance(self.codec, JsonCodec) and isinstance(error, ValueError):
                raise
            raise ValueError(f"its codec's decode raised {type(error).__qualname__}") from error

    def _migrated(self, envelope: Envelope) -> bytes:
        from go_state.storage.codec.json_values import from_json, to_json

        stored = from_json(envelope.payload)
        return to_json(migrate(stored, "model", self.migrations, envelope.number, self.number), self.number)

    def _misfit(self, envelope: Envelope) -> str:
        """Return in what an older model does not fit today's types, for an error."""
        try:
            self._decoded(envelope.payload)
        except ValueError as error:
            return f" ({error})"
        return ""

    def load(self, store: Store, key: str) -> Loaded[Model] | None:
        """Return what the store has under the key, or None."""
        stored = store.load(key)
        return None if stored is None else self.loaded(store, key, stored)

    def loaded(self, store: Store, key: str, stored: Stored) -> Loaded[Model]:
        """Return what was stored under the key.

        If a class has changed since, it warns with `TypesChanged`, or raises `Incompatible` if values of it cannot be read any more.
        """
        envelope = read_envelope(key, stored.data)
        model = self._model(key, envelope)
        if self.types is not None and envelope.number == self.number and envelope.types not in self._known:
            from go_state.storage.types.compatibility import check_changes

            check_changes(store, envelope.types, self.types, key, f"what is stored under {key!r}")
            self._known.add(envelope.types)
        return Loaded(model, stored.version, envelope.marks, seal_of(stored.data), envelope.revision, len(stored.data))

    def remember_types(self, store: Store) -> None:
        """Put the description of the types into the store, before the first snapshot that names it."""
        if self.types is not None and f"stored {self.types.digest}" not in self._known:
            from go_state.storage.types.description import remember

            remember(store, self.types)
            self._known.add(f"stored {self.types.digest}")


class Sealing:
    """A snapshot that is being made: its body in pieces, some of which may be empty, and then the seal, which stands before it."""

    def __init__(self, key: str, head: bytes, payload: Iterator[bytes]) -> None:
        self._key = key
        self._head = head
        self._payload = payload
        self._digest = _digest(key)

    def body(self) -> Iterator[bytes]:
        """Give the body; to be iterated once, at any pace."""
        for piece in chain([self._head, b"\n"], self._payload):
            self._digest.update(piece)
            yield piece

    def seal(self) -> bytes:
        """Return the first line, once the whole body was given."""
        return b"%b %b\n" % (_FORMAT, self._digest.hexdigest().encode())


def seal_of(data: bytes) -> bytes:
    """Return a snapshot's first line, which differs between any two snapshots of a key that differ."""
    return data.partition(b"\n")[0]


def is_envelope(data: bytes) -> bool:
    """Return whether the bytes begin as a snapshot does."""
    return data.startswith(b"go_state ")


class Envelope(NamedTuple):
    """What a snapshot says of itself, and the bytes of its model."""

    name: str
    number: int
    types: str
    revision: int
    marks: dict[str, Mark]
    payload: bytes


def read_envelope(key: str, data: bytes, *, is_checked: bool = False) -> Envelope:
    """Return what the snapshot holds; `Corrupt` unless every byte is as it was written, which a caller may have checked already."""
    import orjson

    first, _, body = data.partition(b"\n")
    start, _, checksum = first.rpartition(b" ")
    if start != _FORMAT:
        if start.startswith(b"go_state "):
            raise Incompatible(
                key, "format", f"it is {start.decode(errors='replace')!r}, and this release reads {_FORMAT.decode()!r}"
            )
        raise Corrupt(key, "it does not begin as a snapshot does")
    if not is_checked and checksum != _checksum(key, body):
        raise Corrupt(key, "its checksum does not match")
    header, _, payload = body.partition(b"\n")
    try:
        fields: dict[str, Json] = orjson.loads(header)
        name, number = fields["schema"]
        types, revision = fields["types"], fields["revision"]
        marks = {source: Mark(*mark) for source, mark in fields["positions"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Corrupt(key, "its header cannot be read") from error
    return Envelope(name, number, types, revision, marks, payload)


def _check_positions(head: bytes, positions: object) -> None:
    """Raise `NotStorable` for positions that the header would have as something else, such as a tuple, a date or a NaN."""
    import orjson

    from go_state.storage.codec.equality import is_same

    if not is_same(positions, orjson.loads(head)["positions"]):
        why = (
            "it would not read back as it is: make it of dicts with strings as keys, lists, strings, numbers, booleans and None"
        )
        raise NotStorable("the position of a source", why)


def _checksum(key: str, body: bytes) -> bytes:
    digest = _digest(key)
    digest.update(body)
    return digest.hexdigest().encode()


def _digest(key: str) -> hashlib.blake2b:
    from hashlib import blake2b  # here, as orjson above: OpenSSL comes with it

    return blake2b(_FORMAT + b"\0" + key.encode() + b"\0", digest_size=8)
