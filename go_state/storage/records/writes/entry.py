"""What one write adds to a journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from go_state.storage.records.layout import Times
from go_state.storage.records.parts import InParts
from go_state.storage.records.writes.wakes import WakeRecord

if TYPE_CHECKING:
    from go_state.storage.types.description import Description


class Entry(NamedTuple):
    """What one transaction writes: messages from position `first` on, and what changes with them."""

    first: int = 0
    schema: int = 1
    messages: Sequence[bytes] = ()
    times: Sequence[Times] = ()
    cursors: Mapping[str, int] = MappingProxyType({})
    set_aside: Mapping[int, str] = MappingProxyType({})
    snapshot: Snapshot | None = None
    types: Description | None = None
    running: Sequence[str] | None = None  # the names of the commands that are; None: as it was
    wake: WakeRecord | None = None  # when the program is to be woken; None: as it was
    beside: Mapping[str, bytes | None] = MappingProxyType({})  # keys of the store that change with it, None for one that goes


class Snapshot(NamedTuple):
    """A snapshot to write, of the model before the message at `position`.

    `version` and `replaces` are the version and the position of the snapshot that it replaces; `keep` is how many snapshots to
    retain, this one included; one at or before the position `needed` is retained in any case.
    """

    key: str
    position: int
    data: bytes | InParts
    version: int
    replaces: int | None
    keep: int
    needed: int
