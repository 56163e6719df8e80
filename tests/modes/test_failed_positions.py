"""The position of a failed message: its own, wherever in a fetch it stands."""

from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers
from test_batch import fetcher

import go_state as gs

drivers = both_drivers.drivers


def failing_on(*bad: int) -> gs.Program[tuple[int, ...], int]:
    """Return a program that cannot take those messages."""

    def update(model: tuple[int, ...], msg: int) -> gs.Step[tuple[int, ...], int]:
        if msg in bad:
            raise ValueError("bad")
        return (*model, msg), ()

    return gs.Program(lambda: ((), ()), update)


@pytest.mark.parametrize("prefetch", [0, 3])
@pytest.mark.parametrize("bad", [(0,), (1,), (2,), (0, 1), (0, 1, 2), (2, 3), (3, 4), (0, 1, 2, 3, 4)], ids=str)
def test_position_in_a_fetch_is_the_messages_own(drivers: Drivers, bad: tuple[int, ...], prefetch: int) -> None:
    """However many came together, and whichever of them failed before, a failed message tells how many came before it."""
    source = fetcher([0, None, 1, 2], [], [3, 4])
    result = drivers.batch(failing_on(*bad), source, on_error=gs.SetAside(), prefetch=prefetch)
    assert [(failed.message, failed.position) for failed in result.set_aside] == [(number, number) for number in bad]
    assert result.model == tuple(number for number in range(5) if number not in bad)


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_position_in_a_fetch_is_in_the_note(drivers: Drivers, bad: int) -> None:
    """The note of an error that ends the batch says the same."""
    with pytest.raises(ValueError, match="bad") as raised:
        drivers.batch(failing_on(bad), fetcher([0, 1, 2], [3]))
    assert f"position {bad};" in raised.value.__notes__[0]


@pytest.mark.parametrize(
    ("source", "positions"),
    [(lambda: [0, 1, 2, 3], (1, 3)), (lambda: fetcher([0, 1, 2, 3]), (None, None))],
    ids=["list", "fetch"],
)
def test_position_with_a_queue_of_ones_own(drivers: Drivers, source: Any, positions: tuple[Any, Any]) -> None:
    """A queue between the source and the program changes no position, and has none where much was put at once."""
    with gs.Buffer() as buffer, buffer.consumer() as consumer:
        result = drivers.batch(failing_on(1, 3), source(), on_error=gs.SetAside(), producer=buffer, consumer=consumer)
    assert tuple(failed.message for failed in result.set_aside) == (1, 3)
    assert tuple(failed.position for failed in result.set_aside) == positions
