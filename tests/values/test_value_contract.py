"""The contract of a value, over the one in memory and over each server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from values_support import EtcdPlace, NatsPlace

import go_state as gs
from go_state.testing import ValueContract


class TestInMemory(ValueContract):
    def make(self) -> gs.Value[int]:
        return gs.Value()

    def end(self, value: Any) -> None:
        value.close()


class Elsewhere(ValueContract):
    """A connection for the value, and another one for what others have of it."""

    @pytest.fixture(autouse=True)
    def connections(self, place: Any) -> Iterator[None]:
        with ExitStack() as self.mine, ExitStack() as self.theirs:
            self.key = uuid.uuid4().hex
            self.others = self.theirs.enter_context(place.open())
            self.values = self.mine.enter_context(place.open())
            yield

    def make(self) -> Any:
        return self.values.value(self.key, int)

    def another(self, value: Any) -> Any:
        return self.others.value(self.key, int)

    def end(self, value: Any) -> None:
        self.mine.close()


@pytest.mark.processes
@pytest.mark.parametrize("place", [EtcdPlace], indirect=True)
class TestEtcd(Elsewhere):
    pass


@pytest.mark.processes
@pytest.mark.parametrize("place", [NatsPlace], indirect=True)
class TestNatsKV(Elsewhere):
    pass


def test_values_are_what_the_port_says() -> None:
    value: gs.abc.Value[int] = gs.Value(1)
    assert isinstance(value, gs.abc.Value)
    assert isinstance(value.watch(), gs.abc.Watcher)
