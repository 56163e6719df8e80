"""What the commands print: JSON, tables, files, and a progress bar while a person waits."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, NoReturn, TypeVar

from go_state.cli.terminal import encoding_of, printable, show
from go_state.core.errors import MissingExtra, UsageError
from go_state.storage.backends.record_store import RecordStore

try:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table
    from rich.text import Text
except ImportError:
    raise MissingExtra("cli", "the command go-state") from None

T = TypeVar("T")

_EVERY = 1000  # items between two steps of a bar


def fail(why: str) -> NoReturn:
    """Print the sentence on standard error and exit with 1."""
    said = printable(why, encoding_of(sys.stderr))
    Console(stderr=True, soft_wrap=True).print(said, style="red", markup=False, highlight=False, emoji=False)
    sys.exit(1)


def confirm(question: str, yes: bool) -> None:
    """Ask on a terminal, unless the answer is `yes` already; `UsageError` if it is no, or if there is nobody to ask."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("this changes the store, and there is no terminal to ask on: say --yes")
    show(f"{question} [y/N]")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError("nothing was changed")


def print_json(value: object) -> None:
    """Print a value as JSON."""
    show(json.dumps(value))


def print_table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table of the cells as they are, which rich would otherwise search for markup."""
    table = Table(*columns)
    for row in rows:
        table.add_row(*(Text(printable(str(cell), encoding_of(sys.stdout))) for cell in row))
    Console().print(table)


@contextmanager
def output(store: RecordStore, path: str) -> Iterator[IO[bytes]]:
    """Open the file to write to, - for standard output; `UsageError` for a file of the store itself."""
    if path == "-":
        yield sys.stdout.buffer
        return
    store.check_not_own(path)
    with open(path, "wb") as file:
        yield file


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
