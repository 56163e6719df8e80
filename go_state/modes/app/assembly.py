"""An app put together: its run, its life and its host, each of which knows only those before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from go_state.core.program import Program
from go_state.middleware.chain import Chain, chain_of
from go_state.modes.app.app import App
from go_state.modes.app.hosts.host import Host, TaskHost, ThreadHost
from go_state.modes.app.life import Life
from go_state.modes.app.observers import Observers
from go_state.modes.app.pending_replies import PendingReplies
from go_state.modes.app.runs.memory_run import MemoryRun
from go_state.modes.app.runs.run_parts import RunParts
from go_state.modes.app.settling import Settling
from go_state.modes.options import OnDenied
from go_state.modes.settings import DurableSettings, name_of_program
from go_state.runtime.after_commit import StopRequest
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.on_error import OnError

if TYPE_CHECKING:
    from go_state.buffer.buffer import Buffer

Model = TypeVar("Model")
Msg = TypeVar("Msg")


def memory_life(buffer: Buffer[Msg], parts: RunParts[Model, Msg]) -> Life[Model]:
    """Return the life of a program whose queue is a buffer in memory."""
    return Life(name_of_program(parts.program), MemoryRun(buffer, parts), parts)


def journal_life(settings: DurableSettings, parts: RunParts[Model, Msg]) -> Life[Model]:
    """Return the life of a program whose queue is a journal."""
    from go_state.modes.app.runs.journal_run import JournalRun  # here: a program that stores nothing need not wait for it

    return Life(name_of_program(parts.program), JournalRun(settings, parts), parts)


def parts_of(
    program: Program[Model, Msg], manager: EffectManager, on_error: OnError, on_denied: OnDenied | None, *, on_loop: bool
) -> RunParts[Model, Msg]:
    """Return what the run of the program is made of."""
    chain = chain_of(program)
    return RunParts(
        program=program,
        manager=manager,
        on_error=on_error,
        observers=Observers(),
        replies=PendingReplies(_inside(chain, manager, on_loop=on_loop), on_denied),
        settling=Settling(),
        chain=chain,
        stop=StopRequest(),
        on_loop=on_loop,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks(Generic[Model, Msg]):
    """Calls for the holder of an app, each called with the app.

    `begun` is called first of all, so that its caller has the app whenever it may be running; `idled` when there was no message for
    `idle` seconds and nobody waits for a model; `ended` when nothing of the app runs any more.
    """

    idle: float | None = None
    idled: Callable[[App[Model, Msg]], object] | None = None
    ended: Callable[[App[Model, Msg]], object] | None = None
    begun: Callable[[App[Model, Msg]], object] | None = None


def begin(life: Life[Model], callbacks: Callbacks[Model, Msg], *, on_loop: bool) -> App[Model, Msg]:
    """Begin the life in a thread, or in a task of the running event loop, and return its app."""
    host: Host = TaskHost(life) if on_loop else ThreadHost(life)
    app: App[Model, Msg] = App(life, host)
    if callbacks.ended is not None:
        life.when_ended = partial(callbacks.ended, app)
    if callbacks.idled is not None:
        life.when_idle(callbacks.idle, partial(callbacks.idled, app))
    try:
        if callbacks.begun is not None:
            callbacks.begun(app)
        host.start()
    except BaseException:  # Ctrl-C, say, while the thread begins: nobody has the app, so nobody else can end it
        host.abandon()
        raise
    return app


def _inside(chain: Chain[Model, Msg] | None, manager: EffectManager, *, on_loop: bool) -> Chain[Model, Msg] | None:
    """Return the chain; on an event loop what its middleware begins after a turn is known to be a part of the run."""
    if chain is not None and on_loop:
        chain.run = manager.executor
    return chain
