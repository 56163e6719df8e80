"""Fan-out: what comes from one value or consumer, to many sinks at once, none of which can hold up the end.

latest   each sink is given the newest, in its own time; what it has no time for it never sees
buffer   each sink is given everything, in its own time
block    all sinks are given one thing before any is given the next: the slowest sets the pace
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeAlias, TypeVar

from go_state.buffer.buffer import Buffer
from go_state.buffer.consumer import Consumer
from go_state.core.errors import UsageError
from go_state.watch.value import Value, Watchable

T = TypeVar("T")

Policy: TypeAlias = Literal["latest", "buffer", "block"]


class fanout(Generic[T]):
    """Gives every sink, a function of one argument, what comes from the source, in threads of its own, until its block is left.

    A value gives its newest, a consumer each message, which is committed once it is handed on. It ends when the source does: `wait`
    returns when all sinks have had what is theirs. `stop` ends it at once, whatever a sink is doing; one that is stuck keeps its
    (daemon) thread and is given nothing more. A sink that raises ends it, and `wait` and the block raise the exception.
    """

    def __init__(self, source: Watchable[T] | Consumer[T], *sinks: Callable[[T], object], policy: Policy = "latest") -> None:
        if policy not in ("latest", "buffer", "block"):
            raise UsageError(f'policy is "latest", "buffer" or "block", not {policy!r}')
        if not isinstance(source, (Watchable, Consumer)):
            raise UsageError(f"a fan-out begins at a gs.Value or a consumer, not at a {type(source).__qualname__}")
        for sink in sinks:
            if not callable(sink):
                raise UsageError(f"a sink is a function of one argument, not a {type(sink).__qualname__}")
        self._source = source
        self._reader: Any = source.watch() if isinstance(source, Watchable) else source
        self._stopped = False
        self._error: BaseException | None = None
        self._trace: TracebackType | None = None  # of the error, where everybody who raises it begins
        self._lock = threading.Lock()  # guards the two below
        self._running = 1
        self._ends: list[tuple[Any, Any]] = []  # each sink's mailbox, and its reader
        self._ended: Value[bool] = Value()
        if policy == "block":
            self._outlets: list[Callable[[T], object]] = list(sinks)
        else:
            self._outlets = [self._outlet(sink, policy) for sink in sinks]
        self._thread(self._pump)

    def _thread(self, work: Callable[..., object], *args: Any) -> None:
        threading.Thread(target=self._guarded, args=(work, *args), name="go_state fanout", daemon=True).start()

    def _outlet(self, sink: Callable[[T], object], policy: Policy) -> Callable[[T], object]:
        """Start a sink's own thread, and return what hands it a message."""
        mailbox: Value[T] | Buffer[T] = Value() if policy == "latest" else Buffer()
        reader: Any = mailbox.watch() if isinstance(mailbox, Value) else mailbox.consumer()
        self._running += 1
        self._ends.append((mailbox, reader))
        self._thread(self._feed, reader, sink)
        return mailbox.set if isinstance(mailbox, Value) else mailbox.put

    def _guarded(self, work: Callable[..., object], *args: Any) -> None:
        try:
            work(*args)  # a source that is closed, or a mailbox, ends the iteration: Closed is a sink's own
        except BaseException as error:
            if self._error is None:
                self._error, self._trace = error, error.__traceback__
            self.stop()
        finally:
            with self._lock:
                self._running -= 1
                if not self._running:
                    self._ended.set(True)

    def _pump(self) -> None:
        """Take from the source and hand on."""
        try:
            for each in self._reader:
                for outlet in self._outlets:
                    if self._stopped:
                        return
                    outlet(each)
        finally:
            for mailbox, _ in self._ends:
                mailbox.close()

    def _feed(self, reader: Any, sink: Callable[[T], object]) -> None:
        for each in reader:
            if self._stopped:
                return
            sink(each)

    def stop(self) -> None:
        """End it now, without waiting for any sink; a second call is harmless."""
        self._stopped = True
        for _, reader in self._ends:
            reader.close()
        self._reader.close()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the source has ended and every sink has had what is its own. Raises what a sink has, and `TimedOut`."""
        self._ended.watch().get(timeout)
        if self._error is not None:
            raise self._error.with_traceback(self._trace)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        if error is None and self._error is not None:
            raise self._error.with_traceback(self._trace)
