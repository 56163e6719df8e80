"""Fan-out: what comes from one value or consumer, to many sinks at once, none of which can hold up the end.

latest   each sink is given the newest, in its own time; it never sees what it has no time for
buffer   each sink is given everything, in its own time
block    all sinks are given one thing before any is given the next: the slowest sets the pace

One thread takes from the source. With "latest" and "buffer" it puts into a mailbox of each sink, which a thread of that sink empties.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from types import TracebackType
from typing import Generic, Literal, Protocol, Self, TypeAlias, TypeVar

from go_state.buffer.buffer import Buffer
from go_state.buffer.consumer import Consumer
from go_state.core.errors import UsageError
from go_state.watch.value import Value, Watchable

T = TypeVar("T")
Got = TypeVar("Got", covariant=True)

Policy: TypeAlias = Literal["latest", "buffer", "block"]
Sink: TypeAlias = Callable[[T], object]


class _Reader(Protocol[Got]):
    """A watcher or a consumer: iterating waits for what comes, and ends when its source does or when it is closed."""

    def __iter__(self) -> Iterator[Got]: ...

    def close(self) -> None: ...


def fanout(source: Watchable[T] | Consumer[T], *sinks: Sink[T], policy: Policy = "latest") -> FanOut[T]:
    """Give every one of the `sinks`, functions of one argument, what comes from the source, in threads of its own; leave its
    block to end it.

    A value gives its newest, a consumer each message, which is committed once it is handed on. With the `policy` "latest" each sink
    is given the newest, in its own time, and never sees what it has no time for; with "buffer" it is given everything, in its own
    time; with "block" all are given one thing before any is given the next, so the slowest sets the pace. What a sink
    raises ends it, and is raised by the block; `wait` waits for the source's own end.
    Raises `UsageError` for another policy or source, and a sink that is no function.
    """
    if policy not in ("latest", "buffer", "block"):
        raise UsageError(f'policy is "latest", "buffer" or "block", not {policy!r}')
    if not isinstance(source, (Watchable, Consumer)):
        raise UsageError(f"a fan-out begins at a gs.Value or a consumer, not at a {type(source).__qualname__}")
    for sink in sinks:
        if not callable(sink):
            raise UsageError(f"a sink is a function of one argument, not a {type(sink).__qualname__}")
    fan = FanOut(source.watch() if isinstance(source, Watchable) else source, sinks, policy)
    fan.start()
    return fan


class FanOut(Generic[T]):
    """What `fanout` returns.

    It ends when the source does: `wait` returns when all sinks have had everything that is theirs. `stop` ends it at once, whatever a
    sink is doing; one that is stuck keeps its (daemon) thread and is given nothing more. A sink that raises ends it, and `wait` and
    the block raise the exception.
    """

    def __init__(self, reader: _Reader[T], sinks: tuple[Sink[T], ...], policy: Policy) -> None:
        self._reader = reader
        self._mailboxes: list[_Mailbox[T]] = [] if policy == "block" else [_Mailbox(sink, policy) for sink in sinks]
        self._outlets: list[Sink[T]] = list(sinks) if policy == "block" else [mailbox.put for mailbox in self._mailboxes]
        self._stopped = False
        self._error: BaseException | None = None
        self._trace: TracebackType | None = None  # of the error, with which every later raise of it begins
        self._lock = threading.Lock()  # guards the one below
        self._running = 1 + len(self._mailboxes)  # threads
        self._ended: Value[bool] = Value()

    def start(self) -> None:
        """Start the threads; called once."""
        for mailbox in self._mailboxes:
            self._thread(partial(mailbox.empty, self._is_stopped))
        self._thread(self._pump)

    def _thread(self, work: Callable[[], object]) -> None:
        threading.Thread(target=self._guarded, args=(work,), name="go_state fanout", daemon=True).start()

    def _guarded(self, work: Callable[[], object]) -> None:
        try:
            work()  # a closed source or mailbox ends its iteration without an error: a Closed raised here is a sink's own
        except BaseException as error:
            if self._error is None:
                self._error, self._trace = error, error.__traceback__
            self.stop()
        finally:
            with self._lock:
                self._running -= 1
                if not self._running:
                    self._ended.set(True)

    def _is_stopped(self) -> bool:
        return self._stopped

    def _pump(self) -> None:
        """Take from the source and hand on."""
        try:
            for each in self._reader:
                for outlet in self._outlets:
                    if self._stopped:
                        return
                    outlet(each)
        finally:
            for mailbox in self._mailboxes:
                mailbox.end()

    def stop(self) -> None:
        """End it now, without waiting for any sink; a second call is harmless."""
        self._stopped = True
        for mailbox in self._mailboxes:
            mailbox.close()
        self._reader.close()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the source has ended and every sink has had everything that is its own. Raises a sink's error, and `TimedOut`."""
        self._ended.watch().get(timeout)
        if self._error is not None:
            raise self._error.with_traceback(self._trace)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        if error is None and self._error is not None:
            raise self._error.with_traceback(self._trace)


class _Mailbox(Generic[T]):
    """What was handed on to one sink and not taken by it: the newest, or everything."""

    def __init__(self, sink: Sink[T], policy: Policy) -> None:
        self._sink = sink
        if policy == "latest":
            value: Value[T] = Value()
            self.put: Sink[T] = value.set
            self.end: Callable[[], object] = (
                value.close
            )  #: called when the source has ended: what is here is still given to the sink
            self._reader: _Reader[T] = value.watch()
        else:
            buffer: Buffer[T] = Buffer()
            self.put, self.end, self._reader = buffer.put, buffer.close, buffer.consumer()

    def empty(self, stopped: Callable[[], bool]) -> None:
        """Give the sink what comes, until the end."""
        for each in self._reader:
            if stopped():
                return
            self._sink(each)

    def close(self) -> None:
        """End now: what was not given to the sink is lost."""
        self._reader.close()
