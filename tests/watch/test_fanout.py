"""Fan-out: every sink in its own time, and an end that waits for none of them."""

from __future__ import annotations

import threading
import traceback
from typing import Any

import pytest

import go_state as gs


def test_buffer_gives_everything_to_everybody() -> None:
    """Each sink gets every message, in order; the consumer has committed them, and it ends with its source."""
    buffer: gs.Buffer[int] = gs.Buffer()
    one: list[int] = []
    two: list[int] = []
    buffer.put(*range(100))
    buffer.close()
    with gs.watch.fanout(buffer.consumer(), one.append, two.append, policy="buffer") as fan:
        fan.wait(10)
    assert one == two == list(range(100))
    assert buffer.size() == 0


def test_latest_does_not_wait_for_the_slow() -> None:
    """A sink that is stuck holds up neither the value nor the others, each of which ends with the newest."""
    value, go_on, last = gs.Value(0), threading.Event(), threading.Event()
    slow: list[int] = []

    def stuck(number: int) -> None:
        slow.append(number)
        go_on.wait(20)

    def quick(number: int) -> None:
        if number == 1000:
            last.set()

    with gs.watch.fanout(value, stuck, quick) as fan:
        for number in range(1, 1001):
            value.set(number)
        assert last.wait(10)
        go_on.set()
        value.close()
        fan.wait(10)
    assert slow[-1] == 1000


def test_block_gives_to_all_before_the_next() -> None:
    """With block, nobody gets a message before all have had the one before."""
    buffer: gs.Buffer[int] = gs.Buffer()
    order: list[Any] = []
    buffer.put(1, 2)
    buffer.close()
    with gs.watch.fanout(
        buffer.consumer(), lambda n: order.append(("a", n)), lambda n: order.append(("b", n)), policy="block"
    ) as fan:
        fan.wait(10)
    assert order == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]


@pytest.mark.parametrize("policy", ["latest", "buffer", "block"])
def test_stop_waits_for_no_sink(policy: Any) -> None:
    """While every sink is stuck, stop returns at once, and none of them is given anything more."""
    value, stuck, go_on = gs.Value(1), threading.Event(), threading.Event()
    given: list[int] = []

    def sink(number: int) -> None:
        given.append(number)
        stuck.set()
        go_on.wait(20)

    fan = gs.watch.fanout(value, sink, sink, policy=policy)
    assert stuck.wait(10)
    fan.stop()
    fan.stop()
    value.set(2)
    go_on.set()
    fan.wait(10)
    assert 2 not in given


def test_a_closed_source_ends_it() -> None:
    """A source that ends gives no more values, and one without sinks is drained."""
    buffer: gs.Buffer[int] = gs.Buffer()
    buffer.put(1, 2, 3)
    buffer.close()
    with gs.watch.fanout(buffer.consumer()) as fan:
        fan.wait(10)
    assert buffer.size() == 0


def test_a_sink_that_fails_ends_it() -> None:
    """What a sink raises ends the fan-out and is raised from wait and from the block."""
    value = gs.Value(1)

    def failing(number: int) -> None:
        raise OSError("disk")

    fan = gs.watch.fanout(value, failing)
    with pytest.raises(OSError, match="disk"):
        fan.wait(10)
    with pytest.raises(OSError, match="disk"), fan:
        pass


def test_an_error_that_is_raised_again_keeps_its_traceback() -> None:
    """However often it is waited for."""

    def fail(_: int) -> None:
        raise ValueError("sink")

    fan, lengths = gs.watch.fanout(gs.Value(1), fail), set()
    for _ in range(5):
        with pytest.raises(ValueError, match="sink") as raised:
            fan.wait(20)
        lengths.add(len(list(traceback.walk_tb(raised.value.__traceback__))))
    assert len(lengths) == 1


def test_wrong_arguments_teach() -> None:
    """What cannot be fanned out, or into, is refused."""
    for wrong in (
        lambda: gs.watch.fanout([1]),
        lambda: gs.watch.fanout(gs.Value(1), 5),
        lambda: gs.watch.fanout(gs.Value(1), policy="fast"),
    ):  # type: ignore[arg-type]
        with pytest.raises(gs.UsageError):
            wrong()


@pytest.mark.parametrize("policy", ["latest", "buffer", "block"])
def test_a_sink_that_raises_closed_ends_it_as_well(policy: Any) -> None:
    """`Closed` that a sink raises, of a buffer that it writes to, say, is raised as every other error of a sink is."""
    closed: gs.Buffer[int] = gs.Buffer()
    closed.close()
    fan = gs.watch.fanout(gs.Value(1), closed.put, policy=policy)
    with pytest.raises(gs.Closed, match="closed"):
        fan.wait(30)
