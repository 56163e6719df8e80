"""A server of each kind that holds values, for a file of tests."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from etcd_server import etcd_server
from nats_server import nats_server
from values_support import EtcdPlace, NatsPlace

__all__ = ["etcd_server", "nats_server"]


@pytest.fixture(scope="module", params=[EtcdPlace, NatsPlace], ids=["etcd", "nats"])
def place(request: pytest.FixtureRequest) -> Iterator[Any]:
    made = request.param()
    yield made
    made.server.remove()


@pytest.fixture
def key() -> str:
    return f"limits-{uuid.uuid4().hex}"


@pytest.fixture
def values(place: Any) -> Iterator[Any]:
    with place.open() as values:
        yield values


@pytest.fixture
def open_another(place: Any) -> Iterator[Callable[[], Any]]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(place.open())
