"""The harness: a program in the test's own hands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings

import go_state as gs
from go_state.testing import Harness, messages


@dataclass(frozen=True)
class Search:
    text: str


@dataclass(frozen=True)
class Found:
    hits: int


@dataclass(frozen=True)
class Failed:
    failure: gs.Failure


@dataclass(frozen=True)
class Remind:
    minutes: int


@dataclass(frozen=True)
class Due:
    at: float


Msg = Search | Found | Failed | Remind | Due


@dataclass(frozen=True)
class Model:
    busy: bool = False
    hits: tuple[int, ...] = ()
    error: str = ""
    reminders: tuple[float, ...] = ()
    reminded: int = 0


async def fetch(text: str) -> int:
    return await gs.env(Web).fetch(text)


class Web:
    """A fake of what a search asks."""

    async def fetch(self, text: str) -> int:
        await asyncio.sleep(0)
        if not text:
            raise LookupError("nothing to look for")
        return len(text)


def note(hits: int) -> None:
    raise AssertionError("nothing real is done")


async def news() -> AsyncIterator[Msg]:
    raise AssertionError("nothing real is done")
    yield Found(0)


def update(model: Model, msg: Msg, turn: gs.Turn) -> gs.Step[Model, Msg]:
    match msg:
        case Search(text):
            call = gs.Cmd.call(fetch, text, ok=Found, err=Failed, key="search", timeout=5)
            return replace(model, busy=True), [call]
        case Found(hits):
            return replace(model, busy=False, hits=(*model.hits, hits)), [gs.Cmd.call(note, hits)]
        case Failed(failure):
            return replace(model, busy=False, error=failure.kind), ()
        case Remind(minutes):
            return replace(model, reminders=(*model.reminders, turn.at + 60 * minutes)), ()
        case Due(at):
            left = tuple(each for each in model.reminders if each != at)
            return replace(model, reminders=left, reminded=model.reminded + 1), ()


def subscriptions(model: Model) -> Any:
    due = [gs.Sub.at(at, Due(at), key=at) for at in model.reminders]
    return [*due, gs.Sub.stream(news, key="news")] if model.hits else due


bot = gs.Program(lambda: (Model(), ()), update, subscriptions=subscriptions)


def test_pending_commands_are_values() -> None:
    """What update asks for is there to be looked at, and nothing of it is done."""
    h = Harness(bot)
    h.send(Search("x"))
    assert h.pending == (gs.Cmd.call(fetch, "x", ok=Found, err=Failed, key="search", timeout=5),)
    assert h.model.busy
    h.resolve(fetch, 3)
    assert (h.model.hits, h.pending) == ((3,), (gs.Cmd.call(note, 3),))
    h.resolve(note)
    assert h.pending == ()
    assert h.messages == [Search("x"), Found(3)]


def test_a_call_can_fail_or_take_too_long() -> None:
    """Both become the message that err makes; without err the test gets the error."""
    h = Harness(bot)
    assert h.send(Search("x")).fail(fetch, OSError("down")).model.error == "OSError"
    assert h.send(Search("x")).advance(4.9).model.busy
    assert h.advance(0.2).model.error == "TimedOut"
    h.send(Found(1))
    with pytest.raises(LookupError, match="no disk"):
        h.fail(note, LookupError("no disk"))


def test_of_a_key_only_the_last_is_pending() -> None:
    """The harness keeps to keys as a run does."""
    h = Harness(bot)
    assert [call.args for call in h.send(Search("a"), Search("b")).pending] == [("b",)]  # type: ignore[union-attr]


def test_a_call_can_be_performed_with_a_fake() -> None:
    """With the harness's env, also a coroutine function."""
    h = Harness(bot, env=Web())
    assert h.send(Search("four")).perform(fetch).model.hits == (4,)
    assert h.send(Search("")).perform(fetch).model.error == "LookupError"


def test_days_of_reminders_take_no_time() -> None:
    """Time passes from timer to timer, each at its own."""
    h = Harness(bot, start=1000.0)
    h.send(*[Remind(minutes) for minutes in (60, 30, 24 * 60)])
    assert len(h.subscriptions) == 3
    assert h.advance(30 * 60 - 1).model.reminded == 0
    assert h.advance(1).model.reminded == 1
    assert h.advance(24 * 3600).model.reminded == 3
    assert h.subscriptions == ()
    assert h.messages[-1] == Due(1000.0 + 24 * 3600)


def test_streams_give_what_the_test_gives() -> None:
    """Items of a stream under way are messages."""
    h = Harness(bot)
    with pytest.raises(gs.UsageError, match="no stream"):
        h.give(news, Found(2))
    h.send(Found(1)).give(news, Found(2), Found(3)).give("news", Found(4))
    assert h.model.hits == (1, 2, 3, 4)


def test_a_crash_leaves_what_a_journal_has() -> None:
    """The model is as it was, unfinished commands are pending under their names, reminders that are due come once."""
    h = Harness(bot)
    h.send(Search("x"), Remind(10), Found(1))
    before = (h.model, h.pending, h.effect_ids)
    h.crash()
    assert (h.model, h.pending, h.effect_ids) == before
    h.resolve(note).crash()
    assert h.pending == before[1][:1]
    assert h.resolve(fetch, 5).resolve(note).model.hits == (1, 5)
    assert h.advance(600).crash().advance(600).model.reminded == 1


def test_a_crash_finds_an_update_that_is_not_pure() -> None:
    """A model that depends on more than the messages is said."""
    lives = iter(range(100))
    h = Harness(gs.Program(lambda: (0, ()), lambda model, msg: (next(lives), ())))
    h.send("a", "b")
    with pytest.raises(gs.ProgramError, match="update depends on more than its arguments"):
        h.crash()


def test_on_restore_is_asked_after_a_crash() -> None:
    """Its commands are pending once, however many crashes there are."""
    h = Harness(replace(bot, on_restore=lambda model: [gs.Cmd.call(note, 9)]))
    assert h.pending == ()
    assert h.crash().crash().pending == (gs.Cmd.call(note, 9),)


def test_mistakes_teach() -> None:
    """What is not pending, and what is not clear, is said with what there is."""
    h = Harness(bot)
    with pytest.raises(gs.UsageError, match="no call of None is pending: nothing is pending"):
        h.resolve()
    h.send(Search("x"), Found(1))
    with pytest.raises(gs.UsageError, match="which one"):
        h.resolve()
    with pytest.raises(gs.UsageError, match=r"no call of .* is pending: pending are"):
        h.resolve(len)
    with pytest.raises(gs.UsageError, match="time goes forward"):
        h.advance(-1)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), "5"])
def test_time_advances_by_a_number_of_seconds(seconds: Any) -> None:
    """What repeats would have no end in an endless time."""
    with pytest.raises(gs.UsageError, match="time goes forward"):
        Harness(bot).advance(seconds)


def answering(command: Any) -> gs.Program[tuple[Any, ...], Any]:
    """Return a program that performs the command when it gets "go"."""
    return gs.Program(lambda: ((), ()), lambda model, msg: ((*model, msg), [command] if msg == "go" else ()))


def test_a_turn_whose_commands_fail_is_rolled_back() -> None:
    """Nothing of it is pending, and its message is none that was taken."""
    h = Harness(gs.Program(lambda: (0, ()), lambda model, msg: (model + 1, [gs.Cmd.call(note, msg), msg])))
    with pytest.raises(gs.ProgramError, match="a str is among the commands"):
        h.send("no command")
    assert (h.send(None).model, h.messages, h.pending) == (0, [], ())
    assert h.send(print).pending == (gs.Cmd.call(note, print), gs.Cmd.call(print))


def test_what_fails_after_a_turn_that_was_rolled_back_takes_no_other_message_out() -> None:
    """Each call goes on from what is committed, also if the one before it has raised."""

    def update(model: tuple[str, ...], msg: str) -> gs.Step[tuple[str, ...], str]:
        if msg == "raise":
            raise ValueError(msg)
        return (*model, msg), [gs.Cmd.call(note, 1)] if msg == "call" else ()

    h = Harness(gs.Program(lambda: ((), ()), update)).send("call")
    with pytest.raises(ValueError, match="raise"):
        h.send("raise")
    with pytest.raises(LookupError):
        h.fail(note, LookupError())
    assert (h.messages, h.pending) == (["call"], ())
    assert h.send("next").model == h.crash().model == ("call", "next")


def test_a_call_that_has_failed_is_over() -> None:
    """Also where the test has got its error, as after one that was set aside."""
    h = Harness(answering(gs.Cmd.call(note, 1, key="note", busy="skip"))).send("go")
    with pytest.raises(LookupError):
        h.fail(note, LookupError())
    assert h.pending == ()
    assert len(h.crash().pending) == 0
    assert len(h.send("go").pending) == 1


async def test_a_coroutine_is_not_performed_inside_an_event_loop() -> None:
    """The call stays pending, and does not fail with what only the test has done wrong."""
    h = Harness(answering(gs.Cmd.call(fetch, "x", ok=Found, err=Failed)), env=Web()).send("go")
    with pytest.raises(gs.errors.InsideLoop, match=r"h.resolve"):
        h.perform()
    assert h.resolve(fetch, await Web().fetch("x")).model == ("go", Found(1))


def test_a_call_is_performed_as_a_run_would() -> None:
    """A function that a run could not call so is a mistake here, too."""
    for command, text in (
        (gs.Cmd.call(fetch, "x", thread=True, err=Failed), "leave thread=True out"),
        (gs.Cmd.call(len, "x", timeout=1, err=Failed), "a plain function"),
    ):
        with pytest.raises(gs.ProgramError, match=text):
            Harness(answering(command), env=Web()).send("go").perform()


def cancelled(*_: Any) -> Any:
    raise asyncio.CancelledError


def test_what_belongs_to_python_is_a_failure() -> None:
    """A CancelledError that nobody asked for is the error of a program, as in a run."""
    calling = Harness(answering(gs.Cmd.call(cancelled))).send("go")
    hearing = Harness(answering(gs.Cmd.call(note, 1, ok=cancelled))).send("go")
    for raising in (calling.perform, hearing.resolve, lambda: Harness(gs.Program(lambda: (0, ()), cancelled)).send("go")):
        with pytest.raises(gs.ProgramError, match="raised CancelledError"):
            raising()


def test_a_changed_model_is_found() -> None:
    """The program is a strict one here."""

    def mutates(model: list[int], msg: int) -> gs.Step[list[int], int]:
        model.append(msg)
        return model, ()

    with pytest.raises(gs.ProgramError):
        Harness(gs.Program(lambda: ([], ()), mutates)).send(1)


@given(messages(bot, max_size=8))
@settings(max_examples=50, deadline=None)
def test_any_messages_can_be_played(sequence: list[Msg]) -> None:
    """Sequences out of the union of update's messages, and the harness equals `play`."""
    assert all(isinstance(message, Msg) for message in sequence)
    reminders = [message for message in sequence if isinstance(message, Remind | Due)]
    h = Harness(bot).send(*(message for message in sequence if message not in reminders))
    assert h.model == gs.testing.play(bot, *(message for message in sequence if message not in reminders)).model


@given(messages(Found | Remind, min_size=1, max_size=3))
@settings(max_examples=20, deadline=None)
def test_messages_of_a_union(sequence: list[Any]) -> None:
    """A type is as good as a program."""
    assert 1 <= len(sequence) <= 3
    assert {type(message) for message in sequence} <= {Found, Remind}
