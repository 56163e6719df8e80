"""The object store, by obstore: whole objects under names, made, read, listed and deleted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from go_state.core.errors import MissingExtra, StoreUnavailable, UsageError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    ObjectPlace: TypeAlias = str | os.PathLike[str] | ObjectStore


T = TypeVar("T")

CALL_SECONDS = 200.0  # obstore itself tries for 180 s to reach S3 and the like, and a folder of a network may hang for good
_SLOWEST = 1_000_000  # bytes a second of an upload, which has its own time besides
_END = b""


class Objects:
    """An object store, which is opened when it is first used.

    `place` is a URL such as "s3://bucket/shops", the path of a folder, or a store of obstore's, which may have credentials and options.
    A call that has no answer within `seconds` raises `StoreUnavailable`, as one that fails does. It goes on in a thread of its own, and
    may still have its effect, which does no harm: of what is made here the names say in which order it counts.
    """

    def __init__(self, place: ObjectPlace, seconds: float = CALL_SECONDS) -> None:
        self._place = place
        self._seconds = seconds
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
                self._answer(lambda: obstore.put(self._store(), name, data, mode="create"))
            except (AlreadyExistsError, PreconditionError):
                return False
        return True

    def put_file(self, name: str, path: str) -> None:
        """Make an object of the file, whole or not at all."""
        import obstore

        with self._asked(f"{name} could not be written"):
            seconds = os.path.getsize(path) / _SLOWEST
            self._answer(lambda: obstore.put(self._store(), name, Path(path)), more=seconds)

    def get(self, name: str) -> Iterator[bytes]:
        """Give the object in pieces; `FileNotFoundError` if it is not there."""
        import obstore

        with self._asked(f"{name} could not be read"):
            pieces = iter(self._answer(lambda: obstore.get(self._store(), name).stream()))
            while piece := self._answer(lambda: bytes(next(pieces, _END))):
                yield piece

    def names(self, folder: str) -> list[str]:
        """Return the names that begin with the folder's, without that, in order."""
        import obstore

        with self._asked(f"{folder} could not be listed"):
            store = self._store()
            found = self._answer(lambda: [meta["path"] for chunk in obstore.list(store, prefix=folder) for meta in chunk])
        return sorted(name.removeprefix(f"{folder}/") for name in found)

    def delete(self, names: Iterable[str]) -> None:
        """Delete the objects; those that are not there are passed over."""
        import obstore

        for name in names:
            with self._asked(f"{name} could not be deleted"):
                try:
                    self._answer(partial(obstore.delete, self._store(), name))
                except FileNotFoundError:
                    continue

    def _answer(self, call: Callable[[], T], *, more: float = 0.0) -> T:
        """Return what the call returns or raises, or raise `TimeoutError`; it is not ended by that, because nothing can end it."""
        seconds, answer = self._seconds + more, Future[T]()
        Thread(target=_call, args=(call, answer), name="go_state objects", daemon=True).start()
        try:
            return answer.result(seconds)
        except TimeoutError:
            if answer.done():  # at this very moment, or the call has raised it
                return answer.result()
            raise TimeoutError(f"no answer in {seconds:g} s") from None

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


def _call(call: Callable[[], T], answer: Future[T]) -> None:
    try:
        found = call()
    except BaseException as error:
        answer.set_exception(error)
    else:
        answer.set_result(found)


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
