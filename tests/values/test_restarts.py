"""Many processes that update one value while its server is killed, stopped, frozen and started again: none is lost, none comes twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

import go_state as gs

pytestmark = [pytest.mark.processes, pytest.mark.slow]

_WORKER = textwrap.dedent("""
    import sys, threading
    sys.path[:0] = sys.argv[4].split(":")
    import go_state as gs
    from values_support import EtcdPlace, NatsPlace
    kind, url, key = sys.argv[1:4]

    class Server: pass
    place = object.__new__(EtcdPlace if kind == "etcd" else NatsPlace)
    place.server = Server(); place.server.url = url
    THREADS, EACH = 10, 12

    def add(value, own):
        for mine in range(1, EACH + 1):
            def fn(counts):  # a write whose answer was lost may be there, and is not made again
                return {**counts, own: max(counts.get(own, 0), mine)}
            while done[own] < mine:
                with value.connected.watch() as connected:
                    connected.get(60, where=lambda yes: yes)
                try:
                    value.update(fn)
                    done[own] = mine
                except gs.errors.StoreUnavailable:
                    pass

    done = {}
    with place.open() as values:
        value = values.value(key, dict[str, int])
        def watch():
            last = 0
            with value.watch() as watcher:
                for counts in watcher:
                    assert watcher.version > last, (watcher.version, last)
                    last = watcher.version
                    total = sum(counts.values())
                    assert total >= seen[0], (total, seen)
                    seen[0] = total
        seen, failed = [0], []
        threading.excepthook = lambda args: failed.append(args.exc_value)
        watching = threading.Thread(target=watch)
        watching.start()
        threads = []
        for number in range(THREADS):
            own = f"{key}-{sys.argv[5]}-{number}"
            done[own] = 0
            threads.append(threading.Thread(target=add, args=(value, own)))
        for thread in threads: thread.start()
        for thread in threads: thread.join()
    watching.join()
    assert not failed, failed
    print(sum(done.values()))
""")


def test_concurrent_updates_through_restarts_are_exact(place: Any, values: Any, key: str) -> None:
    """Forty threads in four processes; each update that was made is counted once, also when its answer was lost."""
    value = values.value(key, dict[str, int])
    value.set({})
    tests = Path(__file__).parents[1]
    kind = "etcd" if type(place).__name__ == "EtcdPlace" else "nats"
    command = [sys.executable, "-c", _WORKER, kind, place.server.url, key, f"{tests}:{tests.parent}"]
    workers = [
        subprocess.Popen([*command, str(number)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for number in range(4)
    ]
    rng, until = random.Random(15), time.monotonic() + 12
    try:
        while time.monotonic() < until and any(worker.poll() is None for worker in workers):
            time.sleep(rng.uniform(0.3, 1.2))  # a moment of the chaos, not a wait for something
            _upset(place.server, rng)
        results = [worker.communicate(timeout=120) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert [out.strip() for out, _ in results] == ["120"] * 4, [err[-2000:] for _, err in results]
    with value.watch() as watcher:
        final = watcher.get(20, where=lambda counts: sum(counts.values()) == 480)
    assert set(final.values()) == {12}
    with value.connected.watch() as connected:
        assert connected.get(10, where=lambda yes: yes)


def _upset(server: Any, rng: random.Random) -> None:
    how = rng.choice(["kill", "stop", "freeze"])
    if how == "freeze":
        server.freeze()
        time.sleep(rng.uniform(0.2, 1.5))
        server.thaw()
    else:
        server.stop(signal.SIGKILL if how == "kill" else signal.SIGTERM)
        time.sleep(rng.uniform(0, 0.5))
        server.start()


def test_ten_thousand_watchers_and_ten_thousand_sets_cost_no_backlog(values: Any, key: str) -> None:
    """A watcher that is slow gets the newest; what was set meanwhile is nowhere."""
    value = values.value(key, int)
    watchers = [value.watch() for _ in range(10_000)]
    for number in range(1_000):
        value.set(number)
    assert {watcher.get(10) for watcher in watchers} == {999}
    for watcher in watchers[::1000]:
        with pytest.raises(gs.errors.Empty):
            watcher.get_nowait()
