"""Text for a terminal, which obeys some characters instead of showing them: keys, messages and models are anybody's.

What Python does not call printable is written as an escape: control characters, which clear the screen or set its title, those
that turn the direction of writing, and lone surrogates, which no terminal can be sent.
"""

from __future__ import annotations

import re

_NOT_ASCII_OR_CONTROL = re.compile(r"[^\n -~]")


def printable(text: str) -> str:
    r"""Return the text with Python's escapes for what is not printable; line ends stay.

    >>> print(printable("a\x1b[2Jb"))
    a\x1b[2Jb
    """
    return _NOT_ASCII_OR_CONTROL.sub(lambda found: found[0] if found[0].isprintable() else ascii(found[0])[1:-1], text)


def escaped(json_text: str) -> str:
    r"""Return the JSON with its own escapes for what is not printable, which says the same.

    >>> print(escaped('["\x7f"]'))
    ["\u007f"]
    """
    return _NOT_ASCII_OR_CONTROL.sub(lambda found: found[0] if found[0].isprintable() else _json_escape(found[0]), json_text)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i] << 8 | units[i + 1]:04x}" for i in range(0, len(units), 2))
