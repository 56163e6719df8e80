"""The object store, by obstore: whole objects under names, made, read, listed and deleted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from go_state.core.errors import MissingExtra, StoreUnavailable, UsageError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    ObjectPlace: TypeAlias = str | os.PathLike[str] | ObjectStore


class Objects:
    """An object store, which is opened when it is first used.

    `place` is a URL such as "s3://bucket/shops", the path of a folder, or a store of obstore's, which may have credentials and options.
    """

    def __init__(self, place: ObjectPlace) -> None:
        self._place = place
        self._opened: ObjectStore | None = None

    def check(self) -> None:
        """Raise `MissingExtra` or `UsageError` if it cannot be opened; nothing is asked of it."""
        self._store()

    def _store(self) -> ObjectStore:
        if self._opened is None:
            self._opened = _opened(self._place)
        return self._opened

    def make(self, name: str, data: bytes) -> bool:
        """Make a new object; return False if there is one of the name: of all who try, one makes it."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._asked(f"{name} could not be made"):
            try:
                obstore.put(self._store(), name, data, mode="create")
            except (AlreadyExistsError, PreconditionError):
                return False
        return True

    def put_file(self, name: str, path: str) -> None:
        """Make an object of the file, whole or not at all."""
        import obstore

        with self._asked(f"{name} could not be written"):
            obstore.put(self._store(), name, Path(path))

    def get(self, name: str) -> Iterator[bytes]:
        """Give the object in pieces; `FileNotFoundError` if it is not there."""
        import obstore

        with self._asked(f"{name} could not be read"):
            for piece in obstore.get(self._store(), name).stream():
                yield bytes(piece)

    def names(self, folder: str) -> list[str]:
        """Return the names that begin with the folder's, without that, in order."""
        import obstore

        with self._asked(f"{folder} could not be listed"):
            found = [meta["path"] for chunk in obstore.list(self._store(), prefix=folder) for meta in chunk]
        return sorted(name.removeprefix(f"{folder}/") for name in found)

    def delete(self, names: Iterable[str]) -> None:
        """Delete the objects; those that are not there are passed over."""
        import obstore

        for name in names:
            with self._asked(f"{name} could not be deleted"):
                try:
                    obstore.delete(self._store(), name)
                except FileNotFoundError:
                    continue

    @contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError:
            raise
        except (BaseError, OSError) as error:
            said = str(error).partition("\n")[0]  # the rest is how the client came to it
            raise StoreUnavailable(f"{what} in the object store of the copies: {said}") from error


def _opened(place: ObjectPlace) -> ObjectStore:
    try:
        from obstore.exceptions import BaseError
        from obstore.store import LocalStore, from_url
    except ImportError as error:
        raise MissingExtra("objects", "gs.CopiedStore") from error
    if not isinstance(place, (str, os.PathLike)):
        return place
    where = os.fspath(place)
    try:
        return from_url(where) if "://" in where else LocalStore(os.path.abspath(where), mkdir=True)
    except (BaseError, OSError, ValueError) as error:
        said = str(error).partition("\n")[0]
        raise UsageError(
            f"copies= is a URL such as s3://bucket/folder, the path of a folder, or a store of obstore's ({said})"
        ) from error
