"""Writes of many journals in one transaction: whoever comes first writes for all that wait, and all share one sync.

    write ──▶ waits ──▶ the first leads: one transaction for all that wait ──▶ each is told what became of its own ──▶ the next leads

A write that fails takes no other along: what was begun is undone, its own sender gets the error, and the rest is written again. A
transaction that fails as a whole (the store cannot be reached) fails for all of them.

The main thread writes alone, as everybody does if nobody waits: Ctrl-C may come there between any two steps, and would leave others
without knowing what became of theirs. The others' threads are never interrupted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from go_state.core.errors import StoreFull, StoreUnavailable
from go_state.waking.waker import ThreadWaker

if TYPE_CHECKING:
    from go_state.storage.records.backend import Backend, Transaction

T = TypeVar("T")

SomeJob: TypeAlias = "Job[Any]"  # each has a result of its own
Steps: TypeAlias = "Generator[SomeJob, None, T]"
"""What is done in steps, and yields what it writes: when it goes on that is written, or has failed."""

_MOST = 512  # writes in one transaction: one that fails has the others of it written again


class Job(Generic[T]):
    """One write: `fill` writes into the transaction, and what it returns is `result` once that is committed; or it has an `error`.

    With `of` the write needs only the records of these names to itself; see `Backend.transaction`.
    """

    __slots__ = ("error", "fill", "of", "result", "waker")

    def __init__(self, fill: Callable[[Transaction], T], *, of: Sequence[bytes] | None = None) -> None:
        self.fill = fill
        self.of = of
        self.result: T | None = None
        self.error: Exception | None = None
        self.waker: ThreadWaker | None = None

    def outcome(self) -> T:
        """Return what `fill` has returned, or raise why it was not written."""
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]  # which is set by then


def write_together(backend: Backend, jobs: Sequence[SomeJob]) -> None:
    """Write all jobs, in order, in one transaction or in several; each has its result or its error afterwards."""
    left = list(jobs)
    while left:
        filling: SomeJob | None = None
        try:
            of = left[0].of if len(left) == 1 else _names(left)
            with backend.transaction(write=True, of=of) as transaction:
                for filling in left:
                    filling.result = filling.fill(transaction)
                filling = None
            return
        except Exception as error:
            left = _to_try_again(backend, left, filling, error)


def _to_try_again(backend: Backend, jobs: list[SomeJob], failed: SomeJob | None, error: Exception) -> list[SomeJob]:
    """Return those jobs that are to be written again because one of them has failed, None if it was the transaction as a whole."""
    if failed is None and isinstance(error, StoreFull) and len(jobs) > 1:
        for job in jobs:  # nothing was kept, and there may be room for some of them
            write_together(backend, [job])
        return []
    if failed is None or is_of_all(error):
        for job in jobs:
            job.error = error
        return []
    failed.error = error
    return [job for job in jobs if job is not failed]


def _names(jobs: list[SomeJob]) -> list[bytes] | None:
    """Return the names of the records that the jobs need to themselves, None for all."""
    names: list[bytes] = []
    for job in jobs:
        if job.of is None:
            return None
        names += job.of
    return names


def is_of_all(error: Exception) -> bool:
    """Return whether the error is of the store, and not of what one job has written."""
    return isinstance(error, StoreUnavailable)


class Together:
    """The writes of one store."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._lock = threading.Lock()  # guards the two below
        self._waiting: list[SomeJob] = []
        self._is_led = False

    def after_fork_in_child(self) -> None:
        """In a forked child: those who wait are the parent's."""
        self._lock, self._waiting, self._is_led = threading.Lock(), [], False

    def write_all(self, jobs: Sequence[SomeJob]) -> None:
        """Write the jobs of several journals, all of which the calling thread has."""
        write_together(self._backend, jobs)

    def take_steps(self, steps: Steps[T]) -> T:
        """Take the steps, and write what they yield; return what they return."""
        try:
            while True:
                self.write(next(steps))
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            steps.close()  # of Ctrl-C in a write, whose error may be held on to: the steps have locks, which end with them

    def write(self, job: SomeJob) -> None:
        """Write a job, with what others write now; it has its result or its error afterwards."""
        if threading.get_ident() == threading.main_thread().ident:
            write_together(self._backend, [job])
            return
        waker = None
        with self._lock:
            if self._is_led:
                job.waker = waker = ThreadWaker()
                self._waiting.append(job)
            self._is_led = True
        if waker is None:
            self._lead([job])  # nobody else waits: if somebody did, the next leader would be named
            return
        waker.sleep(None)  # until it is written, or is to lead
        if job.waker is not None:
            with self._lock:
                jobs, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
            self._lead(jobs)

    def _lead(self, jobs: list[SomeJob]) -> None:
        """Write the jobs, the leader's own among them; wake those who wait for that, and the next leader."""
        try:
            write_together(self._backend, jobs)
        except BaseException as error:  # such as the end of the interpreter: nobody knows what became of any of them
            for job in jobs:
                job.error = StoreUnavailable(f"the write was interrupted by a {type(error).__qualname__}")
            raise
        finally:
            with self._lock:
                following = self._waiting[0] if self._waiting else None
                self._is_led = following is not None
            for job in jobs:
                waker, job.waker = job.waker, None
                if waker is not None:
                    waker.wake()
            if following is not None and following.waker is not None:
                following.waker.wake()
