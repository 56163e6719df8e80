"""Replay: the model at any position of a journal, and the proof that today's update still makes what it made.

`replay` folds the journal from the nearest keyframe. `verify` folds all of it, runs every update twice, and compares what it comes
to with every snapshot there is. `to_test` writes a recorded run down as a test.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from keyword import iskeyword
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from go_state.core.errors import Lagged, UsageError
from go_state.core.program import Program
from go_state.middleware.chain import replayed
from go_state.modes.settings import program_without_key

if TYPE_CHECKING:
    from go_state.storage.journal.journal import Journal

# The journal and what reads it are imported in the functions: a program that keeps none need not wait for them.

_TRIES = 3  # to get to the end of a journal whose program goes on to newer snapshots, and forgets what is before them

Model = TypeVar("Model")
Msg = TypeVar("Msg")


def replay(program: Program[Model, Msg], journal: Journal[Msg], *, until: int | None = None) -> Model:
    """Return the model before the message at position `until`, or after the last one; no command is performed and no view shown.

    It starts at the nearest keyframe (see `Snapshots(keep=)`), or where the journal begins with what init gives. Messages that were
    set aside are passed over. Raises `UsageError` for a position that the journal does not have, `Lagged` for one that was
    forgotten, `Corrupt` with the position of what is damaged, and `Incompatible`.
    """
    from go_state.modes.keeping.keyframes import fold, nearest, set_message_type

    program = replayed(program_without_key(program, "replay"))
    set_message_type(journal, program)
    lagged: Lagged | None = None
    for _ in range(_TRIES):
        journal.refresh()
        durable = journal.flush()  # what is put from now on is not on disk
        start = journal.statistics().start
        end = durable if until is None else until
        if not isinstance(end, int) or not 0 <= end <= durable:
            raise UsageError(f"the journal {journal.name!r} has the positions {start} to {durable}, not {until!r}")
        try:
            frame = nearest(program, journal, end)
            if frame is None:
                raise Lagged(start, start)  # a fold without a keyframe needs all of them
            return fold(program, journal, frame.model, frame.position, end)
        except Lagged as error:  # its program, which runs, has forgotten some of the messages meanwhile
            lagged = error
            if until is not None:
                break
    assert lagged is not None  # it was tried, and has not returned
    raise lagged


class Finding(NamedTuple):
    """What is wrong, at the message at `position`: of what type it is, and where in the model two values differ that may not."""

    position: int
    message: str
    what: str
    path: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"position {self.position} ({self.message}): {self.what}; {self.path} is {self.found} and was {self.expected}"


class Verified(NamedTuple):
    """What `verify` has found: how many messages it has folded, how many snapshots it has reached, and the first thing wrong."""

    messages: int
    snapshots: int
    finding: Finding | None

    @property
    def ok(self) -> bool:
        """Whether everything is as it was."""
        return self.finding is None


def verify(program: Program[Model, Msg], journal: Journal[Msg], *, progress: Callable[[int], object] | None = None) -> Verified:
    """Fold the journal through today's update and report the first message at which it does not make what it made.

    Every update is run twice, with the same turn: a difference shows chance or a clock, and a model that is not what it was after
    the update shows that it was changed in place. Every snapshot is compared with the model folded to its position. Where
    `Program(revision=)` has grown, only what was made by that revision is checked, from its first snapshot on.

    `progress` is called with the position now and then, for a progress bar.

    A child process reads the whole file first, because a damaged page can end the process that reads it. Raises `Corrupt` with the
    position of what is damaged, and what `update` raises, with a note of the position.
    """
    from go_state.history.verification import Verification
    from go_state.modes.keeping.keyframes import set_message_type

    program = replayed(program_without_key(program, "verify"))
    set_message_type(journal, program)
    journal.flush()
    journal.store.check_damage()
    journal.refresh()
    return Verification(program, journal).run(progress)


def to_test(program: Program[Model, Msg], journal: Journal[Msg], path: str | os.PathLike[str], *, of: str) -> None:
    """Write a pytest file that replays the recorded run and compares the model it comes to; it passes today.

    `of` says where the program is found, "module:name". The messages lie in the file as JSON that a person can read; those that
    were set aside are left out, and what a turn tells is recorded with its message.
    """
    from go_state.modes.keeping.keyframes import keyframes, set_message_type
    from go_state.storage.codec.codec import JsonCodec, MessageCodec, message_type, model_type

    module, _, name = of.partition(":") if isinstance(of, str) else ("", "", "")
    if not all(part.isidentifier() and not iskeyword(part) for part in (*module.split("."), name)):
        raise UsageError(f'of= says where the program is found, as "package.module:name", not {of!r}')
    journal.store.check_not_own(path)
    set_message_type(journal, program)
    journal.refresh()
    start = next(iter(keyframes(program, journal)), None)
    if start is None:
        raise UsageError(
            f"the journal {journal.name!r} begins after every snapshot that was kept: there is nothing to start from"
        )
    journal.refresh()
    end = journal.flush()
    model = JsonCodec[Model](model_type(program))
    messages, aside = MessageCodec[Msg](message_type(program)), journal.set_aside()
    lines = [
        f"        ({position}, {at!r}, {messages.encode(message).decode()!r}),"
        for position, at, message in journal.exactly(start.position, end)
        if position not in aside and message is not None
    ]
    last = replay(program, journal, until=end)
    text = _TEST.format(
        about=f"A recorded run of the journal {journal.name!r}, replayed.".replace("\\", "").replace('"', "'"),
        module=module, name=name, journal=journal.journal_id, schema=program.schema, first=model.encode(start.model).decode(),
        last=model.encode(last).decode(), messages="\n".join(lines),
    )  # fmt: skip
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


_TEST = '''"""{about}"""

from {module} import {name}

from go_state.testing import Recording

RECORDING = Recording(
    journal={journal!r},
    schema={schema},
    first={first!r},
    last={last!r},
    messages=[
{messages}
    ],
)


def test_replay() -> None:
    """The recorded messages lead to the recorded model."""
    assert RECORDING.replay({name}) == RECORDING.expected({name})
'''
