"""Aggregate: a batch that begins with the model a store has, and saves the model and the source's position in one transaction."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, Unpack, overload

from go_state.core.errors import UsageError
from go_state.core.ports import Position, Store
from go_state.core.ports.partitions import AsyncPartitionedSource, PartitionedSource
from go_state.core.program import Program
from go_state.modes.aggregate.kept_by import kept_by
from go_state.modes.aggregate.keyed import Models
from go_state.modes.aggregate.model_store import Keeping, KeptModel
from go_state.modes.aggregate.partitions.fold import fold_partitions, fold_partitions_async
from go_state.modes.aggregate.partitions.holder import Outcome
from go_state.modes.aggregate.partitions.making import ShareMaker, shares_of
from go_state.modes.aggregate.saved_letters import SavedLetters
from go_state.modes.batch.batch import Plan, Result
from go_state.modes.batch.halting import Rewind
from go_state.modes.batch.opening import Stream
from go_state.modes.batch.source_feed import Ended, SavePoint
from go_state.modes.batch.source_reader import SourceReader
from go_state.modes.options import AggregateOptions, EitherOptions, KeyedAggregateOptions, Snapshots
from go_state.modes.settings import check_names
from go_state.runtime.flow.driver import drive, drive_async, refuse_running_loop
from go_state.runtime.on_error import FailedMessage, may_file

Model = TypeVar("Model")
Msg = TypeVar("Msg")
Held = TypeVar("Held")


@dataclass(frozen=True, slots=True)
class KeyedResult(Generic[Model, Msg]):
    """How a keyed aggregate ended; see `Result` for what it has besides `models`.

    `models` is a lazy mapping of every model the program has in the store, those of earlier runs included: each is loaded when
    it is asked for, while the store is open.
    """

    models: Mapping[str, Model]
    processed: int
    position: Position
    ended: Ended
    set_aside: tuple[FailedMessage[Msg], ...]
    letters: int = 0
    failed: FailedMessage[Msg] | None = None


@overload
def aggregate(
    program: Program[Model, Msg],
    source: Stream[Msg],
    *,
    store: Store,
    key: str,
    **options: Unpack[AggregateOptions[Msg, Model]],
) -> Result[Model, Msg]: ...


@overload
def aggregate(
    program: Program[Model, Msg],
    source: Stream[Msg] | PartitionedSource[Msg],
    *,
    store: Store,
    key: Callable[[Msg], str],
    **options: Unpack[KeyedAggregateOptions[Msg, Model]],
) -> KeyedResult[Model, Msg]: ...


def aggregate(
    program: Program[Model, Msg],
    source: Stream[Msg] | PartitionedSource[Msg],
    *,
    store: Store,
    key: str | Callable[[Msg], str],
    **options: Unpack[EitherOptions[Msg, Model]],
) -> Result[Model, Msg] | KeyedResult[Model, Msg]:
    """Run a batch on from the model in the store and save what it leads to, the model and the source's position in one transaction.

    If the store has a snapshot under `key`, `init` is not run: the program goes on from that model, with the commands of
    `on_restore(model)`. A `Source` or a journal is read on from the stored position, so each of its messages counts once, whatever
    happens in between; a plain iterable or fetcher has no position, and running it again applies it again. A batch that fails, is
    cancelled or times out saves nothing more than `snapshots` had saved before.

    With a function as `key` there is one model for each key that it gives, for messages of the source and of commands alike;
    `init` may take the key. A model is loaded when its key is first met, and its beginning and its first message are one turn;
    `on_restore` runs whenever a model is loaded, also one that was let go. Positions are kept under the program's name (by
    default the model's): two keyed programs in one store need different names, and different keys. Beyond `cache` models the
    least recently used that are saved are let go. A changed model for which `retire(model)` is true is deleted from the store at
    the next save.

    `codec` turns models into bytes (by default `JsonCodec` of update's annotations). `links(model)`, for a single key, says
    which other models to load and attach; see `load_model`. `on_commit(changed, position)` is called after each save that wrote
    something, with the models by key, deleted ones left out; it is called at most once for each save. The other
    arguments are those of `AggregateOptions`, or with a model for each key of `KeyedAggregateOptions`.

    A source with positions is claimed before it is read. Of two runs that read the same one into the same key, or by the same
    program into keys, the one that began first saves nothing more from there on; each may read a source of its own, with keys of its own.

    A source of many partitions, such as a Kafka topic, is read by as many processes as its engine is told of, each with the partitions
    that it is given; `key` is a function, and `position`, in `on_commit` and in the result, a dict by partition. Each partition has its
    own models in memory, position and claim, `every` of `snapshots` counts its messages, and whoever has claimed it last saves what
    comes of it: another that still reads it is fenced and lets go of it, and the others go on. Partitions that are due are saved in one
    transaction. It ends when `stop`, `budget` or `limit` says so, or the source does.

    Raises what `batch` raises, and `Conflict` when another writer was first, `TakenOver` when another run has claimed the source,
    `Corrupt`, `Incompatible`, `NotStorable`, `StoreFull`, `SourceChanged`, and `Lagged` for a journal that was truncated beyond what
    was read.
    """
    refuse_running_loop("aggregate")
    _check_names("aggregate", options)
    if inspect.iscoroutinefunction(options.get("on_commit")):
        raise UsageError("on_commit= is a coroutine function, which needs an event loop: use aggregate_async")
    if isinstance(source, (PartitionedSource, AsyncPartitionedSource)):
        if not isinstance(source, PartitionedSource):
            raise UsageError(f"the source {source.name!r} needs an event loop: use aggregate_async")
        maker = shares_of(program, source, store, key, options, on_loop=False)
        return _result_of_partitions(fold_partitions(maker, source), maker)
    return fold(program, source, store, key, options)


def fold(
    program: Program[Model, Msg],
    source: Stream[Msg],
    store: Store,
    key: str | Callable[[Msg], str],
    options: EitherOptions[Msg, Model],
    filing: SavedLetters | None = None,
) -> Result[Model, Msg] | KeyedResult[Model, Msg]:
    """Do what `aggregate` does; what `filing` has waiting is written with each save."""
    plan, kept = _prepared(program, store, key, options, on_loop=False)
    reading, after = drive(kept.begin(source))
    reader = plan.reader(reading, after=after)
    kept.file_with(filing or _filing(plan, kept, reader, store, key))
    with plan.batch(reader, kept=kept, checkpoint=_checkpoint(kept, options), filing=kept.filing) as running:
        kept.look_ahead(running.upcoming)
        drive(running.flow())
    return _result(running.result(), kept, store)


@overload
async def aggregate_async(
    program: Program[Model, Msg],
    source: Stream[Msg],
    *,
    store: Store,
    key: str,
    **options: Unpack[AggregateOptions[Msg, Model]],
) -> Result[Model, Msg]: ...


@overload
async def aggregate_async(
    program: Program[Model, Msg],
    source: Stream[Msg] | PartitionedSource[Msg] | AsyncPartitionedSource[Msg],
    *,
    store: Store,
    key: Callable[[Msg], str],
    **options: Unpack[KeyedAggregateOptions[Msg, Model]],
) -> KeyedResult[Model, Msg]: ...


async def aggregate_async(
    program: Program[Model, Msg],
    source: Stream[Msg] | PartitionedSource[Msg] | AsyncPartitionedSource[Msg],
    *,
    store: Store,
    key: str | Callable[[Msg], str],
    **options: Unpack[EitherOptions[Msg, Model]],
) -> Result[Model, Msg] | KeyedResult[Model, Msg]:
    """Aggregate on the running event loop, as `aggregate` does in a thread; see `batch_async` for the sources.

    The store is used in a thread of the aggregate's own, and `on_commit` may be a coroutine function. The result's `models` are loaded
    when they are asked for. A save that has begun is finished, also when the task is cancelled: it is whole, or not there.
    """
    _check_names("aggregate_async", options)
    if isinstance(source, (PartitionedSource, AsyncPartitionedSource)):
        maker = shares_of(program, source, store, key, options, on_loop=True)
        return _result_of_partitions(await fold_partitions_async(maker, source), maker)
    plan, kept = _prepared(program, store, key, options, on_loop=True)
    async with kept.thread:
        reading, after = await drive_async(kept.begin(source))
        reader = plan.reader(reading, after=after)
        kept.file_with(_filing(plan, kept, reader, store, key))
        checkpoint, loading = _checkpoint(kept, options), kept.loading()
        async with plan.batch(reader, kept=kept, checkpoint=checkpoint, loading=loading, filing=kept.filing) as running:
            kept.look_ahead(running.upcoming)
            await plan.drive_in_time(running.flow())
    return _result(running.result(), kept, store)


def _check_names(called: str, options: EitherOptions[Msg, Model]) -> None:
    check_names(called, options, AggregateOptions, KeyedAggregateOptions, own=("store", "key"))


def _prepared(
    program: Program[Model, Msg],
    store: Store,
    key: str | Callable[[Msg], str],
    options: EitherOptions[Msg, Model],
    *,
    on_loop: bool,
) -> tuple[Plan[Model, Msg], Keeping[Model, Msg, Any]]:  # Any: its loop has one model, or the change of one
    """Return how the batch is run, and what is kept of it."""
    plan = Plan(program, options, on_loop=on_loop, key=key if isinstance(key, str) else None)
    kept = kept_by(plan.program, store, key, options)()
    if plan.observation is not None:
        kept.observation = plan.observation
        if callable(key):
            plan.observation.turns.key_of = key
    return plan, kept


def _checkpoint(kept: Keeping[Model, Msg, Held], options: EitherOptions[Msg, Model]) -> SavePoint[Held]:
    snapshots = options.get("snapshots", Snapshots())
    return SavePoint(kept.save, snapshots.every, snapshots.seconds, Rewind(kept.mark, kept.revert, kept.forget), kept.is_due)


def _filing(
    plan: Plan[Model, Msg],
    kept: Keeping[Model, Msg, Held],
    reader: SourceReader[Msg],
    store: Store,
    key: str | Callable[[Msg], str],
) -> SavedLetters | None:
    """Return what writes letters with the saves; None if there will be none."""
    if not may_file(plan.on_error):
        return None
    from go_state.modes.keeping.filing import (  # here: its imports are not needed without letters
        LetterFiling,
        LetterWriter,
        place_in_aggregate,
    )

    source = kept.source_name or reader.name
    place = place_in_aggregate(kept.schema.names[0], key if isinstance(key, str) else None, source)
    key_of = key if callable(key) else lambda _: key
    return LetterFiling(LetterWriter(plan.program, source=source, key=key_of, place=lambda: place), kept_in=store)


def _result(
    result: Result[Model, Msg], kept: Keeping[Model, Msg, Held], store: Store
) -> Result[Model, Msg] | KeyedResult[Model, Msg]:
    if isinstance(kept, KeptModel):
        return result
    models = Models(kept.schema, store)
    return KeyedResult(models, result.processed, result.position, result.ended, result.set_aside, result.letters, result.failed)


def _result_of_partitions(outcome: Outcome[Msg], maker: ShareMaker[Model, Msg]) -> KeyedResult[Model, Msg]:
    ended, processed, positions, set_aside, letters, failed = outcome
    return KeyedResult(Models(maker.schema, maker.store), processed, positions, ended, set_aside, letters, failed)
