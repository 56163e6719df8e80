"""Commands for tests of what is under way: each sends its name when it is done, and a gate says when that is."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import go_state as gs


async def soon(name: str) -> str:
    await asyncio.sleep(0)
    return name


async def fail(name: str) -> str:
    await asyncio.sleep(0)
    raise LookupError(name)


def plain(name: str) -> str:
    return name


def failing(name: str) -> str:
    raise LookupError(name)


def said(failure: gs.Failure) -> str:
    return f"{failure.kind}: {failure.text}"


def task(name: str, **how: Any) -> gs.Cmd[str]:
    return gs.Cmd.call(soon, name, **how)


def thread(name: str, **how: Any) -> gs.Cmd[str]:
    return gs.Cmd.call(plain, name, thread=True, **how)


def heard(*commands: Any, on: Callable[[str], Any] = lambda name: (), **parts: Any) -> gs.Program[tuple[str, ...], str]:
    """Return a program that performs the commands, notes every message, and answers it with the commands of `on`."""
    return gs.Program(lambda: ((), list(commands)), lambda model, name: ((*model, name), on(name)), **parts)


def closed(*messages: Any) -> gs.Buffer[Any]:
    buffer = gs.Buffer[Any]()
    buffer.put(*messages)
    buffer.close()
    return buffer


class Gate:
    """Holds calls, in tasks and threads, until they are let go."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.begun: list[str] = []
        self.cancelled: list[str] = []
        self._held: dict[str, deque[Callable[[], object]]] = {}

    async def hold(self, name: str) -> str:
        loop = asyncio.get_running_loop()
        let_go = loop.create_future()
        self._note(name, lambda: loop.call_soon_threadsafe(lambda: let_go.done() or let_go.set_result(None)))
        try:
            await let_go
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        return name

    def hold_thread(self, name: str) -> str:
        let_go = threading.Event()
        self._note(name, let_go.set)
        let_go.wait()
        return name

    def _note(self, name: str, let_go: Callable[[], object]) -> None:
        with self._changed:
            self.begun.append(name)
            self._held.setdefault(name, deque()).append(let_go)
            self._changed.notify_all()

    def wait_for(self, name: str, count: int = 1) -> None:
        """Wait until the call has begun so many times."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.begun.count(name) >= count, 10), f"{name} did not begin"

    def open(self, name: str) -> None:
        """Let the oldest call of that name go on."""
        self.wait_for(name)
        self._held[name].popleft()()
