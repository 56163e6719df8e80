"""Errors of a command: a sentence on standard error and the exit code 1, in the words of the command line.

    library: "say which with key=" ──▶ the options of the command that was given ──▶ "say which with --key"

The library's errors name Python's keyword arguments. Which option stands for each is read from the command's own signature, so that a
keyword is only called by an option that the command has. What is a call in Python, such as `gs.Snapshots(every=...)`, stays, and so
does an error that went through the user's own code: its keywords are those of the program.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from types import TracebackType

from go_state.cli.output import fail
from go_state.cli.parameters import option_of
from go_state.core.errors import GoStateError, LeaseHeld

# Those which the library uses for something else than the option: the schema of a program and the name of a source.
_OTHERS = ("schema", "name")
# Either a call or a quotation, which are left alone, or a keyword; a value is only taken along if it says what the option alone says.
_KEYWORD = re.compile(
    r"(?:\w+\.)*\w+\([^()]*\)|(?<!\w)(?:'[^'\n]*'|\"[^\"\n]*\")|(?<![\w.\-/?&])([a-z_]+)=(?:(?:True\b|gs\.SetAside\(\))?(?!\w|[{\[(\"']|\.\.)|(?=')(?P<value>))"
)
_TOOL = re.compile(r"`gs\.(\w+)`")
_TOOLS = ("replay", "first", "compare", "verify", "rebuild", "peek", "to_test", "inspect")


def in_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command, whose errors name its options in the place of the library's keyword arguments."""
    options = _options_of(command)

    @wraps(command)
    def told(**given: object) -> None:
        try:
            command(**given)
        except GoStateError as error:
            tell_error(error, {} if _went_through_a_program(error.__traceback__) else options)

    vars(told)["__signature__"] = inspect.signature(command, eval_str=True)
    return told


def tell_error(error: GoStateError, options: Mapping[str, str]) -> None:
    """Print the error with its notes, `options` in the place of the keywords, and exit with 1."""
    if isinstance(error, LeaseHeld):  # which tells a program to wait for it
        fail(
            f"error: the lease of the journal {error.name!r} is held by a program that is running: stop it, give the command again, and "
            f"start it afterwards; nothing was changed"
        )
    said = "\n".join([f"error: {error}", *getattr(error, "__notes__", ())])
    fail(spelled(said, options) if options else said)


def spelled(text: str, options: Mapping[str, str]) -> str:
    """Return the text with the options in the place of the keyword arguments that they stand for.

    >>> spelled("say which with key=, or leave store= out; rebuild=True does", {"key": "--key", "rebuild": "--rebuild"})
    'say which with --key, or leave store= out; --rebuild does'
    """
    text = _TOOL.sub(lambda found: f"`go-state {found[1].replace('_', '-')}`" if found[1] in _TOOLS else found[0], text)

    def option(found: re.Match[str]) -> str:
        name = options.get(found[1] or "")
        return found[0] if name is None else name if found["value"] is None else f"{name} "

    return _KEYWORD.sub(option, text)


def _options_of(command: Callable[..., None]) -> dict[str, str]:
    """Return the option of each keyword argument, as the command's signature has them."""
    options: dict[str, str] = {}
    for name, parameter in inspect.signature(command, eval_str=True).parameters.items():
        option = option_of(name, parameter.annotation)
        if option is not None and name not in _OTHERS:
            options[name] = options[option.removeprefix("--").replace("-", "_")] = option
    if "set_aside" in options:
        options["on_error"] = options["set_aside"]
    return options


def _went_through_a_program(trace: TracebackType | None) -> bool:
    """Return whether the error was raised in code, or called by code, that is neither ours nor Python's own."""
    while trace is not None:
        package = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        if package != "go_state" and package not in sys.stdlib_module_names:
            return True
        trace = trace.tb_next
    return False
