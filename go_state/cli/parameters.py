"""What the commands take: their arguments and options, each described once."""

from __future__ import annotations

from typing import Annotated

from go_state.core.errors import MissingExtra

try:
    import typer
except ImportError:
    raise MissingExtra("cli", "the command go-state") from None

Db = Annotated[str, typer.Argument(metavar="DB", help="The store's file, or postgresql://user@host/database.")]
Schema = Annotated[str, typer.Option(help="The schema of a store in Postgres.")]
Key = Annotated[str, typer.Argument(metavar="KEY", help="The key of a snapshot.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The journal's name: the key of its program.")]
NameIfSeveral = Annotated[str, typer.Option("--name", help="The journal, if the store has more than one.")]
Target = Annotated[str, typer.Argument(metavar="MODULE:PROGRAM", help="Where the program is found, such as bot.main:program.")]
OptionalTarget = Annotated[str | None, typer.Argument(metavar="[MODULE:PROGRAM]")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
File = Annotated[str, typer.Argument(metavar="FILE")]
OutputFile = Annotated[str, typer.Argument(metavar="FILE", help="Where to, - for standard output.")]
Position = Annotated[int, typer.Argument(metavar="POSITION")]
KeyframePosition = Annotated[int | None, typer.Option(help="A keyframe's position, instead of the newest.")]
From = Annotated[int | None, typer.Option("--from", help="The first position.")]
Until = Annotated[int | None, typer.Option(help="The position to stop before.")]

LettersName = Annotated[str, typer.Argument(metavar="NAME", help="The letters' name: that of gs.DeadLetters(store, NAME).")]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of letters, as `go-state dead list` shows them.")]
SomeIds = Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="Ids of letters.")]
All = Annotated[bool, typer.Option("--all", help="All letters of the name.")]
KeyOption = Annotated[
    str, typer.Option("--key", help="Of an aggregate: the model's key, or module:function that gives the key of a message.")
]
DecodeOption = Annotated[
    str, typer.Option("--decode", help="module:name of the source, or of a function, that makes a message of a raw record.")
]

ProgramName = Annotated[
    str, typer.Argument(metavar="PROGRAM", help="The program's name, as `go-state positions list` shows it.")
]
ProgramOption = Annotated[str, typer.Option("--program", help="Only those of the program of this name.")]
Source = Annotated[str, typer.Argument(metavar="SOURCE", help="The name of the source.")]
SetPosition = Annotated[str, typer.Argument(metavar="POSITION", help="The position to read on after: JSON, or a text.")]
Partition = Annotated[str | None, typer.Option("--partition", help="A partition of the source, if it has some.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]


def group(text: str) -> typer.Typer:
    """Return a group of commands. Errors of a program are printed by `main`, which escapes what a terminal would obey."""
    return typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=text)
