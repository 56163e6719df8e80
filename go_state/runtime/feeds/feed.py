"""What a loop asks of the place where its messages come from and where its commands' messages go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol, TypeVar

from go_state.core.errors import AppEnded, Closed, UsedAfterClose
from go_state.core.ports import Undecoded
from go_state.core.turn import Turn
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.flow.waits import Flow
from go_state.runtime.raised import as_failure

Msg = TypeVar("Msg")


OWN_LIMIT = 1024  # messages up to which a list is lengthened: a chunk that never ends would never be committed


class Owner(Protocol[Msg]):
    """Who may lengthen the chunk of messages that is being processed, while nobody else uses the log.

    `own` is the list that the iterator of `take` reads, while a turn's messages may simply be appended to it; None if not. It is looked
    at once more after the append, and if it is None then, others have begun to use the log: a commit moves what came too late behind
    what they have put.
    """

    own: list[Msg] | None


class Nobody:
    """The owner of a chunk that is lengthened by commits alone."""

    __slots__ = ("own",)

    def __init__(self) -> None:
        self.own: None = None  # of the instance: in Python 3.11 it takes 30 ns less to look at than of the class


NOBODY = Nobody()
NO_MESSAGES: Final[Iterator[Any]] = iter(())
"""What `take` returns if something else has arrived: the loop takes no turn, and looks."""


class Feed(Protocol[Msg]):
    """Where a loop's messages come from and where its commands' messages go.

    The feed counts what it gives: a message is processed when the next is asked for, or when it is committed. It gives None in the
    place of a record that is not a message, and then the record is asked for: so nobody has to look at each message.
    """

    @property
    def commits_each(self) -> bool:
        """Whether every turn has to be committed by itself; otherwise many may be committed at once."""
        ...

    @property
    def owner(self) -> Owner[Msg] | Nobody:
        """Who may lengthen the chunk without a commit for each turn: while nobody else uses the log, order needs no lock."""
        ...

    @property
    def processed(self) -> int:
        """How many messages are processed."""
        ...

    def take(self) -> Flow[Iterator[Msg | None] | None]:
        """Return the next messages, in order, or None at the end.

        The iterator sees what is committed while it is used, and ends when messages that a turn has sent come first.
        """
        ...

    def commit(self, messages: Sequence[Msg], /) -> Flow[None] | tuple[()]:
        """Commit every message given and put the turn's own, as one step."""
        ...

    def put(self, messages: Sequence[Msg], /) -> Flow[None] | tuple[()]:
        """Put messages that no turn has sent."""
        ...

    def rollback(self, *, processed: bool) -> Flow[None] | tuple[()]:
        """Commit what is processed and take back the rest; `processed` says whether the last message given is."""
        ...

    @property
    def is_committed(self) -> bool:
        """Whether the message last given is known to be committed; asked when its commit has raised something."""
        ...

    def last_position(self) -> object:
        """Return the position of the message last given, or None if nobody counts."""
        ...

    def take_undecoded(self) -> Undecoded | None:
        """Return the record in whose place None was given last, once; None if there was none."""
        ...

    def turn(self) -> Turn:
        """Return the turn of the message last given, for an update that asks for it."""
        ...

    def listen_to(self, manager: EffectManager, /) -> None:
        """Return from `take`, and from its waits, as soon as running commands have produced something."""
        ...


def is_end(error: BaseException) -> bool:
    """Return whether a reader has said that nothing more will come; one that was closed, or an app that has ended, is a failure."""
    return isinstance(error, Closed) and not isinstance(error, (UsedAfterClose, AppEnded))


def give_back(feed: Feed[Msg], error: BaseException, *, processed: bool) -> Flow[None]:
    """Roll back because of the error, which a rollback that fails as well does not hide: it becomes a note."""
    try:
        yield from feed.rollback(processed=processed)
    except BaseException as caught:
        second = as_failure(caught, "the rollback of the consumer")
        if not isinstance(second, Exception):
            raise
        error.add_note(f"go_state could not roll the consumer back either: {type(second).__qualname__}: {second}")
