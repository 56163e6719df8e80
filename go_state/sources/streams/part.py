"""One part of the keys of a source, for processes that share its work: each reads all of it and keeps the keys of its part.

    a source ──▶ part 0 of 4: the keys whose hash is 0, 4, 8, ...      a process of its own, with a position of its own
             └─▶ part 1 of 4: ...

Reading all of it several times is cheap where `update` is what takes the time. Nothing is handed from one process to another, so a
process that dies begins again after its own position, and no other process notices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Generic, TypeVar

from go_state.core.errors import SourceChanged, UsageError
from go_state.core.ports import Openable, OpenedSource, Position, Reading, Source, Undecoded

Msg = TypeVar("Msg")

_EVERY = 1024  # messages of other parts that are passed over until the reader may look up


def part(source: Source[Msg], n: int, *, of: int, key: Callable[[Msg], str]) -> Part[Msg]:
    """Return the part `n` of `of` parts, counted from 0, of a source that each process can read, such as a file.

    A message is in the part that a hash of its key says, the same in every process and with every Python. `key` is the function that
    `aggregate` has. A record that is no message has no key: exactly one part gives it. Positions are the source's own, stored under
    "name#n/of". Raises `UsageError` for arguments that cannot work; parts of another `of` raise `SourceChanged`.
    """
    if type(of) is not int or type(n) is not int or not 0 <= n < of:
        raise UsageError(f"part(source, n, of=...) takes whole numbers, 0 <= n < of, not n={n!r} and of={of!r}")
    if not callable(key):
        raise UsageError("key= is the function of a message that aggregate has, as in key=lambda sale: sale.shop")
    if not isinstance(source, Source):
        raise UsageError(
            f"part() takes a source that can be read again from a position, such as JSONLines or CSV, not a "
            f"{type(source).__qualname__}: a topic or stream has partitions already, of which each process is given some"
        )
    if isinstance(source, Part):
        raise UsageError("part() of a part: give one part() the product of the numbers")
    return Part(source, n, of, key)


def part_of(key: str | bytes, of: int) -> int:
    """Return in which of `of` parts a key is."""
    data = key if isinstance(key, bytes) else key.encode(errors="surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big") % of


class Part(Generic[Msg]):
    """What `part` returns; a `Source`."""

    def __init__(self, source: Source[Msg], n: int, of: int, key: Callable[[Msg], str]) -> None:
        self.name = f"{source.name}#{n}/{of}"
        self._source, self._n, self._of, self._key = source, n, of, key

    def open_once(self) -> OpenedPart[Msg]:
        """Open the source, so that what is recognised, described and read is one and the same."""
        source = self._source
        return OpenedPart(source.open_once() if isinstance(source, Openable) else source, self._n, self._of, self._key)

    def fingerprint(self) -> str:
        """Return the part, and the fingerprint of its source."""
        return f"{self._n}/{self._of} {self._source.fingerprint()}"

    def recognise(self, fingerprint: str) -> None:
        """Raise `SourceChanged` unless this is the same part of the same source."""
        stored, _, rest = fingerprint.partition(" ")
        if stored != f"{self._n}/{self._of}":
            advice = (
                f'give the parts of {self._of} a source with another name=, as in JSONLines(..., name="sales of {self._of}")'
            )
            raise SourceChanged(self.name, f"it was no part {self._n} of {self._of}", advice)
        self._source.recognise(rest)

    def read(self, after: Position | None = None) -> PartReading[Msg]:
        """Begin a pass after the position."""
        return PartReading(self._source.read(after), self._n, self._of, self._key)


class OpenedPart(Part[Msg]):
    """A part of a source that is open."""

    def __init__(self, source: Source[Msg] | OpenedSource[Msg], n: int, of: int, key: Callable[[Msg], str]) -> None:
        super().__init__(source, n, of, key)
        close = getattr(source, "close", None)  # a source that is not opened has nothing to close
        self._close: Callable[[], object] | None = close

    def close(self) -> None:
        """Close the source, if no pass was begun; a second call is harmless."""
        if self._close is not None:
            self._close()


class PartReading(Generic[Msg]):
    """One pass through a part; its position is that of its source, past what the other parts have."""

    def __init__(self, reading: Reading[Msg], n: int, of: int, key: Callable[[Msg], str]) -> None:
        self._reading, self._n, self._of, self._key = reading, n, of, key

    @property
    def position(self) -> Position:
        """The position in the source of the message last given, or of one of another part that was passed over since."""
        return self._reading.position

    def __iter__(self) -> Iterator[Msg | Undecoded | None]:
        n, of, key = self._n, self._of, self._key
        passed = 0
        for message in self._reading:
            if message is None:
                yield None
                continue
            # A record that is no message has no key, and a number in place of it.
            named = str(message.error.record) if isinstance(message, Undecoded) else key(message)
            if part_of(named, of) == n:
                yield message
            elif (passed := passed + 1) % _EVERY == 0:
                yield None

    def close(self) -> None:
        """End the pass; a second call is harmless."""
        self._reading.close()
