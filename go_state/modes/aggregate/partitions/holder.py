"""The holder: what an aggregate is to the reading of a partitioned source, and the loop that polls, runs and saves.

    poll ──▶ assigned: look, recognise, claim; revoked: save and let go; lost: let go; give: records wait with their share
      ▲                                                                                        │
      └── saved, pause, resume ◀── round: shares run in turn, those that are due are saved ◀────┘

A share that is fenced is dropped alone. The engine is asked whether the partition is still this reading's, and only then it is claimed
again; the more often that happens, the longer is the wait before it, so that two holders do not drive each other out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from go_state.core.errors import Conflict, SourceChanged, StoreError
from go_state.core.ports import Position, Store
from go_state.modes.aggregate.partitions.claims import TRIES, Claimed, Claims
from go_state.modes.aggregate.partitions.fenced import Fenced
from go_state.modes.aggregate.partitions.making import ShareMaker
from go_state.modes.aggregate.partitions.shares.pausing import Pausing
from go_state.modes.aggregate.partitions.shares.reader import Slices
from go_state.modes.aggregate.partitions.shares.runner import Runner
from go_state.modes.aggregate.partitions.shares.saving import lost_among
from go_state.modes.aggregate.partitions.shares.share import Share
from go_state.modes.aggregate.partitions.shares.waking import Rest, Woken
from go_state.runtime.flow.waits import Answer, Blocking, Flow
from go_state.runtime.on_error import FailedMessage
from go_state.storage.snapshots.snapshot import Mark

Model = TypeVar("Model")
Msg = TypeVar("Msg")

Ended: TypeAlias = Literal["exhausted", "limit", "stopped", "budget", "failed"]

_ROUND = 0.1  # seconds between two polls at most, if nothing takes long


class Outcome(NamedTuple, Generic[Msg]):
    """How it ended, over all partitions that were held."""

    ended: Ended
    processed: int
    positions: Mapping[str, Position]
    set_aside: tuple[FailedMessage[Msg], ...]
    letters: int
    failed: FailedMessage[Msg] | None


class StreamHolder(Generic[Model, Msg]):
    """The partitions that this process holds, and all that happens to them, as flows for either driver."""

    def __init__(
        self, maker: ShareMaker[Model, Msg], reading: Any, face: Any, describe: Callable[[Mapping[str, Mark | None]], Any]
    ) -> None:
        # Any: a reading and its holder's face for threads, or those for an event loop, whose calls are awaited
        self._maker = maker
        self._reading = reading
        self._face = face
        self._describe = describe  # recognises partitions and returns their fingerprints, or an awaitable of them
        self._limits = maker.limits
        self._shares: dict[str, Share[Model, Msg]] = {}
        self._fenced = Fenced()
        self._pausing: Pausing[Model, Msg] = Pausing(reading)
        self._claims = Claims(maker.places, maker.names, maker.source_name)
        self._woken: Woken[Share[Model, Msg]] = Woken(reading.wake)
        self._slices = Slices(maker.slice_seconds, maker.limit)
        self._runner = Runner(maker.thread, self._woken, self._slices, maker.on_commit, self)
        self._ended: Ended | None = None
        self._failed: FailedMessage[Msg] | None = None
        self._processed = 0
        self._letters = 0
        self._set_aside: list[FailedMessage[Msg]] = []
        self._save_at = self._next_save()
        self._copy_until = float("inf")  # in monotonic seconds: partitions that are given back later leave no copy
        self._stood_still = False  # whether that was noticed in the last round
        self._polled = 0.0  # seconds that were to be waited since the last round
        self._more = True  # whether the reading may give more

    @property
    def store(self) -> Store:
        """Where positions and models are."""
        return self._maker.store

    @property
    def program(self) -> str:
        """What the program is called in the store."""
        return self._maker.names[0]

    def outcome(self) -> Outcome[Msg]:
        """Return how it ended."""
        assert self._ended is not None  # or it was left by an exception
        positions = dict(self._runner.positions)
        return Outcome(self._ended, self._processed, positions, tuple(self._set_aside), self._letters, self._failed)

    # ------------------------------------------------------------------ what the reading calls

    def look(self, partitions: Collection[str]) -> Flow[dict[str, Mark | None]]:
        """Return how far the partitions were read; they are to be recognised by that, and then claimed."""
        yield from self.lost([partition for partition in partitions if partition in self._shares])
        found: dict[str, Mark | None] = yield Blocking(lambda: self._claims.look(partitions), self._maker.thread)
        return found

    def claim(self, fingerprints: Mapping[str, str]) -> Flow[dict[str, Position | None] | None]:
        """Claim what was looked at, and hold it; return where to begin, or None if it has to be looked at again."""
        claimed: dict[str, Claimed] | None = yield Blocking(lambda: self._claims.claim(fingerprints), self._maker.thread)
        if claimed is None:
            return None
        for partition, each in claimed.items():
            self._fenced.take(partition)
            share = self._maker.share(partition, each, self._reading, self._slices)
            self._shares[partition] = share
            self._runner.positions[partition] = each.position
            self._maker.tell.assigned(partition, each.position, each.record.claim.epoch)
            yield from share.open(partial(self._woken.wake, share))
            yield from self._runner.settle(share)
        self._spread_cache()
        return {partition: each.position for partition, each in claimed.items()}

    def revoked(self, partitions: Collection[str]) -> Flow[dict[str, Position | None]]:
        """Save the shares, within the time for that, and let go of them; return what is in the store of the partitions."""
        self._forget(partitions)
        yield from self._let_go(self._held(partitions))
        stored = self._runner.positions
        return {partition: stored[partition] for partition in partitions if partition in stored}

    def lost(self, partitions: Collection[str]) -> Flow[None]:
        """Release the shares, and save nothing."""
        self._forget(partitions)
        for share in self._held(partitions):
            self._maker.tell.lost(share.partition)
            yield from self._drop(share)

    def ended(self, partition: str) -> None:
        """Note that nothing follows what was given of the partition."""
        share = self._shares.get(partition)
        if share is not None:
            share.ends = True
            share.reader.finish()
            self._runner.add(share)

    def ends(self, partitions: Collection[str]) -> Flow[Collection[str]]:
        """Return those of the partitions whose end is in the store."""
        ends: Collection[str] = yield Blocking(lambda: self._claims.ends(partitions), self._maker.thread)
        return ends

    def give(self, partition: str, records: Sequence[object]) -> None:
        """Take records; those of a partition that is not held are not wanted."""
        share = self._shares.get(partition)
        if share is not None:
            share.reader.give(records)
            self._runner.add(share)
            self._pausing.given(share)

    # ------------------------------------------------------------------ the loop

    def run(self) -> Flow[None]:
        """Poll, run and save until it is time to end; then give everything back."""
        try:
            with self._limits.calling(self._woken.wake):
                while (ended := self._why_ended()) is None:
                    yield from self._turn_over()
            self._ended = ended
            yield from self._let_go(list(self._shares.values()))
            yield from self._tell_saved()
        except GeneratorExit:  # nobody waits any more
            for share in self._shares.values():
                share.close_flow()
            raise
        except BaseException as error:
            yield from self._give_up(error)
            raise
        yield Answer(self._reading.close(self._face), "the close of the source")

    def _turn_over(self) -> Flow[None]:
        now = time.monotonic()
        if now >= self._save_at:
            self._save_at = self._next_save()
            for share in self._shares.values():
                if share.is_changed:
                    share.save_due = True
                    self._runner.add(share)
        if self._runner.was_absent(self._polled) or self._stood_still:
            yield from self._look_at_claims()
            self._runner.was_absent()  # to look took its time, which is nobody's absence: a round follows in any case
        self._stood_still = not (yield from self._runner.round(_ROUND))
        self._polled = 0.0
        self._pausing.pause_and_resume()
        yield from self._tell_saved()
        if self._why_ended() is not None:
            return
        if self._more:
            self._polled = seconds = self._seconds()
            polled = yield Answer(self._reading.poll(seconds, self._face), "the poll of the source")
            if polled is False:
                self._more = False
                for share in self._shares.values():
                    share.reader.finish()
                    self._runner.add(share)
        elif not self._runner.is_busy:
            self._polled = seconds = self._seconds()
            yield Rest(self._woken, time.monotonic() + seconds)
        yield from self._claim_again()

    def _look_at_claims(self) -> Flow[None]:
        """Drop the shares that somebody else has claimed while this process stood still: no turn is taken for what waits here."""
        shares = list(self._shares.values())
        lost: Mapping[Share[Model, Msg], Conflict] = yield Blocking(
            lambda: lost_among(shares, self._maker.places), self._maker.thread
        )
        for share, conflict in lost.items():
            yield from self.fenced(share, conflict)

    def _why_ended(self) -> Ended | None:
        if self._ended is not None:
            return self._ended
        if (ended := self._limits.ended()) is not None:
            return ended
        if self._slices.left == 0 and not any(share.reader.is_in_chunk for share in self._shares.values()):
            return "limit"
        return "exhausted" if not self._more and not self._shares and not self._fenced.due_at else None

    def _seconds(self) -> float:
        """Return for how long there is nothing to do but to wait for the source."""
        if self._runner.is_busy:
            return 0.0
        times = [self._runner.next_timer(), *self._fenced.due_at.values()]
        if any(share.is_changed for share in self._shares.values()):
            times.append(self._save_at)
        left = self._limits.seconds_left()
        now = time.monotonic()
        most = self._maker.poll_seconds if left is None else min(self._maker.poll_seconds, left)
        return max(min((most, *(each - now for each in times if each is not None))), 0.0)

    def _next_save(self) -> float:
        seconds = self._maker.snapshots.seconds
        return float("inf") if seconds is None else time.monotonic() + seconds

    def _tell_saved(self) -> Flow[None]:
        if self._runner.saved:
            saved, self._runner.saved = self._runner.saved, {}
            yield Answer(self._reading.saved(saved), "the source")

    # ------------------------------------------------------------------ what becomes of shares

    def done(self, share: Share[Model, Msg]) -> Flow[None]:
        """Release a share that has saved and is over."""
        if share.has_failed:
            self._ended, failed = "failed", share.batch.loop.failures.halted
            self._failed = self._failed or (None if failed is None else failed.failed)
        self._maker.tell.revoked(share.partition, share.position)
        yield from self._drop(share, is_saved=time.monotonic() < self._copy_until)

    def saved(self, share: Share[Model, Msg], models: int, began: float) -> None:
        """Note that a share goes on from what it has saved."""
        self._fenced.saved(share.partition)
        self._maker.tell.saved(share, self._reading.lag(share.partition), models, began)

    def fenced(self, share: Share[Model, Msg], conflict: Conflict) -> Flow[None]:
        """Release a share that is somebody else's, and plan to ask the engine for it."""
        partition = share.partition
        self._maker.tell.fenced(partition, conflict)
        yield from self._drop(share)
        if share.reader.is_cut:  # it is let go of anyway
            return
        self._fenced.add(partition, self._maker.again)
        self._reading.pause(partition)

    def _claim_again(self) -> Flow[None]:
        """Claim partitions that were fenced, if the engine says that they are still this reading's."""
        for partition in self._fenced.due():
            holds = yield Answer(self._reading.holds(partition), "the source")
            if not (self._fenced.take(partition) and holds):
                continue
            after = yield from self._assign_again(partition)
            yield Answer(self._reading.seek(partition, after), "the seek of the source")
            self._reading.resume(partition)
            self._more = True

    def _assign_again(self, partition: str) -> Flow[Position | None]:
        for _ in range(TRIES):
            marks = yield from self.look([partition])
            fingerprints = yield Answer(self._describe(marks), "the source")
            claimed = yield from self.claim(fingerprints)
            if claimed is not None:
                return claimed[partition]
        raise Conflict(partition, 0, 0)

    def _let_go(self, shares: Collection[Share[Model, Msg]]) -> Flow[None]:
        """Save the shares and end them; what cannot be saved in time is dropped, and what cannot be copied is read again."""
        self._copy_until = time.monotonic() + self._maker.hand_over
        for share in shares:
            share.reader.cut()
            self._runner.add(share)
        for share in (yield from self._runner.finish(shares, self._maker.hand_over)):
            self._maker.tell.revoked(share.partition, share.position)
            yield from self._drop(share)
        self._copy_until = float("inf")

    def _drop(self, share: Share[Model, Msg], *, is_saved: bool = False) -> Flow[None]:
        """Release a share; what it has not saved never was."""
        self._runner.remove(share)
        if self._shares.get(share.partition) is not share:
            return
        del self._shares[share.partition]
        share.is_done = True
        self._processed += share.saved.turns
        self._letters += share.saved.letters
        self._set_aside += share.batch.loop.failures.set_aside[: share.saved.set_aside]
        yield from share.leave()
        if (places := self._maker.places).moves:
            yield Blocking(lambda: places.leave(share.partition, is_saved=is_saved), self._maker.thread)

    def _held(self, partitions: Collection[str]) -> list[Share[Model, Msg]]:
        return [self._shares[partition] for partition in partitions if partition in self._shares]

    def _forget(self, partitions: Collection[str]) -> None:
        for partition in partitions:
            self._fenced.forget(partition)

    def _spread_cache(self) -> None:
        if self._shares:
            models = max(self._maker.cache // len(self._shares), 1)
            for share in self._shares.values():
                share.kept.hold_at_most(models)

    def _give_up(self, error: BaseException) -> Flow[None]:
        """End by an error: the share that it came from saves nothing, and the others are saved, unless it is the store that fails."""
        if isinstance(error, SourceChanged):
            partition = error.name.removeprefix(f"{self._maker.source_name}/")
            self._maker.tell.gap(partition, self._runner.positions.get(partition))
        broken = self._runner.broken
        if broken is not None:
            yield from self._drop(broken)
        if isinstance(error, Exception) and not isinstance(error, StoreError):
            try:
                yield from self._let_go(list(self._shares.values()))
                yield from self._tell_saved()
            except Exception as second:
                error.add_note(f"go_state could not save the other partitions either: {type(second).__qualname__}: {second}")
        yield from self.lost(list(self._shares))
        try:
            yield Answer(self._reading.close(self._face), "the close of the source")
        except Exception as second:
            error.add_note(f"go_state could not close the source either: {type(second).__qualname__}: {second}")
