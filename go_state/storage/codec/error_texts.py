"""What an error says, without the values that it quotes: they may be a user's data."""

from __future__ import annotations

import re

from go_state.storage.types.misfit import MisfitError


def without_contents(error: Exception) -> str:
    """Return the error's text without the values that it quotes, and without names that no field can have."""
    text = re.sub(r"(?<=value )(?:'.*'|[^' ]+)", "...", str(error), flags=re.DOTALL)
    return re.sub(
        r"(?<=unknown field )`(.*)`", lambda found: found[0] if found[1].isidentifier() else "...", text, flags=re.DOTALL
    )


def error_text(error: Exception) -> str:
    """Return what the error says if it is Python's, msgspec's or ours; of an error of the user's class only its kind."""
    import msgspec

    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, (msgspec.MsgspecError, MisfitError)) or (
        _is_raised_here(error)
        and (
            type(error) in (TypeError, AttributeError, OverflowError)
            or isinstance(error, UnicodeError)
            or _is_of_a_limit(error)
        )
    ):
        return without_contents(error)
    return f"its class raised {type(error).__qualname__}"


def _is_raised_here(error: Exception) -> bool:
    """Return whether this package's own code has raised it: what other code says may quote what it was given."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith("go_state.")


def _is_of_a_limit(error: Exception) -> bool:
    return str(error).startswith("Exceeds the limit")  # of the digits that Python reads
