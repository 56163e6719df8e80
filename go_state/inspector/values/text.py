"""Text as it is shown: cut, and with escapes for what would not be seen as what it is.

Control characters, those that turn the direction of writing, and lone surrogates are written as Python writes them.
"""

from __future__ import annotations

import json
import re

_NOT_PLAIN = re.compile(r"[^ -~]")

LONGEST = 500
"""Characters of a text that are shown."""


def shown(text: str, longest: int = LONGEST) -> str:
    r"""Return the beginning of the text, of at most `longest` characters, with escapes for what is not printable.

    >>> shown("a\x1b[2J\u202eb")
    'a\\x1b[2J\\u202eb'
    """
    begin = text[:longest]
    safe = _NOT_PLAIN.sub(_escaped, begin)
    return safe if len(text) <= longest else f"{safe}…"


def quoted(text: str, longest: int = LONGEST) -> str:
    r"""Return the beginning of the text as JSON writes it, in quotes, with escapes for what is not printable.

    >>> quoted('say "hi"\n')
    '"say \\"hi\\"\\n"'
    """
    written = shown(json.dumps(text[:longest], ensure_ascii=False), 7 * longest)
    return written if len(text) <= longest else f"{written[:-1]}…"


def number_text(value: int | float | complex) -> str:
    """Return a number as it is written; a very long one by its size, because to write it would take long."""
    if isinstance(value, int) and value.bit_length() > _LONG:
        return f"a number of {value.bit_length():,} bits"
    return repr(value)


_LONG = 4096  # bits: Python refuses to write numbers of more than 4,300 digits


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    return character if character.isprintable() else ascii(character)[1:-1]
