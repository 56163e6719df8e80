"""A program on the bench: its messages, commands, timers and subscriptions in the test's own hands, and nothing real is done.

send ──▶ update ──▶ pending commands, as values ──▶ resolve or fail ──▶ update ──▶ ...
advance ──▶ timers and subscriptions ──▶ update ──▶ ...
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

from go_state.core.commands import Call, Command
from go_state.core.errors import InsideLoop, ProgramError, UsageError
from go_state.core.program import Program, read_step, takes_key
from go_state.core.turn import Turn
from go_state.middleware.chain import replayed
from go_state.runtime.effects.context import effect_name
from go_state.runtime.effects.effect import Effect
from go_state.runtime.effects.environment import NOTHING, environment
from go_state.runtime.effects.executor import check_kind
from go_state.runtime.effects.manager import EffectManager, Trouble
from go_state.runtime.flow.awaitables import is_awaitable
from go_state.runtime.raised import as_failure
from go_state.runtime.resources import Resources
from go_state.runtime.subscriptions import Subscribed
from go_state.system.running import running_loop
from go_state.testing.clock import SimClock, check_forward

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class _Desk:
    """Takes the place of tasks and threads: what is begun lies here until the test resolves it."""

    def __init__(self) -> None:
        self.streams: dict[Any, None] = {}

    def start(self, effect: Effect) -> None:
        """Leave it on the desk."""

    def spawn(self, running: Any, work: Callable[[], Any], context: Any) -> None:
        """Leave a stream on the desk."""
        self.streams[running] = None
        running.stop = lambda: self.streams.pop(running, None)

    def call(self, function: Callable[[], object]) -> None:
        """Do nothing: no stream waits."""


class _Marks:
    """Takes the place of a journal: the names of what is under way."""

    def __init__(self) -> None:
        self.names: dict[str, None] = {}

    def opened(self, name: str) -> None:
        """Note a command."""
        self.names[name] = None

    def ended(self, names: Sequence[str]) -> None:
        """Forget commands."""
        for name in names:
            self.names.pop(name, None)


class _BenchEffects(EffectManager):
    """EffectManager whose calls are all left to the test, inline ones too."""

    hears_signals = False

    def __init__(self, clock: SimClock) -> None:
        super().__init__(Resources(clock=clock), on_loop=False)
        self.desk = _Desk()
        self.marks = self.noted = _Marks()
        self.workers: Any = self.desk

    def _call_here(self, effect: Effect) -> bool:
        return False

    def _call(self, call: Call[Any], scope: Any, group: Any, path: Any, sent: list[Any]) -> Any:
        return self._hold(Effect(call, scope, group, path, self._turn(), None))


class Harness(Generic[Model, Msg]):
    """Runs a program without running anything of the world: `send` a message, look at `model` and `pending`, `resolve` or `fail`
    what is pending, let time `advance`, and `crash`.

    Every call is pending until it is resolved, also of a plain function, in the order in which they would be begun. `perform` calls one
    for real, with the fake `env`. The program is a strict one: an update that changes the model it is given raises `ProgramError`.

    >>> from go_state import Cmd, Program
    >>> def fetch(text): ...
    >>> h = Harness(Program(lambda: ([], ()), lambda found, msg: (found, [Cmd.call(fetch, msg[1], ok=lambda hits: ("found", hits))])
    ...     if msg[0] == "search" else ([*found, msg[1]], ())))
    >>> h.send(("search", "x")).pending
    (Call(fetch, 'x', ok=<lambda>.<locals>.<lambda>),)
    >>> h.resolve(fetch, 3).model
    [3]
    """

    def __init__(self, program: Program[Model, Msg], *, env: object = None, start: float = 0.0, key: str | None = None) -> None:
        if takes_key(program) and key is None:
            raise UsageError('the program\'s init takes a key: give Harness(program, key="...") one')
        self.program = program
        self.clock = SimClock(start)
        self.messages: list[Msg] = []  #: what update was given, in order
        self._entered: list[float] = []  # when
        self._env = NOTHING if env is None else env
        self._key = key
        self._queue: deque[Msg] = deque()
        self._strict: Program[Model, Msg] = replayed(replace(program, strict=True))
        model, commands = read_step(program.init(key) if takes_key(program) else program.init(), "init")
        self._model: Model = model
        self._manager = self._begin()
        self._manager.turn_name = lambda: "bench/init"
        self._perform(commands, None)
        self._manager.turn_name = lambda: f"bench/{len(self.messages) - 1}"
        self._subscribed = self._subscribe()
        self._run()

    def _begin(self) -> _BenchEffects:
        manager = _BenchEffects(self.clock)
        manager.where = lambda: len(self.messages) - 1
        return manager

    def _subscribe(self) -> Subscribed | None:
        if self.program.subscriptions is None:
            return None
        subscribed = Subscribed(self.program.subscriptions, self._manager)
        subscribed.follow(self._model)
        return subscribed

    # ------------------------------------------------------------------ looking

    @property
    def model(self) -> Model:
        """The model now."""
        return self._model

    @property
    def pending(self) -> tuple[Command[Msg], ...]:
        """The calls and timers under way, in the order in which they were begun; those that wait behind others of their key or for
        room are not there yet.
        """
        return tuple(effect.command for effect in self._manager.begun())

    @property
    def effect_ids(self) -> tuple[str, ...]:
        """What `gs.effect_id()` would say in each pending command."""
        return tuple(effect.name for effect in self._manager.begun())

    @property
    def subscriptions(self) -> tuple[Any, ...]:
        """The subscriptions under way."""
        return () if self._subscribed is None else self._subscribed.under_way()

    # ------------------------------------------------------------------ what happens

    def send(self, *messages: Msg) -> Harness[Model, Msg]:
        """Give the program messages, with all that they lead to by themselves."""
        self._queue.extend(message for message in messages if message is not None)
        return self._run()

    def resolve(self, what: Any = None, result: Any = None) -> Harness[Model, Msg]:
        """Have the oldest pending call return `result`; `what` is its function, or the command, and by default the only one."""
        effect = self._find(what)
        self._manager.news.append((self._manager.done, effect, result))
        return self._run()

    def fail(self, what: Any = None, error: BaseException | None = None) -> Harness[Model, Msg]:
        """Have the oldest pending call raise the error; without `err=` the test gets it, as `on_error` would."""
        effect = self._find(what)
        self._manager.news.append((self._manager.failed, effect, RuntimeError("failed") if error is None else error))
        return self._run()

    def perform(self, what: Any = None) -> Harness[Model, Msg]:
        """Call the pending function for real, with the harness's `env`, and resolve it, or fail it, with what comes of that."""
        effect = self._find(what)
        tokens = environment.set(self._env), effect_name.set(lambda: effect.name)
        try:
            result = effect.command.fn(*effect.command.args)
            check_kind(effect.command, result)
            if is_awaitable(result):
                result = _run_to_its_end(result)
        except InsideLoop:
            raise
        except BaseException as error:
            if not isinstance(as_failure(error), Exception):
                raise
            return self.fail(effect.command, error)
        finally:
            environment.reset(tokens[0])
            effect_name.reset(tokens[1])
        return self.resolve(effect.command, result)

    def give(self, what: Any, *items: Any) -> Harness[Model, Msg]:
        """Have a stream under way give items; `what` is its async generator function, or its key. For a signal give its number alone."""
        if self._subscribed is not None and not items and (found := self._subscribed.listening(what)):
            self._manager.news.extend((self._subscribed.arrive, running, None) for running in found)
            return self._run()
        for running in self._manager.desk.streams:
            if what in (running.sub.fn, running.sub.key) and self._subscribed is not None:
                for item in items:
                    self._manager.news.append((self._subscribed.arrive, running, item))
                return self._run()
        raise UsageError(f"no stream of {what!r} is under way: {[each.sub for each in self._manager.desk.streams]}")

    def advance(self, seconds: float) -> Harness[Model, Msg]:
        """Let so many seconds pass, timer after timer, each with all that it leads to."""
        check_forward(seconds)
        end = self.clock.time() + seconds
        while (due := self._manager.timers.due()) is not None and due <= end:
            self.clock.set(due)
            self._run()
        self.clock.set(end)
        return self._run()

    def crash(self) -> Harness[Model, Msg]:
        """Lose all but what a journal has: the messages. The model is replayed from them, `on_restore` is asked, subscriptions begin
        anew, and the commands that were pending are pending again, under their names; timers begin anew.

        Raises `ProgramError` where the replayed model is another: update depends on more than its arguments.
        """
        model, turns = self._replayed()
        if model != self._model:
            raise ProgramError("the replayed model is not the one that was live: update depends on more than its arguments")
        names = tuple(self._manager.noted.names)
        self._model = model
        self._manager = self._begin()
        for number, (message, commands) in enumerate(turns, -1):
            name = "init" if number < 0 else str(number)
            self._manager.turn_name = lambda name=name: f"bench/{name}"  # type: ignore[misc]
            self._manager.where = lambda number=number: number  # type: ignore[misc]
            self._manager.resume(commands, message, names)
        self._manager.where = lambda: len(self.messages) - 1
        self._manager.turn_name = lambda: f"bench/restore/{len(self.messages)}"
        restored = () if self.program.on_restore is None else self.program.on_restore(model)
        self._perform(restored, None)
        self._manager.turn_name = lambda: f"bench/{len(self.messages) - 1}"
        self._subscribed = self._subscribe()
        return self._run()

    # ------------------------------------------------------------------ inside

    def _replayed(self) -> tuple[Model, list[tuple[Any, Any]]]:
        program = self.program
        model, commands = read_step(program.init(self._key) if takes_key(program) else program.init(), "init")
        turns: list[tuple[Any, Any]] = [(None, commands)]
        for position, message in enumerate(self.messages):
            model, commands = self._step(model, message, position)
            turns.append((message, commands))
        return model, turns

    def _step(self, model: Any, message: Any, position: int) -> tuple[Any, Any]:
        turn = (Turn(self._entered[position], position, f"bench/{position}"),) if self._strict.takes_turn else ()
        update: Any = self._strict.update
        return read_step(update(model, message, *turn), "update")

    def _perform(self, commands: Any, message: Any) -> None:
        self._commit(self._manager.perform(commands, message))

    def _commit(self, sent: Sequence[Any]) -> None:
        self._queue.extend(sent)
        if self._manager.held:
            self._manager.begin()

    def _run(self) -> Harness[Model, Msg]:
        try:
            while self._queue or self._manager.has_arrivals:
                while self._queue:
                    self._take(self._queue.popleft())
                for arrive, arguments in self._manager.arrivals():
                    self._let_in(lambda sent, arrive=arrive, arguments=arguments: arrive(*arguments, sent))  # type: ignore[misc]
                    self._let_in(self._manager.entered)
                    self._manager.settled()
        except BaseException as error:
            raise as_failure(error)  # noqa: B904  - it has its cause, or is the error itself
        return self

    def _let_in(self, arrive: Callable[[list[Any]], Trouble | None]) -> None:
        """Put what has arrived into the queue; raise the error of what has failed, which is over by then."""
        sent: list[Any] = []
        trouble = arrive(sent)
        self._queue.extend(sent)
        if trouble is not None:
            trouble.then([])
            self._manager.settled()
            raise trouble.error

    def _take(self, message: Any) -> None:
        self._entered.append(self.clock.time())
        self.messages.append(message)
        try:
            model, commands = self._step(self._model, message, len(self.messages) - 1)
            sent = self._manager.perform(commands, message)
        except BaseException:  # the turn is rolled back
            self.messages.pop()
            self._entered.pop()
            self._manager.drop()
            raise
        self._commit(sent)
        if model is not self._model:
            self._model = model
            if self._subscribed is not None:
                self._subscribed.follow(model)

    def _find(self, what: Any) -> Effect:
        calls = [effect for effect in self._manager.begun() if type(effect.command) is Call]
        found = [effect for effect in calls if what is None or what == effect.command or what is effect.command.fn]
        if not found or (what is None and len(found) > 1):
            said = "nothing is pending" if not calls else f"pending are {[effect.command for effect in calls]}"
            raise UsageError(f"{'which one?' if found else f'no call of {what!r} is pending'}: {said}")
        return found[0]


def _run_to_its_end(result: Any) -> Any:
    """Await what a function has returned, on an event loop of its own."""
    import asyncio

    if running_loop() is not None:
        if inspect.iscoroutine(result):
            result.close()
        raise InsideLoop("perform", "h.resolve(fn, await fn(...))")
    return asyncio.run(_awaited(result))


async def _awaited(result: Any) -> Any:
    return await result
