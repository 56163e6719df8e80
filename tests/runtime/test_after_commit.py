"""What follows a commit: in which order, what is waited for, and how a stop request ends the run between two turns."""

from __future__ import annotations

from typing import Any

import pytest
from loop_support import Queue

import go_state as gs
from go_state.runtime.after_commit import Hooks, StopRequest
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.feeds.log_feed import LogFeed
from go_state.runtime.flow.driver import drive
from go_state.runtime.flow.waits import Answer, Wait
from go_state.runtime.resources import Resources
from go_state.runtime.steps import Steps
from go_state.runtime.turn import Loop


class Hook:
    """Notes that it was called, may fail, and may have something to be waited for."""

    def __init__(self, name: str, calls: list[Any], *, wait: bool = False, error: BaseException | None = None) -> None:
        self.name, self.calls, self.wait, self.error = name, calls, wait, error

    def committed(self, model: object) -> Wait | None:
        self.calls.append((self.name, model))
        if self.error is not None:
            raise self.error
        return Waited(self.name, self.calls) if self.wait else None

    def follow(self, model: object) -> None:
        self.calls.append((self.name, "follows", model))


class Waited(Answer):
    """Notes that it was waited for."""

    def __init__(self, name: str, calls: list[Any]) -> None:
        super().__init__(None, name)
        self.note = lambda: calls.append((name, "waited"))

    def in_thread(self) -> None:
        self.note()


def loop_of(hooks: Hooks, stop: StopRequest | None = None) -> Loop[int, int]:
    steps: Steps[int, int] = Steps(lambda: (0, ()), lambda model, msg: (model + msg, ()), takes_turn=False)
    return Loop(steps, EffectManager(Resources(), on_loop=False), hooks=hooks, stop=stop)


def run(loop: Loop[int, int], *messages: int) -> gs.Consumer[int]:
    """Run the loop over the messages, and return the reader that it has read them with."""
    buffer: gs.Buffer[int] = gs.Buffer()
    buffer.put(*messages)
    buffer.close()
    reader = buffer.consumer()
    with loop.manager:
        drive(loop.run(LogFeed(reader.cursor, on_loop=False)))
    return reader


def all_hooks(calls: list[Any], **options: Any) -> Hooks:
    names = ("subscriptions", "middleware", "observers")
    return Hooks(*[Hook(name, calls, **options) for name in names], view=lambda model: calls.append(("view", model)))


NAMES = ["subscriptions", "middleware", "observers", "view"]


def test_the_order_is_that_of_the_fields() -> None:
    """At turn 0 and at every turn: subscriptions, middleware, observers, and last the user's view."""
    calls: list[Any] = []
    run(loop_of(all_hooks(calls)), 5)
    assert calls == [*[(name, 0) for name in NAMES], *[(name, 5) for name in NAMES]]


def test_what_is_to_be_waited_for_comes_after_all_were_called() -> None:
    """The waits follow the view, in order, and before the next turn."""
    calls: list[Any] = []
    run(loop_of(all_hooks(calls, wait=True)), 5, 6)
    waited = [(name, "waited") for name in NAMES[:3]]
    assert calls == [
        *[(name, 0) for name in NAMES],
        *waited,
        *[(n, 5) for n in NAMES],
        *waited,
        *[(n, 11) for n in NAMES],
        *waited,
    ]


@pytest.mark.parametrize("name", NAMES[:3])
def test_a_hook_that_fails_ends_the_run_and_not_the_turn(name: str) -> None:
    """The turn is committed, the model stays, and the error reaches whoever runs."""
    calls: list[Any] = []
    failing = all_hooks(calls)._replace(**{name: Hook(name, calls, error=ValueError(name))})
    loop = loop_of(failing)
    loop.model = 0
    buffer: gs.Buffer[int] = gs.Buffer()
    buffer.put(5, 6)
    reader = buffer.consumer()
    with loop.manager, pytest.raises(ValueError, match=name):
        drive(loop.live(LogFeed(reader.cursor, on_loop=False)))
    assert (loop.model, reader.committed, reader.diff()) == (5, 1, 1)


def test_hooks_that_are_muted_are_not_called() -> None:
    """Only the subscriptions are, which are asked for none then."""
    calls: list[Any] = []
    muted = True
    run(loop_of(all_hooks(calls).muted(lambda: muted)), 5)
    assert calls == [("subscriptions", 0), ("subscriptions", 5)]


def test_hooks_of_a_part_are_called_with_it() -> None:
    """And not at all for None, which has no part."""
    calls: list[Any] = []
    hooks = all_hooks(calls).of_part(lambda model: model["part"])
    for model in (None, {"part": 3}):
        for hook in hooks.in_order():
            hook(model)
        assert hooks.view is not None
        hooks.view(model)
    assert calls == [(name, 3) for name in NAMES[1:]]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_stop_request_ends_the_run_after_the_turn(at: int) -> None:
    """The turn that is being taken is committed and published, the next message stays in the log, and nothing is raised."""
    stop, models = StopRequest(), list[int]()

    def view(model: int) -> None:
        models.append(model)
        if len(models) > at:
            stop.make()

    calls: list[Any] = []
    loop = loop_of(Hooks(observers=Hook("observers", calls), view=view), stop)
    reader = run(loop, 1, 1, 1)
    assert (loop.model, loop.stopped, reader.committed) == (at, True, at)
    assert calls[-1] == ("observers", at)


class Stopping(int):
    """A message in whose turn the run is asked to end."""

    stop: StopRequest

    def __radd__(self, model: int) -> int:
        self.stop.make()
        return model + int(self)


def test_a_stop_request_ends_a_run_that_nobody_follows() -> None:
    """There is no hook after whose call the loop would look; it looks all the same."""
    last = Stopping(1)
    last.stop = StopRequest()
    loop = loop_of(Hooks(), last.stop)
    reader = run(loop, 1, last, 1)
    assert (loop.model, loop.stopped, reader.committed, reader.diff()) == (2, True, 2, 1)


def test_a_get_that_fails_after_a_turn_rolls_back() -> None:
    """Nobody knows what a consumer has given that raises: it is asked to give it again, although the last turn is committed."""
    queue = Queue("a")
    get = queue.get

    def fail_second() -> Any:
        if queue.log.count("get"):
            queue.fails["get"] = OSError("gone")
        return get()

    queue.get = fail_second  # type: ignore[method-assign]
    with pytest.raises(OSError, match="gone"):
        gs.run(gs.Program(lambda: (0, ()), lambda model, msg: (model + 1, ())), producer=queue, consumer=queue)
    assert queue.log == ["get", "commit", "get", "rollback"]


async def test_a_program_is_followed_by_middleware_watchers_and_the_view() -> None:
    """In an app too: what a middleware does after its yield comes before the model is published, and the view after it."""
    seen: list[Any] = []

    def noted(proposal: Any) -> Any:
        yield
        seen.append(("middleware", app.version))

    program = gs.Program(
        lambda: (0, ()), lambda model, msg: (msg, ()), view=lambda model: seen.append(model), middleware=[noted]
    )
    async with gs.start_async(program) as app:
        await app.apply_async(7)
        assert seen == [0, ("middleware", 1), 7]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_a_sender_is_told_when_its_message_ends_the_process(error: BaseException) -> None:
    """An update that raises what asks for the end of the process ends the app; whoever waits for the turn is told why."""

    def update(model: int, msg: int) -> gs.Step[int, int]:
        raise error

    app = gs.start(gs.Program(lambda: (0, ()), update))
    with pytest.raises(gs.Closed) as raised:
        app.apply(1, timeout=20)
    assert raised.value.__cause__ is error
    with pytest.raises(type(error)):
        app.wait(20)
