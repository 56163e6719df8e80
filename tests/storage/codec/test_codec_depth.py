"""Depth: what was written is read from any depth of the stack, and what is too deep is refused when it is written."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import go_state as gs


@dataclass
class Node:
    value: int
    next: Node | None = None


@dataclass
class Comment:
    text: str
    answers: list[Comment] = field(default_factory=list)


def chain(depth: int) -> Node:
    """Return a node with so many behind it."""
    node = Node(0)
    for number in range(depth):
        node = Node(number, node)
    return node


def thread(depth: int) -> Comment:
    """Return a comment with answers so deep."""
    comment = Comment("")
    for number in range(depth):
        comment = Comment(str(number), [comment])
    return comment


def nested(depth: int) -> list[Any]:
    """Return lists in lists."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def below(frames: int, call: Callable[[], Any]) -> Any:
    """Call the function so many frames further down."""
    return call() if frames == 0 else below(frames - 1, call)


def deepest(codec: gs.JsonCodec[Any], make: Callable[[int], Any]) -> bytes:
    """Return the JSON of the deepest value that can be written here."""
    data = b""
    for depth in range(10, 1000, 10):
        try:
            data = codec.encode(make(depth))
        except gs.errors.NotStorable:
            break
    return data


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "make"),
    [(Node, chain), (Comment, thread), (Any, nested), (list[Any], nested)],
    ids=["Node", "Comment", "Any", "list"],
)
def test_what_was_written_is_read_from_a_deep_stack(kind: Any, make: Callable[[int], Any]) -> None:
    """The deepest value that is written is read far below, where a web framework or a recursive function has left it little room."""
    codec = gs.JsonCodec[Any](kind)
    data = deepest(codec, make)
    assert len(data) > 200
    for frames in (0, 200, 500, 800):
        assert below(frames, lambda: codec.encode(codec.decode(data))) == data


def test_a_value_nested_too_deeply_is_refused_with_advice() -> None:
    """What no stack has room for is refused when it is written, wherever that is."""
    for frames in (0, 500):
        with pytest.raises(gs.errors.NotStorable, match="nested too deeply"):
            below(frames, lambda: gs.JsonCodec(Node).encode(chain(3000)))


def test_a_journal_is_read_from_a_deep_stack(tmp_path: Path) -> None:
    """Messages that are nested deeply are read from a journal wherever it is read."""
    message = chain(150)
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        store.journal("k", of=Node).put(message, message)
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        read = below(600, lambda: [recorded.message for recorded in store.journal("k", of=Node).read()])
    assert read == [message, message]


def test_a_constructor_sees_the_context_of_who_reads() -> None:
    """A class that looks at a context variable sees the same one, also where its value is read in a thread of its own."""
    seen = contextvars.ContextVar("seen", default=0)

    @dataclass
    class Looking:
        inner: Any = None

        def __post_init__(self) -> None:
            assert seen.get() == 1

    seen.set(1)
    codec = gs.JsonCodec(Looking)
    data = codec.encode(Looking(nested(200)))
    assert below(800, lambda: codec.encode(codec.decode(data))) == data
