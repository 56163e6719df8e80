"""What goes on, as server-sent events: a program that runs, and what is looked for in the background.

Whoever reads slowly gets the newest and not what came in between: nothing is kept for a browser.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from functools import partial
from typing import Protocol, TypeAlias, TypeVar

import orjson

from go_state.core.errors import GoStateError
from go_state.inspector.trying.finding import Cancelled
from go_state.inspector.values.text import shown
from go_state.inspector.worlds.world import Now, SomeSubject, World

T = TypeVar("T")

Tell: TypeAlias = Callable[[str, object], None]
Said: TypeAlias = Callable[[BaseException], str]  # what the page is told of an error


class Aside(Protocol):
    """Calls a function in a thread of the server's pool."""

    def __call__(self, call: Callable[[], T], /) -> Awaitable[T]:
        """Return what it returns."""
        ...


_EVERY = 0.1  # seconds between two events of a program that runs, or of a journal that grows
_BUSY = 1000  # messages a second from which on a look every quarter of a second is enough: nobody reads so fast, and each costs the app
_CALMER = 0.25  # seconds between two events of such a one
_SHARED = 2  # who may look as often as that; when there are more they share it
_SLOWER = 0.5  # seconds between two looks at a journal that does not grow
_OVER = 1.0  # seconds between two looks at one that does not
_STILL = 10.0  # seconds after which something is sent, so that a connection that is gone is noticed
_SUBJECTS = 0.3  # seconds between two looks at which keys run
_MOST = 200  # effects, timers and changed subjects of one event
_BEHIND = 64  # events of a search that wait for a slow browser


def event(kind: str, data: object) -> bytes:
    """Return a server-sent event."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(data))


class Lookers:
    """How many look at what runs: each has its turn less often, so that ten cost a busy program no more than two."""

    def __init__(self) -> None:
        self._number = 0  # changed on the loop of the server alone

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Count one more for as long as the block lasts."""
        self._number += 1
        try:
            yield
        finally:
            self._number -= 1

    def pause(self, state: str, rate: float) -> float:
        """Return for how many seconds one of them does not look."""
        if state == "stored":
            return _SLOWER
        return _CALMER * max(self._number / _SHARED, 1) if rate > _BUSY else _EVERY


async def live(
    world: World, subject: SomeSubject, is_closing: Callable[[], bool], aside: Aside, lookers: Lookers
) -> AsyncGenerator[bytes]:
    """Give what a program does, ten times a second at most, and that it has ended."""
    with world.watched(subject), lookers.one_more():
        rate, last, ended, sent = 0.0, None, False, b""
        since = time.monotonic()
        while not is_closing():
            now = await aside(partial(_look, world, subject))
            if now is None:
                yield event("ended", {"error": None})
                return
            doing, first, end = now
            at = time.monotonic()
            if last is not None and at > last[0]:
                rate = 0.7 * rate + 0.3 * max(doing.processed - last[1], 0) / (at - last[0])
            last = at, doing.processed
            data = event("state", {"first": first, "end": end, "rate": round(rate, 1), **_doing(doing)})
            if data != sent or at - since > _STILL:
                sent, since = data, at
                yield data
            over = doing.state in ("failed", "ended")
            if over and not ended:
                yield event("ended", {"error": doing.error})
            ended = over
            await asyncio.sleep(_OVER if over else lookers.pause(doing.state, rate))


def _look(world: World, subject: SomeSubject) -> tuple[Now, int, int] | None:
    now = world.now(subject)
    if now is None:
        return None
    try:
        return now, *subject.span()
    except GoStateError:  # its store was closed
        return now, subject.timeline.first, subject.timeline.end


def _doing(now: Now) -> dict[str, object]:
    effects = [each for each in now.effects if each.state != "scheduled"][:_MOST]
    timers = [each for each in now.effects if each.state == "scheduled"][:_MOST]
    return {
        "queue": now.queue, "state": now.state, "error": now.error, "lag": None,
        "effects": [
            {"id": shown(each.id, 200), "name": shown(each.function, 80), "key": None if each.key is None else shown(str(each.key), 80),
             "state": each.state, "since": each.since, "tries": each.tries, "due": each.due} for each in effects
        ],
        "timers": [{"name": shown(str(each.key if each.key is not None else each.id), 80), "due": each.due} for each in timers],
    }  # fmt: skip


async def subjects(
    world: World, is_closing: Callable[[], bool], summarise: Callable[[SomeSubject], object], aside: Aside
) -> AsyncGenerator[bytes]:
    """Give which subjects run, rest or have failed since the last look."""
    before = dict(await aside(world.states))
    total, since = None, 0.0
    while not is_closing():
        states = dict(await aside(world.states))
        changed = [each for each in {**states, **before} if states.get(each) != before.get(each)][:_MOST]
        at = time.monotonic()
        if changed or at - since > _STILL or total is None:
            found = await aside(partial(_found, world, changed))
            told = [summarise(each) for each in found if each is not None]
            gone = [each for each, subject in zip(changed, found, strict=True) if subject is None]
            total = (await aside(partial(world.page, "", "", 1))).total
            yield event("subjects", {"changed": told, "gone": gone, "total": total})
            since = at
        before = states
        await asyncio.sleep(_SUBJECTS)


def _found(world: World, ids: list[str]) -> list[SomeSubject | None]:
    return [world.find(each) for each in ids]


async def told(events: AsyncGenerator[bytes], said: Said) -> AsyncIterator[bytes]:
    """Give the events, and what has ended them if that is an error, such as that the store was closed."""
    async with aclosing(events):
        try:
            async for each in events:
                yield each
        except Exception as error:
            yield event("problem", {"error": said(error)})


async def worked(work: Callable[[Tell], None], said: Said) -> AsyncIterator[bytes]:
    """Give what `work(tell)` tells, which runs in a thread of its own until it is done, or nobody reads any more."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()
    over, room = threading.Event(), threading.Semaphore(_BEHIND)

    def tell(kind: str, data: object) -> None:
        while not room.acquire(timeout=0.5):
            if over.is_set():
                raise Cancelled
        if over.is_set():
            raise Cancelled
        loop.call_soon_threadsafe(queue.put_nowait, event(kind, data))

    def run() -> None:
        try:
            work(tell)
        except Cancelled:
            return
        except Exception as error:
            with suppress(Cancelled, RuntimeError):
                tell("problem", {"error": said(error)})
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(queue.put_nowait, None)

    threading.Thread(target=run, name="go_state inspector search", daemon=True).start()
    try:
        while (item := await queue.get()) is not None:
            room.release()
            yield item
    finally:
        over.set()
