"""To test: a recorded run of a program as a pytest file, which passes today and fails when the program comes to another model."""

from __future__ import annotations

import os
from collections.abc import Callable
from keyword import iskeyword
from typing import TypeVar, Unpack

from go_state.core.errors import UsageError
from go_state.core.program import Program, read_step
from go_state.history.reading.folding import Fold, Step, checked_end, entries_of, with_progress
from go_state.history.reading.histories import Given, JournalHistory, is_file_of
from go_state.history.reading.opened import HistoryOptions, Opened, opened
from go_state.history.reading.starts import Start, earliest_of
from go_state.storage.backends.record_store import RecordStore
from go_state.storage.codec.json_codec import JsonCodec
from go_state.storage.codec.message_codec import MessageCodec
from go_state.storage.codec.program_types import message_type, model_type

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_UNKNOWN = 0.0  # the time of a message that has none; an update that asks for it is refused


def to_test(
    program: Program[Model, Msg],
    history: Given[Msg],
    path: str | os.PathLike[str],
    *,
    of: str,
    until: int | None = None,
    progress: Callable[[int], object] | None = None,
    **options: Unpack[HistoryOptions],
) -> None:
    """Write a pytest file at `path` that replays the recorded run, a `history`, and compares the model it comes to; it passes
    today.

    `of` says where the program is found, "module:name". The messages lie in the file as JSON that a person can read; those that
    were set aside are left out, and what a turn tells is recorded with its message. Of a source, what the commands of its messages have
    sent is recorded among them; of a keyed aggregate the messages of one key. The other arguments are those of `replay`. A test that
    was written so before is written anew; another file is not overwritten. Raises what `replay` raises.
    """
    module, _, name = of.partition(":") if isinstance(of, str) else ("", "", "")
    if not all(part.isidentifier() and not iskeyword(part) for part in (*module.split("."), name)):
        raise UsageError(f'of= says where the program is found, as "package.module:name", not {of!r}')
    work = opened("to_test", program, history, **options)
    if work.key_of is not None and work.key is None:
        raise UsageError("a test replays one model, and key_of= says that there is one for each key: say which with key=")
    _check_not_own(work, path)
    _check_is_test(path)
    end = checked_end(work.history, until)
    write_test(work, earliest_of(work, end), end, path, module, name, progress)


def write_test(
    work: Opened[Model, Msg],
    start: Start[Model],
    end: int | None,
    path: str | os.PathLike[str],
    module: str,
    name: str,
    progress: Callable[[int], object] | None = None,
) -> None:
    """Write the test of what lies between a model and the position `end`; the program is found under the module and name."""
    text = _written(work, _recorded(work, start, end, progress), module, name)
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{os.fspath(path)} cannot be written ({error.strerror or error}): give another path") from error


def _check_not_own(work: Opened[Model, Msg], path: str | os.PathLike[str]) -> None:
    """Raise `UsageError` for a file of the store, or of the source itself: the test would take its place."""
    if isinstance(work.history, JournalHistory):
        work.history.journal.store.check_not_own(path)
    if isinstance(work.store, RecordStore):
        work.store.check_not_own(path)
    if is_file_of(work.history, path):
        raise UsageError(f"{os.fspath(path)} is the history itself: give the test another path")


def _check_is_test(path: str | os.PathLike[str]) -> None:
    """Raise `UsageError` for a file that is something else than a test of this kind, which is written anew."""
    if os.path.isfile(path):
        with open(path, "rb") as file:
            if file.read(len(_BEGINS)) not in (b"", _BEGINS):
                raise UsageError(f"{os.fspath(path)} is there, and no recorded test: nothing is overwritten, give another path")


class _Recorded:
    """A run as it is written: the model that it begins with, its messages, and the model that it comes to."""

    def __init__(self, first: bytes, last: bytes, lines: list[str]) -> None:
        self.first = first
        self.last = last
        self.lines = lines


def _recorded(
    work: Opened[Model, Msg], start: Start[Model], end: int | None, progress: Callable[[int], object] | None
) -> _Recorded:
    model = JsonCodec[Model](model_type(work.program))
    messages: MessageCodec[Msg] = MessageCodec(message_type(work.program))
    fold = Fold(work, start)
    first, lines = None, []

    def line(step: Step[Model, Msg]) -> str:
        at = _UNKNOWN if step.at is None else step.at
        return f"        ({step.position}, {at!r}, {messages.encode(step.message).decode()!r}),"

    for steps in (fold.begin(), fold.steps(with_progress(entries_of(work.history, start.position, end), progress))):
        for step in steps:
            if work.key_of is None or step.key == work.key:
                first = model.encode(step.before) if first is None else first
                lines.append(line(step))
    if first is None:
        found = fold.models[None] if None in fold.models else read_step(work.program.init(), "init")[0]
        return _Recorded(model.encode(found), model.encode(found), lines)
    return _Recorded(first, model.encode(fold.model(work.key)), lines)


def _written(work: Opened[Model, Msg], recorded: _Recorded, module: str, name: str) -> str:
    kind = "journal" if isinstance(work.history, JournalHistory) else "history"
    return _TEST.format(
        about=f"A recorded run of the {kind} {work.history.name!r}, replayed.".replace("\\", "").replace('"', "'"),
        module=module, name=name, journal=work.history.identity, schema=work.program.schema, first=recorded.first.decode(),
        last=recorded.last.decode(), messages="\n".join(recorded.lines),
    )  # fmt: skip


_BEGINS = b'"""A recorded run of'  # as below
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
