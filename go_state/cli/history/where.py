"""Which messages and which model a command is asked about: its options, described once for all commands that ask a history."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from go_state.cli.parameters import AggregateStore, KeyOf, NameIfSeveral, Of, OptionalKey, Passing, Prefix, Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where in a history to look: the options that say which journal, which records, and which program of many."""

    name: NameIfSeveral = ""
    key: OptionalKey = None
    prefix: Prefix = ""
    of: Of = ""
    key_of: KeyOf = ""
    store: AggregateStore = ""
    set_aside: Passing = False
    schema: Schema = "go_state"


def takes_where(*, without: str = "") -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return what gives a command, in place of its parameter `where`, the fields of `Where` as options, all but the one named `without`.

    The command line is read from a function's signature, and so the function that is returned has a signature that says so.
    """
    options = {name: each for name, each in inspect.signature(Where, eval_str=True).parameters.items() if name != without}

    def spell_out(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        if signature.parameters["where"].annotation is not Where:
            raise TypeError(f"{command.__name__} has no parameter `where: Where`")

        @wraps(command)
        def with_options(**given: Any) -> None:  # Any: each option has a type of its own
            where = {name: given.pop(name) for name in options}
            command(**given, where=Where(**where))

        own = [each.replace(kind=each.KEYWORD_ONLY) for name, each in signature.parameters.items() if name != "where"]
        spelled_out = signature.replace(parameters=[*own, *options.values()])
        vars(with_options)["__signature__"] = spelled_out
        return with_options

    return spell_out
