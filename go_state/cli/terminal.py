"""Text for a terminal, which obeys some characters instead of showing them: keys, messages and models are anybody's.

What Python does not call printable is written as an escape: control characters, which clear the screen or set its title, those
that turn the direction of writing, and lone surrogates, which no terminal can be sent.
"""

from __future__ import annotations

import re
import sys
from typing import TextIO

_NOT_ASCII_OR_CONTROL = re.compile(r"[^\n -~]")


def printable(text: str, encoding: str | None = None) -> str:
    r"""Return the text with Python's escapes for what is not printable, in the encoding if there is one; line ends stay.

    >>> print(printable("a\x1b[2Jb"))
    a\x1b[2Jb
    """
    return _NOT_ASCII_OR_CONTROL.sub(
        lambda found: found[0] if _can_be_shown(found[0], encoding) else ascii(found[0])[1:-1], text
    )


def escaped(json_text: str, encoding: str | None = None) -> str:
    r"""Return the JSON with its own escapes for what is not printable, in the encoding if there is one, which says the same.

    >>> print(escaped('["\x7f"]'))
    ["\u007f"]
    """
    return _NOT_ASCII_OR_CONTROL.sub(
        lambda found: found[0] if _can_be_shown(found[0], encoding) else _json_escape(found[0]), json_text
    )


def _can_be_shown(character: str, encoding: str | None) -> bool:
    if not character.isprintable():
        return False
    try:
        character.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i] << 8 | units[i + 1]:04x}" for i in range(0, len(units), 2))


def encoding_of(stream: TextIO | None) -> str | None:
    """Return the encoding of standard output or error, which a process may have been started without."""
    return None if stream is None else stream.encoding


def show(text: str) -> None:
    """Print it, with escapes for what the terminal cannot show or would obey."""
    print(printable(text, encoding_of(sys.stdout)))  # noqa: T201


def show_json(json_text: bytes) -> None:
    """Print JSON so that it stays JSON."""
    show(escaped(json_text.decode(errors="replace"), encoding_of(sys.stdout)))
