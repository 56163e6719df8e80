"""How many applies are answered in a second: in memory, against a queue and an event by hand; on a journal, for 1, 8 and 64 that wait?"""

from __future__ import annotations

import asyncio
import queue
import tempfile
import threading
from pathlib import Path

from ratio import Add, Counter, compare, init, line, seconds, update

import go_state as gs

COUNT = 5000


def main() -> None:
    program = gs.Program(init, update, name="counter")
    ratio, ours, theirs = compare(lambda: in_memory(program), by_hand, times=5)
    detail = f"{ours / COUNT * 1e6:.1f} us against {theirs / COUNT * 1e6:.1f} us"
    line("apply in memory, one thread, against a queue.Queue and an event by hand", ratio, "<= 2", detail)
    ratio, ours, _ = compare(lambda: in_memory(program), locked, times=5)
    line("apply in memory, one thread, against a lock and a dict", ratio, "", f"{COUNT / ours / 1e3:.0f} k/s")
    ratio, ours, _ = compare(lambda: asyncio.run(in_memory_async(program)), locked, times=5)
    line("apply_async in memory, 64 tasks, against a lock and a dict", ratio, "", f"{COUNT / ours / 1e3:.0f} k/s")
    with tempfile.TemporaryDirectory() as folder:
        sync = synced(Path(folder))
        for waiters, budget in ((1, "<= 1.3"), (8, "<= 0.4"), (64, "<= 0.15")):
            for how, work in (("threads", threads), ("tasks", tasks)):
                rate = work(program, Path(folder, f"{how}{waiters}.lmdb"), waiters)
                line(
                    f"apply on a journal, {waiters} {how}, against one sync",
                    1 / (rate * sync),
                    budget,
                    f"{rate / 1e3:.1f} k/s, where a sync takes {sync * 1e3:.2f} ms",
                )


def in_memory(program: gs.Program[Counter, Add]) -> None:
    with gs.start(program) as app:
        for _ in range(COUNT):
            app.apply(Add(1))


async def in_memory_async(program: gs.Program[Counter, Add]) -> None:
    async with gs.start_async(program) as app:

        async def work() -> None:
            for _ in range(COUNT // 64):
                await app.apply_async(Add(1))

        await asyncio.gather(*[work() for _ in range(64)])


def by_hand() -> None:
    """Do the same with what Python has: a thread that takes requests from a queue, and an event for each answer."""
    requests: queue.Queue[tuple[Add, list[Counter], threading.Event] | None] = queue.Queue()

    def serve() -> None:
        model, _ = init()
        while (request := requests.get()) is not None:
            message, answer, done = request
            model, _ = update(model, message)
            answer.append(model)
            done.set()

    thread = threading.Thread(target=serve)
    thread.start()
    for _ in range(COUNT):
        answer: list[Counter] = []
        done = threading.Event()
        requests.put((Add(1), answer, done))
        done.wait()
    requests.put(None)
    thread.join()


def locked() -> None:
    lock, model = threading.Lock(), {"count": 0}
    for _ in range(COUNT):
        with lock:
            model["count"] += 1


def synced(folder: Path) -> float:
    with gs.LMDBStore(folder / "sync.lmdb") as store:
        versions = 0

        def work() -> None:
            nonlocal versions
            for _ in range(300):
                versions = store.store({"sync": gs.abc.Write(b"x", versions)})["sync"]

        return seconds(work) / 300


def threads(program: gs.Program[Counter, Add], path: Path, waiters: int) -> float:
    each = max(2000 // waiters, 50)
    with gs.LMDBStore(path) as store, gs.start(program, store=store, key="k") as app:

        def apply() -> None:
            for _ in range(each):
                app.apply(Add(1))

        workers = [threading.Thread(target=apply) for _ in range(waiters)]
        return each * waiters / seconds(lambda: _run(workers))


def _run(workers: list[threading.Thread]) -> None:
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def tasks(program: gs.Program[Counter, Add], path: Path, waiters: int) -> float:
    each = max(2000 // waiters, 100)

    async def main() -> float:
        with gs.LMDBStore(path) as store:
            async with gs.start_async(program, store=store, key="k") as app:

                async def work() -> None:
                    for _ in range(each):
                        await app.apply_async(Add(1))

                loop = asyncio.get_running_loop()
                began = loop.time()
                await asyncio.gather(*[work() for _ in range(waiters)])
                return each * waiters / (loop.time() - began)

    return asyncio.run(main())


if __name__ == "__main__":
    print(__doc__)
    main()
