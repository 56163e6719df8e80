"""Starting a program as an app: in a thread of its own, or in a task of the running event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from go_state.core.errors import UsageError
from go_state.core.ports import Log, Store
from go_state.core.program import Program
from go_state.modes.app.app import App
from go_state.modes.app.assembly import begin, journal_life, memory_life
from go_state.modes.app.pending_replies import OnDenied
from go_state.modes.limits import Retain, Snapshots
from go_state.modes.run import durable_run, is_durable, without_key
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.effects.timers import Clock
from go_state.runtime.flow.driver import require_running_loop
from go_state.runtime.on_error import OnError, Raise, check_on_error
from go_state.runtime.resources import Effects, Resources, resources_of

if TYPE_CHECKING:
    from go_state.storage.journal.writer import Durability
    from go_state.storage.records.lease import IfHeld

Model = TypeVar("Model")
Msg = TypeVar("Msg")


def start(
    program: Program[Model, Msg],
    buffer: Log[Msg] | None = None,
    *,
    on_error: OnError = Raise(),
    on_denied: OnDenied | None = None,
    store: Store | None = None,
    key: str | None = None,
    snapshots: Snapshots | None = None,
    durability: Durability | None = None,
    lease: IfHeld | None = None,
    restore: int | None = None,
    retention: Retain | None = None,
    env: object = None,
    effects: Effects | None = None,
    clock: Clock | None = None,
) -> App[Model, Msg]:
    """Start the program in a thread of its own and return the app, to be used as a `with` block.

    Its queue is a `buffer`, by default a new one, which the app closes at its end. With a `store` and a `key`, or a journal as its
    buffer, it is durable, and the arguments are those of `run`. `on_denied(message, denied)` is called for what a middleware denies
    while nobody waits for it, which is otherwise passed over.
    """
    how = (store, key, snapshots, durability, lease, restore, retention)
    resources = resources_of(env, effects, clock)
    return make_app(program, buffer, on_error, how, resources, on_denied=on_denied, on_loop=False)


def start_async(
    program: Program[Model, Msg],
    buffer: Log[Msg] | None = None,
    *,
    on_error: OnError = Raise(),
    on_denied: OnDenied | None = None,
    store: Store | None = None,
    key: str | None = None,
    snapshots: Snapshots | None = None,
    durability: Durability | None = None,
    lease: IfHeld | None = None,
    restore: int | None = None,
    retention: Retain | None = None,
    env: object = None,
    effects: Effects | None = None,
    clock: Clock | None = None,
) -> App[Model, Msg]:
    """Start the program in a task of the running event loop and return the app, to be used as an `async with` block.

    Raises `UsageError` if no loop is running.
    """
    require_running_loop("start_async", "start")
    how = (store, key, snapshots, durability, lease, restore, retention)
    resources = resources_of(env, effects, clock)
    return make_app(program, buffer, on_error, how, resources, on_denied=on_denied, on_loop=True)


def make_app(
    program: Program[Model, Msg],
    buffer: Any,
    on_error: OnError,
    how: tuple[Any, ...],
    resources: Resources,
    *,
    on_denied: OnDenied | None,
    on_loop: bool,
    idle: float | None = None,
    idled: Callable[[App[Model, Msg]], object] | None = None,
    ended: Callable[[App[Model, Msg]], object] | None = None,
    begun: Callable[[App[Model, Msg]], object] | None = None,
) -> App[Model, Msg]:
    """Return the app of these arguments."""
    from go_state.buffer.buffer import Buffer

    program = without_key(program, "start")
    durable = how if is_durable(buffer, how) else None
    if durable is None and not isinstance(buffer, (Log, type(None))):
        raise UsageError(f"a {type(buffer).__qualname__} is no buffer: give a gs.Buffer, or none")
    check_on_error(on_error)
    manager = EffectManager(resources, on_loop=on_loop)
    if durable is None:
        queue: Any = Buffer() if buffer is None else buffer  # a buffer, or something that is used as one
        life = memory_life(program, queue, manager, on_error, on_denied, on_loop=on_loop)
    else:
        run = durable_run(program, (buffer, None, None, None), on_error, manager, on_loop, *durable)
        life = journal_life(program, run, on_denied, on_loop=on_loop)
    return begin(life, on_loop=on_loop, idle=idle, idled=idled, ended=ended, begun=begun)
