"""What an aggregate keeps, made from its options: checked once, for as many as there are to be made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from go_state.core.errors import UsageError
from go_state.core.ports import Store
from go_state.core.program import Program
from go_state.modes.aggregate.keyed import WorkingSet
from go_state.modes.aggregate.loading import Loader
from go_state.modes.aggregate.model_store import Keeping, KeptModel, KeptModels
from go_state.modes.keeping.schema import schema_of
from go_state.modes.options import EitherOptions, KeyedAggregateOptions, OnCommit, SavedOptions, Snapshots
from go_state.modes.settings import checked_function

Model = TypeVar("Model")
Msg = TypeVar("Msg")

CACHE = 100_000  # models; at 1 kB each that is 100 MB


def kept_by(
    program: Program[Model, Msg], store: Store, key: str | Callable[[Msg], str], options: EitherOptions[Msg, Model]
) -> Callable[[], Keeping[Model, Msg, Any]]:  # Any: which of the two it is, the key says
    """Return what makes the keeping of one model, or of one for each key."""
    links = checked_function("links", options.get("links"), "a model that returns the others to load")
    if not isinstance(key, str):
        if links is not None:
            raise UsageError("links= belongs to an aggregate with a single key")
        keep = kept_by_key(program, store, key, options)
        return lambda: keep(store)
    on_commit = _checked_store_and_hooks(store, options)
    if options.get("retire") is not None:
        raise UsageError("retire= belongs to a keyed aggregate: give key= a function of the message")
    if "cache" in options:
        raise UsageError("cache= belongs to a keyed aggregate: give key= a function of the message")
    schema = schema_of(program, options.get("codec"))
    return lambda: KeptModel(program, schema, store, key, on_commit, links)


def kept_by_key(
    program: Program[Model, Msg], store: Store, key: Callable[[Msg], str], options: KeyedAggregateOptions[Msg, Model]
) -> Callable[[Store], KeptModels[Model, Msg]]:
    """Return what makes the keeping of one model for each key, in the store or in a part of it."""
    on_commit = _checked_store_and_hooks(store, options)
    retire = checked_function("retire", options.get("retire"), "a model that returns whether to delete it")
    schema, cache = schema_of(program, options.get("codec")), options.get("cache", CACHE)
    if not callable(key):
        raise UsageError(
            f"key= is the model's key, or a function of a message that returns one, not a {type(key).__qualname__}"
        )
    if program.subscriptions is not None:
        raise UsageError(
            "an aggregate with a model for each key has no one model for subscriptions to follow: use start_keyed, or leave them out"
        )
    if not isinstance(cache, int) or cache < 1:
        raise UsageError(f"cache is a number of models from 1, not {cache!r}")

    def made(place: Store) -> KeptModels[Model, Msg]:
        loader = Loader(schema, place)
        return KeptModels(WorkingSet(program, loader, key, cache=cache, retire=retire), loader, place, on_commit)

    return made


def _checked_store_and_hooks(store: Store, options: SavedOptions[Msg, Model]) -> OnCommit | None:
    on_commit, snapshots = options.get("on_commit"), options.get("snapshots", Snapshots())
    if isinstance(store, type) or not isinstance(store, Store):
        found = f"the class {store.__qualname__} itself" if isinstance(store, type) else f"a {type(store).__qualname__}"
        raise UsageError(
            f"store= is an open gs.LMDBStore, gs.MemoryStore or another with load, store, keys and close, not {found}"
        )
    if not isinstance(snapshots, Snapshots):
        raise UsageError(f"snapshots= is a gs.Snapshots(every=..., seconds=...), not a {type(snapshots).__qualname__}")
    if on_commit is not None and not callable(on_commit):
        raise UsageError(f"on_commit= is a function of (changed, position), not a {type(on_commit).__qualname__}")
    return on_commit
