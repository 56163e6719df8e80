"""The program that the tests of streams run: a count and a sum for each key, and the order checked inside `update`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import go_state as gs

QUICK = {"session.timeout.ms": 3000, "heartbeat.interval.ms": 500, "reconnect.backoff.max.ms": 500}
"""Settings of a group whose tests need not wait for 45 s until a member counts as dead."""


@dataclass(frozen=True, slots=True)
class Add:
    key: str
    n: int


@dataclass(frozen=True, slots=True)
class Tally:
    count: int = 0
    total: int = 0
    last: int = -1


def init() -> gs.Step[Tally, Add]:
    return Tally(), ()


def update(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
    assert msg.n == model.last + 1, f"{msg.key}: {msg.n} after {model.last}"
    return Tally(model.count + 1, model.total + msg.n, msg.n), ()


tally = gs.Program(init, update, name="tally")


def key_of(msg: Add) -> str:
    return msg.key


def record(key: str, n: int, partition: int) -> tuple[str, bytes, int]:
    """Return a record as the server takes it."""
    return key, b'{"key":"%s","n":%d}' % (key.encode(), n), partition


def records(keys: int, each: int, partitions: int, *, begin: int = 0, prefix: str = "k") -> list[tuple[str | None, bytes, int]]:
    """Return `each` records of every key, in order, each key in a partition of its own."""
    return [record(f"{prefix}{key}", n, key % partitions) for n in range(begin, begin + each) for key in range(keys)]


_failed: list[Worker] = []  # whose error nobody has asked for yet


class Worker:
    """An aggregate in a thread, which is stopped and whose result or error is asked for."""

    def __init__(self, source: Any, store: Any, *, program: Any = tally, **options: Any) -> None:
        self.stop = gs.StopSwitch()
        self.result: Any = None
        self.error: BaseException | None = None
        options.setdefault("snapshots", gs.Snapshots(seconds=0.2))
        self._thread = threading.Thread(target=self._run, args=(program, source, store, options), daemon=True)
        self._thread.start()

    def _run(self, program: Any, source: Any, store: Any, options: Any) -> None:
        try:
            self.result = gs.aggregate(program, source, store=store, key=key_of, stop=self.stop, **options)
        except BaseException as error:
            self.error = error
            _failed.append(self)

    def end(self) -> Any:
        """Stop it and return its result, or raise what it has raised."""
        self.stop.set()
        return self.ended()

    def ended(self, seconds: float = 60) -> Any:
        """Wait until it has ended by itself."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the worker has not ended"
        if self.error is not None:
            _failed.remove(self)
            raise self.error
        return self.result


def counted(store: Any, keys: int, *, prefix: str = "k") -> dict[str, Tally]:
    """Return what the store has of the keys."""
    found = {f"{prefix}{key}": gs.load_model(tally, store=store, key=f"{prefix}{key}") for key in range(keys)}
    return {key: model for key, model in found.items() if model is not None}


def wait_for(holds: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait until it holds."""
    until = time.monotonic() + seconds
    while not holds():
        for worker in _failed:
            worker.ended()
        assert time.monotonic() < until, f"not in {seconds:.0f} s: {what}"
        time.sleep(0.05)


def wait_for_count(store: Any, keys: int, each: int, seconds: float = 60) -> None:
    """Wait until every key has its messages, each once and in order."""
    wait_for(
        lambda: sum(model.count for model in counted(store, keys).values()) >= keys * each, f"{keys * each} messages", seconds
    )
    assert set(counted(store, keys).values()) == {Tally(each, each * (each - 1) // 2, each - 1)}
