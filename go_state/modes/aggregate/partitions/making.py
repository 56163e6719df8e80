"""How a share is made: from the options of the aggregate, which are checked once, and the claim on its partition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from go_state.core.errors import UsageError
from go_state.core.ports import Store
from go_state.core.ports.partitions import Partitioned
from go_state.core.program import Program
from go_state.modes.aggregate.kept_by import CACHE, kept_by_key
from go_state.modes.aggregate.keyed import Change
from go_state.modes.aggregate.model_store import KeptModels
from go_state.modes.aggregate.partitions.claims import Claimed
from go_state.modes.aggregate.partitions.only_effects import only_effects
from go_state.modes.aggregate.partitions.places import Entered, StoreOfPartitions, check_follows_from_stream
from go_state.modes.aggregate.partitions.shares.reader import Records, ShareReader, Slices
from go_state.modes.aggregate.partitions.shares.share import Save, Share
from go_state.modes.aggregate.partitions.telling import Telling
from go_state.modes.aggregate.position_record import checked_name
from go_state.modes.batch.batch import Plan
from go_state.modes.batch.halting import Rewind
from go_state.modes.batch.limits import Limits
from go_state.modes.batch.source_feed import SavePoint
from go_state.modes.options import KeyedAggregateOptions, OnCommit, Snapshots
from go_state.runtime.flow.waits import CHECKPOINT_SECONDS
from go_state.runtime.on_error import may_file
from go_state.system.own_thread import OwnThread

if TYPE_CHECKING:
    from go_state.modes.keeping.filing import LetterFiling

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_LONGEST_POLL = 1.0  # seconds; a switch by which nobody can be woken is looked at this often
_AGAIN = 0.5, 10.0  # seconds before a partition is claimed again that was fenced twice in a row, and at most
_HAND_OVER = 10.0  # seconds; engines give minutes for it, and a process that is told to end some 30 s
_SLICE = 0.01  # seconds that a share runs before the next one does; a chunk costs 20 us beside its turns


class ShareMaker(Generic[Model, Msg]):
    """The options that all shares have, and what they have in common."""

    def __init__(
        self,
        plan: Plan[Model, Msg],
        keep: Callable[[Store], KeptModels[Model, Msg]],
        source_name: str,
        *,
        store: Store,
        key: Callable[[Msg], str],
        snapshots: Snapshots,
        cache: int,
        on_commit: OnCommit | None,
        hand_over: float,
        on_loop: bool,
    ) -> None:
        self.source_name = source_name
        self.store = store
        self.snapshots = snapshots
        self.cache = cache
        self.on_commit = on_commit
        self.hand_over = hand_over  #: seconds in which a partition that is taken away is to be saved
        self.thread = OwnThread("go_state store")  #: in which an event loop has the store used
        self.slice_seconds = CHECKPOINT_SECONDS if on_loop else _SLICE
        self.again = _AGAIN
        self.poll_seconds = _LONGEST_POLL
        self.tell = Telling(plan.observation, source_name)
        self._plan = plan
        self._keep = keep
        self._key = key
        self._on_loop = on_loop
        self.schema = keep(store).schema
        self.places = Entered(store, self.schema.names, source_name)

    @property
    def names(self) -> Sequence[str]:
        """What the program is called in the store, and was before."""
        return self.schema.names

    @property
    def limits(self) -> Limits:
        """When the aggregate ends early."""
        return self._plan.limits

    @property
    def limit(self) -> int | None:
        """How many messages are taken at most."""
        return self._plan.limit

    def share(self, partition: str, claimed: Claimed, records: Records[object, Msg], slices: Slices) -> Share[Model, Msg]:
        """Return the share of a partition that was claimed."""
        plan, kept = self._plan.part(), self._keep(self.places.of(partition))
        kept.thread = self.thread
        kept.hold(claimed.record, claimed.fingerprint)
        reader = ShareReader(claimed.record.name, records, claimed.position, slices)
        if plan.observation is not None:
            plan.observation.turns.key_of = self._key
        if may_file(plan.on_error):
            kept.file_with(self._filing(claimed.record.name))
        if self.places.moves:
            kept.check_commands(only_effects)
        point: SavePoint[Change[Model] | None] = SavePoint(
            Save.flow,
            self.snapshots.every,
            None,
            Rewind(kept.mark, kept.revert, kept.forget),
            lambda: share.save_due or kept.is_due(),
        )
        loading = kept.loading() if self._on_loop else None
        batch = plan.batch(reader, kept=kept, checkpoint=point, loading=loading, filing=kept.filing)
        kept.look_ahead(batch.upcoming)
        share = Share(partition, kept, reader, batch, claimed.position)
        return share

    def _filing(self, source: str) -> LetterFiling[Msg]:
        from go_state.modes.keeping.filing import LetterFiling, LetterWriter  # here: its imports are not needed without letters

        return LetterFiling(LetterWriter(self._plan.program, source=source, key=self._key), kept_in=self.store)


_NOT_OF_STREAMS = {
    "timeout": "a stream has no end to wait for: end it by stop= or budget=, and give commands timeouts of their own",
    "prefetch": "the client of a stream reads ahead by itself",
    "producer": "each partition has a queue of its own",
    "consumer": "each partition has a queue of its own",
    "links": "links= belongs to an aggregate with a single key",
}


def shares_of(
    program: Program[Model, Msg],
    source: Partitioned[Msg],
    store: Store,
    key: str | Callable[[Msg], str],
    options: KeyedAggregateOptions[Msg, Model],
    *,
    on_loop: bool,
) -> ShareMaker[Model, Msg]:
    """Check the options of an aggregate of a partitioned source; `UsageError` for those that do not fit."""
    if isinstance(key, str):
        raise UsageError(
            "key= is a function of a message for a source of many partitions: one model for all of them could be saved by one process alone"
        )
    for word, why in _NOT_OF_STREAMS.items():
        if options.get(word):
            raise UsageError(f"{word}= does not go with a source of many partitions: {why}")
    hand_over = options.get("hand_over", _HAND_OVER)
    if not isinstance(hand_over, (int, float)) or isinstance(hand_over, bool) or not hand_over >= 0:
        raise UsageError(f"hand_over is a number of seconds from 0, not {hand_over!r}")
    plan = Plan(program, options, on_loop=on_loop)
    if isinstance(store, StoreOfPartitions):
        check_follows_from_stream(plan.program)
    return ShareMaker(
        plan,
        kept_by_key(plan.program, store, key, options),
        checked_name(source.name),
        store=store,
        key=key,
        snapshots=options.get("snapshots", Snapshots()),
        cache=options.get("cache", CACHE),
        on_commit=options.get("on_commit"),
        hand_over=hand_over,
        on_loop=on_loop,
    )
