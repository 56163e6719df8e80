"""Dates and times as text: as `isoformat` writes them, with the name of the time zone and the fold if it is 1.

    2024-02-29T23:59:59Z                      UTC; other fixed offsets likewise, as +05:30
    2024-10-27T02:30:00[Europe/Paris][fold=1] the second half past two of that night
    2024-10-27T02:30:00                       no time zone

The offset of a named zone is not written: it follows from the zone, whose rules change.
"""

from __future__ import annotations

import datetime
import re
import zoneinfo
from collections.abc import Callable
from typing import TypeVar

from go_state.storage.types.misfit import MisfitError

Moment = TypeVar("Moment", datetime.datetime, datetime.time)

_ZONE = r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*"
_NAMED = re.compile(rf"([^\[\]]+)(?:\[({_ZONE})\])?(\[fold=1\])?")


def writer(kind: type[Moment]) -> Callable[[Moment], str]:
    """Return the function that writes a datetime or a time, and nothing else."""

    def write(value: Moment) -> str:
        if type(value) is not kind:
            raise MisfitError(f"a {type(value).__qualname__} stands where a {kind.__qualname__} is stored")
        zone = value.tzinfo
        if type(zone) is zoneinfo.ZoneInfo:
            if zone.key is None or not re.fullmatch(_ZONE, zone.key):
                raise MisfitError("its time zone has no name to be found by: store it in UTC, or with a zone that has one")
            text = f"{value.replace(tzinfo=None).isoformat()}[{zone.key}]"
        else:
            text = value.isoformat()
            text = f"{text[:-6]}Z" if text.endswith("+00:00") else text
        return f"{text}[fold=1]" if value.fold else text

    return write


def reader(kind: type[Moment]) -> Callable[[str], Moment]:
    """Return the function that reads what `writer` writes, and what `isoformat` does; it raises `ValueError` for other text."""
    no_moment = f"the text is no {kind.__qualname__} as isoformat writes it"
    parse: Callable[[str], Moment] = kind.fromisoformat
    shortest = len("2024-01-01") if kind is datetime.datetime else 0  # a date alone is of another type

    def read(text: str) -> Moment:
        try:
            value = parse(text)
        except ValueError:
            return read_named(text)
        if len(text) > shortest:
            return value
        raise MisfitError(no_moment)

    def read_named(text: str) -> Moment:
        named = _NAMED.fullmatch(text)
        if named is None or text[-1] != "]":
            raise MisfitError(no_moment) from None
        iso, zone, fold = named.groups()
        value = read(iso)
        if zone is not None:
            if value.tzinfo is not None:
                raise MisfitError(no_moment)
            value = value.replace(tzinfo=_zone(zone))
        return value if fold is None else value.replace(fold=1)

    return read


def _zone(name: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (ValueError, LookupError, OSError):
        raise MisfitError("its time zone is not known on this machine: install tzdata") from None
