"""The ports: what go_state asks of a store, a source, a codec, a queue or a clock of your own.

Each is a protocol: an object with these methods will do; it does not have to inherit. `gs.testing` has contract suites for them.

    Store, Stored, Write            where models are kept, with a version fence
    ManyAtOnce                      what a store may offer as well: many keys loaded in one go
    Codec                           a model as bytes
    Source, Reading, Position       a stream that can be read on from a position
    Undecoded                       what it gives in place of a record that is not a message
    AsyncSource, AsyncReading       the same on an event loop
    PartitionedSource               a source of many partitions, of which a process has some
    PartitionedReading, Holder      what it reads, and whom it tells of partitions that come and go
    AsyncPartitionedSource, AsyncPartitionedReading, AsyncHolder        the same on an event loop
    Openable, OpenedSource          a source whose stream may be replaced at any moment, such as a file
    History, Entry, Span            messages by position, for the tools of gs.history
    Producer, Consumer              a queue of your own: put; get, commit, rollback
    Clock                           the time of a run
    Value, Watcher                  a value of which everybody sees the newest, and one reader of it
    Switch                          something with is_set(), which asks a batch to end
"""

from go_state.core.ports import (
    AsyncReading,
    AsyncSource,
    Codec,
    Consumer,
    Entry,
    History,
    ManyAtOnce,
    Openable,
    OpenedSource,
    Position,
    Producer,
    Reading,
    Source,
    Span,
    Store,
    Stored,
    Switch,
    Undecoded,
    Value,
    Watcher,
    Write,
)
from go_state.core.ports.partitions import (
    AsyncHolder,
    AsyncPartitionedReading,
    AsyncPartitionedSource,
    Holder,
    PartitionedReading,
    PartitionedSource,
)
from go_state.system.timers import Clock

__all__ = [
    "AsyncHolder",
    "AsyncPartitionedReading",
    "AsyncPartitionedSource",
    "AsyncReading",
    "AsyncSource",
    "Clock",
    "Codec",
    "Consumer",
    "Entry",
    "History",
    "Holder",
    "ManyAtOnce",
    "Openable",
    "OpenedSource",
    "PartitionedReading",
    "PartitionedSource",
    "Position",
    "Producer",
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
]
