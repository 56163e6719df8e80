"""A car that many drive, watch and log, none of whom can touch it: only its owner, a program, does."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeAlias

import go_state as gs

POLL_SECONDS = 2.0
FASTER_SECONDS = 5.0


class Library(Protocol):
    """What talks to the car."""

    def read(self) -> tuple[float, float]:
        """Return its speed and location; `ConnectionError` when it does not answer."""
        ...

    def set_speed(self, speed: float) -> None:
        """Set its speed; `ConnectionError` when it does not answer."""
        ...


class Clock(Protocol):
    """Time, which a test may keep itself."""

    def now(self) -> datetime.datetime:
        """Return what time it is."""
        ...

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait so long."""
        ...


@dataclass(frozen=True, slots=True)
class Poll:
    """Time to ask the car where it is."""


@dataclass(frozen=True, slots=True)
class Faster:
    by: float


@dataclass(frozen=True, slots=True)
class SetSpeed:
    speed: float


@dataclass(frozen=True, slots=True)
class Seen:
    speed: float
    location: float


@dataclass(frozen=True, slots=True)
class Lost:
    why: str


Msg: TypeAlias = Poll | Faster | SetSpeed | Seen | Lost


@dataclass(frozen=True, slots=True)
class Car:
    speed: float = 0.0
    location: float = 0.0
    connected: bool = True


def owner(library: Library) -> gs.Program[Car, Msg]:
    """Return the program that owns the car: every access to the library is one of its commands, one at a time."""

    def update(model: Car, msg: Msg) -> gs.Step[Car, Msg]:
        match msg:
            case Poll():
                return model, [gs.Cmd.call(library.read, ok=lambda found: Seen(*found), err=lost)]
            case Faster(by):  # what it is faster than is known here alone, so two that ask at once add up
                return replace(model, speed=model.speed + by), [set_speed(model.speed + by)]
            case SetSpeed(speed):
                return replace(model, speed=speed), [set_speed(speed)]
            case Seen(speed, location):
                return Car(speed, location), ()
            case Lost():
                return replace(model, connected=False), ()

    def set_speed(speed: float) -> gs.Cmd[Msg]:
        return gs.Cmd.call(library.set_speed, speed, ok=lambda _: None, err=lost)

    return gs.Program(lambda: (Car(), ()), update)


def lost(failure: gs.Failure) -> Msg:
    return Lost(failure.text)


async def drive(library: Library, clock: Clock, log: Path, show: Callable[[str], object]) -> None:
    """Drive until cancelled: poll, be faster every five seconds, show and log every change."""
    async with gs.start_async(owner(library)) as app, asyncio.TaskGroup() as tasks:
        send = app.sender().send
        tasks.create_task(every(POLL_SECONDS, clock, lambda: send(Poll())))
        tasks.create_task(every(FASTER_SECONDS, clock, lambda: send(Faster(1.0))))
        tasks.create_task(printed(app.watcher(), show))
        tasks.create_task(logged(app.watcher(), clock, log))


async def every(seconds: float, clock: Clock, act: Callable[[], object]) -> None:
    while True:
        await clock.sleep(seconds)
        act()


async def printed(watcher: gs.app.Watching[Car], show: Callable[[str], object]) -> None:
    async for change in watcher.changes(initial=True):
        car: Car = change.model
        show(f"{car.speed:.1f} at {car.location:.1f}" if car.connected else "the car does not answer")


async def logged(watcher: gs.app.Watching[Car], clock: Clock, log: Path) -> None:
    async for change in watcher.changes("location"):
        car: Car = change.model
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{clock.now():%Y-%m-%d %H:%M:%S}: {car.speed:f}, {car.location:f}\n")
