"""What a backend gives a `RecordStore`: transactions over records in the order of their names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class Transaction(Protocol):
    """One transaction, alone with the store while it writes. Names are up to 511 bytes long; a reading one sees no later writes."""

    def id(self) -> int:
        """Return the number of a writing transaction, greater than that of every one before."""
        ...

    def get(self, name: bytes) -> bytes | None:
        """Return the record of that name, or None."""
        ...

    def at_or_before(self, name: bytes, most: int | None = None) -> tuple[bytes, bytes] | None:
        """Return the last name that is not after this one, with its record, or the record's first `most` bytes."""
        ...

    def names(self, prefix: bytes) -> list[bytes]:
        """Return the names that begin with the prefix, in order."""
        ...

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Give the names that begin with the prefix, in order, with their records."""
        ...

    def put(self, name: bytes, record: bytes) -> None:
        """Write the record."""
        ...

    def delete(self, name: bytes) -> None:
        """Delete the record, if it is there."""
        ...

    def delete_range(self, first: bytes, end: bytes) -> None:
        """Delete the records from the name `first` on to before the name `end`."""
        ...

    def announce(self, journal: str) -> None:
        """Tell readers in other processes, where the backend can, that the journal has grown, once this is committed."""
        ...
