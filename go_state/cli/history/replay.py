"""The model that a program comes to, and the way there: the command `go-state replay`."""

from __future__ import annotations

from go_state.cli.history.asked import asked
from go_state.cli.history.shown import Printer, tell_passed_over
from go_state.cli.history.where import Where, takes_where
from go_state.cli.opened import import_program
from go_state.cli.output import bar, tell
from go_state.cli.parameters import Fields, From, History, Json, Target, Trace, Until
from go_state.core.errors import UsageError
from go_state.history.reading.opened import opened
from go_state.history.replay import replay_of
from go_state.history.steps import steps_of


@takes_where()
def replay_history(
    target: Target,
    history: History,
    *,
    where: Where,
    until: Until = None,
    start: From = None,
    trace: Trace = False,
    fields: Fields = "",
    as_json: Json = False,
) -> None:
    """Print the model that a program comes to at a position, as JSON; with --trace before and after of every turn."""
    program = import_program(target)
    if fields and not trace:
        raise UsageError("--fields says which changes --trace shows: give both")
    printer = Printer(program, as_json=as_json, fields=fields)
    with asked(program, history, where) as found:
        work = opened("replay", program, found.history, **found.options)
        if not trace:
            with bar("replay", found.total) as advance:
                model = replay_of(work, until, start, advance)
            printer.model(model)
        elif not sum(printer.step(step) for step in steps_of(work, start, until)):
            tell(f"no turn there changes {fields}" if fields else "there is no turn")
        tell_passed_over(work.passed.count, work.passed.named, beside=True)
