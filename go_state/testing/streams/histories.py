"""Random histories of a group: members come, hang, crash and are told late; stores fail, or do not say that they have not.

Whatever happens, at the end each key has had each of its messages once, in order, and while it happens no save takes a position back.
A seed gives the same history every time.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from go_state.core.commands import Cmd
from go_state.core.errors import StoreUnavailable
from go_state.core.ports import Store, Stored, Write
from go_state.core.program import Program, Step
from go_state.modes.keeping.schema import load_model
from go_state.modes.options import Snapshots
from go_state.runtime.context import effect_id
from go_state.storage.snapshots.snapshot import read_envelope
from go_state.testing.streams.log import LogSource, PartitionedLog
from go_state.testing.streams.members import Member

PARTITIONS, KEYS, ACTS, MOST_MEMBERS = 4, 12, 250, 4


@dataclass(frozen=True)
class Tally:
    """Of one key: how many messages it had, their sum, and the last."""

    count: int = 0
    total: int = 0
    last: int = -1


@dataclass(frozen=True)
class Add:
    """The n-th message of a key, or, if it was sent by a command, an echo of it."""

    key: str
    n: int
    echo: bool = False


class Effects:
    """What commands have done: the id under which each message had its effect."""

    def __init__(self) -> None:
        self.ids: dict[tuple[str, int], str] = {}

    def note(self, msg: Add) -> None:
        """Note the effect; it has the same id whenever its message is processed."""
        name = effect_id()
        known = self.ids.setdefault((msg.key, msg.n), name)
        assert known == name, f"the effect of message {msg.n} of {msg.key} is called {name!r}, and was {known!r} before"


def tally(effects: Effects) -> Program[Tally, Add]:
    """Return the program: it refuses a message that does not follow the last of its key."""

    def update(model: Tally, msg: Add) -> Step[Tally, Add]:
        if msg.echo:
            assert msg.n == model.last, f"{msg.key}: an echo of {msg.n} after {model.last}"
            return model, ()
        assert msg.n == model.last + 1, f"{msg.key}: {msg.n} after {model.last}"
        commands = [Cmd.call(effects.note, msg)] if msg.n % 3 == 0 else ()
        sent = [*commands, Cmd.send(Add(msg.key, msg.n, echo=True))] if msg.n % 5 == 0 else commands
        return Tally(model.count + 1, model.total + msg.n, msg.n), sent

    return Program(lambda: (Tally(), ()), update, name="Tally")


class WatchedStore:
    """A store that fails now and then, sometimes after it has written, and checks that no save breaks the laws."""

    def __init__(self, inner: Store, chance: random.Random) -> None:
        self.inner = inner
        self.rate = 0.0
        self.failures = 0
        self._chance = chance
        self._claims: dict[str, tuple[int, int]] = {}  # the epoch and the position of each record

    def load(self, key: str) -> Stored | None:
        """Return what the key holds."""
        return self.inner.load(key)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Give the keys."""
        return self.inner.keys(prefix)

    def close(self) -> None:
        """Close it."""
        self.inner.close()

    def store(self, writes: Mapping[str, Write]) -> Mapping[str, int]:
        """Write, or fail, or both."""
        hit = self._chance.random()
        if hit < self.rate / 2:
            self.failures += 1
            raise StoreUnavailable("the history has it fail before it writes")
        models = [key for key in writes if not key.startswith("@")]
        records = [key for key in writes if key.startswith("@positions/")]
        assert records or not models, f"{models} are saved without a position"
        found = self.inner.store(writes)
        for key in records:
            self._check(key, writes[key].data)
        if hit < self.rate:
            self.failures += 1
            raise StoreUnavailable("the history has it fail after it has written")
        return found

    def position(self, key: str) -> int:
        """Return the position that the record holds."""
        return self._claims[key][1]

    def _check(self, key: str, data: bytes | None) -> None:
        import orjson

        assert data is not None, f"{key} was deleted"
        envelope = read_envelope(key, data)
        marks = [mark.position for mark in envelope.marks.values() if mark.position is not None]
        epoch, position = orjson.loads(envelope.payload)["epoch"], max(marks, default=-1)
        before, stood = self._claims.get(key, (0, -1))
        assert epoch >= before, f"{key} went from holder {before} back to {epoch}"
        assert position >= stood, f"{key} went from {stood} back to {position}"
        assert epoch == before or position == stood, f"{key} was claimed by {epoch}, and moved from {stood} to {position}"
        self._claims[key] = epoch, position


class History:
    """One history, of the seed; `store` is what it is played on, empty."""

    def __init__(self, seed: int, store: Store) -> None:
        self.seed = seed
        self.counts: Counter[str] = Counter()  #: what has happened, for whoever sums it up
        self._chance = chance = random.Random(seed)
        self._store = WatchedStore(store, chance)
        self._log: PartitionedLog[Add] = PartitionedLog(PARTITIONS)
        self._source: LogSource[Add] = self._log.source(at_once=chance.choice((1, 7, 50)), alone=False)
        self._effects = Effects()
        self._put: Counter[str] = Counter()
        self._members: list[Member[Tally, Add]] = []
        self._owner: dict[str, Member[Tally, Add]] = {}

    def play(self) -> None:
        """Play it to its end; `AssertionError` if anything came out that should not."""
        self._join()
        for _ in range(ACTS):
            self._act()
            if not self._members:
                self._join()
        self._store.rate = 0.0
        self._read_to_the_end()
        self._check()
        self.counts["messages"] += self._put.total()
        self.counts["store failures"] += self._store.failures

    # ------------------------------------------------------------------ what happens

    def _act(self) -> None:
        acts: list[tuple[float, Callable[[], object]]] = [
            (0.35, self._put_some),
            (0.40, self._join),
            (0.55, self._move_one),
            (0.57, lambda: self._crash(self._chance.choice(self._members))),
            (0.60, self._change_store),
            (1.00, lambda: self._step(self._chance.choice(self._members))),
        ]
        drawn = self._chance.random()
        next(act for most, act in acts if drawn < most)()

    def _put_some(self) -> None:
        for _ in range(self._chance.randrange(30)):
            number = self._chance.randrange(KEYS)
            key = f"k{number}"
            self._log.put(str(number % PARTITIONS), Add(key, self._put[key]))
            self._put[key] += 1

    def _change_store(self) -> None:
        self._store.rate = self._chance.choice((0, 0, 0.3))

    def _join(self) -> Member[Tally, Add] | None:
        if len(self._members) >= MOST_MEMBERS:
            return None
        snapshots = Snapshots(every=self._chance.choice((1, 5, 40)))
        member = Member(tally(self._effects), self._source, store=self._store, key=_key_of, snapshots=snapshots)
        member.reading.saved = self._acknowledge  # type: ignore[method-assign]  # the engine, which checks what it is told
        self._members.append(member)
        return member

    def _acknowledge(self, positions: Mapping[str, int]) -> None:
        """What the engine hears of is in the store."""
        for partition, position in positions.items():
            stood = self._store.position(f"@positions/Tally/log/{partition}")
            assert position <= stood, f"the engine was told of {position} in {partition}, and {stood} is stored"

    def _step(self, member: Member[Tally, Add]) -> None:
        if member.sleeps:
            member.sleeps -= 1
            return
        self._try(member, member.step)

    def _try(self, member: Member[Tally, Add], what: Callable[[], object]) -> None:
        """Do it; a member whose store fails is gone, at once or while it ends."""
        try:
            what()
        except StoreUnavailable:
            self._crash(member)

    def _crash(self, member: Member[Tally, Add]) -> None:
        self.counts["crashes"] += 1
        if not member.has_ended:
            member.crash()
        if member in self._members:
            self._members.remove(member)
        self._owner = {partition: owner for partition, owner in self._owner.items() if owner is not member}

    def _move_one(self) -> None:
        """Give a member a partition; the one before is told, or told late, or never, and may hang meanwhile."""
        member = self._chance.choice(self._members)
        partition = str(self._chance.randrange(PARTITIONS))
        before = self._owner.get(partition)
        if before is member:
            return
        if before is not None and before in self._members:
            news = self._chance.choice(("revoked", "revoked", "lost", "silent"))
            if news == "revoked" and not before.sleeps:
                before.reading.tell("revoked", partition)
                self._step(before)
            else:
                self.counts["zombies"] += 1
                before.sleeps = max(before.sleeps, self._chance.choice((0, 3, 8)))
                if news == "silent":
                    before.reading.owned.discard(partition)
                else:
                    before.reading.tell("lost", partition)
        self._owner[partition] = member
        member.reading.tell("assigned", partition)

    # ------------------------------------------------------------------ the end

    def _read_to_the_end(self) -> None:
        """One member gets everything; the others wake, and go on for a while as if they had theirs."""
        self._members = [member for member in self._members if not member.has_ended]
        others = list(self._members)
        last = Member(tally(self._effects), self._source, store=self._store, key=_key_of, snapshots=Snapshots(every=40))
        for partition in self._log.records:
            before = self._owner.get(partition)
            if before in others and before is not None:
                before.reading.owned.discard(partition)
                if self._chance.random() < 0.5:
                    before.reading.tell("lost", partition)
            last.reading.tell("assigned", partition)
        for _ in range(60):
            for member in (last, *others):
                if member is last or self._chance.random() < 0.3:
                    self._try(member, member.step)
        for member in others:
            if not member.has_ended:
                self._try(member, member.close)
        last.step(20 + max(map(len, self._log.records.values())))
        last.close()
        self._finish()

    def _finish(self) -> None:
        """A last one reads what was left by those that were fenced in their last saves."""
        source = self._log.source(ends=True)
        final = Member(tally(self._effects), source, store=self._store, key=_key_of)
        while not final.has_ended:
            final.step()

    def _check(self) -> None:
        program = tally(self._effects)
        for key, count in self._put.items():
            found = load_model(program, store=self._store.inner, key=key)
            wanted = Tally(count, count * (count - 1) // 2, count - 1)
            assert found == wanted, f"seed {self.seed}: {key} has {found}, and was to have {wanted}"
            for n in range(0, count, 3):
                assert (key, n) in self._effects.ids, f"seed {self.seed}: the effect of message {n} of {key} never was"


def _key_of(msg: Add) -> str:
    return msg.key
