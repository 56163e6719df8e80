"""Closed says which end it is: the normal one, one's own close, or that of an app."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import go_state as gs

COUNTER = gs.reducer(int, lambda model, message: model + message)


def drained() -> None:
    buffer: gs.Buffer[int] = gs.Buffer()
    consumer = buffer.consumer()
    buffer.close()
    consumer.get(timeout=1)


def put_after_close() -> None:
    buffer: gs.Buffer[int] = gs.Buffer()
    buffer.close()
    buffer.put(1)


def get_after_close() -> None:
    consumer = gs.Buffer[int]().consumer()
    consumer.close()
    consumer.get(timeout=1)


def value_at_its_end() -> None:
    value: gs.Value[int] = gs.Value()
    watcher = value.watch()
    value.close()
    watcher.get(timeout=1)


def set_after_close() -> None:
    value: gs.Value[int] = gs.Value()
    value.close()
    value.set(1)


def watch_after_close() -> None:
    watcher = gs.Value[int]().watch()
    watcher.close()
    watcher.get(timeout=1)


def send_to_an_app_that_ended() -> None:
    with gs.start(COUNTER) as app:
        pass
    app.send(1)


def apply_to_an_app_that_ended() -> None:
    with gs.start(COUNTER) as app:
        pass
    app.apply(1, timeout=1)


def send_to_keyed_apps_that_ended() -> None:
    with gs.start_keyed(COUNTER) as apps:
        pass
    apps["k"].send(1)


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (drained, gs.errors.Ended),
        (value_at_its_end, gs.errors.Ended),
        (put_after_close, gs.errors.UsedAfterClose),
        (get_after_close, gs.errors.UsedAfterClose),
        (set_after_close, gs.errors.UsedAfterClose),
        (watch_after_close, gs.errors.UsedAfterClose),
        (send_to_an_app_that_ended, gs.errors.AppEnded),
        (apply_to_an_app_that_ended, gs.errors.AppEnded),
        (send_to_keyed_apps_that_ended, gs.errors.AppEnded),
    ],
)
def test_which_end_it_is(call: Callable[[], None], kind: type[gs.Closed]) -> None:
    """Each is a Closed, so that whoever does not care catches them all."""
    with pytest.raises(gs.Closed) as raised:
        call()
    assert type(raised.value) is kind
