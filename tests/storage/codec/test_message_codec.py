"""A message is written from what is known of the last ones only if that says the same as looking at it anew."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import go_state as gs
from go_state.core.errors import NotStorable
from go_state.storage.codec.equality import is_same
from go_state.storage.codec.json_codec import JsonCodec
from go_state.storage.codec.message_codec import MessageCodec
from go_state.storage.types.shape import message_shape_of


class Level(enum.IntEnum):
    LOW = 1


class Text(str):
    __slots__ = ()


@dataclass(frozen=True)
class Add:
    by: int


@dataclass(frozen=True)
class AddMore(Add):
    pass


@dataclass
class Named:
    name: str | None
    on: bool = False
    data: bytes = b""


@dataclass(slots=True)
class Nothing:
    pass


@gs.stored_as("Pay", was=("Paid", "Payed"))
class Pay(msgspec.Struct, frozen=True):
    cents: int | None = None
    to: str = ""


class Disguised:
    """What says that it is an `Add`, and is none."""

    by = 1

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return Add


Msg = Add | Named | Nothing | Pay
ANEW: JsonCodec[Any] = JsonCodec.of_shape(Msg, message_shape_of(Msg), tagged=True)

ANYTHING: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [True, None, Level.LOW, Text("a"), "\ud800", math.nan, 1.0, 2**63, 2**64 - 1, 2**64, -(2**63) - 1, [], b"\xff"]
    ),
    st.integers(),
    st.text(),
)
MESSAGES: st.SearchStrategy[Any] = st.one_of(
    st.builds(Add, ANYTHING),
    st.builds(AddMore, ANYTHING),
    st.builds(Named, ANYTHING, ANYTHING, ANYTHING),
    st.builds(Pay, ANYTHING, ANYTHING),
    st.sampled_from([Nothing(), Disguised(), None, 1, Add, object.__new__(Named)]),
)


def outcome(encode: Callable[[Any], bytes], message: object) -> object:
    """Return the bytes, or the words of the refusal."""
    try:
        return encode(message)
    except NotStorable as error:
        return str(error)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(MESSAGES, max_size=12))
def test_what_was_seen_before_is_written_as_at_first(messages: list[Any]) -> None:
    """Each message, also one like the last, has the bytes or the refusal that it has alone, and reads back as it is."""
    codec: MessageCodec[Any] = MessageCodec(Msg)
    for message in messages * 2:
        data = outcome(codec.encode, message)
        assert data == outcome(ANEW.encode, message)
        if isinstance(data, bytes):
            assert is_same(message, codec.decode(data))


@pytest.mark.parametrize("message", [Add(1), Named("ann"), Nothing(), Pay(1, "bob")], ids=lambda each: type(each).__name__)
def test_a_message_like_the_last_is_written_by_msgspec_alone(message: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once one of its kind was written, nobody looks at a message again but for the types of its fields."""
    looked: list[object] = []
    encode = JsonCodec.encode
    monkeypatch.setattr(JsonCodec, "encode", lambda codec, each: looked.append(each) or encode(codec, each))  # type: ignore[func-returns-value]
    codec: MessageCodec[Any] = MessageCodec(Msg)
    assert codec.encode(message) == codec.encode(message)
    assert looked == [message]
