"""What the parts ask of each other. Each port names what its users rely on, and nothing that one backend alone can keep.

`runtime` reads and writes messages through `Producer` and `Consumer`, or, with one wake-up and one lock for many messages, through `Log`
and `Reader`. `modes` keeps models through `Store` and `Codec` and reads streams through `Source`. `history` asks its questions of a `History`.

`queues.py`, `stores.py`, `sources.py`, `partitions.py` (sources that many processes share), `histories.py` and `values.py` have one subject each.
"""

from go_state.core.ports.histories import Entry, History, Span
from go_state.core.ports.queues import Consumer, Log, Producer, Reader
from go_state.core.ports.sources import (
    AsyncReading,
    AsyncSource,
    Openable,
    OpenedSource,
    Position,
    Reading,
    Source,
    Switch,
    Undecoded,
)
from go_state.core.ports.stores import Codec, ManyAtOnce, Store, Stored, Write, can_load_many, load_many_of
from go_state.core.ports.values import Value, Watcher

__all__ = [
    "AsyncReading",
    "AsyncSource",
    "Codec",
    "Consumer",
    "Entry",
    "History",
    "Log",
    "ManyAtOnce",
    "Openable",
    "OpenedSource",
    "Position",
    "Producer",
    "Reader",
    "Reading",
    "Source",
    "Span",
    "Store",
    "Stored",
    "Switch",
    "Undecoded",
    "Value",
    "Watcher",
    "Write",
    "can_load_many",
    "load_many_of",
]
