"""The turn: get, update, perform inline commands, commit, publish."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

from go_state.core.errors import InvalidKey, NotStorable, StoreError, UsageError
from go_state.core.program import Program, not_a_step, read_step
from go_state.core.turn import Turn
from go_state.runtime.effects.lifecycle import Trouble
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.flow.driver import Answer, Flow
from go_state.runtime.on_error import FailedMessage, OnError, Raise, SetAside, check_on_error, decide
from go_state.runtime.raised import as_failure
from go_state.runtime.subscriptions import Subscribed

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_NONE: Any = ()  # one object in CPython, by which the literal and "no messages" are known fastest; all else is looked at


class Feed(Protocol[Msg]):
    """Where a loop's messages come from and where its commands' messages go.

    The feed counts what it gives: a message is through when the next is asked for, or when it is settled.
    """

    @property
    def each(self) -> bool:
        """Whether every turn has to be settled by itself; otherwise many may be settled at once."""
        ...

    @property
    def through(self) -> int:
        """How many messages are through."""
        ...

    def take(self) -> Flow[Iterator[Msg | None] | None]:
        """Give the next messages, in order, or None at the end.

        The iterator sees what is settled while it is used, and ends when messages that a turn has sent come first.
        """
        ...

    def settle(self, messages: Sequence[Msg], /) -> Flow[None] | tuple[()]:
        """Commit every message given and let the turn's own in, as one step."""
        ...

    def put(self, messages: Sequence[Msg], /) -> Flow[None] | tuple[()]:
        """Let messages in that no turn has sent."""
        ...

    def rollback(self, *, through: bool) -> Flow[None] | tuple[()]:
        """Take back what was given and is not through; `through` tells on which side the last one given is."""
        ...

    def where(self) -> object:
        """Return the position of the message last given, or None."""
        ...

    def turn(self) -> Turn:
        """Return the turn of the message last given, for an update that asks for it."""
        ...

    def listen_to(self, manager: EffectManager, /) -> None:
        """Have the feed look up from its messages, and from its waits, when commands under way have brought something."""
        ...


class Loop(Generic[Model, Msg]):
    """A program and its model."""

    model: Model

    def __init__(
        self,
        program: Program[Model, Msg],
        manager: EffectManager,
        *,
        on_error: OnError = Raise(),
        on_failure: OnError | None = None,
        lists: bool = True,
    ) -> None:
        check_on_error(on_error)
        self.manager = manager
        self._subscribed = None if program.subscriptions is None else Subscribed(program.subscriptions, manager)
        self._lists = lists  # whether messages that are set aside are kept for a result
        self.passed_over = 0  # messages without a turn: None, or set aside
        self.set_aside: list[FailedMessage[Msg]] = []
        self._program: Program[Model, Msg] = program if self._subscribed is None else self._subscribed.around(program)
        self._on_error = on_error
        self._on_failure = on_failure or on_error  # of a command whose turn is through
        # Of middleware, which learns that a turn was rolled back before another begins.
        self._roll_back: Callable[[Exception], object] | None = getattr(program.update, "roll_back", None)
        self.undone: Callable[[BaseException], object] = _do_nothing  # called when a turn ends the run and is rolled back

    def run(self, feed: Feed[Msg]) -> Flow[None]:
        """Turn 0, then every message of the feed to its end."""
        feed.listen_to(self.manager)
        yield from self.start(feed)
        yield from self.live(feed)

    def follow(self, model: Model) -> None:
        """Begin the subscriptions of a model that no turn has made."""
        if self._subscribed is not None:
            self._subscribed.follow(model)

    def live(self, feed: Feed[Msg]) -> Flow[None]:
        """Take every message of the feed through its turn, and between them let in what commands under way have brought."""
        manager = self.manager
        while (messages := (yield from feed.take())) is not None:
            yield from self.turns(messages, feed)
            if manager.has_arrivals:
                yield from self.deliver(feed)
            if manager.credits:
                manager.grant()

    def start(self, feed: Feed[Msg]) -> Flow[None]:
        """Turn 0: init, its commands, the first view. Nothing is taken from the feed."""
        model, commands = read_step(self._program.init(), "init")
        sent = self.manager.perform(commands)
        if sent:
            yield from feed.settle(sent)
        if self.manager.held:
            self.manager.begin()
        self.model = model
        if self._program.view is not None:
            self._program.view(model)

    def turns(self, messages: Iterator[Msg | None], feed: Feed[Msg]) -> Flow[None]:
        """Take each message through its turn.

        An exception up to the commit leaves the model as it was; one in the view comes after the turn is done.
        """
        update: Any = self._with_turn(feed) if self._program.takes_turn else self._program.update
        manager = self.manager
        view, each, perform = self._program.view, feed.each, manager.perform
        model, committed, none = self.model, False, _NONE
        try:
            for message in messages:
                if message is None:
                    yield from self._pass_over(feed)
                    continue
                try:
                    step: Any = update(model, message)
                    if step.__class__ is not tuple:  # cheaper than type(step), in a line that every message passes
                        raise not_a_step(step, "update")
                    try:
                        proposal, commands = step
                    except ValueError:
                        raise not_a_step(step, "update") from None
                    if commands is not none:
                        commands = perform(commands, message)  # from here on the messages that they sent
                except BaseException as error:
                    manager.drop()
                    failure = as_failure(error, "update or one of its commands")
                    if not isinstance(failure, Exception):
                        raise
                    yield from self._set_aside(message, feed.where(), failure)
                    yield from self._pass_over(feed)
                    continue
                if commands is not none or each:
                    try:
                        yield from feed.settle(commands)
                    except NotStorable as error:  # a message that a command has sent; nothing has moved
                        manager.drop()
                        yield from self._set_aside(message, feed.where(), error)
                        yield from self._pass_over(feed)
                        continue
                    if manager.held:
                        manager.begin()
                model = proposal
                if view is not None:
                    try:
                        shown: Any = view(model)
                        if shown.__class__ is Answer:  # a middleware has something to be waited for
                            yield shown
                    except BaseException as error:
                        committed = True
                        raise as_failure(error, "a function that is shown the model")  # noqa: B904  - it has its cause
        except BaseException as error:
            if not committed:
                self.undone(error)
            if not isinstance(error, GeneratorExit):  # a flow that is being closed has nobody to wait for it
                yield from give_back(feed, error, through=committed)
            raise
        finally:
            self.model = model

    def _with_turn(self, feed: Feed[Msg]) -> Callable[[Model, Msg], Any]:
        update: Any = self._program.update
        return lambda model, message: update(model, message, feed.turn())

    def _pass_over(self, feed: Feed[Msg]) -> Flow[None]:
        """Count a message that is through without a turn."""
        self.passed_over += 1
        if feed.each:
            yield from feed.settle(())

    def _set_aside(self, message: Msg, position: object, error: Exception) -> Flow[None]:
        """Set the message aside if the policy says so; raise the error, with a note of where, if not."""
        if self._roll_back is not None:
            self._roll_back(error)
        if isinstance(error, StoreError) and not isinstance(error, (InvalidKey, NotStorable)):
            raise error  # the store has failed, not the message
        at = "" if position is None else f", position {position}"
        error.add_note(f"go_state was processing a message of type {type(message).__qualname__}{at}; the turn was rolled back")
        policy = decide(self._on_error, message, position, error)
        if policy is None:
            raise error
        yield from self._keep(FailedMessage(message, position, error), policy)

    def _keep(self, failed: FailedMessage[Msg], policy: SetAside[Any]) -> Flow[None]:
        if policy.buffer is not None:
            yield Answer(policy.buffer.put(failed), "the put of SetAside's buffer")
        elif not self._lists:
            raise UsageError(
                "SetAside() has nowhere to keep the message, because only a batch has a result that lists it: give it a buffer, "
                "gs.SetAside(gs.Buffer()), or make the run durable with store= and key="
            ) from failed.error
        if self._lists:
            self.set_aside.append(failed)

    # ------------------------------------------------------------------ between turns

    def deliver(self, feed: Feed[Msg]) -> Flow[None]:
        """Let the messages in that commands under way have brought, and decide what becomes of those that have failed."""
        try:
            yield from self.manager.deliver(feed.put, self._decide_on)
        except BaseException as error:
            if not isinstance(error, GeneratorExit):
                yield from give_back(feed, error, through=True)
            raise

    def _decide_on(self, trouble: Trouble) -> Flow[None]:
        """Raise what a command has failed with, or set its message aside."""
        origin = trouble.origin
        error = as_failure(trouble.error, f"a command of {origin}")
        if not isinstance(error, Exception):
            raise error
        error.add_note(f"go_state was performing a command of {origin}; its turn stays")
        policy = decide(self._on_failure, origin.message, origin.position, error)
        if policy is None:
            raise error
        yield from self._keep(FailedMessage(origin.message, origin.position, error), policy)


def _do_nothing(_: object) -> None:
    """Take no notice."""


def give_back(feed: Feed[Msg], error: BaseException, *, through: bool) -> Flow[None]:
    """Roll back because of the error, which a rollback that fails as well does not hide."""
    try:
        yield from feed.rollback(through=through)
    except BaseException as caught:
        second = as_failure(caught, "the rollback of the consumer")
        if not isinstance(second, Exception):
            raise
        error.add_note(f"go_state could not roll the consumer back either: {type(second).__qualname__}: {second}")
