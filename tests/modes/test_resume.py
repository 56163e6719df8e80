"""A durable program's commands under way: after a crash they are begun again, with their names, and finished ones are not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import go_state as gs
from go_state.runtime.effects.lifecycle import Lifecycle
from go_state.runtime.effects.scheduler import Scheduler


@dataclass(frozen=True)
class Model:
    asked: int = 0
    done: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ask:
    what: str


@dataclass(frozen=True)
class Done:
    what: str


Msg = Ask | Done


@dataclass
class World:
    """What commands do, and what holds them."""

    log: list[str]
    let_go: threading.Event

    def do(self, what: str) -> str:
        self.log.append(f"{what} {gs.effect_id().split('/', 1)[1]}")
        if what.startswith("slow"):
            assert self.let_go.wait(10)
        return what


def do(what: str) -> str:
    return gs.env(World).do(what)


def call(what: str, **how: Any) -> gs.Cmd[Msg]:
    return gs.Cmd.call(do, what, ok=Done, thread=True, **how)


SHAPES: dict[str, list[Any]] = {
    "one": [call("slow")],
    "beside": [call("quick"), call("slow"), gs.Cmd.send(Done("sent"))],
    "seq": [gs.Cmd.seq(gs.Cmd.send(Done("first")), call("quick"), call("slow"), call("last"), lambda: Done("end"))],
    "all": [gs.Cmd.seq(gs.Cmd.all(call("quick"), call("slow"), call("slow2")), call("last"))],
    "mapped": [*gs.Cmd.map([call("slow")], lambda msg: replace(msg, what=f"child {msg.what}"))],
    "keyed": [call("gone slow", key="k", busy="replace"), call("slow", key="k", busy="replace")],
    "queued": [call("slow", key="k", busy="queue"), call("quick", key="k", busy="queue")],
    "timer": [gs.Cmd.after(0.0, Done("rang"))],
}


def update(model: Model, msg: Msg) -> gs.Step[Model, Msg]:
    match msg:
        case Ask(what):
            return replace(model, asked=model.asked + 1), SHAPES.get(what, [])
        case Done(what):
            return replace(model, done=(*model.done, what)), ()


def program(**parts: Any) -> gs.Program[Model, Msg]:
    return gs.Program(lambda: (Model(), ()), update, **parts)


class Crash(Exception):
    """The end of a life, in mid-effect."""


def life(path: Path, world: World, work: Callable[[gs.App[Model, Msg]], object], **how: Any) -> Model:
    """Run one life of the program, which ends when the work is done, and return its last model."""
    with gs.LMDBStore(path) as store:
        app = gs.start(how.pop("program", program()), store=store, key="k", env=world, effects=gs.Effects(grace=0), **how)
        with app:
            work(app)
        return app.model


def crashes(world: World, *asked: str, quick: int = 0) -> Callable[[gs.App[Model, Msg]], object]:
    """Return work that asks, waits until what is slow is under way and so many others have answered, and stops in mid-effect."""

    def work(app: gs.App[Model, Msg]) -> None:
        for what in asked:
            app.apply(Ask(what), timeout=10)
        app.watch().get(where=lambda model: len(model.done) >= quick, timeout=10)
        while not any(entry.startswith("slow") for entry in world.log):
            app.ready()
        app.stop(drain=False)

    return work


def waits_for(count: int) -> Callable[[gs.App[Model, Msg]], object]:
    return lambda app: app.watch().get(where=lambda model: len(model.done) >= count, timeout=10)


@pytest.fixture
def worlds() -> Any:
    """Give worlds; at the end nothing in them waits."""
    made: list[World] = []

    def make() -> World:
        made.append(World([], threading.Event()))
        return made[-1]

    yield make
    for world in made:
        world.let_go.set()


@pytest.mark.parametrize(
    ("shape", "quick", "before", "again", "done"),
    [
        ("one", 0, {"slow 0/0"}, {"slow 0/0"}, {"slow"}),
        ("beside", 2, {"quick 0/0", "slow 0/1"}, {"slow 0/1"}, {"sent", "quick", "slow"}),
        (
            "seq",
            2,
            {"quick 0/0.1", "slow 0/0.2"},
            {"slow 0/0.2", "last 0/0.3"},
            {"first", "quick", "slow", "last", "end"},
        ),
        (
            "all",
            1,
            {"quick 0/0.0.0", "slow 0/0.0.1", "slow2 0/0.0.2"},
            {"slow 0/0.0.1", "slow2 0/0.0.2", "last 0/0.1"},
            {"quick", "slow", "slow2", "last"},
        ),
        ("mapped", 0, {"slow 0/0"}, {"slow 0/0"}, {"child slow"}),
        ("queued", 0, {"slow 0/0"}, {"slow 0/0", "quick 0/1"}, {"slow", "quick"}),
    ],
)
@pytest.mark.parametrize("snapshots", [None, gs.Snapshots(every=1)])
@pytest.mark.filterwarnings("ignore::go_state.core.errors.LeftRunning")
def test_what_was_under_way_is_begun_again(
    tmp_path: Path, worlds: Any, shape: str, quick: int, before: Any, again: Any, done: Any, snapshots: Any
) -> None:
    """With its name, and with what follows it; what had answered is not begun again, and each answer enters once."""
    first = worlds()
    life(tmp_path / "s", first, crashes(first, shape, quick=quick), snapshots=snapshots)
    assert set(first.log) >= {entry for entry in before if not entry.startswith("slow2")}
    second = worlds()
    second.let_go.set()
    model = life(tmp_path / "s", second, waits_for(len(done)), snapshots=snapshots)
    assert set(second.log) == again
    assert sorted(model.done) == sorted(done)
    third = worlds()
    assert life(tmp_path / "s", third, lambda app: None, snapshots=snapshots) == model
    assert third.log == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::go_state.core.errors.LeftRunning")
def test_it_is_begun_again_though_snapshots_have_passed_it(tmp_path: Path, worlds: Any) -> None:
    """A snapshot that leads to its message is kept, and so is the message."""
    first = worlds()
    how: Any = {"snapshots": gs.Snapshots(every=100, keep=1), "retention": gs.Retain()}

    def work(app: gs.App[Model, Msg]) -> None:
        app.send(*[Ask("nothing")] * 1500)
        app.apply(Ask("one"))
        for _ in range(5):
            app.send(*[Ask("nothing")] * 999)
            app.apply(Ask("nothing"))
        app.stop(drain=False)

    life(tmp_path / "s", first, work, **how)
    with gs.LMDBStore(tmp_path / "s") as store:
        assert store.journal("k", of=Msg).statistics().start <= 1500
    second = worlds()
    second.let_go.set()
    model = life(tmp_path / "s", second, waits_for(1), **how)
    assert (model.done, second.log) == (("slow",), ["slow 1500/0"])
    with gs.LMDBStore(tmp_path / "s") as store:
        assert gs.verify(program(), store.journal("k")).finding is None


@pytest.mark.filterwarnings("ignore::go_state.core.errors.LeftRunning")
def test_commands_of_init_are_begun_again(tmp_path: Path, worlds: Any) -> None:
    """What turn 0 has asked for is finished in a later life, though init does not run again."""
    begins = gs.Program(lambda: (Model(), [call("slow"), call("quick")]), update)
    first = worlds()
    life(tmp_path / "s", first, crashes(first, quick=1), program=begins)
    second = worlds()
    second.let_go.set()
    assert set(life(tmp_path / "s", second, waits_for(2), program=begins).done) == {"quick", "slow"}
    assert second.log == ["slow init/0"]


@pytest.mark.filterwarnings("ignore::go_state.core.errors.LeftRunning")
def test_what_was_cancelled_is_not_begun_again(tmp_path: Path, worlds: Any) -> None:
    """Of a key that was taken by another only the other is."""
    first = worlds()
    life(tmp_path / "s", first, crashes(first, "keyed"))
    second = worlds()
    second.let_go.set()
    assert life(tmp_path / "s", second, waits_for(1)).done == ("slow",)
    assert second.log == ["slow 0/1"]


@pytest.mark.filterwarnings("ignore::go_state.core.errors.LeftRunning")
def test_commands_of_on_restore_are_not_doubled(tmp_path: Path, worlds: Any) -> None:
    """They belong to one life: the next has its own."""
    restores = program(on_restore=lambda model: [call("slow")])
    for expected in ((), ("slow",), ("slow", "slow")):
        world = worlds()
        world.let_go.set()
        assert life(tmp_path / "s", world, waits_for(len(expected)), program=restores).done == expected


def test_a_command_that_fails_for_good_is_asked_for_again_in_the_next_life(tmp_path: Path, worlds: Any) -> None:
    """Where on_error stops the run its command stays under way; where it is set aside it is done with."""

    class Down(World):
        def do(self, what: str) -> str:
            super().do(what)
            raise LookupError("down")

    first = Down([], threading.Event())
    first.let_go.set()
    with pytest.raises(LookupError):
        life(tmp_path / "s", first, lambda app: (app.send(Ask("one")), app.wait(10)))
    second = Down([], threading.Event())
    second.let_go.set()
    aside = gs.Buffer[Any]()

    def until_set_aside(app: gs.App[Model, Msg]) -> None:
        consumer = aside.consumer()
        consumer.get(timeout=10)

    life(tmp_path / "s", second, until_set_aside, on_error=gs.SetAside(aside))
    (failed,) = aside.slice()
    assert (failed.message, failed.position) == (Ask("one"), 0)
    third = worlds()
    assert life(tmp_path / "s", third, lambda app: None) == Model(asked=1)
    assert (first.log, second.log, third.log) == (["slow 0/0"], ["slow 0/0"], [])
    with gs.LMDBStore(tmp_path / "s") as store:
        assert gs.verify(program(), store.journal("k")).finding is None


def interrupted_in(monkeypatch: pytest.MonkeyPatch, part: type, method: str, after: int) -> None:
    """Have Ctrl-C interrupt the run once, where it enters the method for the last of so many times."""
    left, real = [after], getattr(part, method)

    def interrupted(*args: Any) -> Any:
        if left:
            left[0] -= 1
            if not left[0]:
                left.clear()
                raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(part, method, interrupted)


@pytest.mark.parametrize(
    ("part", "method", "after"),
    [(Lifecycle, "begin", 1), (Scheduler, "admit", 1), (Scheduler, "admit", 2), (Lifecycle, "launch", 1)],
)
@pytest.mark.filterwarnings("ignore::go_state.core.errors.LeftRunning")
def test_an_interrupt_before_its_beginning_forgets_no_command(
    tmp_path: Path, worlds: Any, monkeypatch: pytest.MonkeyPatch, part: type, method: str, after: int
) -> None:
    """A turn that is committed has its commands begun, if not in this life, then in the next."""
    with gs.LMDBStore(tmp_path / "s") as store:
        journal = store.journal("k", of=Msg)
        journal.put(Ask("beside"))
        journal.close()
        interrupted_in(monkeypatch, part, method, after)
        first = worlds()
        first.let_go.set()
        with pytest.raises(KeyboardInterrupt):
            gs.run(program(), journal, store=store, key="k", env=first)
    second = worlds()
    second.let_go.set()
    assert set(life(tmp_path / "s", second, waits_for(3)).done) == {"sent", "quick", "slow"}


@pytest.mark.parametrize("kind", [LookupError, KeyboardInterrupt])
@pytest.mark.filterwarnings("ignore::go_state.core.errors.LeftRunning")
def test_a_life_that_fails_in_on_restore_forgets_no_command(tmp_path: Path, worlds: Any, kind: type[BaseException]) -> None:
    """What was under way when the life before it ended is begun by the life after it."""
    first = worlds()
    life(tmp_path / "s", first, crashes(first, "all", quick=1))

    def fails(model: Model) -> Any:
        raise kind

    with pytest.raises(kind):
        life(tmp_path / "s", worlds(), lambda app: None, program=program(on_restore=fails))
    third = worlds()
    third.let_go.set()
    assert sorted(life(tmp_path / "s", third, waits_for(4)).done) == ["last", "quick", "slow", "slow2"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::go_state.core.errors.LeftRunning")
def test_what_is_nested_deeply_is_begun_again(tmp_path: Path, worlds: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of many sequences in one another is begun again as any other, and what follows it comes after it."""
    nested = call("slow")
    for _ in range(1000):
        nested = gs.Cmd.seq(gs.Cmd.all(nested))
    monkeypatch.setitem(SHAPES, "deep", [gs.Cmd.seq(nested, call("last"))])
    first = worlds()
    life(tmp_path / "s", first, crashes(first, "deep"))
    second = worlds()
    second.let_go.set()
    assert life(tmp_path / "s", second, waits_for(2)).done == ("slow", "last")
