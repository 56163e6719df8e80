"""What the events of one shard have brought lately: whether one came out of turn, or was never stored.

    @events/<program>/<stream>/<shard>   the shard's records that were seen last, in order, as hashes of their sequence numbers

Lambda hands on the records of a shard in order, an event at a time, and again after a failure. With a `ParallelizationFactor` above 1 it
deals them out by partition key to several functions at once: then a record that is behind the position may be one that nobody has
processed. Sequence numbers have gaps, so it cannot be seen from them alone. But two such events lie across each other: one has
records between two of the other that the other has not. And an event that begins after records which were seen and are not in the
store has left these out, as Lambda does when it has tried often enough.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from go_state.core.errors import Conflict, SourceError
from go_state.core.ports import Store, Write
from go_state.storage.codec.codecs import json_codec
from go_state.storage.records.keys import reserved_key
from go_state.storage.snapshots.snapshot import Schema

_MOST = 1000  # records that are remembered besides those of the event that goes on
_HASH = 4  # bytes
_TRIES = 10


@dataclass(frozen=True, slots=True)
class Piece:
    """What one event brought that was new: its first sequence number, and the hashes of all."""

    first: str
    hashes: str


@dataclass(frozen=True, slots=True)
class Seen:
    """The records that were seen, in order, and the last sequence number of them."""

    pieces: list[Piece]
    last: str

    @property
    def first(self) -> str:
        """The first sequence number."""
        return self.pieces[0].first

    def hashes(self) -> list[bytes]:
        """Return the hashes of all."""
        data = b"".join(b64decode(piece.hashes) for piece in self.pieces)
        return [data[at : at + _HASH] for at in range(0, len(data), _HASH)]


class Lanes:
    """The record of one shard's events."""

    def __init__(self, store: Store, program: str, stream: str, shard: str) -> None:
        self._store, self._stream = store, stream
        self._key = reserved_key("events", program, stream, shard)
        self._schema: Schema[Seen] = Schema((f"events of {program}",), 1, json_codec(Seen))

    def enter(self, numbers: Sequence[str], position: str | None, passes_gaps: bool) -> None:
        """Note that an event of these records begins, with the shard read up to the position.

        Raises `SourceError` if it lies across another, or leaves out what was seen before and not stored.
        """
        hashes = [crc32(number.encode()).to_bytes(_HASH, "big") for number in numbers]  # `_hash`, without a call for each
        for _ in range(_TRIES):
            seen, version = self._load()
            if seen is not None:
                before = seen.hashes()
                if not _fits(seen, before, numbers, hashes):
                    if not passes_gaps:
                        raise SourceError(_ACROSS.format(stream=self._stream))
                    seen = None
                elif not passes_gaps and _leaves_out(seen, before, numbers[0], hashes[0], position):
                    raise SourceError(_GAP.format(stream=self._stream, first=numbers[0], position=position))
            now = _together(seen, numbers, hashes)
            if now == seen:
                return
            try:
                self._store.store({self._key: Write(self._schema.seal(self._key, now, {}), version)})
            except Conflict:  # another event of the shard begins at the same time
                continue
            return
        raise SourceError(_ACROSS.format(stream=self._stream))

    def _load(self) -> tuple[Seen | None, int]:
        stored = self._store.load(self._key)
        if stored is None:
            return None, 0
        loaded = self._schema.loaded(self._store, self._key, stored)
        return loaded.model, loaded.version


_ACROSS = (
    "records of {stream} arrive out of turn: between those of one event are records of the same shard that came in another. "
    "ParallelizationFactor of the event source mapping is above 1, or two mappings call this program; positions are those of a shard, so "
    'records would be passed over: set it to 1, add shards instead, and look what is missing; then gaps="pass" once lets the events go on'
)
_GAP = (
    "records of {stream} were left out: the event begins at {first}, and of those before it some that were seen after the stored position "
    "{position} are not in the store. Lambda has given them up (MaximumRetryAttempts, MaximumRecordAgeInSeconds), so read them from its "
    'on-failure destination; then gaps="pass" lets the events go on'
)


def _hash(number: str) -> bytes:
    return crc32(number.encode()).to_bytes(_HASH, "big")


def _fits(seen: Seen, before: list[bytes], numbers: Sequence[str], hashes: list[bytes]) -> bool:
    """Return whether the event and what was seen are the same where they overlap."""
    first, last = int(seen.first), int(seen.last)
    inside = [h for number, h in zip(numbers, hashes, strict=True) if first <= int(number) <= last]
    if not inside:
        return int(numbers[0]) > last or int(numbers[-1]) < first  # or it has all that was seen in a gap of its own
    if int(numbers[0]) <= first:
        return inside == before[: len(inside)] if int(numbers[-1]) <= last else inside == before
    if int(numbers[-1]) >= last:
        return inside == before[-len(inside) :]
    return any(before[at : at + len(inside)] == inside for at in range(len(before) - len(inside) + 1))


def _leaves_out(seen: Seen, before: list[bytes], first: str, first_hash: bytes, position: str | None) -> bool:
    """Return whether records were seen after the position and before the event that begins."""
    after = -1 if position is None else int(position)
    if int(first) <= after or int(seen.last) <= after:
        return False
    if after < int(seen.first):
        following = before
    else:
        stored = _hash(str(position))
        following = before[before.index(stored) + 1 :] if stored in before else []
    return bool(following) and following[0] != first_hash


def _together(seen: Seen | None, numbers: Sequence[str], hashes: list[bytes]) -> Seen:
    """Return what was seen, and the event; of that which was seen before, about `_MOST` records."""
    known = -1 if seen is None else int(seen.last)
    at = next((n for n, number in enumerate(numbers) if int(number) > known), None)
    if at is None:
        assert seen is not None  # or everything would be new
        return seen
    pieces, left = [Piece(numbers[at], b64encode(b"".join(hashes[at:])).decode())], _MOST
    for piece in reversed([] if seen is None else seen.pieces):
        left -= len(piece.hashes) * 3 // 4 // _HASH
        if left < 0:
            break
        pieces.insert(0, piece)
    return Seen(pieces, numbers[-1])
