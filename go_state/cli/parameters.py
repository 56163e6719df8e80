"""What the commands take: their arguments and options, each described once."""

from __future__ import annotations

from typing import Annotated, get_args

from go_state.core.errors import MissingExtra

try:
    import typer
    from typer.models import OptionInfo
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
NewFile = Annotated[str, typer.Argument(metavar="FILE", help="The new file.")]
Backup = Annotated[
    str, typer.Argument(metavar="BACKUP", help="A file that was made by `go-state store backup`, or any other store.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Where = Annotated[list[str] | None, typer.Option(metavar="FIELD=VALUE", help="Of which messages; all conditions have to hold.")]
Empty = Annotated[bool, typer.Option("--empty", help="Empty the messages: their positions stay.")]
With = Annotated[
    str | None, typer.Option("--with", metavar="MODULE:FUNCTION", help="Given an entry, it returns its new message.")
]
ModelFunction = Annotated[
    str | None,
    typer.Option(
        "--model", metavar="MODULE:FUNCTION", help="Given the oldest snapshot's model, it returns it without what is erased."
    ),
]
KeyToErase = Annotated[str | None, typer.Option("--key", help="Delete all that is stored under the key instead.")]
AllUnder = Annotated[str | None, typer.Option("--prefix", help="All journals whose names begin so: those of a keyed program.")]
Rebuild = Annotated[
    bool, typer.Option("--rebuild", help="Also if today's program would not make the snapshots that there are.")
]
Compact = Annotated[bool, typer.Option("--compact", help="Compact the store afterwards.")]
Until = Annotated[int | None, typer.Option(help="The position to stop before.")]
History = Annotated[
    str,
    typer.Argument(
        metavar="HISTORY", help="A store's file or postgresql:// address, or records: .csv, .jsonl, also .gz and .zip."
    ),
]
OldTarget = Annotated[str, typer.Argument(metavar="OLD:PROGRAM", help="Where the former program is found.")]
NewTarget = Annotated[str, typer.Argument(metavar="NEW:PROGRAM", help="Where the other program is found.")]
OptionalKey = Annotated[
    str | None, typer.Option("--key", help="The key of one program or model among many: a journal's name without the prefix.")
]
NeededKey = Annotated[str, typer.Option("--key", help="The key of the program or model, without the prefix.")]
Prefix = Annotated[str, typer.Option("--prefix", help="What the names of keyed programs' journals begin with.")]
Of = Annotated[
    str, typer.Option("--of", metavar="MODULE:CLASS", help="What the records of a file are, if the program does not say.")
]
KeyOf = Annotated[
    str, typer.Option("--key-of", help="Of a keyed aggregate: the field of the message, or the function, that is the key.")
]
AggregateStore = Annotated[str, typer.Option("--store", metavar="DB", help="The store of an aggregate over the history.")]
Trace = Annotated[bool, typer.Option("--trace", help="Print each turn, with what it has changed.")]
Fields = Annotated[
    str, typer.Option("--fields", help="Show only turns that change one of these fields, such as total,refunded.")
]
Condition = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        help="customer=c1, an expression in before, msg and after, such as 'after.total < 0', or module:function; may be repeated.",
    ),
]
Passing = Annotated[
    bool, typer.Option("--set-aside", help="Pass over messages that the program fails on, as the run did that set them aside.")
]
LettersToWrite = Annotated[
    str,
    typer.Option("--letters", metavar="NAME", help="With --set-aside: write letters of what fails only now under this name."),
]
Histories = Annotated[
    list[str],
    typer.Argument(metavar="HISTORY...", help="A store or a file of records; of several files, in the order they were read."),
]
GoOn = Annotated[bool, typer.Option("--go-on", help="Count after how many messages each field differs.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Write nothing; only say what would be done.")]
TestFile = Annotated[str, typer.Argument(metavar="FILE", help="The test to write.")]
Member = Annotated[
    list[str] | None, typer.Option("--where", help="Only messages with this in a field: customer=c1; may be repeated.")
]
Kind = Annotated[str, typer.Option("--type", help="Only messages of this class.")]
Follow = Annotated[bool, typer.Option("--follow", help="Go on with what is put from now on, until Ctrl-C.")]

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
Inspected = Annotated[
    str,
    typer.Argument(
        metavar="[MODULE:PROGRAM] HISTORY", help="The program, if models are to be seen, and then a store or a file."
    ),
]
StoreOfProgram = Annotated[
    str | None, typer.Argument(metavar="", show_default=False, help="The store's file, postgresql://…, .csv or .jsonl.")
]
Port = Annotated[int, typer.Option("--port", help="Where to serve; 0 for any port that is free.")]
Host = Annotated[str, typer.Option("--host", help="Where to serve; another than this machine's own needs --token.")]
Token = Annotated[
    str | None, typer.Option("--token", envvar="GO_STATE_TOKEN", help="What the address has to have; a random one by default.")
]
RedactPaths = Annotated[
    list[str] | None, typer.Option("--redact", metavar="PATH", help="A field to hide, such as customer.email; may be repeated.")
]


def group(text: str) -> typer.Typer:
    """Return a group of commands. Errors of a program are printed by `main`, which escapes what a terminal would obey."""
    return typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=text)


def option_of(name: str, annotation: object) -> str | None:
    """Return the option of a command's parameter, such as "--dry-run"; None for an argument."""
    for info in get_args(annotation):
        if isinstance(info, OptionInfo):
            written = [each for each in (info.default, *(info.param_decls or ())) if isinstance(each, str)]
            return next((each for each in written if each.startswith("--")), f"--{name.replace('_', '-')}")
    return None
