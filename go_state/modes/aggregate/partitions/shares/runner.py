"""Running shares in turn, in one thread or task, and saving those together that are to be saved.

A share runs for a slice of a few milliseconds, then the next one does. One that waits for a command is left alone until it is woken,
so that nobody waits for the commands of another.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Collection, Mapping
from itertools import count
from typing import Generic, Protocol, TypeVar

from go_state.core.errors import Conflict
from go_state.core.ports import Position
from go_state.modes.aggregate.partitions.shares.reader import Slices
from go_state.modes.aggregate.partitions.shares.saving import Saved, save_together
from go_state.modes.aggregate.partitions.shares.share import Save, Share
from go_state.modes.aggregate.partitions.shares.waking import Rest, Woken
from go_state.modes.options import OnCommit
from go_state.runtime.flow.waits import Answer, Blocking, Flow
from go_state.system.own_thread import OwnThread

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_ABSENT = 1.0  # seconds more than it should take; engines give a partition to others after some, and a look costs one query


class Fates(Protocol[Model, Msg]):
    """What becomes of a share that does not go on."""

    def done(self, share: Share[Model, Msg], /) -> Flow[None]:
        """Called when a share has saved and is over."""
        ...

    def fenced(self, share: Share[Model, Msg], conflict: Conflict, /) -> Flow[None]:
        """Called when a share cannot be saved, because what is stored is not its own any more."""
        ...

    def saved(self, share: Share[Model, Msg], models: int, began: float, /) -> None:
        """Called when a share was saved, with how many models have changed, by a save that began then."""
        ...


class Runner(Generic[Model, Msg]):
    """The shares that have something to do, those that are to be saved, and the times at which others have."""

    def __init__(
        self,
        thread: OwnThread,
        woken: Woken[Share[Model, Msg]],
        slices: Slices,
        on_commit: OnCommit | None,
        fates: Fates[Model, Msg],
    ) -> None:
        self.saved: dict[str, Position] = {}  #: what the reading was not told of yet
        self.positions: dict[str, Position] = {}  #: what is in the store, of all partitions that were ever held
        self.broken: Share[Model, Msg] | None = None  #: the one that has raised
        self._thread = thread
        self._woken = woken
        self._slices = slices
        self._on_commit = on_commit
        self._fates = fates
        self._ready: dict[Share[Model, Msg], None] = {}  # in order
        self._saving: list[Share[Model, Msg]] = []
        self._present_at = time.monotonic()
        self._timers: list[tuple[float, int, Share[Model, Msg]]] = []
        self._numbers = count()

    # ------------------------------------------------------------------ who has something to do

    def add(self, share: Share[Model, Msg]) -> None:
        """Run the share soon; one that is to be saved goes on after that."""
        if not isinstance(share.wait, Save):
            self._ready[share] = None

    def remove(self, share: Share[Model, Msg]) -> None:
        """Run the share no more."""
        self._ready.pop(share, None)
        if share in self._saving:
            self._saving.remove(share)

    @property
    def is_busy(self) -> bool:
        """Whether a share has something to do at once."""
        return bool(self._ready or self._saving or self._woken.is_any)

    def next_timer(self) -> float | None:
        """Return the monotonic time at which a share has something to do in any case; None if there is no such time."""
        while self._timers and self._timers[0][2].is_done:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def _look_up(self) -> None:
        for share in self._woken.take():
            self._ready_again(share)
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            self._ready_again(heapq.heappop(self._timers)[2])

    def _ready_again(self, share: Share[Model, Msg]) -> None:
        if not share.is_done and not isinstance(share.wait, Save):
            self._ready[share] = None

    # ------------------------------------------------------------------ running

    def was_absent(self, expected: float = 0.0) -> bool:
        """Return whether this process stood still since the last call, which was expected to be `expected` seconds ago.

        Then somebody else may have its partitions, and what waits here is not for it to do: that is to be looked at first.
        """
        before, self._present_at = self._present_at, time.monotonic()
        return self._present_at - before > expected + _ABSENT

    def round(self, seconds: float) -> Flow[bool]:
        """Run those that have something to do, in turn and for up to `seconds`, and save those that are due.

        Return False if the process stood still meanwhile, without another turn; a save does no harm, because it names the claim.
        """
        self._look_up()
        until, absent = time.monotonic() + seconds, False
        while self._ready or self._saving:
            for share in list(self._ready):
                if share in self._ready:  # or it was dropped meanwhile
                    yield from self._run(share)
                    if absent := self.was_absent():
                        break
                if time.monotonic() >= until:
                    break
            if self._saving:
                yield from self._save()
            if absent or time.monotonic() >= until:
                break
        return not absent

    def finish(self, shares: Collection[Share[Model, Msg]], seconds: float) -> Flow[set[Share[Model, Msg]]]:
        """Run these to their ends, for up to `seconds`; return those that have not come to it."""
        left, until = set(shares), time.monotonic() + seconds
        while left:
            self._look_up()
            for share in [each for each in left if each in self._ready]:
                yield from self._run(share)
            if self._saving:
                yield from self._save()
            left = {share for share in left if not share.is_done}
            if left.isdisjoint(self._ready) and left:
                if time.monotonic() >= until:
                    return left
                timer = self.next_timer()
                yield Rest(self._woken, until if timer is None else min(timer, until))
        return left

    def _run(self, share: Share[Model, Msg]) -> Flow[None]:
        """Run a share for its slice, and note what it waits for then."""
        self._ready.pop(share, None)
        reader, waiting, began = share.reader, share.reader.waiting, time.perf_counter()
        arrived = share.has_arrivals
        reader.has_slice = not arrived and not share.save_due
        try:
            yield from share.run()
        except Conflict as conflict:
            yield from self._fates.fenced(share, conflict)
            return
        except BaseException:
            self.broken = share
            raise
        taken = waiting - reader.waiting
        if taken:
            self._slices.took(taken, time.perf_counter() - began)
        share.is_changed = share.is_changed or arrived or taken > 0
        yield from self.settle(share)

    def settle(self, share: Share[Model, Msg]) -> Flow[None]:
        """Note what the share waits for."""
        if share.is_done:
            yield from self._fates.done(share)
        elif isinstance(share.wait, Save):
            if share.ends and share.reader.is_complete:
                share.kept.end_here()
            self._saving.append(share)
        elif share.can_run:
            self._ready[share] = None
        elif (when := share.rest()) is not None:
            heapq.heappush(self._timers, (when, next(self._numbers), share))

    # ------------------------------------------------------------------ saving

    def _save(self) -> Flow[None]:
        shares, self._saving = self._saving, []
        began = time.monotonic()
        saved: Saved[Model, Msg] = yield Blocking(lambda: save_together(shares), self._thread)
        self._saving += saved.later
        changed: dict[str, Model] = {}
        positions: dict[str, Position] = {}
        for share, models in saved.changed.items():
            self._note_saved(share, models, began)
            if models is not None and share.position is not None:  # or nothing was read yet: only the fingerprint was written
                changed.update(models)
                positions[share.partition] = share.position
        for share, conflict in saved.lost:
            yield from self._fates.fenced(share, conflict)
        self.saved.update(positions)
        self.positions.update(positions)
        if positions and self._on_commit is not None:
            yield Answer(self._on_commit(changed, positions), "on_commit")

    def _note_saved(self, share: Share[Model, Msg], models: Mapping[str, Model] | None, began: float) -> None:
        wait = share.wait
        assert isinstance(wait, Save)  # it was saved
        share.position, share.saved = wait.position, share.counted()
        share.save_due = share.is_changed = False
        self._ready[share] = None
        if models is not None:
            self._fates.saved(share, len(models), began)
