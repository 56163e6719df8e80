"""What holds for the whole run, and what many tests use."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from go_state import Consumer

# A shell that starts a job in the background has it ignore Ctrl-C, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


_BESIDE_A_SERVER = re.compile(r"\[(.*\W)?(file|lmdb|memory)\b")  # the cases of a test of several stores that need none
_WITH_A_SERVER = re.compile(r"\[(.*\W)?postgres\b")  # those that ask for one while they run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses a server as `processes`: that it is there takes seconds."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        has_server = any(name.endswith("_server") for name in fixtures) and not _BESIDE_A_SERVER.search(item.name)
        if has_server or _WITH_A_SERVER.search(item.name):
            item.add_marker(pytest.mark.processes)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def asleep() -> Callable[[Consumer[Any]], None]:
    """Return once a thread or task sleeps on the consumer."""

    def look(consumer: Consumer[Any]) -> None:
        while not consumer.cursor.sleeper.is_asleep:
            os.sched_yield()

    return look


@pytest.fixture
def asleep_async() -> Callable[[Consumer[Any]], Awaitable[None]]:
    """Return once a task of this loop sleeps on the consumer."""

    async def look(consumer: Consumer[Any]) -> None:
        while not consumer.cursor.sleeper.is_asleep:  # noqa: ASYNC110
            await asyncio.sleep(0)

    return look


class Crew:
    """Threads whose results and errors come back to the test."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self.results: list[Any] = []
        self.errors: list[BaseException] = []

    def start(self, fn: Callable[..., Any], *args: Any) -> None:
        def work() -> None:
            try:
                self.results.append(fn(*args))
            except BaseException as error:
                self.errors.append(error)

        self.threads.append(threading.Thread(target=work, daemon=True))
        self.threads[-1].start()

    def join(self, timeout: float = 60) -> list[Any]:
        for thread in self.threads:
            thread.join(timeout)
            assert not thread.is_alive(), "a thread hangs: a wake-up was lost"
        if self.errors:
            raise self.errors[0]
        return self.results


@pytest.fixture
def crew() -> Iterator[Crew]:
    crew = Crew()
    yield crew
    crew.join()
