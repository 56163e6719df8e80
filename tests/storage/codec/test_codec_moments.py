"""Dates and times come back with their time zone, its name, and their fold, or are refused."""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import immutables
import pytest

import go_state as gs

PARIS = ZoneInfo("Europe/Paris")


@dataclass(frozen=True)
class Alarm:
    at: dt.time | None = None
    on: dt.datetime | int | None = None


class Zone(dt.tzinfo):
    def utcoffset(self, at: Any) -> dt.timedelta:
        return dt.timedelta(hours=1)

    def tzname(self, at: Any) -> str:
        return "here"

    def dst(self, at: Any) -> None:
        return None


NIGHT = dt.datetime(2024, 10, 27, 2, 30, tzinfo=PARIS)
STORED: list[tuple[Any, Any, bytes]] = [
    (dt.time, dt.time(7, 30, tzinfo=PARIS), b'"07:30:00[Europe/Paris]"'),
    (dt.time, dt.time(2, 30, fold=1), b'"02:30:00[fold=1]"'),
    (dt.time, dt.time(7, 30, tzinfo=dt.UTC), b'"07:30:00Z"'),
    (dt.time, dt.time(7, 30, 0, 5, tzinfo=dt.timezone(dt.timedelta(hours=-3))), b'"07:30:00.000005-03:00"'),
    (dt.datetime, NIGHT, b'"2024-10-27T02:30:00[Europe/Paris]"'),
    (dt.datetime, NIGHT.replace(fold=1), b'"2024-10-27T02:30:00[Europe/Paris][fold=1]"'),
    (dt.datetime, dt.datetime(2024, 1, 1, tzinfo=ZoneInfo("UTC")), b'"2024-01-01T00:00:00[UTC]"'),
    (dt.datetime, dt.datetime(2024, 1, 1, tzinfo=dt.UTC), b'"2024-01-01T00:00:00Z"'),
    (dt.datetime, dt.datetime(2024, 10, 27, 2, 30, fold=1), b'"2024-10-27T02:30:00[fold=1]"'),
    (dt.datetime, dt.datetime.max, b'"9999-12-31T23:59:59.999999"'),
    (dict[dt.datetime, int], {NIGHT: 1}, b'[["2024-10-27T02:30:00[Europe/Paris]",1]]'),
    (list[dt.time | int], [dt.time(1), 2], b'["01:00:00",2]'),
    (
        Alarm,
        Alarm(dt.time(1, tzinfo=PARIS), NIGHT),
        b'{"at":"01:00:00[Europe/Paris]","on":"2024-10-27T02:30:00[Europe/Paris]"}',
    ),
    (Alarm | dt.datetime | None, NIGHT, b'"2024-10-27T02:30:00[Europe/Paris]"'),
    (immutables.Map[str, dt.datetime], immutables.Map(a=NIGHT), b'{"a":"2024-10-27T02:30:00[Europe/Paris]"}'),
]


@pytest.mark.parametrize(("kind", "value", "data"), STORED, ids=lambda each: str(each)[:50])
def test_a_moment_keeps_its_zone_and_its_fold(kind: Any, value: Any, data: bytes) -> None:
    """What is written is what a person would read, and comes back with the same zone, by its name, and the same fold."""
    codec = gs.JsonCodec[Any](kind)
    assert codec.encode(value) == data
    assert repr(codec.decode(data)) == repr(value)


@pytest.mark.parametrize(
    "value",
    [
        dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1), "CET")),
        dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(0), "GMT")),
        dt.datetime(2024, 1, 1, tzinfo=Zone()),
        dt.time(1, tzinfo=Zone()),
        dt.datetime(2024, 1, 1, tzinfo=ZoneInfo.no_cache("Europe/Paris")),
    ],
    ids=str,
)
def test_a_zone_that_would_not_come_back_is_refused(value: Any) -> None:
    """A zone of one's own, or a fixed one with a name, would come back as another, and is refused with advice."""
    with pytest.raises(gs.errors.NotStorable, match="time zone"):
        gs.JsonCodec[Any](type(value)).encode(value)
    with pytest.raises(gs.errors.NotStorable, match="time zone"):
        gs.JsonCodec[Any](set[type(value)]).encode({value})  # type: ignore[misc]


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-01", "2024-01-01T00:00:00[Nowhere/AtAll]", "2024-01-01T00:00:00[../../etc/passwd]", "2024-01-01T00:00:00[America]",
        "2024-01-01T00:00:00+01:00[Europe/Paris]", "2024-01-01T00:00:00[fold=2]", "[Europe/Paris]", "secret", "", "20240101",
    ],
)  # fmt: skip
def test_text_that_is_no_moment_is_refused_without_its_contents(text: str) -> None:
    """What cannot be read raises ValueError, which names the field and not what is in it."""
    with pytest.raises(ValueError, match="at `") as raised:
        gs.JsonCodec[Any](Alarm).decode(f'{{"on":"{text}"}}'.encode())
    assert not text or text not in str(raised.value)


@pytest.mark.parametrize(
    "kind", [str | dt.datetime, dt.date | dt.datetime, dt.time | dt.datetime, bytes | dt.time | None], ids=str
)
def test_a_moment_beside_text_is_refused(kind: Any) -> None:
    """JSON has text for both, and would not tell one from the other."""
    with pytest.raises(gs.errors.NotStorable, match="told apart"):
        gs.JsonCodec[Any](kind)
