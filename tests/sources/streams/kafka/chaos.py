"""Workers as processes that are killed and stopped at random, on a broker that is restarted, with partitions added meanwhile.

At the end every key has each of its messages once; their order is checked inside `update`, whose failure ends a worker, and this.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from kafka_server import KafkaServer
from sources.streams.kafka.support import Tally, record, tally
from sources.streams.kafka.worker import opened

import go_state as gs

KEYS = 200
ASLEEP = 5.0  # seconds: more than it takes until a member counts as dead

_ROOT = Path(__file__).parents[4]


class Workers:
    """Some workers of one group."""

    def __init__(
        self, server: KafkaServer, topic: str, where: str, protocol: str = "classic", env: dict[str, str] | None = None
    ) -> None:
        self._arguments = [server.servers, topic, f"group of {topic}", where, protocol]
        self.env = {**os.environ, "PYTHONPATH": f"{_ROOT}{os.pathsep}{_ROOT / 'tests'}", **(env or {})}
        self.alive: list[subprocess.Popen[bytes]] = []
        self.asleep: dict[int, float] = {}  # process ids, and when each is to go on
        self.done: Counter[str] = Counter()

    def start(self, member: str | None = None) -> subprocess.Popen[bytes]:
        """Start one more."""
        command = [
            sys.executable,
            "-m",
            "sources.streams.kafka.worker",
            *self._arguments,
            *([] if member is None else [member]),
        ]
        worker = subprocess.Popen(command, env=self.env, cwd=_ROOT)
        self.alive.append(worker)
        return worker

    def kill(self, worker: subprocess.Popen[bytes]) -> None:
        """Kill it without warning."""
        worker.kill()
        worker.wait()
        self.alive.remove(worker)
        self.asleep.pop(worker.pid, None)
        self.done["killed"] += 1

    def put_to_sleep(self, worker: subprocess.Popen[bytes], seconds: float = ASLEEP) -> None:
        """Stop it for so long that others get its partitions."""
        worker.send_signal(signal.SIGSTOP)
        self.asleep[worker.pid] = time.monotonic() + seconds
        self.done["stopped"] += 1

    def wake(self, *, all_of_them: bool = False) -> None:
        """Have those go on whose time has come."""
        for worker in self.alive:
            if worker.pid in self.asleep and (all_of_them or time.monotonic() > self.asleep[worker.pid]):
                worker.send_signal(signal.SIGCONT)
                del self.asleep[worker.pid]

    def check(self) -> None:
        """Raise if one has ended by itself."""
        for worker in self.alive:
            assert worker.poll() is None, f"a worker has ended with {worker.returncode}"

    def end(self) -> None:
        """End all of them, as a deployment does; each has to end well."""
        self.wake(all_of_them=True)
        for worker in self.alive:
            worker.terminate()
        codes = [worker.wait(60) for worker in self.alive]
        assert not any(codes), codes

    def remove(self) -> None:
        """Leave none behind."""
        for worker in self.alive:
            worker.kill()
            worker.wait()


def models_of(where: str, keys: int = KEYS) -> dict[str, Tally]:
    """Return what the store has, or the newest copies."""
    if where.startswith("copies:"):
        return {
            key: model for path in _newest(Path(where.removeprefix("copies:"))) for key, model in models_of(path, keys).items()
        }
    with opened(where) as store:
        found = {f"k{key}": gs.load_model(tally, store=store, key=f"k{key}") for key in range(keys)}
    return {key: model for key, model in found.items() if model is not None}


def _newest(copies: Path) -> Iterator[str]:
    """Give a copy of the newest copy of each partition, which whoever makes them may replace at any time."""
    with tempfile.TemporaryDirectory() as folder:
        for number, place in enumerate(sorted(copies.rglob("copies"))):
            for name in sorted(os.listdir(place), reverse=True):
                if name.endswith(".lmdb"):
                    with suppress(FileNotFoundError):
                        yield shutil.copy(place / name, f"{folder}/{number}.lmdb")
                    break


def run(
    server: KafkaServer, topic: str, where: str, *, seconds: float, seed: int, restarts: int, protocol: str = "classic"
) -> Counter[str]:
    """Do it for so many seconds, and return what was done."""
    chance = random.Random(seed)
    server.create(topic, 8)
    workers = Workers(server, topic, where, protocol)
    begun, sent = time.monotonic(), 0
    restart_at = [begun + seconds * (n + 1) / (restarts + 1) for n in range(restarts)]
    grow_at = begun + seconds / 3
    next_blow = begun + min(6.0, seconds / 4)
    try:
        for _ in range(3):
            workers.start()
        while (now := time.monotonic()) < begun + seconds:
            server.put(topic, *(record(f"k{key}", sent, key % 8) for key in range(KEYS)))
            sent += 1
            workers.wake()
            workers.check()
            if restart_at and now > restart_at[0]:
                restart_at.pop(0)
                server.stop(chance.choice((signal.SIGTERM, signal.SIGKILL)))
                server.start()
                workers.done["restarted"] += 1
            elif now > grow_at:
                grow_at = float("inf")
                server.add_partitions(topic, 12)  # keys stay where they are: the order of a key is that of its partition
                workers.done["grown"] += 1
            elif now > next_blow:
                next_blow = now + chance.uniform(2, 6)
                awake = [worker for worker in workers.alive if worker.pid not in workers.asleep]
                if not workers.done["killed"] or chance.random() < 0.6 or len(awake) < 3:
                    workers.kill(chance.choice(workers.alive))
                    workers.start()
                else:
                    workers.put_to_sleep(chance.choice(awake))
            time.sleep(0.05)
        workers.wake(all_of_them=True)
        _wait_for_all(workers, where, sent)
        workers.end()
    finally:
        workers.remove()
    wrong = {key: model for key, model in models_of(where).items() if model != Tally(sent, sent * (sent - 1) // 2, sent - 1)}
    assert not wrong, wrong
    workers.done["messages"] = sent * KEYS
    return workers.done


def _wait_for_all(workers: Workers, where: str, sent: int) -> None:
    until = time.monotonic() + 120
    while sum(model.count for model in models_of(where).values()) < sent * KEYS:
        workers.check()
        assert time.monotonic() < until, Counter(model.count for model in models_of(where).values())
        time.sleep(0.1)


def described(done: Any) -> str:
    """Return what was done in words."""
    return ", ".join(f"{count:,} {what}" for what, count in sorted(done.items()))
