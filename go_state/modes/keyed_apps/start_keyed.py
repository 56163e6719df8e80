"""One program for each key: started when the key is first used, put to rest when nobody uses it, one at a time."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar, Unpack

from go_state.core.errors import UsageError
from go_state.core.program import Program, takes_key
from go_state.modes.app.app import App
from go_state.modes.app.assembly import Callbacks
from go_state.modes.app.start import make_app
from go_state.modes.keyed_apps.directory import Directory, Wakes
from go_state.modes.keyed_apps.keyed_apps import KeyedApps
from go_state.modes.keyed_apps.states import KeptAs, Told
from go_state.modes.options import KeyedAppOptions
from go_state.modes.settings import check_names, checked_function, checked_program, run_settings, stored_settings
from go_state.runtime.flow.driver import require_running_loop
from go_state.system.own_thread import OwnThread
from go_state.waking.deadlines import is_number

if TYPE_CHECKING:
    import asyncio

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_IDLE = 300.0  # seconds; an app costs a thread or a task, and its model
_LIMIT = 10_000  # apps; threads are what runs out first


def start_keyed(program: Program[Model, Msg], **options: Unpack[KeyedAppOptions]) -> KeyedApps[Model, Msg]:
    """Return the running programs of many keys, each in a thread of its own: rooms, guilds, tenants.

    The keyword arguments are those of `KeyedAppOptions`. A key's program is started when it is first used; `init` may take the
    key. After `idle` seconds without a message, and without anyone waiting for its models, it is put to rest, and so are the
    least recently used beyond `limit`. With a `store` each is durable under `prefix` and its key, and continues where it was;
    without one its model is forgotten.

    With a store, a program at rest is started again when it has something to do by itself: when a time of its `Sub.at`, `Sub.every`
    or `Cmd.after` has come, and after a crash also when it has messages or calls that are not done. The times are kept in the store,
    so that this costs nothing while nothing is due. They are read there at the beginning and once a minute, so that what another
    process has added, which uses the same store and prefix, is woken here if that one has died. Without a store, a program that
    waits for something is not put to rest by `idle`.
    """
    return _keyed("start_keyed", program, options, on_loop=False)


def start_keyed_async(program: Program[Model, Msg], **options: Unpack[KeyedAppOptions]) -> KeyedApps[Model, Msg]:
    """Return the running programs of many keys, each in a task of the running event loop; see `start_keyed`."""
    require_running_loop("start_keyed_async", "start_keyed")
    return _keyed("start_keyed_async", program, options, on_loop=True)


def _keyed(called: str, program: Program[Model, Msg], options: KeyedAppOptions, *, on_loop: bool) -> KeyedApps[Model, Msg]:
    check_names(called, options, KeyedAppOptions)
    idle, limit, prefix = options.get("idle", _IDLE), options.get("limit", _LIMIT), options.get("prefix", "")
    if not (is_number(idle) and idle > 0 and isinstance(limit, int) and is_number(limit) and limit >= 1):
        raise UsageError(f"idle= is a number of seconds above 0 and limit= a number of apps from 1, not {idle!r} and {limit!r}")
    if not isinstance(prefix, str):
        raise UsageError(
            f"prefix= is what the names of the programs in the store begin with, not a {type(prefix).__qualname__}"
        )
    settings, stored = run_settings(options), stored_settings(prefix, options)
    thread = OwnThread("go_state disk of many keys", share=None if stored is None else stored.store.together.write_all)
    on_denied = checked_function("on_denied", options.get("on_denied"), "(message, denied)")
    on_failed = checked_function("on_failed", options.get("on_failed"), "(key, error)")
    asks_key = takes_key(checked_program(program))
    if stored is not None:
        from go_state.modes.keeping.schema import stored_types  # here: programs that store nothing need not wait for it

        stored = replace(stored, types=stored_types(program), thread=thread)
    wakes = None if stored is None else Wakes(stored.store, prefix)
    loop = _current_loop() if on_loop else None

    def make(key: str, idled: Told, ended: Told, begun: Told) -> App[Model, Msg]:
        own = replace(program, init=partial(program.init, key)) if asks_key else program
        durable = None
        if stored is not None and wakes is not None:
            durable = replace(stored, key=prefix + key, of_key=key, wake=wakes.name(key))
        told = Callbacks(idle=idle, idled=idled, ended=ended, begun=begun)
        return make_app(own, None, settings, durable, on_denied=on_denied, on_loop=on_loop, key=key, callbacks=told)

    kept = KeptAs(program, None if stored is None else stored.store, prefix)
    return KeyedApps(Directory(make, limit, loop, settings, wakes, on_failed), thread, kept)


def _current_loop() -> asyncio.AbstractEventLoop:
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise UsageError(
            "start_keyed_async() needs a running event loop: call it in a coroutine, or use start_keyed() in a thread"
        ) from None
