"""The partitions of one source that are open here: which file each begins with, and what becomes of it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from hashlib import blake2b
from urllib.parse import quote

from go_state.core.errors import StoreError, TakenOver, UsageError
from go_state.storage.backends.lmdb.copying import sync_folder
from go_state.storage.backends.lmdb.store import LMDBStore
from go_state.storage.backends.objects.client import Objects
from go_state.storage.backends.objects.copier import Copier
from go_state.storage.backends.objects.copies import Copies, log
from go_state.storage.backends.objects.held_file import HeldFile

_FILE = re.compile(r"(\d{10})\.lmdb")
_LONGEST = 120  # characters of a name in a path; file systems have 255 for it, and some of these are two


class SourceFiles:
    """The files of the partitions of one source; `places` are where they lie, in the folder and in the object store.

    The first place is today's, and the others are those of former names of the program.
    """

    moves = True

    def __init__(
        self,
        folder: str,
        objects: Objects,
        places: Sequence[str],
        copier: Copier,
        opening: Callable[[], AbstractContextManager[Callable[[str], LMDBStore]]],
    ) -> None:
        self._folder = os.path.join(folder, places[0])
        self._places = places
        self._objects = objects
        self._copier = copier
        self._opening = opening
        self._held: dict[str, HeldFile] = {}

    @property
    def held(self) -> list[HeldFile]:
        """The files that are open."""
        return list(self._held.values())

    def enter(self, partitions: Collection[str], holder: str) -> None:
        """Claim those of the partitions that are not open, or are another's by now, and open for each the newest that there is: the file
        here, or a copy.
        """
        for partition in partitions:
            if partition in self._held and self._is_overtaken(partition):  # left open by an aggregate that has failed
                self.leave(partition, is_saved=False)
            if partition not in self._held:
                with self._opening() as opened:
                    self._held[partition] = self._entered(partition, holder, opened)
                self._copier.add(self._held[partition])

    def of(self, partition: str) -> HeldFile:
        """Return the store of a partition that is open."""
        found = self._held.get(partition)
        if found is None:
            raise UsageError(
                f"{partition} is not held here, and a gs.CopiedStore has what it holds alone: a source whose partitions have parents "
                f"needs a store that all workers share"
            )
        return found

    def check(self, partition: str) -> None:
        """Raise `TakenOver` if another holder has claimed a partition that is open here."""
        self.of(partition).check()

    def _is_overtaken(self, partition: str) -> bool:
        try:
            self.check(partition)
        except TakenOver:
            return True
        return False

    def leave(self, partition: str, *, is_saved: bool) -> None:
        """Close a partition; one that was saved is copied before, so that whoever has it next need read nothing again."""
        file = self._held.get(partition)
        if file is None:
            return
        self._copier.remove(file)
        try:
            if is_saved:
                file.copy()
        except StoreError as error:
            log.warning("%s was given back and could not be copied, so that more of it is read again: %s", partition, error)
        finally:
            with self._opening():
                del self._held[partition]
                file.close()

    def _entered(self, partition: str, holder: str, opened: Callable[[str], LMDBStore]) -> HeldFile:
        folder = os.path.join(self._folder, in_path(partition))
        os.makedirs(folder, exist_ok=True)
        copies = Copies(self._objects, [f"{place}/{in_path(partition)}" for place in self._places])
        here = max(epochs_in(folder), default=0)
        epoch = copies.claim(holder, here)
        new, path = os.path.join(folder, "fetched"), os.path.join(folder, file_of(epoch))
        if copies.fetch(here, new) is not None:  # of an epoch after that of the file here: somebody else has read on since
            os.replace(new, path)
        elif here:
            os.replace(os.path.join(folder, file_of(here)), path)
        _remove_others(folder, path)
        sync_folder(path)
        return HeldFile(opened(path), copies, epoch, is_copied=bool(copies.look().copies))


def epochs_in(folder: str) -> Iterator[int]:
    """Give the epochs of the files in a partition's folder."""
    return (int(found[1]) for name in os.listdir(folder) if (found := _FILE.fullmatch(name)))


def file_of(epoch: int) -> str:
    """Return the name of the file of a holder."""
    return f"{epoch:010d}.lmdb"


def _remove_others(folder: str, path: str) -> None:
    """Remove what was there before, and what an interrupted copy has left."""
    for name in os.listdir(folder):
        if os.path.join(folder, name) != path:
            with suppress(FileNotFoundError):
                os.remove(os.path.join(folder, name))


def in_path(name: str) -> str:
    """Return the name as one part of a path, and of the name of an object; one that is too long ends in a digest."""
    quoted = quote(name, safe="").replace(".", "%2E")
    if len(quoted) <= _LONGEST:
        return quoted
    return f"{quoted[:_LONGEST]}~{blake2b(quoted.encode(), digest_size=16).hexdigest()}"


def files_in(folder: str) -> Iterator[str]:
    """Give the newest file of each partition under the folder."""
    for place, _, names in sorted(os.walk(folder)):
        epochs = [int(match[1]) for name in names if (match := _FILE.fullmatch(name))]
        if epochs:
            yield os.path.join(place, file_of(max(epochs)))
