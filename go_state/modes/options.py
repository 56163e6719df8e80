"""What users may give a run: every keyword argument, explained once.

Each mode takes the keywords of one of these classes: `run` those of `RunOptions`, `start` of `AppOptions`, `start_keyed` of
`KeyedAppOptions`, `batch` of `BatchOptions`, `aggregate` of `AggregateOptions` or `KeyedAggregateOptions`; their twins for event
loops take the same. They inherit from each other, so a keyword means the same everywhere. `settings.py` checks them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypedDict, TypeVar

from go_state.core.errors import Denied, UsageError
from go_state.core.ports import Codec, Consumer, Position, Producer, Store, Switch
from go_state.runtime.on_error import OnError
from go_state.runtime.resources import Effects
from go_state.system.timers import Clock

if TYPE_CHECKING:
    from go_state.observe.observer import Observer
    from go_state.storage.journal.commit.writer import Durability
    from go_state.storage.records.lease import IfHeld
    from go_state.storage.snapshots.links import Links

Model = TypeVar("Model")
Msg = TypeVar("Msg")

OnDenied: TypeAlias = Callable[[Any, Denied], object]  # Any: the program's messages, of whichever class it declares
"""Called with a message that was denied while nobody waited for it, and with the denial."""

OnFailed: TypeAlias = Callable[[str, Exception], object]
"""Called with the key of a program that has failed, and with what it has failed with."""

OnCommit: TypeAlias = Callable[[Mapping[str, Any], Position], object]  # Any: the models, of whichever class
"""Called after a save with the models that have changed, by key, and the source's position."""


@dataclass(frozen=True, slots=True)
class Snapshots:
    """When to save, in addition to the save at the end: every `every` messages of the source, or every `seconds` seconds.

    Whichever comes first counts. A save happens only while the queue is empty, so a little later when a message has led to others.
    Of a journalled program the newest `keep` snapshots are kept, from which `replay` can start as well; an aggregate keeps one.
    Raises `UsageError` for numbers out of range.
    """

    every: int | None = None
    seconds: float | None = None
    keep: int = 2

    def __post_init__(self) -> None:
        if self.every is not None and (not isinstance(self.every, int) or self.every < 1):
            raise UsageError(f"every is a number of messages from 1, not {self.every!r}")
        if self.seconds is not None and not (isinstance(self.seconds, (int, float)) and self.seconds > 0):
            raise UsageError(f"seconds is a number greater than 0, not {self.seconds!r}")
        if not isinstance(self.keep, int) or self.keep < 1:
            raise UsageError(f"keep is a number of snapshots from 1, not {self.keep!r}")


@dataclass(frozen=True, slots=True)
class Retain:
    """Which processed messages a journal keeps: at least the last `messages`, and those of the last `seconds` seconds.

    Messages are dropped when every named reader has passed them and the oldest snapshot that is kept covers them; with neither
    argument as soon as that is so. They are dropped in blocks of about a thousand, when a snapshot is written.
    """

    messages: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.messages is not None and (not isinstance(self.messages, int) or self.messages < 0):
            raise UsageError(f"messages is a whole number, not {self.messages!r}")
        if self.seconds is not None and not (isinstance(self.seconds, (int, float)) and self.seconds >= 0):
            raise UsageError(f"seconds is a number from 0, not {self.seconds!r}")


class Options(TypedDict, total=False):
    """What every run takes.

    `on_error`: what becomes of a message that the program fails on, and of a record of a source that is no message: `gs.Raise()` (the
    default), `gs.SetAside(buffer)` or `gs.SetAside(gs.DeadLetters(store, name))`, `gs.Halt()`, or a function of `(message, position,
    error)` that returns one of them; of such a record the message is its raw contents, and the error a `BadRecord`.
    `env`: what commands get from `gs.env`. `effects`
    (`gs.Effects`): how many commands that outlast their turn run at once, and how long the end waits for those it has cancelled.
    `clock`: a `gs.testing.SimClock` for tests. `observe`: who is told what the run does, one or a list: `gs.observe.Log()`,
    `gs.observe.Prometheus()`, `gs.observe.OpenTelemetry()` or an object with `on_event(event)`; without one nothing is measured.
    """

    on_error: OnError
    env: object
    effects: Effects | None
    clock: Clock | None
    observe: Observer | Sequence[Observer] | None


class StoredOptions(Options, total=False):
    """What every run that can be durable takes.

    `store`: an open store that keeps journals, such as `gs.LMDBStore`. `snapshots` (`gs.Snapshots`): when to save, in addition
    to the save at the end. `durability`: when messages are committed to disk: "group" (the default) or "put"; see `gs.Journal`.
    `retention` (`gs.Retain`): which processed messages to keep; all, by default.
    """

    store: Store | None
    snapshots: Snapshots | None
    durability: Durability | None
    retention: Retain | None


class DurableOptions(StoredOptions, total=False):
    """What a run of one program takes.

    `key`: the name of the program's journal and snapshots in the store. `lease`: whether to "fail" (the default) or "wait" while
    another process runs the program. `restore`: the position of an earlier snapshot to go on from, if the newest one is damaged.
    """

    key: str | None
    lease: IfHeld | None
    restore: int | None


class QueueOptions(TypedDict, Generic[Msg], total=False):
    """What runs take that may have a queue of your own.

    `producer` (with `put`) and `consumer` (with `get`, `commit`, `rollback`, and for a batch `empty`): the queue. `replaying`: a
    function; while it returns true, no command is performed and no view is called.
    """

    producer: Producer[Msg] | None
    consumer: Consumer[Msg] | None
    replaying: Callable[[], bool] | None


class RunOptions(DurableOptions, QueueOptions[Msg], total=False):
    """What `run` and `run_async` take, in addition to the program and its buffer."""


class AppOptions(DurableOptions, total=False):
    """What `start` and `start_async` take, in addition to the program and its buffer.

    `on_denied(message, denied)` is called for a message that a middleware denies while nobody waits for it; by default such a
    message is dropped.
    """

    on_denied: OnDenied | None


class KeyedAppOptions(StoredOptions, total=False):
    """What `start_keyed` and `start_keyed_async` take, in addition to the program.

    `prefix`: what the names of the programs in the store begin with, before their key. `idle`: seconds without a message and
    without anyone waiting for a model, after which a program is put to rest (300). `limit`: how many programs run at most
    (10,000); beyond it the least recently used is put to rest. `on_failed(key, error)` is called in the thread or task of a program
    that has failed, once nothing of it runs any more, and the error is not raised from the block then; it may call `restart`, and
    what it raises itself is raised from the block. `on_denied`: see `AppOptions`.
    """

    prefix: str
    idle: float
    limit: int
    on_failed: OnFailed | None
    on_denied: OnDenied | None


class BatchOptions(Options, QueueOptions[Msg], total=False):
    """How a batch ends and reads ahead.

    `limit`: end once this many messages of the source were taken. `timeout` (seconds): raise `TimedOut`. `stop` (something with
    `is_set()`, see `signals`) and `budget` (seconds): end between two messages of the source, and say so in the result; messages
    that were fetched together are processed together. In a thread these three are checked between messages: a source that blocks
    is left only when it returns. `prefetch`: how many messages a thread reads ahead.

    A batch that is asked to end waits for the running commands, and one that fails cancels them.
    """

    limit: int | None
    timeout: float | None
    stop: Switch | None
    budget: float | None
    prefetch: int


class SavedOptions(BatchOptions[Msg], Generic[Msg, Model], total=False):
    """What both kinds of aggregate take.

    `codec` turns models into bytes (by default `gs.JsonCodec` of update's annotations). `snapshots` (`gs.Snapshots`): when to
    save, in addition to the save at the end. `on_commit(changed, position)` is called after each save that wrote something, at
    most once for each, with the models by key, deleted ones left out.
    """

    codec: Codec[Model] | None
    snapshots: Snapshots
    on_commit: OnCommit | None


class AggregateOptions(SavedOptions[Msg, Model], total=False):
    """What an aggregate with one model takes.

    `links(model)` says which other models to load and attach; see `load_model`.
    """

    links: Links[Model] | None


class KeyedAggregateOptions(SavedOptions[Msg, Model], total=False):
    """What an aggregate with one model per key takes.

    `cache`: how many models to hold in memory (100,000); beyond it the least recently used of those that are saved are dropped.
    `retire(model)`: a changed model for which it is true is deleted from the store at the next save. `hand_over`: how many seconds a
    partition of the source that goes to another process may take for its running commands and its save (10); what is not saved
    then is read again there.
    """

    cache: int
    retire: Callable[[Model], bool] | None
    hand_over: float


class EitherOptions(KeyedAggregateOptions[Msg, Model], total=False):
    """The options of both kinds of aggregate, until it is found out which one it is."""

    links: Links[Model] | None
