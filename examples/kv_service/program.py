"""The map: what may be done with it, and what is answered. A program that knows nothing of HTTP and of disks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from immutables import Map

import go_state as gs

ANY = 0  # among the versions of a condition: whichever there is


@dataclass(frozen=True, slots=True)
class Condition:
    """What has to be true of a key for a change of it to be made."""

    match: tuple[int, ...] | None = None  # it has one of these versions
    none_match: tuple[int, ...] | None = None  # it has none of these

    def holds(self, entry: Entry | None) -> bool:
        """Tell whether it is true."""
        if self.match is not None and not _is_among(entry, self.match):
            return False
        return self.none_match is None or not _is_among(entry, self.none_match)


@dataclass(frozen=True, slots=True)
class Put:
    key: str
    value: bytes
    condition: Condition = Condition()


@dataclass(frozen=True, slots=True)
class Delete:
    key: str
    condition: Condition = Condition()


Msg: TypeAlias = Put | Delete


@dataclass(frozen=True, slots=True)
class Entry:
    value: bytes
    version: int  # greater than that of every entry before, of this key or another


@dataclass(frozen=True, slots=True)
class Entries:
    """The model: a persistent map, so that a put copies a few nodes of it and whoever reads it reads one moment of it."""

    by_key: Map[str, Entry] = field(default_factory=Map)
    value_bytes: int = 0
    version: int = 0  # of the newest entry, also where that is deleted


@dataclass(frozen=True, slots=True)
class Done:
    """The answer to a change that was made, or had been made already."""

    version: int
    created: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The answer to a change whose condition was not true."""

    version: int | None  # of the key


def update(model: Entries, msg: Msg) -> gs.Step[Entries, Msg]:
    old = model.by_key.get(msg.key)
    if not msg.condition.holds(old):
        return model, [gs.Cmd.reply(Refused(None if old is None else old.version))]
    size = model.value_bytes - (0 if old is None else len(old.value))
    match msg:
        case Put(key, value):
            if old is not None and old.value == value:  # sent twice, as after an answer that was lost
                return model, [gs.Cmd.reply(Done(old.version))]
            entry = Entry(value, model.version + 1)
            changed = Entries(model.by_key.set(key, entry), size + len(value), entry.version)
            return changed, [gs.Cmd.reply(Done(entry.version, created=old is None))]
        case Delete(key):
            if old is None:
                return model, [gs.Cmd.reply(Done(0))]
            return replace(model, by_key=model.by_key.delete(key), value_bytes=size), [gs.Cmd.reply(Done(old.version))]


def make_program(*middleware: Callable[..., Any]) -> gs.Program[Entries, Msg]:
    """Return the program; what middleware does after its yield is done once a change is on disk."""
    return gs.Program(lambda: (Entries(), ()), update, name="kv-service", middleware=middleware)


def _is_among(entry: Entry | None, versions: tuple[int, ...]) -> bool:
    return entry is not None and (ANY in versions or entry.version in versions)
