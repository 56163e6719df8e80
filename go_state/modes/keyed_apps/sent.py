"""What was sent to a program that may have to be begun first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextvars import Context
from typing import Any, Generic, TypeVar

from go_state.core.errors import AppEnded, Closed, NotStorable, UsageError
from go_state.modes.app.app import App
from go_state.modes.app.pending_replies import PendingReply

Model = TypeVar("Model")
Msg = TypeVar("Msg")


def has_failed(key: str, error: BaseException | None) -> Closed:
    """Return what whoever uses a key gets once its program has failed."""
    closed = AppEnded(f"the program of {key!r} has failed: nothing more is taken for it")
    closed.__cause__ = error
    return closed


class Sent(Generic[Msg]):
    """Messages that enter together, or one whose sender waits for its turn."""

    __slots__ = ("_app", "context", "messages", "parts", "waiting")

    def __init__(self, messages: Sequence[Msg], waiting: PendingReply | None = None, parts: tuple[Sent[Msg], ...] = ()) -> None:
        self.messages = messages
        self.waiting = waiting
        self.parts = parts  # what it was joined of
        self.context: Context | None = None  # of the sender, if tracers follow it, wherever the messages are put from
        self._app: App[Any, Msg] | None = None  # whose turn the sender waits for

    def put_into(self, app: App[Model, Msg]) -> None:
        """Put the messages into the app's queue. Raises as `App.send` does, and then none has entered."""
        if self.context is not None:
            self.context.run(self._put_into, app)
        elif self.waiting is None:
            app.send(*self.messages)
        else:
            self._put_into(app)

    def _put_into(self, app: App[Model, Msg]) -> None:
        waiting = self.waiting
        if waiting is None:
            app.send(*self.messages)
        else:
            self._app = app  # before the app expects the turn; see `forget`
            app.life.put_for(waiting, self.messages[0])

    def refuse(self, error: BaseException) -> bool:
        """Called when there will be no turn: a sender that waits gets the error. Return whether one does."""
        waiting = self.waiting
        if waiting is None:
            return False
        waiting.fail(error)
        waiting.waker.wake()
        return True

    def forget(self) -> None:
        """Called by the sender when it waits no longer: the message has its turn, and its outcome goes nowhere.

        The message may be on its way into an app in another thread. That thread notes the app first, and the app looks whether the
        sender has gone when it is to expect the turn; here it is the other way round, so one of the two sees what the other did.
        """
        waiting, self.waiting = self.waiting, None
        if waiting is not None:
            waiting.gone = True
            if self._app is not None:
                self._app.life.replies.forget(waiting)


def joined(batch: Sequence[Sent[Msg]]) -> Iterator[tuple[Sent[Msg], list[Sent[Msg]]]]:
    """Give what was sent, those messages together for whose turn nobody waits, each with the rest of the batch from it on.

    Where a put is a write to the disk, a long backlog is one write.
    """
    begun = 0
    while begun < len(batch):
        end = begun + 1
        while _may_be_joined(batch[begun]) and end < len(batch) and _may_be_joined(batch[end]):
            end += 1
        parts = tuple(batch[begun:end])
        one = parts[0] if len(parts) == 1 else Sent([message for part in parts for message in part.messages], None, parts)
        yield one, list(batch[begun:])
        begun = end


def _may_be_joined(sent: Sent[Msg]) -> bool:
    return sent.waiting is None and sent.context is None


def put_into(app: App[Model, Msg], sent: Sent[Msg]) -> list[tuple[Sent[Msg], Exception]]:
    """Put messages into an app's queue; return those that did not enter, and why. Raises `Closed` when the app takes none.

    A message that cannot be stored does not keep those out that were sent before and after it.
    """
    try:
        sent.put_into(app)
    except Closed:
        raise
    except NotStorable as error:
        return _put_one_by_one(app, sent.parts) if sent.parts else [(sent, error)]
    except Exception as error:  # of the store: no message would enter
        return [(each, error) for each in sent.parts or (sent,)]
    return []


def _put_one_by_one(app: App[Model, Msg], parts: Sequence[Sent[Msg]]) -> list[tuple[Sent[Msg], Exception]]:
    refused: list[tuple[Sent[Msg], Exception]] = []
    for part in parts:
        try:
            part.put_into(app)
        except Exception as error:
            refused.append((part, error))
    return refused


def check_may_wait(app: App[Model, Msg], *, rests: bool = False) -> None:
    """Raise `UsageError` if the sender that would wait for a turn of the app keeps it from being taken."""
    if app.life.is_inside():
        raise UsageError(
            "to wait for a turn of a program within one of its turns would never end: return a command that sends the message"
        )
    if rests and app.life.is_part():
        raise UsageError(
            "the program is being put to rest and waits for this command, which cannot wait for its next life: send the message"
        )


def give(
    app: App[Model, Msg], giving: list[Sent[Msg]], own: Sent[Msg] | None, lost: Callable[[Exception], object]
) -> tuple[list[Sent[Msg]], Exception | None]:
    """Put what was sent into the app's queue; return what is left if that has ended, and what the caller's own failed with.

    What is put, or refused, is taken out of `giving` as it goes on, so that Ctrl-C leaves there what is still to be given.
    """
    failure: Exception | None = None
    for sent, rest in joined(tuple(giving)):
        number = max(len(sent.parts), 1)
        try:
            refused = put_into(app, sent)
        except Closed:
            return rest, failure  # it ends by itself, and says why when it has
        except BaseException:  # Ctrl-C, say
            del giving[:number]
            raise
        for each, error in refused:
            if each is own and each.waiting is None:
                failure = error
            elif not each.refuse(error):
                lost(error)
        del giving[:number]
    return [], failure
