"""Looking for a message: the commands first, compare and verify."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence

from go_state.cli.conditions import Members, expression, is_member
from go_state.cli.history.asked import asked
from go_state.cli.history.shown import Printer, described, tell_passed_over
from go_state.cli.history.where import Where, takes_where
from go_state.cli.opened import import_object, import_program
from go_state.cli.output import bar, print_json
from go_state.cli.parameters import Condition, From, GoOn, History, Json, Kind, NewTarget, OldTarget, Target, Until
from go_state.cli.terminal import show
from go_state.core.errors import UsageError
from go_state.core.program import SomeProgram
from go_state.history.compare import Compared, compare
from go_state.history.reading.opened import opened
from go_state.history.steps import first_of
from go_state.history.verify import verify
from go_state.storage.codec.difference import differences

_MOST = 1000  # fields of one turn
_FUNCTION = re.compile(r"[\w.]+:\w+")


@takes_where()
def find_first(
    target: Target,
    history: History,
    *,
    where: Where,
    conditions: Condition = None,
    kind: Kind = "",
    start: From = None,
    until: Until = None,
    as_json: Json = False,
) -> None:
    """Print the first message that made something so, with what it has changed; the exit code is 1 if none did."""
    program = import_program(target)
    condition = _condition(program, conditions or (), kind)
    with asked(program, history, where) as found:
        work = opened("first", program, found.history, **found.options)
        with bar("first", found.total) as advance:
            step = first_of(work, condition, start, until, advance)
        tell_passed_over(work.passed.count, work.passed.named, beside=True)
        if step is None:
            show("null" if as_json else "no message made it so")
            sys.exit(1)
        changed = differences(step.before, step.after, _MOST)
        Printer(program, as_json=as_json).turn(step.position, step.at, step.key, step.message, changed, sent=step.sent)


def _condition(program: SomeProgram, written: Sequence[str], kind: str) -> Callable[[object, object, object], bool]:
    """Return the function of conditions, all of which have to hold: field=value, expressions, or module:function."""
    members = Members([each for each in written if is_member(each)], kind)
    functions = [_function(each) for each in written if not is_member(each)]
    if not members and not functions:
        raise UsageError("say what made it so: --where 'after.total < 0', --where customer=c1, or --type Refund")
    printer = Printer(program)

    def condition(before: object, msg: object, after: object) -> bool:
        return (not members or members.hold(printer.message(msg))) and all(each(before, msg, after) for each in functions)

    return condition


def _function(written: str) -> Callable[[object, object, object], bool]:
    if not _FUNCTION.fullmatch(written):
        return expression(written)
    function = import_object(written)
    if not callable(function):
        raise UsageError(f"{written} is not a function of (before, msg, after)")
    return lambda before, msg, after: bool(function(before, msg, after))


@takes_where()
def compare_programs(
    old: OldTarget,
    new: NewTarget,
    history: History,
    *,
    where: Where,
    until: Until = None,
    go_on: GoOn = False,
    as_json: Json = False,
) -> None:
    """Print the first message after which two programs' models differ, by field; the exit code is 1 if they do."""
    program, other = import_program(old), import_program(new)
    with asked(program, history, where) as found, bar("compare", found.total) as advance:
        compared = compare(program, other, found.history, until=until, go_on=go_on, progress=advance, **found.options)
    _tell_compared(compared, Printer(program, as_json=as_json), as_json=as_json, go_on=go_on)
    sys.exit(0 if compared.ok else 1)


def _tell_compared(compared: Compared[object], printer: Printer, *, as_json: bool, go_on: bool) -> None:
    parted = compared.parted
    if parted is not None:
        printer.turn(parted.position, parted.at, parted.key, parted.message, parted.fields, words=("old", "new"))
    if as_json:
        print_json({"messages": compared.messages, "counts": compared.counts, "passed_over": compared.passed_over})
    elif parted is None:
        show(f"{compared.messages:,} messages: both make the same of them")
    else:
        for path, count in sorted(compared.counts.items(), key=lambda each: -each[1]) if go_on else ():
            show(f"{path} differs after {count:,} messages")
    if not as_json:
        tell_passed_over(compared.passed_over[1], compared.set_aside)


@takes_where()
def verify_history(
    target: Target,
    history: History,
    *,
    where: Where,
    as_json: Json = False,
) -> None:
    """Fold a history through today's program and compare with the models that were kept; the exit code is 1 if they differ."""
    program = import_program(target)
    with asked(program, history, where) as found, bar("verify", found.total) as advance:
        verified = verify(program, found.history, progress=advance, **found.options)
    if as_json:
        finding = None if verified.finding is None else verified.finding._asdict()
        passed = {"passed_over": verified.passed_over, "set_aside": described(verified.set_aside)}
        print_json({"messages": verified.messages, "snapshots": verified.snapshots, "finding": finding, **passed})
    else:
        says = "they make what they made" if verified.finding is None else verified.finding
        if verified.finding is None and not verified.messages and found.total:
            says = f"no snapshot is of the program's revision {program.revision}; `go-state rebuild` makes them again"
        show(f"{verified.messages:,} messages and {verified.snapshots} snapshots checked: {says}")
        tell_passed_over(verified.passed_over, verified.set_aside)
    sys.exit(0 if verified.ok else 1)
