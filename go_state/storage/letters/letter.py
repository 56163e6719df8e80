"""One letter: a message or a raw record that was set aside, where it came from, and what it failed with.

It is stored as JSON that a person can read. A message is what a journal holds, `["Add", {"by": 1}]`, with the number of its schema; a
raw record is text if it is UTF-8, and in base64 if not. Its id is made of its source and its position: a letter that is written twice
is there once.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, TypeAlias

from go_state.core.errors import Corrupt, GoStateError, NotStorable
from go_state.core.migrations import Json

Failed: TypeAlias = Literal["turn", "record", "command"]

_MOST = 10_000  # characters of an error's text that are kept: it may quote the record, which is kept itself


@dataclass(frozen=True, slots=True)
class Letter:
    """What was set aside.

    `id` names the letter, `position` is where the message stood.  `source` is the name of the stream, empty for one that has
    none, and `journal` that of the journal which holds the message, if one does. `key` is that of the model, or of the keyed
    program. `error` is the name of the error's class and `text` what it said; `at` is in seconds since 1970. `failed` says what
    has: a "turn", which was rolled back, a "record", which is no message, or a "command" after its turn, which stays. Either
    `message` is the message's JSON, of the schema number `schema`, or `raw` is the record that is no message. `tries` is how
    often it has failed.
    """

    id: str
    source: str
    position: object  # any JSON value, meaningful to the source alone
    error: str
    text: str
    at: float
    message: bytes | None = None
    raw: object = None  # bytes, or what else the source calls a record, which JSON holds
    schema: int = 1
    key: str | None = None
    journal: str = ""
    tries: int = 1
    failed: Failed = "turn"

    def failed_again(self, error: Exception) -> Letter:
        """Return the letter with the error of another try."""
        return replace(self, error=type(error).__qualname__, text=said(error), tries=self.tries + 1)


def said(error: Exception) -> str:
    """Return what the error says, as text that can be stored."""
    return str(error)[:_MOST].encode(errors="backslashreplace").decode()


def begin_of_ids(place: str) -> str:
    """Return what the ids of the letters of a place, such as a source, begin with."""
    return hashlib.sha256(place.encode(errors="backslashreplace")).hexdigest()[:12] + "-"


def id_of(place: str, position: object, number: int, *, by_command: bool = False) -> str:
    """Return the id of a letter: the same for the same place, position and number among those of the position.

    Of one place, letters are in the order of their positions if these are whole numbers.
    """
    return f"{begin_of_ids(place)}{group_of(position)}-{'c' if by_command else ''}{number}"


def group_of(position: object) -> str:
    """Return what the ids of one place have in common that are of one position."""
    counted = type(position) is int and 0 <= position < 1 << 64
    return f"{position:016x}" if counted else f"x{hashlib.sha256(_json(position)).hexdigest()[:15]}"


def group_of_id(letter_id: str) -> str:
    """Return that part of an id."""
    return letter_id.split("-")[1]


def _json(value: object) -> bytes:
    import msgspec

    try:
        return msgspec.json.encode(value, order="sorted")
    except (TypeError, ValueError, RecursionError) as error:
        raise NotStorable(
            "the position of a message that is set aside", f"it is no JSON value: {type(error).__name__}"
        ) from None


def encode(letter: Letter) -> bytes:
    """Return the letter as bytes; `NotStorable` for a raw record that JSON does not hold."""
    import msgspec

    fields: dict[str, object] = {
        "source": letter.source, "position": letter.position, "error": letter.error, "text": letter.text, "at": letter.at,
        "schema": letter.schema, "key": letter.key, "journal": letter.journal, "tries": letter.tries, "failed": letter.failed,
    }  # fmt: skip
    raw = letter.raw
    if letter.message is not None:
        fields["message"] = msgspec.Raw(letter.message)
    elif isinstance(raw, bytes):
        try:
            fields["raw"] = raw.decode()
        except UnicodeDecodeError:
            fields["base64"] = base64.b64encode(raw).decode()
    else:
        fields["value"] = raw
    try:
        return msgspec.json.encode(fields)
    except (TypeError, ValueError, RecursionError) as error:
        why = f"a source gives raw records as bytes, or as what JSON holds ({type(error).__name__})"
        raise NotStorable("a record that is set aside", why) from None


def when(data: bytes) -> float:
    """Return when the letter of these bytes was set aside, in seconds since 1970, in a fifth of the time that `decode` takes."""
    import msgspec

    at: object = getattr(msgspec.json.decode(data, type=_with_time()), "at", None)
    return at if isinstance(at, float) else 0.0


@cache
def _with_time() -> type[object]:
    import msgspec

    return msgspec.defstruct("Dated", [("at", float, 0.0)])


def decode(letter_id: str, data: bytes) -> Letter:
    """Return the letter of these bytes; `Corrupt` if they are not one."""
    import msgspec

    try:
        fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        message = bytes(fields.pop("message")) if "message" in fields else None
        plain: dict[str, Json] = {name: msgspec.json.decode(value) for name, value in fields.items()}
        raw: object = plain.pop("value", None)
        if "raw" in plain:
            raw = plain.pop("raw").encode()
        elif "base64" in plain:
            raw = base64.b64decode(plain.pop("base64"))
        return Letter(id=letter_id, message=message, raw=raw, **plain)
    except GoStateError:
        raise
    except Exception as error:
        raise Corrupt(letter_id, f"it is no letter: {type(error).__name__}") from None
