"""To test: a recorded run of a program as a pytest file, which passes today and fails when the program comes to another model."""

from __future__ import annotations

import os
from keyword import iskeyword
from typing import TypeVar

from go_state.core.errors import UsageError
from go_state.core.program import Program
from go_state.history.replay import replay
from go_state.modes.keeping.keyframes import keyframes, set_message_type
from go_state.storage.codec.json_codec import JsonCodec
from go_state.storage.codec.message_codec import MessageCodec
from go_state.storage.codec.program_types import message_type, model_type
from go_state.storage.journal.journal import Journal

Model = TypeVar("Model")
Msg = TypeVar("Msg")


def to_test(program: Program[Model, Msg], journal: Journal[Msg], path: str | os.PathLike[str], *, of: str) -> None:
    """Write a pytest file that replays the recorded run and compares the model it comes to; it passes today.

    `of` says where the program is found, "module:name". The messages lie in the file as JSON that a person can read; those that
    were set aside are left out, and what a turn tells is recorded with its message.
    """
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
