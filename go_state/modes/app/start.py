"""Starting a program as an app: in a thread of its own, or in a task of the running event loop."""

from __future__ import annotations

from typing import Any, TypeVar, Unpack

from go_state.buffer.buffer import Buffer
from go_state.core.errors import UsageError
from go_state.core.ports import Log
from go_state.core.program import Program
from go_state.modes.app.app import App
from go_state.modes.app.assembly import Callbacks, begin, journal_life, memory_life, parts_of
from go_state.modes.options import AppOptions, OnDenied
from go_state.modes.settings import (
    DurableSettings,
    RunSettings,
    check_names,
    checked_function,
    durable_settings,
    program_without_key,
    run_settings,
)
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.flow.driver import require_running_loop

Model = TypeVar("Model")
Msg = TypeVar("Msg")


def start(program: Program[Model, Msg], buffer: Log[Msg] | None = None, **options: Unpack[AppOptions]) -> App[Model, Msg]:
    """Start the program in a thread of its own and return the app, to be used as a `with` block.

    Its queue is a `buffer`, by default a new one, which the app closes at its end. The keyword arguments are those of
    `AppOptions`. With a `store` and a `key`, or a journal as its buffer, the app is durable, as a `run` with the same arguments.
    """
    return _start("start", program, buffer, options, on_loop=False)


def start_async(program: Program[Model, Msg], buffer: Log[Msg] | None = None, **options: Unpack[AppOptions]) -> App[Model, Msg]:
    """Start the program in a task of the running event loop and return the app, to be used as an `async with` block.

    Raises `UsageError` if no loop is running.
    """
    require_running_loop("start_async", "start")
    return _start("start_async", program, buffer, options, on_loop=True)


def _start(
    called: str, program: Program[Model, Msg], buffer: Log[Msg] | None, options: AppOptions, *, on_loop: bool
) -> App[Model, Msg]:
    check_names(called, options, AppOptions)
    settings = run_settings(options)
    program = program_without_key(program, "start")
    durable = durable_settings(buffer, options)
    if buffer is not None and not isinstance(buffer, Log):
        raise UsageError(f"a {type(buffer).__qualname__} is not a buffer: give a gs.Buffer, or none")
    on_denied = checked_function("on_denied", options.get("on_denied"), "(message, denied)")
    return make_app(program, buffer, settings, durable, on_denied=on_denied, on_loop=on_loop)


def make_app(
    program: Program[Model, Msg],
    buffer: Log[Msg] | None,
    settings: RunSettings,
    durable: DurableSettings | None,
    *,
    on_denied: OnDenied | None,
    on_loop: bool,
    key: str | None = None,
    callbacks: Callbacks[Model, Msg] | None = None,
) -> App[Model, Msg]:
    """Return a running app with these settings; without a buffer, and not durable, it has a new one.

    `key` is its key among many, if it has one; by default its key in the store.
    """
    if key is None and durable is not None:
        key = durable.key
    manager = EffectManager(settings.resources, on_loop=on_loop, observation=settings.observation(program, key))
    parts = parts_of(program, manager, settings.on_error, on_denied, on_loop=on_loop)
    if durable is None:
        queue: Any = Buffer() if buffer is None else buffer  # a buffer, or something that is used as one
        life = memory_life(queue, parts)
    else:
        life = journal_life(durable, parts)
    return begin(life, callbacks or Callbacks(), on_loop=on_loop)
