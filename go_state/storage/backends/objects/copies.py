"""The claims and copies of one partition in the object store, which their names put in order.

Whoever begins with a partition makes the claim of the next epoch, which one alone can make, and names its copies after it. So a copy of
an earlier holder, however late, and however far that has read, comes before all of its successor's. A copy's name has the digest
of what is in it: one that is not whole, whatever the object store promises, is passed over for the one before it.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

from go_state.core.errors import Corrupt
from go_state.storage.backends.objects.client import Objects
from go_state.system.crash_points import reach

log = logging.getLogger("go_state")

_KEPT = 2  # copies: while one of them is fetched a new one may come
_TRIES = 5  # to fetch one before the holder that was has replaced it
_COPY = re.compile(r"copies/(\d{10})-(\d{10})-([0-9a-f]{32})\.lmdb")
_CLAIM = re.compile(r"claims/(\d{10})")


class Copy(NamedTuple):
    """A copy: of which holder, the how many-th of it, the digest of its contents, and the name of its object."""

    epoch: int
    number: int
    digest: str
    name: str


class Found(NamedTuple):
    """What there is of a partition: the last epoch, and the copies, the newest first."""

    epoch: int
    copies: Sequence[Copy]


class Copies:
    """Of one partition, under its place in the object store, which the others had before it; they are only read."""

    def __init__(self, objects: Objects, places: Sequence[str]) -> None:
        self._objects = objects
        self._places = places

    def look(self) -> Found:
        """Return what there is."""
        epoch, copies = 0, list[Copy]()
        for place in self._places:
            for name in self._objects.names(place):
                if (claim := _CLAIM.fullmatch(name)) is not None:
                    epoch = max(epoch, int(claim[1]))
                elif (copy := _COPY.fullmatch(name)) is not None:
                    copies.append(Copy(int(copy[1]), int(copy[2]), copy[3], f"{place}/{name}"))
        copies.sort(reverse=True)
        return Found(max(epoch, copies[0].epoch) if copies else epoch, copies)

    def claim(self, holder: str, least: int) -> int:
        """Claim the partition for the holder, and return the epoch, which is above `least` and above all that there were."""
        epoch = max(self.look().epoch, least)
        while True:
            epoch += 1
            if not self._objects.make(f"{self._places[0]}/claims/{epoch:010d}", holder.encode()):
                continue
            newest = self.look().epoch
            if newest <= epoch:
                return epoch
            epoch = newest  # it was free because a later holder has deleted the claim that somebody had made of it

    def holder(self, epoch: int) -> str:
        """Return who has made the claim of that epoch."""
        try:
            return b"".join(self._objects.get(f"{self._places[0]}/claims/{epoch:010d}")).decode()
        except FileNotFoundError:  # there is a later one
            return "another worker"

    def fetch(self, above: int, path: str) -> Copy | None:
        """Write the newest copy that is of an epoch above this one into a new file; None if there is no such copy.

        Raises `Corrupt` if there are some, and all are damaged.
        """
        copies: list[Copy] = []
        for _ in range(_TRIES):
            damaged, copies = 0, [copy for copy in self.look().copies if copy.epoch > above]
            for copy in copies:
                try:
                    if self._fetched(copy, path):
                        return copy
                except FileNotFoundError:  # it was replaced meanwhile, by one that is newer
                    break
                log.warning("the copy %s is damaged, and the one before it is taken", copy.name)
                damaged += 1
            if damaged == len(copies):
                break
        if copies:
            raise Corrupt(copies[0].name, "each copy of the partition is damaged, or was replaced before it was read")
        return None

    def _fetched(self, copy: Copy, path: str) -> bool:
        digest = _digest()
        with open(path, "wb") as file:
            for piece in self._objects.get(copy.name):
                digest.update(piece)
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        return digest.hexdigest() == copy.digest

    def add(self, epoch: int, number: int, path: str) -> None:
        """Make a copy of the file, and delete what is older than the one before it."""
        digest = _digest()
        with open(path, "rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
        reach("before-upload")
        place = self._places[0]
        self._objects.put_file(f"{place}/copies/{epoch:010d}-{number:010d}-{digest.hexdigest()}.lmdb", path)
        reach("after-upload")
        self._objects.delete(copy.name for copy in self.look().copies[_KEPT:])
        self._objects.delete(f"{place}/claims/{each:010d}" for each in self._claims_before(epoch))

    def _claims_before(self, epoch: int) -> list[int]:
        claims = (_CLAIM.fullmatch(name) for name in self._objects.names(self._places[0]))
        return [int(found[1]) for found in claims if found and int(found[1]) < epoch]


def _digest() -> blake2b:
    return blake2b(digest_size=16)
