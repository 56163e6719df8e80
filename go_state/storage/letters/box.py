"""The letters of one name in a store, in the order of their ids.

A letter is a key of the store, `@dead/<name>/<id>`, so it is written and deleted in the same transactions as models are. A store that
pages through its keys is read a page at a time, however many letters there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from heapq import nsmallest
from itertools import islice
from typing import Protocol, runtime_checkable

from go_state.core.errors import Conflict, UsageError
from go_state.core.ports import Store, Stored, Write, load_many_of
from go_state.storage.letters.letter import Letter, decode, encode, when

PREFIX = "@dead/"
DEFAULT_NAME = "dead"  # of the letters that nobody has given a name
_PAGE = 256  # letters that are read, or deleted, in one transaction
_LONGEST = 200  # bytes of a name: what is left of a key is for the id
_SORTED = 200_000  # letters whose times and ids are in memory at once: about 40 MB
_TRIES = 10  # of a write beside one who writes the same letter


@runtime_checkable
class Pages(Protocol):
    """A store that can be read a page at a time."""

    def page(self, prefix: str, after: str, limit: int) -> list[tuple[str, Stored]]:
        """Return up to `limit` keys with the prefix that come after the key, in order, and what they hold."""
        ...


class LetterBox:
    """The letters of one name."""

    def __init__(self, store: Store, name: str) -> None:
        if not isinstance(name, str) or not name or "/" in name or "\0" in name:
            raise UsageError(f'letters have a name, such as "night", without a slash, not {name!r}')
        if len(name.encode(errors="replace")) > _LONGEST:
            raise UsageError(f"the name of letters is up to {_LONGEST} bytes long: shorten it")
        if isinstance(store, type) or not isinstance(store, Store):
            raise UsageError(f"letters lie in an open store, such as a gs.LMDBStore, not in a {type(store).__qualname__}")
        self.store = store
        self.name = name
        self.prefix = f"{PREFIX}{name}/"

    def key(self, letter_id: str) -> str:
        """Return the key of a letter in the store."""
        return self.prefix + letter_id

    # ------------------------------------------------------------------ reading

    def load(self, letter_id: str) -> Letter | None:
        """Return the letter of this id, or None."""
        stored = self.store.load(self.key(letter_id))
        return None if stored is None else decode(letter_id, stored.data)

    def letters(self, begin: str = "") -> Iterator[Letter]:
        """Give the letters, those whose ids begin so, in the order of their ids; what is written meanwhile may be among them."""
        for key, stored in self._entries(self.prefix + begin):
            yield self._decoded(key, stored)

    def in_order(self) -> Iterator[Letter]:
        """Give the letters in the order in which they were set aside; those that are written meanwhile may be among them.

        However many there are, the times of `_SORTED` are in memory: the letters are read once more for each so many of them.
        """
        load, last = load_many_of(self.store), None
        while True:
            found = ((when(stored.data), key) for key, stored in self._entries(self.prefix))
            following = nsmallest(_SORTED, (each for each in found if last is None or each > last))
            for index in range(0, len(following), _PAGE):
                keys = [key for _, key in following[index : index + _PAGE]]
                there = load(keys)
                yield from (self._decoded(key, there[key]) for key in keys if key in there)  # or it was deleted meanwhile
            if len(following) < _SORTED:
                return
            last = following[-1]

    def _decoded(self, key: str, stored: Stored) -> Letter:
        return decode(key.removeprefix(self.prefix), stored.data)

    def _entries(self, prefix: str) -> Iterator[tuple[str, Stored]]:
        store = self.store
        if not isinstance(store, Pages):
            for key in store.keys(prefix):
                stored = store.load(key)
                if stored is not None:  # or it was deleted meanwhile
                    yield key, stored
            return
        after = ""
        while page := store.page(prefix, after, _PAGE):
            yield from page
            after = page[-1][0]

    # ------------------------------------------------------------------ writing

    def write(self, letter: Letter) -> None:
        """Write a letter, in the place of one of the same id."""
        data = encode(letter)
        self._again_if_beaten(lambda: self.writes({letter.id: data}))

    def writes(self, changes: Mapping[str, bytes | None]) -> dict[str, Write]:
        """Return what to write into the store for these letters to be there, or to be gone (None)."""
        found = {self.key(each): (self.store.load(self.key(each)), data) for each, data in changes.items()}
        return {
            key: Write(data, 0 if stored is None else stored.version)
            for key, (stored, data) in found.items()
            if stored is not None or data is not None
        }

    def delete(self, ids: Iterable[str]) -> int:
        """Delete letters, and return how many there were."""
        deleted, left = 0, iter(ids)
        while some := list(islice(left, _PAGE)):
            deleted += self._again_if_beaten(partial(self.writes, dict.fromkeys(some)))
        return deleted

    def _again_if_beaten(self, writes: Callable[[], dict[str, Write]]) -> int:
        for left in reversed(range(_TRIES)):
            made = writes()
            try:
                if made:
                    self.store.store(made)
                return len(made)
            except Conflict:
                if not left:
                    raise
        raise AssertionError("a try returns or raises")


def names(store: Store) -> list[str]:
    """Return the names of the letter boxes in the store, in order; of each, one letter is read."""
    found: list[str] = []
    if not isinstance(store, Pages):
        return list(dict.fromkeys(key.removeprefix(PREFIX).partition("/")[0] for key in store.keys(PREFIX)))
    after = ""
    while page := store.page(PREFIX, after, 1):
        found.append(page[0][0].removeprefix(PREFIX).partition("/")[0])
        after = f"{PREFIX}{found[-1]}0"  # which comes after all that has a slash there
    return found
