"""How turns, messages and models are printed, as text for people and as JSON."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence

import orjson

from go_state.cli.output import tell
from go_state.cli.terminal import show, show_json
from go_state.core.errors import BadRecord
from go_state.core.program import SomeProgram
from go_state.history.reading.folding import Step
from go_state.runtime.on_error import FailedMessage
from go_state.storage.codec.difference import Difference, differences
from go_state.storage.codec.json_codec import JsonCodec
from go_state.storage.codec.message_codec import MessageCodec
from go_state.storage.codec.program_types import message_type, model_type

_MOST = 1000  # fields of one turn
_NAMED = 5  # of the messages that were passed over


class Printer:
    """Prints what belongs to one program."""

    def __init__(self, program: SomeProgram, *, as_json: bool = False, fields: str = "") -> None:
        self._models: JsonCodec[object] = JsonCodec(model_type(program))
        self._messages: MessageCodec[object] = MessageCodec(message_type(program))
        self._as_json = as_json
        self._fields = [f".{name.strip().removeprefix('.')}" for name in fields.split(",") if name.strip()]

    def model(self, model: object, beside: Mapping[str, object] | None = None) -> None:
        """Print a model as JSON; with something `beside` it as a member of an object that has these members too."""
        data = self._models.encode(model)
        show_json(data if beside is None else b'{"model":' + data + b"," + orjson.dumps(beside)[1:])

    def message(self, message: object) -> object:
        """Return a message as JSON has it; None for none."""
        return None if message is None else orjson.loads(self._messages.encode(message))

    def step(self, step: Step[object, object]) -> bool:
        """Print a turn, with before and after of every field that it has changed; False if it changes none that was asked for."""
        changed = [each for each in differences(step.before, step.after, _MOST) if self._is_asked(each.path)]
        if self._fields and not changed:
            return False
        self.turn(step.position, step.at, step.key, step.message, changed, sent=step.sent)
        return True

    def turn(
        self,
        position: int,
        at: float | None,
        key: str | None,
        message: object,
        changed: Sequence[Difference],
        *,
        sent: int = 0,
        words: tuple[str, str] = ("before", "after"),
    ) -> None:
        """Print a turn with two values of some fields, which are called by these words in JSON."""
        if self._as_json:
            fields = [{"path": each.path, words[0]: repr(each.expected), words[1]: repr(each.found)} for each in changed]
            said = {"position": position, "at": written(at), "key": key, "sent": sent, "message": self.message(message)}
            show(json.dumps({**said, "fields": fields}))
            return
        said_text = [str(position) + (f"+{sent}" if sent else ""), written(at) or "", "" if key is None else repr(key)]
        said_text.append("the beginning" if message is None else json.dumps(self.message(message)))
        show("  ".join(part for part in said_text if part))
        for each in changed:
            show(f"    {each.path}: {each.expected!r} → {each.found!r}")

    def _is_asked(self, path: str) -> bool:
        return not self._fields or any(path == each or path.startswith((f"{each}.", f"{each}[")) for each in self._fields)


def written(at: float | None) -> str | None:
    """Return a time as people write it."""
    return None if at is None else datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat(timespec="milliseconds")


def described(set_aside: Sequence[FailedMessage[object]]) -> list[dict[str, object]]:
    """Return what JSON says of messages that were passed over: nothing that they hold."""
    return [{"position": each.position, "type": _kind(each), "error": type(each.error).__qualname__} for each in set_aside]


def tell_passed_over(number: int, set_aside: Sequence[FailedMessage[object]], *, beside: bool = False) -> None:
    """Print how many messages were passed over, and where the first ones are; on standard error if that is `beside` the output."""
    if number:
        first = ", ".join(f"{each.position} ({type(each.error).__qualname__})" for each in set_aside[:_NAMED])
        (tell if beside else show)(f"{number:,} passed over, at {first}{', ...' if number > _NAMED else ''}")


def _kind(failed: FailedMessage[object]) -> str:
    return "" if isinstance(failed.error, BadRecord) else type(failed.message).__qualname__
