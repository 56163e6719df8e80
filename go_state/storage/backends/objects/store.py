"""`CopiedStore`: where the state of partitions lies on each machine, and moves with them."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from go_state.core.errors import Conflict, LeaseHeld, SourceChanged, StoreUnavailable, UsageError
from go_state.core.ports import Store, Stored, Write
from go_state.storage.backends.lmdb.leases.file_lease import FileLease
from go_state.storage.backends.lmdb.store import LMDBStore
from go_state.storage.backends.objects.client import CALL_SECONDS, Objects
from go_state.storage.backends.objects.copier import Copier
from go_state.storage.backends.objects.partitions import SourceFiles, files_in, in_path
from go_state.storage.records.keys import reserved_key

if TYPE_CHECKING:
    from go_state.storage.backends.objects.client import ObjectPlace

_SHARED = reserved_key("starts") + "/"


def _grown(before: int, now: int) -> tuple[str, str]:
    return (
        f"it has got partitions, {now} where there were {before}: the next records of a key may be in another one than its state",
        "make a topic with the partitions that are wanted, with another name=, or keep the state in a gs.PostgresStore; if producers choose "
        'the partition of a key whatever their number is, gs.CopiedStore(grown="pass") reads them',
    )


class CopiedStore:
    """A store for aggregates of a stream on many machines that share no database: the state lies on each, and moves with a partition.

    Each partition that this process is given is an LMDB file in `folder`, which no other process uses. A copy of what is saved
    there is made every `every` seconds, and, within `hand_over=`, when it is given back, beside whoever writes. `copies` is
    where: the URL of an object store, such as "s3://bucket/shops" or "gs://…", the path of a folder that all machines see, or a
    store of obstore's. Whoever has the partition next begins with the newest copy, and reads the stream on from the position in
    it. So what was saved later is read again, and the model comes to the same, because it follows from the stream alone;
    commands of these messages are performed again, under the same `effect_id`.

    Therefore an update whose model does not follow from the stream is refused, with `UsageError`: one whose commands bring messages,
    of `ok=`, `err=`, `Cmd.after` or a result, or one that takes the turn, with its time and its chance. `Cmd.send` is not refused, but
    behind a call in a `Cmd.seq`, and of `on_restore`. What middleware takes from elsewhere, such as the time of its own clock, is not
    noticed. The source's engine has to say who reads what, as Kafka's groups do; `gs.Leases` needs a store that all workers share.

    Messages of one key have to stay in one partition, those that a turn sends too. A topic that has got more partitions, by which
    producers choose others, raises `SourceChanged`; with `grown="pass"`, for producers that choose a key's partition whatever their
    number is, they are read. The object store has `timeout` seconds for one call, an upload one more for each megabyte; then
    `StoreUnavailable` is raised, and a copy is tried again after `every` seconds.

    Reading from it gives what lies in the folder: models of partitions that have moved away are as they were then. Two aggregates of one
    source need two. `map_size` is that of each file; see `LMDBStore`. Raises `StoreUnavailable` if another process has the folder, or
    the object store cannot be reached, and `MissingExtra` without the extra go-state[objects].
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        copies: ObjectPlace,
        *,
        every: float = 300.0,
        timeout: float = CALL_SECONDS,
        grown: Literal["raise", "pass"] = "raise",
        map_size: int | None = None,
    ) -> None:
        for option, seconds, what in (("every", every, "between two copies"), ("timeout", timeout, "for one call")):
            if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not math.isfinite(seconds) or seconds <= 0:
                raise UsageError(f"{option}= is a number of seconds above 0, {what}, not {seconds!r}")
        if grown not in ("raise", "pass"):
            raise UsageError(f'grown= is "raise" or "pass", not {grown!r}')
        self.folder = os.path.abspath(folder)
        self._grown = grown
        self._objects = Objects(copies, timeout)
        self._objects.check()
        self._map_size = map_size
        os.makedirs(self.folder, exist_ok=True)
        self._lease = FileLease(os.path.join(self.folder, "in-use"), "folder")
        try:
            self._lease.acquire()
        except LeaseHeld as error:
            raise StoreUnavailable(f"{self.folder} is in use by another process: give each a folder of its own") from error
        self._copier = Copier(every)
        self._sources: dict[tuple[str, str], SourceFiles] = {}
        self._looked_at: dict[str, LMDBStore] = {}  # files that are not held, open to be read, by path
        self._using = threading.Lock()  # guards the two above, and that no file is opened twice
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<CopiedStore {self.folder}>"

    def of_source(self, names: Sequence[str], source: str) -> SourceFiles:
        """Return the files of a source that the program of these names reads; the runtime's way in."""
        self._check_open()
        with self._using:
            found = self._sources.get((names[0], source))
            if found is None:
                places = [f"{in_path(name)}/{in_path(source)}" for name in names]
                found = SourceFiles(self.folder, self._objects, places, self._copier, self._opening)
                self._sources[names[0], source] = found
            return found

    @contextmanager
    def _opening(self) -> Iterator[Callable[[str], LMDBStore]]:
        """Give what opens a file to hold it, while nobody looks at one."""
        with self._using:
            self._look_away()
            yield lambda path: LMDBStore(path, map_size=self._map_size)

    def _look_away(self) -> None:
        while self._looked_at:
            self._looked_at.popitem()[1].close()

    # ------------------------------------------------------------------ a store

    def load(self, key: str) -> Stored | None:
        """Return what the key holds in the files of this folder, or, of what all holders share, in the object store."""
        self._check_open()
        if key.startswith(_SHARED):
            return self._load_shared(key)
        with self._using:
            return next((found for store in self._files() if (found := store.load(key)) is not None), None)

    def store(self, writes: Mapping[str, Write]) -> Mapping[str, int]:
        """Refuse what is not of a partition; it has a store of its own for each."""
        self._check_open()
        if len(writes) == 1 and next(iter(writes)).startswith(_SHARED):
            return {key: self._store_shared(key, write) for key, write in writes.items()}
        what = next(iter(writes), "")
        raise UsageError(
            f"a gs.CopiedStore keeps partitions of a stream, each in a file of its own, and {what!r} belongs to none: it is for an aggregate "
            f"of a source whose engine says who reads what, such as gs.sources.Kafka; keep anything else, letters too, in another store"
        )

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Give the keys with this prefix that the files of this folder have, in order."""
        self._check_open()
        with self._using:
            found = {key for store in self._files() for key in store.keys(prefix)}
        return iter(sorted(found, key=str.encode))

    def _files(self) -> Iterator[Store]:
        held = {file.path: file for source in self._sources.values() for file in source.held}
        for path in files_in(self.folder):
            if path in held:
                yield held[path]
                continue
            if path not in self._looked_at:
                self._looked_at[path] = LMDBStore(path, readonly=True)
            yield self._looked_at[path]

    # ------------------------------------------------------------------ what all holders share

    def _load_shared(self, key: str) -> Stored | None:
        folder = f"shared/{in_path(key)}"
        versions = self._objects.names(folder)
        if not versions:
            return None
        return Stored(b"".join(self._objects.get(f"{folder}/{versions[-1]}")), int(versions[-1]))

    def _store_shared(self, key: str, write: Write) -> int:
        version = write.version + 1
        if write.data is None or not self._objects.make(f"shared/{in_path(key)}/{version:010d}", write.data):
            raise Conflict(key, write.version, version)
        return version

    def check_partitions(self, program: str, source: str, stream: str, count: int) -> None:
        """Raise `SourceChanged` if `count` partitions are more than when the program began with the source; `stream` says which it is.

        Called by the source's reading, which knows how many there are.
        """
        key = reserved_key("starts", program, source, "", "partitions")  # no group has an empty name
        while (known := self._load_shared(key)) is None or not known.data.startswith(f"{stream} ".encode()):
            version = 0 if known is None else known.version
            with suppress(Conflict):  # somebody else was first
                self._store_shared(key, Write(f"{stream} {count}".encode(), version))
        before = int(known.data.split()[-1])
        if count > before and self._grown == "raise":
            raise SourceChanged(source, *_grown(before, count))

    # ------------------------------------------------------------------ the store itself

    def _check_open(self) -> None:
        if self._is_closed:
            raise StoreUnavailable(f"the store in {self.folder} is closed: use it inside its `with` block")

    def close(self) -> None:
        """Release the folder; a second call is harmless."""
        self._is_closed = True
        self._copier.close()
        with self._using:
            self._look_away()
            for source in self._sources.values():
                for file in source.held:
                    file.close()
        self._lease.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
