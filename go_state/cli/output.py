"""What the commands print: JSON, tables, files, and a progress bar while a person waits."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import IO, NoReturn, TypeVar

from go_state.cli.terminal import encoding_of, printable, show, show_json
from go_state.core.errors import MissingExtra, UsageError
from go_state.storage.backends.record_store import RecordStore

try:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Column, Table
    from rich.text import Text
except ImportError:
    raise MissingExtra("cli", "the command go-state") from None

T = TypeVar("T")

_TABLE = 1000  # rows from which on a table is not drawn: to draw it, all of them would have to be known
_WIDE = 10_000  # columns of what is no terminal: there a table is as wide as it is
_EVERY = 1000  # items between two steps of a bar


def fail(why: str) -> NoReturn:
    """Print the sentence on standard error and exit with 1."""
    said = printable(why, encoding_of(sys.stderr))
    Console(stderr=True, soft_wrap=True).print(said, style="red", markup=False, highlight=False, emoji=False)
    sys.exit(1)


def tell(what: str) -> None:
    """Print it on standard error, beside what is printed for programs."""
    sys.stderr.write(printable(what, encoding_of(sys.stderr)) + "\n")


def confirm(what: str, *, yes: bool) -> None:
    """Ask the person at the terminal whether to go on; `UsageError` if there is none and `--yes` was not given."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{what}: say --yes if that is meant; nothing was changed")
    sys.stderr.write(printable(f"{what}. Go on? [y/N] "))
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        show("Nothing was changed.")
        sys.exit(1)


def print_json(value: object) -> None:
    """Print a value as JSON."""
    show(json.dumps(value))


def print_json_list(values: Iterable[object]) -> None:
    """Print values as one list in JSON, each when it comes: there may be any number of them."""
    import orjson  # four times as fast as json, for a million rows

    lines, before = map(orjson.dumps, values), b"["
    while some := list(islice(lines, _EVERY)):
        show_json(before + b"\n,".join(some))
        before = b","
    show("[]" if before == b"[" else "]")


def print_table(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table of the cells as they are, which rich would otherwise search for markup; of very many rows, lines."""
    encoding = encoding_of(sys.stdout)
    cells = ([printable(str(cell), encoding) for cell in row] for row in rows)
    some = list(islice(cells, _TABLE))
    if len(some) < _TABLE:
        table = Table(
            *(Column(name, overflow="fold") for name in columns)
        )  # an id that is cut short can be given to no command
        for row in some:
            table.add_row(*map(Text, row))
        console = Console()
        (console if console.is_terminal else Console(width=_WIDE)).print(table)
        return
    widths = [max(len(row[index]) for row in [columns, *some]) for index in range(len(columns))]
    for line in chain([columns], some, cells):
        show("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


@contextmanager
def output(store: RecordStore, path: str) -> Iterator[IO[bytes]]:
    """Open the file to write to, - for standard output; `UsageError` for a file of the store itself."""
    if path == "-":
        yield sys.stdout.buffer
        return
    store.check_not_own(path)
    try:
        with open(path, "wb") as file:
            yield file
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written ({error.strerror or error}), and is not whole if it is there: give another path, or free space"
        ) from error


@contextmanager
def bar(what: str, total: int | None) -> Iterator[Callable[[int], object]]:
    """Show a bar on a terminal, and give the function that moves it."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)


def with_bar(what: str, items: Iterable[T], total: int) -> Iterator[T]:
    """Give the items, and show a bar meanwhile."""
    with bar(what, total) as advance:
        for number, item in enumerate(items):
            if number % _EVERY == 0:
                advance(number)
            yield item
