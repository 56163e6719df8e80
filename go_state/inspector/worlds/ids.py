"""The ids of subjects, as addresses have them."""

from __future__ import annotations

import base64
import binascii
import re

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def id_of(name: str) -> str:
    """Return the name itself if it can stand in an address, and else "~" and its base64.

    >>> id_of("orders"), id_of("a/b")
    ('orders', '~YS9i')
    """
    if _PLAIN.fullmatch(name):
        return name
    return "~" + base64.urlsafe_b64encode(name.encode(errors="surrogatepass")).decode().rstrip("=")


def name_of_id(given: str) -> str | None:
    """Return the name; None for anything but an id."""
    if not given.startswith("~"):
        return given if _PLAIN.fullmatch(given) else None
    try:
        return base64.urlsafe_b64decode(given[1:] + "=" * (-(len(given) - 1) % 4)).decode(errors="surrogatepass")
    except (binascii.Error, ValueError):
        return None
