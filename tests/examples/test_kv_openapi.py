"""Requests made of the key-value service's own description, sensible ones and hostile ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kv_support import Served
from schemathesis.specs.openapi.checks import positive_data_acceptance

from examples.kv_service.openapi import description
from examples.kv_service.server import Limits

OPERATIONS = [
    (path, method.upper())
    for path, operations in description(Limits(), secured=False)["paths"].items()
    for method in operations
    if method != "parameters"
]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    made = Served("--backend", "memory").start()
    yield made
    made.stop()


@pytest.mark.slow
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_it_answers_as_it_says(served: Served, path: str, method: str) -> None:
    """Whatever is sent: no 500, and an answer that the description has."""
    schema: Any = schemathesis.openapi.from_url(f"http://127.0.0.1:{served.port}/openapi.json")

    @given(st.data())
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    def check(data: Any) -> None:
        hostile = data.draw(st.booleans())
        mode = schemathesis.GenerationMode.NEGATIVE if hostile else schemathesis.GenerationMode.POSITIVE
        case = data.draw(schema[path][method].as_strategy(generation_mode=mode))
        (case.query or {}).pop("watch", None)  # whose answer does not end
        answer = case.call(timeout=10)
        assert answer.status_code < 500
        if not hostile:
            case.validate_response(answer, excluded_checks=[positive_data_acceptance])  # 412 is no refusal of wrong data

    check()
