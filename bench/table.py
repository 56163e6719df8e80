"""The table of speeds in docs/performance.md, made of what was measured last: `python bench --table`.

A row joins the questions that a reader would ask as one. The figures of the Go original, go-state with bigbuff, were measured beside
ours, once, with CPython 3.11 on the same machine; they stand here because that measurement needs a Go compiler.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from runs import Result

_UNITS = {"x": "×", "us": "µs"}
BEGIN, END = "<!-- bench: made by `python bench --write` -->", "<!-- end of bench -->"


@dataclass(frozen=True)
class Row:
    """A question of the table: the measured ones that answer it, each with a word that tells it from the others, and Go's figure."""

    question: str
    measured: Mapping[str, str]
    go: str = ""


ROWS = (
    Row(
        "a queued backlog through `run`, against a bare loop with the same update and view",
        {"run, Counter of the README": "a dataclass", "run, int model, one-line update": "int model"},
        go="0.50 µs a message",
    ),
    Row(
        "a chain, where each turn's command sends the next message",
        {
            "run, a chain of bare callables": "bare callables",
            "run, a chain of Cmd.send": "`Cmd.send`",
            "batch, the same": "`Cmd.send`, batch",
        },
        go="0.50 µs a message",
    ),
    Row(
        "`run` over a producer and consumer of one's own",
        {"ports, Counter of the README": "Counter", "ports, int model, one-line update": "int"},
    ),
    Row(
        "a thread puts one message at a time while `run` consumes",
        {
            "put beside run in a thread, Counter, against a bare loop": "Counter",
            "put beside run in a thread, int, against a bare loop": "int",
        },
        go="0.62 µs a put of a goroutine",
    ),
    Row("the same hand-over by a janus queue, against our buffer", {"janus against Buffer, handing over alone": ""}),
    Row(
        "`batch` over 10 million messages, against 100 thousand, a message",
        {"batch, 10 million against 100 thousand, a message": ""},
    ),
    Row(
        "keyed aggregate, 1 million JSON messages over 10,000 keys, against a dict loop by hand",
        {"keyed aggregate against a dict loop": ""},
    ),
    Row(
        "a journal, put one by one and synced, against encoding and writing LMDB by hand",
        {"journal, put one by one, against encode and LMDB by hand": ""},
    ),
    Row(
        "replay of a journal, against a loop that decodes and calls update",
        {"replay against a loop that decodes and calls update": ""},
    ),
    Row(
        "`verify` of a journal: a large model of which each message changes little, against a small one",
        {"verify, a model of 3,000 entries against one of 10, a message": ""},
    ),
    Row(
        "append and replay of a counter's events, times as fast as `eventsourcing` on SQLite",
        {"append, against eventsourcing on SQLite": "append", "replay, against eventsourcing on SQLite": "replay"},
    ),
    Row(
        "the model at any position of a million messages, a snapshot kept at every thousand, against 5 ms",
        {"a jump into a million messages, a snapshot at every 1000 kept": ""},
    ),
    Row(
        "`apply` on a journal, in syncs of that disk: 1, 8, 64 at once",
        {f"apply on a journal, {n} threads, against one sync": f"{n}" for n in (1, 8, 64)},
    ),
    Row("a backlog through an app, against `run`", {"a backlog through an app, against run without a view": ""}),
    Row(
        "a new model beside 10,000 watchers that do not wait, against none; for each of 10,000 that do",
        {
            "publish beside 10,000 idle watchers, against none": "idle",
            "publish to 10,000 waiting tasks, for each": "waiting",
        },
    ),
    Row(
        "calls whose results are messages, against the same by hand",
        {
            "calls inline, results as messages, against by hand": "inline",
            "calls in tasks, 100 at once, results as messages, against by hand": "100 tasks at once",
            "calls in threads, results as messages, against by hand": "100 threads",
        },
    ),
    Row("100,000 timers of a simulated day, against a bare heap", {"100,000 timers of a day, against a bare heap": ""}),
    Row(
        "10,000 entities with a timer each, one of which changes in each turn: a turn",
        {"10,000 subscriptions of which one changes, a turn": ""},
    ),
    Row(
        "a keyed app with a store: CPU time to start one; memory beside its model",
        {
            "a keyed app with a store, CPU time to start": "start",
            "a keyed app with a store, memory beside its model": "memory",
        },
    ),
    Row(
        "a save of 10 changed models among a million, against among ten thousand",
        {"ten changes among 1,000,000 against among 10,000 models": ""},
    ),
    Row(
        "Postgres: a save of 1,000 changed models; saves a second by four writers, against one",
        {
            "Postgres, a save of 1,000 changed models": "save",
            "Postgres, saves of four writers against one, 2 ms a sync": "writers",
        },
    ),
    Row("taking a journal in from its export, against appending it", {"journal import, against putting the same messages": ""}),
    Row(
        "a durable put over HTTP, the time it takes against a dict server on the same stack, 64 clients and 1",
        {
            "a durable put over HTTP, 64 clients, against a plain dict server": "64",
            "a durable put over HTTP, 1 client, against a plain dict server": "1",
        },
    ),
    Row(
        "`import go_state`, against the standard modules it needs",
        {"import go_state against the standard modules it needs": ""},
    ),
)


def of(results: Mapping[str, Result]) -> str:
    """Return the table of the results by their question; a row that nothing answers is left out, and what is missing is told."""
    lines = ["| question | measured | budget | the Go original |", "| --- | --- | --- | --- |"]
    missing = []
    for row in ROWS:
        found = {word: results[question] for question, word in row.measured.items() if question in results}
        missing += [question for question in row.measured if question not in results]
        if found:
            measured = "; ".join(f"{figure(each)}{f' ({word})' if word else ''}" for word, each in found.items())
            budgets = dict.fromkeys(budget(each) for each in found.values() if each.holds is not None)
            lines.append(f"| {row.question} | {measured} | {' / '.join(budgets)} | {row.go} |")
    if missing:
        print(f"not measured on this machine: {'; '.join(missing)}", file=sys.stderr)
    return "\n".join(lines)


def budget(result: Result) -> str:
    return f"{result.budget.replace('<=', '≤').replace('>=', '≥')} {unit(result)}"


def unit(result: Result) -> str:
    return _UNITS.get(result.unit, result.unit)


def figure(result: Result) -> str:
    ratio = f"{result.ratio:.0f}" if result.ratio >= 10 else f"{result.ratio:.2g}"
    return f"{ratio} {unit(result)}"


def write(path: Path, results: Mapping[str, Result], make: Callable[[Mapping[str, Result]], str] = of) -> None:
    """Put the table into the file, between its two marks."""
    text = path.read_text()
    head, _, rest = text.partition(BEGIN)
    _, found, tail = rest.partition(END)
    if not found:
        raise SystemExit(f"{path} has no marks {BEGIN} and {END} between which the table goes")
    path.write_text(f"{head}{BEGIN}\n{make(results)}\n{END}{tail}")


def journeys(results: Mapping[str, Result]) -> str:
    """Return the table of the journeys: what one message takes of each unit on its way, and what it may take."""
    lines = ["| journey of one message | function calls | files | transactions |", "| --- | --- | --- | --- |"]
    counted = {each.question: each for each in results.values() if each.bench == "journeys"}
    for name in dict.fromkeys(question.rpartition(":")[0] for question in counted):
        cells = []
        for unit_name in ("calls", "files", "transactions"):
            found = counted.get(f"{name}: {unit_name}")
            cells.append(f"{found.ratio:.0f}" if found is not None else "")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
