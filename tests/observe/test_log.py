"""Log: the lines of a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from observe_support import SECRET, Add, Do, Fail, program

import go_state as gs


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def lines(self) -> list[tuple[str, str]]:
        return [(record.levelname, record.getMessage()) for record in self.records]


@pytest.fixture
def logged() -> Iterator[Lines]:
    logger, lines = logging.getLogger("go_state"), Lines()
    logger.addHandler(lines)
    logger.setLevel(logging.INFO)
    yield lines
    logger.removeHandler(lines)
    logger.setLevel(logging.NOTSET)


def test_at_the_level_of_info_a_run_says_when_it_begins_and_ends(logged: Lines) -> None:
    """Turns are told at DEBUG alone."""
    gs.batch(program, [Add(), Do("task")], observe=gs.observe.Log(), clock=gs.testing.SimClock())
    assert logged.lines == [("INFO", "shop: started"), ("INFO", "shop: ended after 0.000 s")]


def test_what_fails_is_told_at_the_level_that_it_deserves(logged: Lines) -> None:
    """A turn that was rolled back, a message that was set aside, a command."""
    gs.batch(
        program, [Fail(), Do("err")], observe=gs.observe.Log(), on_error=gs.SetAside(), clock=gs.testing.SimClock(jumps=True)
    )
    effect = logged.lines[3][1].partition("(")[2]
    assert logged.lines[1:-1] == [
        ("ERROR", "shop: Fail at 0 was rolled back by a LookupError after 0.000000 s"),
        ("WARNING", "shop: Fail at 0 was set aside because of a LookupError"),
        ("WARNING", f"shop: refuse of Do at 1 failed with a LookupError after 0.000000 s ({effect}"),
    ]


def test_a_run_that_fails_says_so_at_the_end(logged: Lines) -> None:
    """At ERROR, with the name of the error."""
    with pytest.raises(LookupError):
        gs.batch(program, [Fail()], observe=gs.observe.Log(), clock=gs.testing.SimClock())
    assert logged.lines[-1] == ("ERROR", "shop: ended after 0.000 s, failed with a LookupError")


def test_slow_turns_are_named(logged: Lines) -> None:
    """A turn that takes as long as `slow` is a warning, though turns are not logged."""
    gs.batch(program, [Add()], observe=gs.observe.Log(slow=0))
    assert logged.lines[1][0] == "WARNING"
    assert logged.lines[1][1].startswith("shop: slow turn: Add at 0 took 0.")


def test_no_turn_is_slow_where_nothing_is(logged: Lines) -> None:
    """`slow=None` turns it off."""
    gs.batch(program, [Add()], observe=gs.observe.Log(slow=None))
    assert len(logged.lines) == 2


def test_another_level_for_a_kind_of_event(logged: Lines) -> None:
    """Turns at INFO, in the logger that was given, with the event in the record."""
    logger = logging.getLogger("go_state.mine")
    observe = gs.observe.Log(logger, levels={gs.observe.Turn: logging.INFO}, slow=None)
    gs.batch(program, [Add()], observe=observe, clock=gs.testing.SimClock())
    assert logged.lines[1] == ("INFO", "shop: Add at 0 took 0.000000 s")
    assert logged.records[1].event == gs.observe.Turn("shop", None, "Add", 0, 0.0)  # type: ignore[attr-defined]


def test_the_level_may_change_while_a_program_runs(logged: Lines) -> None:
    """From the next chunk of messages on."""
    with gs.start(program, observe=gs.observe.Log()) as app:
        app.apply(Add())
        logging.getLogger("go_state").setLevel(logging.DEBUG)
        app.apply(Add())
        app.apply(Add())
    assert any("Add at 2 took" in line for _, line in logged.lines)
    assert not any("Add at 0 took" in line for _, line in logged.lines)


def test_every_kind_of_event_has_a_line(logged: Lines, tmp_path: Path) -> None:
    """At DEBUG a durable run with every kind of command says all it does, and nothing of what is in it."""
    logging.getLogger("go_state").setLevel(logging.DEBUG)
    kinds = ("task", "thread", "err", "unhandled", "retry", "after", "cancel", "seq")
    with gs.LMDBStore(tmp_path / "s") as store:
        for _ in range(2):
            with gs.start(
                program,
                store=store,
                key="k",
                observe=gs.observe.Log(),
                on_error=gs.SetAside(gs.Buffer()),
                clock=gs.testing.SimClock(jumps=True),
            ) as app:
                app.send(Add(), Fail(), *map(Do, kinds))
    text = "\n".join(line for _, line in logged.lines)
    assert SECRET not in text
    assert "shop[k]: restored at" in text
    for word in ("is tried again in 1.000 s, after 1 tries", "was cancelled", "flushed", "saved 1 models at", "took the lease"):
        assert word in text


@pytest.mark.parametrize(
    "make",
    [
        lambda: gs.observe.Log(3),  # type: ignore[arg-type]
        lambda: gs.observe.Log(slow="1"),  # type: ignore[arg-type]
        lambda: gs.observe.Log(slow=-1),
        lambda: gs.observe.Log(slow=float("nan")),
        lambda: gs.observe.Log(levels={"Turn": 10}),  # type: ignore[dict-item]
    ],
)
def test_arguments_that_do_not_fit_are_refused(make: object) -> None:
    """With what is wanted."""
    with pytest.raises(gs.UsageError):
        make()  # type: ignore[operator]
