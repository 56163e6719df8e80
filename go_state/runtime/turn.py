"""The turn: get, update, perform inline commands, commit, publish.

`Loop.turns` is the third of the guarantees in code: what it does for each message is the order in which things happen. What becomes of a
message that fails is in `on_error.py`, what follows a commit in `after_commit.py`, and where messages come from in `feeds/`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Generic, TypeAlias, TypeVar

from go_state.core.errors import NotStorable
from go_state.core.ports import Undecoded
from go_state.core.program import Step, not_a_step, read_step
from go_state.runtime.after_commit import AfterRollback, Hooks, StopRequest
from go_state.runtime.effects.endings import Trouble
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.feeds.feed import NO_MESSAGES, OWN_LIMIT, Feed, give_back
from go_state.runtime.flow.waits import Flow, Wait
from go_state.runtime.on_error import FailedMessage, Failures
from go_state.runtime.raised import as_failure
from go_state.runtime.steps import NotYet, Steps

Model = TypeVar("Model")
Msg = TypeVar("Msg")

Update: TypeAlias = Callable[[Model, Msg], Step[Model, Msg]]

Around: TypeAlias = Callable[[Iterator[Msg | None], Feed[Msg]], Iterator[Msg | None]]
"""Given a chunk of messages, and the feed that they come from, it gives the same messages, and looks on."""

_NONE: Final = ()  # one object in CPython, by which the literal and "no messages" are known fastest; all else is looked at
_BETWEEN_TURNS = "a function that is shown the model, or what gives the messages,"


class Loop(Generic[Model, Msg]):
    """A program's steps and its model, taken from message to message.

    `hooks` are called after each commit, `after_rollback` when a turn was rolled back. Whoever makes a `stop` request ends the loop
    after the turn that is being taken; `stopped` is true then.
    """

    model: Model

    def __init__(
        self,
        steps: Steps[Model, Msg],
        manager: EffectManager,
        *,
        hooks: Hooks[Model] | None = None,
        failures: Failures[Msg] | None = None,
        after_rollback: AfterRollback | None = None,
        stop: StopRequest | None = None,
    ) -> None:
        self.manager = manager
        self.failures: Failures[Msg] = failures or Failures()
        self.passed_over = 0  # messages without a turn: None, or set aside
        self.around: Around[Msg] | None = None  #: put around each chunk of messages from the next one on; set from any thread
        self.stopped = False
        self._steps = steps
        manager.scope_by(steps.scope_of)
        self._hooks = hooks = Hooks() if hooks is None else hooks
        self.hooks = hooks.in_order()  #: what is called after each turn, if it is there by then
        self._only_view = None if self.hooks else hooks.view  # the view of a run that nobody else looks at
        self._after_rollback = after_rollback
        self._stop = stop or StopRequest()
        self._stop.connect(self.hooks)
        # Whether the turn of the message last given is committed: looked at when an exception has come. Python looks for Ctrl-C in calls,
        # and where the body of a loop ends: so it finds a turn that is committed, or one in a call of update or later, which is caught.
        self._committed = True
        observation = manager.observation
        self._observed = None if observation is None else observation.turns
        if observation is not None:
            self.failures.observe = observation.set_aside

    # ------------------------------------------------------------------ from beginning to end

    def run(self, feed: Feed[Msg]) -> Flow[None]:
        """Turn 0, then every message of the feed to its end."""
        feed.listen_to(self.manager)
        return self.live(feed, started=False)

    def live(self, feed: Feed[Msg], *, started: bool = True) -> Flow[None]:
        """Take every message of the feed through its turn, and between them put what running commands have produced.

        It may be called again, also after an exception: it goes on from what is committed.
        """
        if not started:
            yield from self._start(feed)
        manager, update, in_turns, self._committed = self.manager, self._update(feed), False, True
        arrivals, timers = manager.inbox.arrivals, manager.timers
        turns = self.turns if self._observed is None else self._observed_turns
        try:
            while not self.stopped and (messages := (yield from feed.take())) is not None:
                if messages is not NO_MESSAGES:
                    in_turns, around = True, self.around
                    yield from turns(messages if around is None else around(messages, feed), update, feed)
                    in_turns = False
                    if self.stopped:
                        break
                if messages is NO_MESSAGES or arrivals or (timers.heap and timers.is_due()):
                    yield from manager.deliver(feed.put, self._decide_on)
                if manager.credits:
                    manager.grant()
        except BaseException as caught:
            raisable = in_turns and self._committed and not isinstance(caught, GeneratorExit)
            self._committed = self._committed or feed.is_committed
            error = as_failure(caught, _BETWEEN_TURNS) if raisable else caught
            yield from self._roll_back(feed, error)
            raise error  # noqa: B904  - it has its cause, or is the error itself

    def _start(self, feed: Feed[Msg]) -> Flow[None]:
        """Turn 0: init, its commands, and what follows a commit. Nothing is taken from the feed."""
        model, commands = read_step(self._steps.init(), "init")
        sent = self.manager.perform(commands)
        if sent:
            yield from feed.commit(sent)
        if self.manager.held:
            self.manager.begin()
        self.model = model
        yield from self._publish(model, feed)

    def follow(self, model: Model) -> None:
        """Begin the subscriptions of a model that no turn has made."""
        if self._hooks.subscriptions is not None:
            self._hooks.subscriptions.follow(model)

    # ------------------------------------------------------------------ the turn

    # Tried and dropped: a single `Send` performed in the loop's own lines (a chain of these 4 % faster, one of bare callables 8 %
    # slower), and the model in the local alone until the end (1 %).
    def turns(self, messages: Iterator[Msg | None], update: Update[Model, Msg], feed: Feed[Msg]) -> Flow[None]:
        """Take each message through its turn: update, perform inline commands, commit, publish."""
        perform, held, owner = self.manager.perform, self.manager.held, feed.owner
        hooks, view, each, none, model = self.hooks, self._only_view, feed.commits_each, _NONE, self.model
        for message in messages:
            if message is None:
                if (yield from self._pass_over(feed)):
                    return
                continue
            try:
                step: Any = update(model, message)  # anything, until it was looked at
                if step.__class__ is not tuple:  # cheaper than type(step), in a line that every message passes
                    raise not_a_step(step, "update")
                try:
                    proposal, commands = step
                except ValueError:
                    raise not_a_step(step, "update") from None
                if commands is not none:
                    commands = perform(commands, message)  # from here on the messages that they sent
            except BaseException as error:
                if (yield from self._fail(message, feed, error)):
                    return
                continue
            if commands is not none or each:
                self._committed = False
                try:
                    if (own := owner.own) is None or held or len(own) >= OWN_LIMIT:
                        yield from self._commit_and_begin(proposal, commands, feed) if held else feed.commit(commands)
                    else:
                        own += commands
                        self._committed = True
                        if owner.own is None:  # others have come in between
                            yield from feed.commit(())
                except BaseException as error:
                    if (yield from self._fail_to_commit(message, proposal, feed, error)):
                        return
                    continue
                self._committed = True
            self.model = model = proposal
            if view is not None:
                view(model)
            elif hooks and (yield from self._publish(model, feed)):
                return

    def _observed_turns(self, messages: Iterator[Msg | None], update: Update[Model, Msg], feed: Feed[Msg]) -> Flow[None]:
        """Do what `turns` does, and tell of each turn."""
        observed = self._observed
        assert observed is not None  # or this is not called
        yield from self.turns(observed.each(messages, feed.last_position), update, feed)
        observed.over()

    def _update(self, feed: Feed[Msg]) -> Update[Model, Msg]:
        """Return the program's update, called with the model and the message alone."""
        update = self._steps.update
        return (lambda model, message: update(model, message, feed.turn())) if self._steps.takes_turn else update

    def _commit_and_begin(self, model: Model, sent: Sequence[Msg], feed: Feed[Msg]) -> Flow[None]:
        """Commit a turn that starts or cancels commands, and then do that; if it fails, as where no thread can be started, the turn stays."""
        yield from feed.commit(sent)
        self._committed = True
        self.model = model
        self.manager.begin()

    def _publish(self, model: Model, feed: Feed[Msg]) -> Flow[bool] | tuple[()]:
        """Call what follows a commit, in order, and then wait for what has to be waited for; return whether the turns end."""
        waits: list[Wait] = []
        try:
            for committed in self.hooks:
                if (wait := committed(model)) is not None:
                    waits.append(wait)  # noqa: PERF401  - not in a comprehension, which would show in a traceback
            if self._hooks.view is not None:
                self._hooks.view(model)
        except BaseException as error:
            raise as_failure(error, "a function that is shown the model")  # noqa: B904  - it has its cause, or is the error itself
        return self._wait_and_look(waits, feed) if waits or self._stop.is_made else ()

    def _wait_and_look(self, waits: list[Wait], feed: Feed[Msg]) -> Flow[bool]:
        """Wait for these, and end if a stop was requested: commit what is processed, and give back the rest."""
        for wait in waits:  # noqa: UP028  - a list cannot be sent what its waits bring
            yield wait
        if self._stop.is_made:
            self.stopped = True
            yield from feed.rollback(processed=True)
        return self.stopped

    # ------------------------------------------------------------------ what fails

    def _pass_over(self, feed: Feed[Msg]) -> Flow[bool]:
        """Count a message that is processed without a turn, or decide on a record; return whether the loop ends after it."""
        if (undecoded := feed.take_undecoded()) is not None:
            return (yield from self._set_record_aside(undecoded, feed))
        return (yield from self._passed(feed))

    def _set_record_aside(self, undecoded: Undecoded, feed: Feed[Msg]) -> Flow[bool]:
        """Set a record aside that is not a message, as `_set_aside` does with a message; there is no turn to be rolled back."""
        self._committed = False
        position = feed.last_position()
        raw: Any = undecoded.raw  # which stands in the place of a message
        policy = self.failures.of_record(raw, position, undecoded.error)
        yield from self.failures.keep(FailedMessage(raw, position, undecoded.error), policy, "record")
        self.passed_over += 1
        self._committed = True
        return self.failures.breaks

    def _passed(self, feed: Feed[Msg]) -> Flow[bool]:
        self.passed_over += 1
        if feed.commits_each:
            self._committed = False
            yield from feed.commit(())
        self._committed = True
        if self._stop.is_made:
            yield from self._wait_and_look([], feed)
        return self.stopped

    def _fail(self, message: Msg, feed: Feed[Msg], error: BaseException) -> Flow[bool]:
        """Roll the turn back: its message comes again if it came too early, and is set aside otherwise; return whether the turns end."""
        self._committed = False
        if not isinstance(error, NotYet):
            return (yield from self._set_aside(message, feed, error))
        if self._steps.roll_back is not None:
            self._steps.roll_back(error)
        if self._observed is not None:
            self._observed.dropped()
        yield from feed.rollback(processed=False)
        self._committed = True
        return True

    def _fail_to_commit(self, message: Msg, proposal: Model, feed: Feed[Msg], error: BaseException) -> Flow[bool]:
        """Fail by a message that a command has sent and that cannot be stored; raise anything else, which may have come, as Ctrl-C may,
        when the turn was committed: then it stays.
        """
        if isinstance(error, NotStorable):  # nothing has moved
            return (yield from self._fail(message, feed, error))
        if self._committed or feed.is_committed:
            self.model = proposal
        raise error

    def _set_aside(self, message: Msg, feed: Feed[Msg], caught: BaseException) -> Flow[bool]:
        """Roll the turn back and set its message aside if the policy says so, as `_pass_over` does; raise the error if not."""
        self.manager.drop()
        error = as_failure(caught, "update or one of its commands")
        if not isinstance(error, Exception):
            raise error
        if self._steps.roll_back is not None:
            self._steps.roll_back(error)
        if self._observed is not None:
            self._observed.failed(error)
        position = feed.last_position()
        policy = self.failures.of_turn(message, position, error)
        if self._after_rollback is not None:
            self._after_rollback.rolled_back(error, ends=False)
        yield from self.failures.keep(FailedMessage(message, position, error), policy, "turn")
        ends = yield from self._passed(feed)
        return ends or self.failures.breaks

    def _roll_back(self, feed: Feed[Msg], error: BaseException) -> Flow[None]:
        """End the turns by the error: commit what is processed, and give back the rest."""
        if not self._committed and self._after_rollback is not None:
            self._after_rollback.rolled_back(error, ends=True)
        if self._observed is not None:
            self._observed.over() if self._committed else self._observed.failed(error)
        if isinstance(
            error, GeneratorExit
        ):  # a flow that is being closed has nobody to wait for it: what waits for nothing is done
            feed.rollback(processed=self._committed)
        else:
            yield from give_back(feed, error, processed=self._committed)

    # ------------------------------------------------------------------ between turns

    def _decide_on(self, trouble: Trouble) -> Flow[None]:
        """Raise what a command has failed with, or set its message aside."""
        origin = trouble.origin
        error = as_failure(trouble.error, f"a command of {origin}")
        if not isinstance(error, Exception):
            raise error
        policy = self.failures.of_command(origin, error)
        failed = FailedMessage(origin.message, origin.position, error)
        yield from self.failures.keep(failed, policy, "command")
