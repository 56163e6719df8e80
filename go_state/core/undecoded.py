"""A record that is no message, as a value: what a source gives in the record's place, so that its reader can go on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from go_state.core.errors import BadRecord

Raw = TypeVar("Raw", covariant=True)


@dataclass(frozen=True, slots=True)
class Undecoded(Generic[Raw]):
    """A record that could not be decoded: its raw contents, and a `BadRecord` that says where it is and what is wrong with it.

    A `Source` gives it in the record's place, and its position counts it like any other. A batch decides on it by `on_error`, as on
    a message that update fails on: the message is `raw`. So `raw` holds all that it takes to decode the record again, as bytes, or
    as another value that JSON holds.
    """

    raw: Raw
    error: BadRecord
