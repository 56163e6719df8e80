"""Run: every message of a queue, until it is closed and drained."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, Unpack

from go_state.core.errors import UsageError
from go_state.core.ports import Log
from go_state.core.program import Program
from go_state.middleware.chain import chain_of
from go_state.modes.loops import JustStarted, filing_for, plain_loop
from go_state.modes.options import RunOptions
from go_state.modes.queues import Queue
from go_state.modes.settings import (
    DurableSettings,
    RunSettings,
    check_names,
    checked_function,
    checked_program,
    durable_settings,
    program_without_key,
    run_settings,
)
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.flow.driver import drive, drive_async, refuse_running_loop
from go_state.runtime.on_error import Failures
from go_state.runtime.turn import Loop

if TYPE_CHECKING:
    from go_state.modes.durable.durable_run import DurableRun

Model = TypeVar("Model")
Msg = TypeVar("Msg")


def run(program: Program[Model, Msg], buffer: Log[Msg] | None = None, **options: Unpack[RunOptions[Msg]]) -> Model:
    """Run the program in the calling thread until its queue is closed and drained, and return the last model.

    The keyword arguments are those of `RunOptions`. The queue is a `buffer`, read from its oldest message on, or a `producer`
    and a `consumer`, whose end is `Closed`.

    With a `store` and a `key` the run is durable: its queue is `store.journal(key)`, which is opened unless it is given as
    `buffer` (a journal that was closed already, to be drained, has to be given: another one would wait for messages). A run of a
    journal is always durable, and needs neither: the journal knows its store and its name. What others send reaches update only once
    it is on disk, and after any crash the program goes on from its newest snapshot and the messages after it, which are replayed
    silently up to where it had come. Messages that were set aside are passed over for good.

    The run ends when no command is running any more, and cancels the running ones when it fails.

    Raises what `init`, `update`, `view`, a command or the queue raises, `ProgramError` for a return value that is not a step,
    and `InsideLoop` in a thread whose event loop is running.
    """
    refuse_running_loop("run")
    settings, durable = _settings("run", buffer, options)
    manager = _manager(program, settings, durable, on_loop=False)
    if durable is not None:
        running = _durable_run(program, durable, settings, manager, on_loop=False)
        with manager:
            drive(running.flow())
        return running.loop.model
    loop = _loop(program, settings, manager, options)
    with Queue(buffer, options.get("producer"), options.get("consumer"), on_loop=False) as feed, manager:
        drive(loop.run(feed))
    return loop.model


async def run_async(program: Program[Model, Msg], buffer: Log[Msg] | None = None, **options: Unpack[RunOptions[Msg]]) -> Model:
    """Run the program on the running event loop, as `run` does in a thread.

    `update`, commands and the view are called on the loop, which gets control back every few milliseconds, between messages. Of
    a custom producer and consumer `put_async`, `get_async`, `commit_async` and `rollback_async` are preferred if they exist;
    what the methods return is awaited if it can be.
    """
    settings, durable = _settings("run_async", buffer, options)
    manager = _manager(program, settings, durable, on_loop=True)
    if durable is not None:
        running = _durable_run(program, durable, settings, manager, on_loop=True)
        try:
            async with manager:
                await drive_async(running.flow())
        finally:
            await running.end_thread()
        return running.loop.model
    loop = _loop(program, settings, manager, options)
    async with Queue(buffer, options.get("producer"), options.get("consumer"), on_loop=True) as feed, manager:
        await drive_async(loop.run(feed))
    return loop.model


def _settings(called: str, buffer: object, options: RunOptions[Msg]) -> tuple[RunSettings, DurableSettings | None]:
    check_names(called, options, RunOptions)
    settings, durable = run_settings(options), durable_settings(buffer, options)
    if durable is not None and any(options.get(word) is not None for word in ("producer", "consumer", "replaying")):
        raise UsageError("a durable run reads its own journal: leave producer=, consumer= and replaying= out")
    return settings, durable


def _manager(
    program: Program[Model, Msg], settings: RunSettings, durable: DurableSettings | None, *, on_loop: bool
) -> EffectManager:
    observation = settings.observation(checked_program(program), None if durable is None else durable.key)
    return EffectManager(settings.resources, on_loop=on_loop, observation=observation)


def _loop(
    program: Program[Model, Msg], settings: RunSettings, manager: EffectManager, options: RunOptions[Msg]
) -> Loop[Model, Msg]:
    failures: Failures[Msg] = Failures(settings.on_error, lists=False, filing=filing_for(program, settings.on_error))
    replaying = checked_function("replaying", options.get("replaying"), "nothing that returns whether this is a replay")
    return plain_loop(program_without_key(program, "run"), manager, failures, replaying, JustStarted())


def _durable_run(
    program: Program[Model, Msg], durable: DurableSettings, settings: RunSettings, manager: EffectManager, *, on_loop: bool
) -> DurableRun[Model, Msg]:
    from go_state.modes.durable.durable_run import DurableRun  # here: a program that stores nothing need not wait for it

    program = program_without_key(program, "run")
    return DurableRun(program, durable, settings.on_error, manager, on_loop=on_loop, chain=chain_of(program))
