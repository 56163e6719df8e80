"""Stores: where models are kept, with a version fence, and a codec that makes them bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol, TypeGuard, TypeVar, runtime_checkable

Held = TypeVar("Held")


class Stored(NamedTuple):
    """What a key holds: the bytes, and the version that the next write of the key has to name."""

    data: bytes
    version: int


class Write(NamedTuple):
    """One key's part of a transaction: its new bytes (`None` deletes it) and the version it must still have (0: no such key)."""

    data: bytes | None
    version: int


@runtime_checkable
class Store(Protocol):
    """A key-value store with a version fence. Keys are strings of up to 480 bytes in UTF-8, the empty one included."""

    def load(self, key: str) -> Stored | None:
        """Return what the key holds, exactly as it was stored, or `None`; `Corrupt` when the bytes are damaged."""
        ...

    def store(self, writes: Mapping[str, Write]) -> Mapping[str, int]:
        """Make all writes or none, durably, and return the keys' new versions, 0 of those that were deleted.

        `Conflict` when a key is not at the version its write names. A version is a positive number that a key never has
        again, not even after it was deleted.
        """
        ...

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Give the keys with this prefix, in the order of their UTF-8 bytes."""
        ...

    def close(self) -> None:
        """Release the store; a second call is harmless."""
        ...


@runtime_checkable
class ManyAtOnce(Protocol):
    """What a store may have besides: many keys in one go. Without it they are loaded one by one."""

    def load_many(self, keys: Iterable[str]) -> Mapping[str, Stored]:
        """Return what the keys hold, all as it was at one moment; keys that hold nothing are left out. Raises like `load`."""
        ...


def can_load_many(store: object) -> TypeGuard[ManyAtOnce]:
    """Return whether the store is a `ManyAtOnce`, and one whose `load_many` gives what its `load` gives.

    A class that changes what `load` does, and says nothing of `load_many`, would be passed over by the one that it inherits.
    """
    for kind in type(store).__mro__:
        if "load_many" in vars(kind):
            return isinstance(store, ManyAtOnce)
        if "load" in vars(kind):
            return False
    return False


def load_many_of(store: Store) -> Callable[[Iterable[str]], Mapping[str, Stored]]:
    """Return the store's `load_many`, or one that loads the keys one after the other, in their order, each as it is by then."""
    if can_load_many(store):
        return store.load_many

    def one_by_one(keys: Iterable[str]) -> Mapping[str, Stored]:
        found = ((key, store.load(key)) for key in keys)
        return {key: stored for key, stored in found if stored is not None}

    return one_by_one


class Codec(Protocol[Held]):
    """Turns a value into bytes and back into an equal value."""

    def encode(self, value: Held) -> bytes:
        """Return the value's bytes, or raise `NotStorable` when they would not read back equal."""
        ...

    def decode(self, data: bytes) -> Held:
        """Return the value that `data` holds, or raise `ValueError` that names the field when the bytes are not one."""
        ...
