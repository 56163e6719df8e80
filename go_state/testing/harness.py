"""A program under test: its messages, commands, timers and subscriptions in the test's own hands, and nothing real is done.

send ──▶ update ──▶ pending commands, as values ──▶ resolve or fail ──▶ update ──▶ ...
advance ──▶ timers and subscriptions ──▶ update ──▶ ...
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

from go_state.core.commands import Call, Command
from go_state.core.errors import InsideLoop, ProgramError, UsageError
from go_state.core.program import Commands, Program, read_step, takes_key
from go_state.core.subscriptions import Sub
from go_state.core.turn import Turn
from go_state.middleware.chain import replayed
from go_state.runtime.after_commit import Hooks
from go_state.runtime.context import current, environment
from go_state.runtime.effects.executor import Owner, Work, check_kind
from go_state.runtime.effects.inbox import Done, Failed
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.effects.place import Origin
from go_state.runtime.effects.scheduler import Effect
from go_state.runtime.feeds.feed import NOBODY
from go_state.runtime.flow.awaitables import is_awaitable
from go_state.runtime.flow.driver import drive
from go_state.runtime.flow.waits import Flow
from go_state.runtime.raised import as_failure
from go_state.runtime.resources import NOTHING, Resources
from go_state.runtime.steps import Steps
from go_state.runtime.subscriptions.running import Produced
from go_state.runtime.subscriptions.subscribed import Subscribed, subscribed
from go_state.runtime.turn import Loop
from go_state.system.running import running_loop
from go_state.testing.clock import SimClock, check_forward

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class _Desk:
    """An executor that begins nothing: calls and streams wait here until the test says what becomes of them."""

    def start(self, effect: Effect) -> None:
        """Leave the call to the test."""

    def spawn(self, owner: Owner, work: Work) -> None:
        """Leave the stream to the test."""

    def forget(self, owner: Owner) -> None:
        """Do nothing: no task was spawned."""

    def stop(self, owner: Owner) -> None:
        """Do nothing: nothing was begun."""

    def call(self, function: Callable[[], object]) -> None:
        """Do nothing: no stream waits."""

    def close(self, seconds: float) -> None:
        """Do nothing: nothing was opened."""

    async def close_async(self, seconds: float) -> None:
        """Do nothing."""

    def left(self) -> Iterable[str]:
        """Return nothing."""
        return ()


class _Marks:
    """Takes the place of a journal: the names of the effects that are running."""

    def __init__(self) -> None:
        self.names: dict[str, None] = {}

    def opened(self, name: str) -> None:
        """Note an effect."""
        self.names[name] = None

    def ended(self, names: Sequence[str]) -> None:
        """Remove the notes of effects."""
        for name in names:
            self.names.pop(name, None)


class _Feed(Generic[Msg]):
    """The feed of a loop that ends, for now, whenever there is nothing to do: the test goes on with it.

    A message whose turn is rolled back is taken out: the test has seen its exception, and the next one gets its position.
    """

    commits_each = True
    is_committed = False  # a commit cannot fail here
    owner = NOBODY

    def __init__(self, clock: SimClock) -> None:
        self.messages: list[Msg] = []  # that were given, in order
        self.entered: list[float] = []  # when
        self.queue: deque[Msg] = deque()
        self._clock = clock
        self._manager: EffectManager | None = None

    def listen_to(self, manager: EffectManager, /) -> None:
        """Deliver what the manager's effects have produced, and give them positions."""
        self._manager = manager
        manager.connect(where=self.last_position)

    def take(self) -> Flow[Iterator[Msg] | None]:
        """Give what is queued; None if there is nothing to do."""
        yield from ()
        if self.queue:
            return self._given()
        return iter(()) if self._manager is not None and self._manager.has_arrivals else None

    def _given(self) -> Iterator[Msg]:
        while self.queue:
            message = self.queue.popleft()
            self.entered.append(self._clock.time())
            self.messages.append(message)
            yield message

    @property
    def processed(self) -> int:
        """How many messages had their turn."""
        return len(self.messages)

    def put(self, messages: Sequence[Msg], /) -> tuple[()]:
        """Queue messages."""
        self.queue.extend(messages)
        return ()

    commit = put

    def rollback(self, *, processed: bool) -> tuple[()]:
        """Take out the message whose turn is rolled back."""
        if not processed:
            self.messages.pop()
            self.entered.pop()
        return ()

    def last_position(self) -> int:
        """Return the message's number."""
        return len(self.messages) - 1

    def take_undecoded(self) -> None:
        """Return None: there are messages here, and no records."""

    def turn(self) -> Turn:
        """Return the message's turn, the same at every replay."""
        return self.turn_of(self.last_position())

    def turn_of(self, position: int) -> Turn:
        """Return the turn of a message."""
        return Turn(self.entered[position], position, f"bench/{position}")


class Harness(Generic[Model, Msg]):
    """Runs a program without running anything of the world: `send` a message, look at `model` and `pending`, `resolve` or `fail`
    what is pending, let time `advance`, and `crash`.

    Every call is pending until it is resolved, also of a plain function, in the order in which they would be begun. `perform` calls one
    for real, with the fake `env`. `start` is the time at the beginning, in seconds since 1970. The program is a strict one: an
    update that changes the model it is given raises `ProgramError`.

    >>> from go_state import Cmd, Program
    >>> def fetch(text): ...
    >>> def update(found, msg):
    ...     match msg:
    ...         case str(text):
    ...             return found, [Cmd.call(fetch, text)]
    ...         case int(hits):
    ...             return (*found, hits), ()
    >>> h = Harness(Program(lambda: ((), ()), update)).send("x")
    >>> h.pending
    (Call(fetch, 'x'),)
    >>> h.resolve(fetch, 3).model
    (3,)
    """

    def __init__(self, program: Program[Model, Msg], *, env: object = None, start: float = 0.0, key: str | None = None) -> None:
        if takes_key(program) and key is None:
            raise UsageError('the program\'s init takes a key: give Harness(program, key="...") one')
        self.program = program
        self.clock = SimClock(start)
        self._env = NOTHING if env is None else env
        strict: Program[Model, Msg] = replayed(replace(program, strict=True))
        init: Any = program.init
        self._steps: Steps[Model, Msg] = Steps(
            (lambda: init(key)) if takes_key(program) else init, strict.update, strict.takes_turn
        )
        self._feed: _Feed[Msg] = _Feed(self.clock)
        self._begin()
        self._drive(self._loop.live(self._feed, started=False))

    def _begin(self) -> None:
        """Make a run of its own, as at the start of a process."""
        self._marks = _Marks()
        self._manager = EffectManager(
            Resources(clock=self.clock), on_loop=False, executor=lambda _: _Desk(), inline=False, handles_signals=False
        )
        self._manager.note_in(self._marks)
        hooks = Hooks(subscribed(self.program.subscriptions, self._manager))
        self._loop: Loop[Model, Msg] = Loop(self._steps, self._manager, hooks=hooks)
        self._feed.listen_to(self._manager)
        self._name_turns()

    def _name_turns(self) -> None:
        self._manager.names.name_turns(lambda: _turn_name(self._feed.last_position()))

    # ------------------------------------------------------------------ looking

    @property
    def model(self) -> Model:
        """The model now."""
        return self._loop.model

    @property
    def messages(self) -> list[Msg]:
        """What update was given, in order."""
        return self._feed.messages

    @property
    def pending(self) -> tuple[Command[Msg], ...]:
        """The running calls and timers, in the order in which they were begun; those that wait behind others of their key or for
        room are not there yet.
        """
        begun: list[Any] = self._manager.begun()  # whose commands are of the program's messages
        return tuple(effect.command for effect in begun)

    @property
    def effect_ids(self) -> tuple[str, ...]:
        """What `gs.effect_id()` would say in each pending command."""
        return tuple(effect.name for effect in self._manager.begun())

    @property
    def subscriptions(self) -> tuple[Sub[Msg], ...]:
        """The running subscriptions."""
        subscribed = self._subscribed
        return () if subscribed is None else subscribed.running()

    @property
    def noted(self) -> tuple[str, ...]:
        """The effect ids that a journal would have by now, of what a crash leaves to be begun again."""
        return tuple(self._marks.names)

    @property
    def _subscribed(self) -> Subscribed[Model, Msg] | None:
        inputs = self._manager.inputs
        return inputs if isinstance(inputs, Subscribed) else None

    # ------------------------------------------------------------------ what happens

    def send(self, *messages: Msg) -> Harness[Model, Msg]:
        """Give the program messages, with all that they lead to by themselves."""
        self._feed.put([message for message in messages if message is not None])
        return self._run()

    def resolve(self, what: object = None, result: object = None) -> Harness[Model, Msg]:
        """Make the oldest pending call return `result`; `what` is its function, or the command, and by default the only one."""
        effect = self._find(what)
        self._manager.inbox.add(Done(effect, result))
        return self._run()

    def fail(self, what: object = None, error: BaseException | None = None) -> Harness[Model, Msg]:
        """Make the oldest pending call raise the error; without `err=` the test gets it, as `on_error` would."""
        effect = self._find(what)
        self._manager.inbox.add(Failed(effect, RuntimeError("failed") if error is None else error))
        return self._run()

    def perform(self, what: object = None) -> Harness[Model, Msg]:
        """Call the pending function for real, with the harness's `env`, and resolve it, or fail it, with what comes of that."""
        effect = self._find(what)
        call = effect.call
        tokens = environment.set(self._env), current.set(effect)
        try:
            result = call.fn(*call.args)
            check_kind(call, result)
            if is_awaitable(result):
                result = _run_to_its_end(result)
        except InsideLoop:
            raise
        except BaseException as error:
            if not isinstance(as_failure(error), Exception):
                raise
            return self.fail(call, error)
        finally:
            environment.reset(tokens[0])
            current.reset(tokens[1])
        return self.resolve(call, result)

    def give(self, what: object, *items: object) -> Harness[Model, Msg]:
        """Make a running stream give items; `what` is its async generator function, or its key. For a signal give its number alone.

        Raises `UsageError` if it is not running.
        """
        subscribed, inbox = self._subscribed, self._manager.inbox
        if subscribed is not None and not items and (found := subscribed.listening(what)):
            for running in found:
                inbox.add(Produced(running))
            return self._run()
        streams = [] if subscribed is None else subscribed.streams()
        for running, stream in streams:
            if what in (stream.fn, stream.key):
                for item in items:
                    inbox.add(Produced(running, item))
                return self._run()
        raise UsageError(f"no stream of {what!r} is running: {[stream for _, stream in streams]}")

    def advance(self, seconds: float) -> Harness[Model, Msg]:
        """Move time on by `seconds`, timer after timer, each with all that it leads to; a pending call whose `timeout` is over fails."""
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

        Raises `ProgramError` if the replayed model is another: update depends on more than its arguments.
        """
        model, turns = self._replayed()
        if model != self.model:
            raise ProgramError("the replayed model is not the one that was live: update depends on more than its arguments")
        names = self.noted
        self._begin()
        self._loop.model = model
        for number, (message, commands) in enumerate(turns, -1):
            self._manager.resume(commands, Origin(message, number, _turn_name(number)), names)
        self._manager.names.name_turns(lambda: f"bench/restore/{len(self.messages)}")
        restored = () if self.program.on_restore is None else self.program.on_restore(model)
        self._feed.put(self._manager.perform(restored))
        self._manager.begin()
        self._name_turns()
        self._loop.follow(model)
        return self._run()

    # ------------------------------------------------------------------ inside

    def _replayed(self) -> tuple[Model, list[tuple[Msg | None, Commands[Msg]]]]:
        """Return the model that the messages lead to, and each turn's message and commands, init's first."""
        update = self._steps.update
        model, commands = read_step(self._steps.init(), "init")
        turns: list[tuple[Msg | None, Commands[Msg]]] = [(None, commands)]
        for position, message in enumerate(self.messages):
            turn = (self._feed.turn_of(position),) if self._steps.takes_turn else ()
            model, commands = read_step(update(model, message, *turn), "update")
            turns.append((message, commands))
        return model, turns

    def _run(self) -> Harness[Model, Msg]:
        """Do all there is to do by itself."""
        self._drive(self._loop.live(self._feed))
        return self

    def _drive(self, flow: Flow[None]) -> None:
        """Drive a part of the loop; an effect whose failure it raises is over by then, as if it had been set aside."""
        try:
            drive(flow)
        except BaseException:
            self._manager.give_up()
            raise

    def _find(self, what: object) -> Effect:
        calls = [effect for effect in self._manager.begun() if type(effect.command) is Call]
        found = [effect for effect in calls if what is None or what == effect.command or what is effect.call.fn]
        if not found or (what is None and len(found) > 1):
            said = "nothing is pending" if not calls else f"pending are {[effect.command for effect in calls]}"
            raise UsageError(f"{'which one?' if found else f'no call of {what!r} is pending'}: {said}")
        return found[0]


def _turn_name(position: int) -> str:
    return f"bench/{'init' if position < 0 else position}"


def _run_to_its_end(result: Any) -> object:
    """Await what a function has returned, on an event loop of its own."""
    import asyncio

    if running_loop() is not None:
        if inspect.iscoroutine(result):
            result.close()
        raise InsideLoop("perform", "h.resolve(fn, await fn(...))")
    return asyncio.run(_awaited(result))


async def _awaited(result: Awaitable[object]) -> object:
    return await result
