"""A value that an option cannot have is refused when the mode is called, before anything has happened."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers

import go_state as gs

drivers = both_drivers.drivers


def update(model: int, msg: int) -> gs.Step[int, int]:
    """Count; nothing comes to it here."""
    raise AssertionError


counter = gs.Program(lambda: (0, ()), update)


async def coroutine_function(*_: object) -> None:
    """Return a coroutine, which counts as true."""


NO_FUNCTIONS = [object(), "x", 1, [], coroutine_function]


@pytest.mark.parametrize("wrong", NO_FUNCTIONS)
def test_functions_are_functions(drivers: Drivers, wrong: Any) -> None:
    """What is no function, or a coroutine function, is not found out in the middle of a run, nor taken for true."""
    store = gs.MemoryStore()
    buffer = gs.Buffer[int]()
    buffer.put(1)
    buffer.close()
    for call in (
        lambda: drivers.run(counter, buffer, replaying=wrong),
        lambda: drivers.batch(counter, [1], replaying=wrong),
        lambda: drivers.aggregate(counter, [1], store=store, key="k", links=wrong),
        lambda: drivers.aggregate(counter, [1], store=store, key=str, retire=wrong),
        lambda: gs.start(counter, on_denied=wrong),
        lambda: gs.start_keyed(counter, on_denied=wrong),
    ):
        with pytest.raises(gs.UsageError, match="= is a plain function of "):
            call()


@pytest.mark.parametrize("wrong", [object(), "x", b"", [], gs.JsonCodec])
@pytest.mark.parametrize("key", ["k", str])
def test_a_codec_encodes_and_decodes(drivers: Drivers, key: str | Callable[[int], str], wrong: Any) -> None:
    """What cannot is no reason to run to the first save."""
    with pytest.raises(gs.UsageError, match="codec= has methods encode and decode"):
        drivers.aggregate(counter, [1], store=gs.MemoryStore(), key=key, codec=wrong)
    with pytest.raises(gs.UsageError, match="codec= has methods encode and decode"):
        gs.load_model(counter, store=gs.MemoryStore(), key="k", codec=wrong)


@pytest.mark.parametrize("word", ["durability", "lease"])
@pytest.mark.parametrize("wrong", ["", [], b"", 0, "yes"])
def test_what_is_empty_is_no_default(tmp_path: Path, word: str, wrong: Any) -> None:
    """Only None leaves the choice to the store."""
    options: dict[str, Any] = {word: wrong}
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        with pytest.raises(gs.UsageError, match=r'"put"|"wait"'):
            gs.start(counter, store=store, key="k", **options).wait(20)
        with pytest.raises(gs.UsageError, match=r'"put"|"wait"'):
            store.journal("k", **options)


def test_the_cache_is_of_many_models(drivers: Drivers) -> None:
    """An aggregate with one model has none."""
    with pytest.raises(gs.UsageError, match="cache= belongs to a keyed aggregate"):
        drivers.aggregate(counter, [1], store=gs.MemoryStore(), key="k", cache=3)
