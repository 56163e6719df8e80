"""Middleware: what it decides before its yield is part of the program, what it does after it happens once, and in no replay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers

import go_state as gs
from go_state.middleware import ChangeLog, Final, Proposal, authorise, expire
from go_state.testing import SimClock

drivers = both_drivers.drivers


@dataclass(frozen=True)
class Model:
    count: int = 0
    notes: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True)
class Add:
    by: int


def update(model: Model, msg: Add) -> gs.Step[Model, Add]:
    return replace(model, count=model.count + msg.by), ()


def program(*middleware: Any, **options: Any) -> gs.Program[Model, Add]:
    return gs.Program(lambda: (Model(), ()), update, middleware=middleware, **options)


def deny(limit: int) -> Callable[[Proposal[Model, Add]], Generator[Any, Any, None]]:
    """Deny a count above the limit."""

    def denying(proposal: Proposal[Model, Add]) -> Generator[Any, Any, None]:
        if proposal.proposed.count > limit:
            raise gs.Denied(f"more than {limit}")
        yield

    return denying


def double(proposal: Proposal[Model, Add]) -> Generator[Any, Any, None]:
    yield replace(proposal.proposed, count=proposal.proposed.count * 2)


class Heard:
    """Notes what becomes of every turn."""

    def __init__(self) -> None:
        self.proposed: list[int] = []
        self.outcomes: list[Any] = []

    def __call__(self, proposal: Proposal[Model, Add]) -> Generator[Any, Any, None]:
        self.proposed.append(proposal.proposed.count)
        outcome = yield
        self.outcomes.append(outcome.reason if isinstance(outcome, gs.Denied) else outcome.count)


def test_each_sees_what_those_before_it_have_made(drivers: Drivers) -> None:
    """Middleware runs in order: each gets what the one before proposes, and all hear what was committed."""
    first, last = Heard(), Heard()
    assert drivers.batch(program(first, double, last), [Add(1), Add(2)]).model == Model(8)
    assert (first.proposed, last.proposed) == ([1, 4], [2, 8])
    assert first.outcomes == last.outcomes == [2, 8]


def test_a_denied_message_changes_nothing(drivers: Drivers) -> None:
    """A denial leaves the model as it is, drops the commands, and is heard by those who were asked before."""
    before, after = Heard(), Heard()
    sent: list[int] = []

    def with_command(model: Model, msg: Add) -> gs.Step[Model, Add]:
        return replace(model, count=model.count + msg.by), [lambda: sent.append(msg.by)]

    guarded = gs.Program(lambda: (Model(), ()), with_command, middleware=(before, deny(3), after))
    assert drivers.batch(guarded, [Add(2), Add(5), Add(1)]).model == Model(3)
    assert (before.outcomes, after.outcomes, sent) == ([2, "more than 3", 3], [2, 3], [2, 1])


def test_commands_can_be_gone_through_when_there_are_none(drivers: Drivers) -> None:
    """A proposal of an update that returns None as its commands has an empty sequence of them."""
    seen: list[list[object]] = []

    def look(proposal: Proposal[Model, Add]) -> Generator[Any, Any, None]:
        seen.append(list(proposal.commands))
        yield

    drivers.batch(gs.Program(lambda: (Model(), ()), lambda model, _msg: (model, None), middleware=(look,)), [Add(1)])
    assert seen == [[]]


def test_final_passes_over_the_rest(drivers: Drivers) -> None:
    """A final model is committed without asking those that come after, wrappers included; all others hear of it."""
    first, last = Heard(), Heard()

    def final(proposal: Proposal[Model, Add]) -> Generator[Any, Any, None]:
        yield Final(Model(100)) if proposal.message.by == 5 else None

    def wrapper(inner: Any) -> Any:
        def wrapped(model: Model, msg: Add, turn: gs.Turn) -> Any:
            proposed, commands = inner(model, msg, turn)
            return replace(proposed, count=proposed.count + 1), commands

        return wrapped

    assert drivers.batch(program(first, final, wrapper, last), [Add(1), Add(5)]).model == Model(100)
    assert (first.outcomes, last.proposed, last.outcomes) == ([2, 100], [2], [2])


def test_a_wrapper_may_change_the_message(drivers: Drivers) -> None:
    """A wrapper is an update around an update."""

    def tenfold(inner: Any) -> Any:
        return lambda model, msg, turn: inner(model, Add(msg.by * 10), turn)

    assert drivers.batch(program(tenfold), [Add(1), Add(2)]).model == Model(30)


def test_a_turn_that_is_rolled_back_is_not_heard_of(drivers: Drivers) -> None:
    """Where a command fails after the middleware has agreed, its generator is closed and hears of nothing."""
    heard, closed = Heard(), []

    def closing(proposal: Proposal[Model, Add]) -> Generator[Any, Any, None]:
        try:
            yield
        except GeneratorExit:
            closed.append(proposal.message.by)
            raise

    def failing(model: Model, msg: Add) -> gs.Step[Model, Add]:
        return replace(model, count=model.count + msg.by), [lambda: 1 // (msg.by - 2) and None]

    guarded = gs.Program(lambda: (Model(), ()), failing, middleware=(heard, closing))
    result = drivers.batch(guarded, [Add(1), Add(2), Add(4)], on_error=gs.SetAside())
    assert (result.model, heard.outcomes, closed) == (Model(5), [1, 5], [2])


def test_what_is_returned_after_the_yield_is_awaited() -> None:
    """On an event loop what a middleware returns is awaited, in order, before the next turn; in a thread it cannot be."""
    order: list[str] = []

    def saving(proposal: Proposal[Model, Add]) -> Generator[Any, Any, Any]:
        order.append(f"decide {proposal.message.by}")
        outcome = yield
        return save(outcome.count)

    async def save(count: int) -> None:
        await asyncio.sleep(0)
        order.append(f"saved {count}")

    asyncio.run(gs.batch_async(program(saving, saving), [Add(1), Add(2)]))
    assert order == ["decide 1", "decide 1", "saved 1", "saved 1", "decide 2", "decide 2", "saved 3", "saved 3"]
    with pytest.raises(gs.UsageError, match="needs an event loop"):
        gs.batch(program(saving), [Add(1)])


def test_replay_decides_again_and_does_nothing(drivers: Drivers, tmp_path: Path) -> None:
    """Replay, verify and a restart come to the model that the middleware allowed, and none of them is told what became of it."""
    heard = Heard()
    guarded = program(heard, deny(3), double)
    with gs.LMDBStore(tmp_path / "s") as store:
        journal = store.journal("k", of=Add)
        journal.put(Add(1), Add(5), Add(1))
        journal.close()
        assert drivers.run(guarded, journal, store=store, key="k") == Model(6)
        assert heard.outcomes == [2, "more than 3", 6]
        assert gs.replay(guarded, journal, until=2) == Model(2)
        assert gs.verify(guarded, journal).ok
        gs.to_test(guarded, journal, tmp_path / "test_it.py", of="somewhere:program")
    recorded = (tmp_path / "test_it.py").read_text().replace("from somewhere import program", "")
    exec(recorded, {"program": guarded} | (names := {}), names)
    assert names["RECORDING"].replay(guarded) == Model(6)
    assert heard.outcomes == [2, "more than 3", 6]
    assert gs.testing.play(guarded, Add(1), Add(5)).model == Model(2)
    assert len(heard.outcomes) == 3


def test_a_keyed_aggregate_has_middleware(drivers: Drivers) -> None:
    """Each key's turns go through it."""
    heard = Heard()
    result = drivers.aggregate(
        program(heard, deny(3)), [Add(1), Add(2), Add(9), Add(1)], store=gs.MemoryStore(), key=lambda msg: str(msg.by)
    )
    assert dict(result.models) == {"1": Model(2), "2": Model(2), "9": Model(0)}
    assert heard.outcomes == [1, 2, "more than 3", 2]


@pytest.mark.parametrize("durable", [False, True])
def test_a_denial_reaches_the_sender(durable: bool, tmp_path: Path) -> None:
    """Apply and ask raise Denied; for what was sent there is a policy, and by default it is passed over."""
    refused: list[tuple[Any, str]] = []
    with gs.LMDBStore(tmp_path / "s") as store:
        where: dict[str, Any] = {"store": store, "key": "k"} if durable else {}
        with gs.start(program(deny(3)), on_denied=lambda msg, denied: refused.append((msg, denied.reason)), **where) as app:
            for wait in (app.apply, app.ask):
                with pytest.raises(gs.Denied, match="more than 3"):
                    wait(Add(5))
            app.send(Add(7))
            assert app.apply(Add(1)) == Model(1)
    assert refused == [(Add(7), "more than 3")]


def test_the_change_log_can_be_switched() -> None:
    """It names the fields that a turn has changed, and what was denied, while it is on; values only where they are asked for."""
    lines: list[str] = []
    log = ChangeLog(lines.append, on=False)
    with gs.start(program(log, deny(3))) as app:
        app.apply(Add(1))
        log.on = True
        app.apply(Add(1))
        app.send(Add(9))
        app.apply(Add(0))
        log.on = False
        app.apply(Add(1))
    assert lines == ["Add: count", "Add: denied: more than 3"]
    lines.clear()
    gs.batch(program(ChangeLog(lines.append, values=True)), [Add(2)])
    assert lines == ["Add: count: 0 -> 2"]


def test_authorisation() -> None:
    """A rule that returns anything but True denies, with its reason."""
    allowed = authorise(lambda _model, msg: "too much" if msg.by > 3 else msg.by > 0)
    with gs.start(program(allowed)) as app:
        assert app.apply(Add(1)) == Model(1)
        for by, reason in ((5, "too much"), (0, "not allowed")):
            with pytest.raises(gs.Denied, match=reason):
                app.apply(Add(by))


def test_expiry_goes_by_the_message_s_time(tmp_path: Path) -> None:
    """Entries older than allowed at the time a message entered are dropped, a single one too, and a replay drops the same."""

    def note(model: Model, msg: Add, turn: gs.Turn) -> gs.Step[Model, Add]:
        return replace(model, notes=(*model.notes, (turn.at - msg.by, str(msg.by)))), ()

    noting = gs.Program(lambda: (Model(), ()), note, middleware=[expire("notes", 60, at=lambda entry: entry[0])])
    kept = gs.testing.play(noting, Add(0), Add(100), Add(50)).models
    assert [[text for _, text in model.notes] for model in kept] == [[], ["0"], ["0"], ["0", "50"]]
    with gs.LMDBStore(tmp_path / "s") as store, gs.start(noting, store=store, key="k") as app:
        live = [app.apply(Add(by)) for by in (0, 100, 50)][-1]
        assert gs.replay(noting, store.journal("k")) == live
    with pytest.raises(gs.UsageError, match="no such field"):
        gs.testing.play(program(expire("nothing", 1, at=float)), Add(1))


def test_update_does_not_see_what_has_expired() -> None:
    """It decides by the entries that are left, and returns them as it was given them."""
    clock = SimClock()
    seen: list[int] = []

    def note(model: Model, msg: Add, turn: gs.Turn) -> gs.Step[Model, Add]:
        seen.append(len(model.notes))
        return replace(model, notes=(*model.notes, (turn.at, "x"))) if msg.by else model, ()

    noting = gs.Program(lambda: (Model(), ()), note, middleware=[expire("notes", 60, at=lambda entry: entry[0])])
    with gs.start(noting, clock=clock) as app:
        for by, seconds in ((1, 50), (1, 50), (0, 50), (0, 0)):
            app.apply(Add(by))
            clock.advance(seconds)
        assert (seen, app.model.notes) == ([0, 1, 1, 0], ())


def test_what_is_no_middleware_teaches() -> None:
    """What cannot be one is refused, when the program is made or at its first message, and says what to write."""

    async def waiting(proposal: Any) -> Any:
        yield

    for wrong in (waiting, "log"):
        with pytest.raises(gs.ProgramError, match="generator function"):
            program(wrong)
    with pytest.raises(gs.ProgramError, match="takes an update and returns one"):
        gs.batch(program(lambda _inner: None), [Add(1)])

    def twice(proposal: Any) -> Any:
        yield
        yield

    with pytest.raises(gs.ProgramError, match="yields once"):
        gs.batch(program(twice), [Add(1)])


async def test_a_turn_without_a_change_is_heard_of_too() -> None:
    """A turn that changes nothing tells its middleware so, also where what that returns is awaited: nobody waits for ever."""
    heard: list[Any] = []

    def saving(proposal: Proposal[Model, Add]) -> Generator[Any, Any, Any]:
        outcome = yield
        return save(outcome)

    async def save(outcome: Any) -> None:
        await asyncio.sleep(0)
        heard.append(outcome)

    async with gs.start_async(program(saving, deny(3))) as app:
        assert await app.apply_async(Add(0), timeout=5) == Model()
        with pytest.raises(gs.Denied):
            await app.apply_async(Add(9), timeout=5)
        assert await app.apply_async(Add(1), timeout=5) == Model(1)
    assert [type(each) for each in heard] == [Model, gs.Denied, Model]


def test_middleware_that_waits_for_its_own_app_is_told() -> None:
    """Applying inside a middleware raises and says what to do; it never waits for itself."""
    caught: list[gs.UsageError] = []
    app: Any = None

    def impatient(proposal: Proposal[Model, Add]) -> Generator[Any, Any, None]:
        for _ in range(2):
            try:
                app.apply(Add(1))
            except gs.UsageError as error:
                caught.append(error)
            if len(caught) == 1:
                yield

    app = gs.start(program(impatient))
    with app:
        app.send(Add(1))
    assert len(caught) == 2


def test_what_a_rolled_back_turn_has_left_is_no_fault_of_the_next(drivers: Drivers) -> None:
    """A generator that fails when it is closed is closed with its own turn, and the error of that turn says so."""

    def noting(proposal: Proposal[Any, Any]) -> Generator[Any, Any, None]:
        try:
            yield
        finally:
            if proposal.message == "bad":
                raise ValueError("in the end")

    def update(model: tuple[str, ...], msg: str) -> gs.Step[tuple[str, ...], str]:
        def fail() -> None:
            raise LookupError

        return (*model, msg), [fail] if msg == "bad" else ()

    noted = gs.Program(lambda: ((), ()), update, middleware=[noting])
    result = drivers.batch(noted, ["bad", "good"], on_error=gs.SetAside())
    assert result.model == ("good",)
    ((failed,),) = (result.set_aside,)
    assert (failed.message, type(failed.error)) == ("bad", LookupError)
    assert "a middleware has failed as well when it was closed: ValueError" in failed.error.__notes__
