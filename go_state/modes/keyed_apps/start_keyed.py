"""One program for each key: started when the key is first used, put to rest when nobody uses it, one at a time."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from go_state.core.errors import UsageError
from go_state.core.ports import Store
from go_state.core.program import Program, takes_key
from go_state.modes.app.app import App
from go_state.modes.app.pending_replies import OnDenied
from go_state.modes.app.start import make_app
from go_state.modes.keyed_apps.keyed_apps import KeyedApps
from go_state.modes.keyed_apps.place import Told
from go_state.modes.limits import Retain, Snapshots
from go_state.modes.run import checked
from go_state.runtime.effects.timers import Clock
from go_state.runtime.flow.driver import require_running_loop
from go_state.runtime.on_error import OnError, Raise
from go_state.runtime.resources import Effects, Resources, resources_of
from go_state.system.own_thread import OwnThread
from go_state.waking.deadlines import is_number

if TYPE_CHECKING:
    import asyncio

    from go_state.storage.journal.writer import Durability

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_IDLE = 300.0  # seconds; an app costs a thread or a task, and its model
_LIMIT = 10_000  # apps; threads are what runs out first


def start_keyed(
    program: Program[Model, Msg],
    *,
    store: Store | None = None,
    prefix: str = "",
    idle: float = _IDLE,
    limit: int = _LIMIT,
    on_error: OnError = Raise(),
    on_denied: OnDenied | None = None,
    snapshots: Snapshots | None = None,
    durability: Durability | None = None,
    retention: Retain | None = None,
    env: object = None,
    effects: Effects | None = None,
    clock: Clock | None = None,
) -> KeyedApps[Model, Msg]:
    """Return the running programs of many keys, each in a thread of its own: rooms, guilds, tenants.

    A key's program is started when it is first used; `init` may take the key. After `idle` seconds in which nothing came and
    nobody waited for its models it is put to rest, and so are the least recently used beyond `limit`. With a `store` each is
    durable under `prefix` and its key, and goes on where it was; without one its model is forgotten.

    A program at rest is not woken by its own reminders: what it waits for with `Sub.at` beyond `limit`, or after a restart, comes when
    its key is next used. One that only falls idle is not put to rest while it waits for something.
    """
    how, resources = (store, snapshots, durability, retention), resources_of(env, effects, clock)
    return _keyed(program, prefix, idle, limit, on_error, on_denied, how, resources, on_loop=False)


def start_keyed_async(
    program: Program[Model, Msg],
    *,
    store: Store | None = None,
    prefix: str = "",
    idle: float = _IDLE,
    limit: int = _LIMIT,
    on_error: OnError = Raise(),
    on_denied: OnDenied | None = None,
    snapshots: Snapshots | None = None,
    durability: Durability | None = None,
    retention: Retain | None = None,
    env: object = None,
    effects: Effects | None = None,
    clock: Clock | None = None,
) -> KeyedApps[Model, Msg]:
    """Return the running programs of many keys, each in a task of the running event loop; see `start_keyed`."""
    require_running_loop("start_keyed_async", "start_keyed")
    how, resources = (store, snapshots, durability, retention), resources_of(env, effects, clock)
    return _keyed(program, prefix, idle, limit, on_error, on_denied, how, resources, on_loop=True)


def _keyed(
    program: Program[Model, Msg],
    prefix: str,
    idle: float,
    limit: int,
    on_error: OnError,
    on_denied: OnDenied | None,
    how: tuple[Any, ...],
    resources: Resources,
    *,
    on_loop: bool,
) -> KeyedApps[Model, Msg]:
    if not (is_number(idle) and idle > 0 and isinstance(limit, int) and is_number(limit) and limit >= 1):
        raise UsageError(f"idle= is a number of seconds above 0 and limit= a number of apps from 1, not {idle!r} and {limit!r}")
    if not isinstance(prefix, str):
        raise UsageError(
            f"prefix= is what the names of the programs in the store begin with, not a {type(prefix).__qualname__}"
        )
    store, snapshots, durability, retention = how
    if store is None and any(argument is not None for argument in how):
        raise UsageError(
            "snapshots=, durability= and retention= say how programs are kept in a store=: give one, or leave them out"
        )
    asks_key = takes_key(checked(program))
    loop = _current_loop() if on_loop else None
    thread = OwnThread("go_state disk of many keys")

    def make(key: str, idled: Told, ended: Told, begun: Told) -> App[Model, Msg]:
        own = replace(program, init=partial(program.init, key)) if asks_key else program
        kept = (store, prefix + key, snapshots, durability, None, None, retention, thread)
        durable = (None,) * 7 if store is None else kept
        given = own, None, on_error, durable, resources
        return make_app(*given, on_denied=on_denied, on_loop=on_loop, idle=idle, idled=idled, ended=ended, begun=begun)

    return KeyedApps(make, limit, thread, loop)


def _current_loop() -> asyncio.AbstractEventLoop:
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise UsageError(
            "start_keyed_async() needs a running event loop: call it in a coroutine, or use start_keyed() in a thread"
        ) from None
