"""What does an observed turn cost, against one that nobody observes?

Log at its default level writes nothing here, for no turn is slow; Prometheus counts each turn, and OpenTelemetry makes a span of each,
with the SDK's in-memory exporter.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry
from ratio import compare, line, view

import go_state as gs

COUNT = 100_000


class Nothing:
    """The least that an observer can do."""

    def on_event(self, event: gs.observe.Event) -> None:
        pass


def update(model: int, msg: int) -> gs.Step[int, int]:
    return model + msg, ()


PROGRAM = gs.Program(lambda: (0, ()), update, view=view)


def main() -> None:
    for name, observer, count, budget in (
        ("an observer that does nothing", Nothing(), COUNT, ""),
        ("Log, at its default level", gs.observe.Log(), COUNT, "<= 1"),
        ("Prometheus", gs.observe.Prometheus(CollectorRegistry()), COUNT // 10, ""),
        ("OpenTelemetry", traced(), COUNT // 100, ""),
    ):
        ratio, ours, theirs = compare(through(observer, count), through(None, count))
        line(f"a turn with {name}, against none", ratio, "", f"{theirs / count * 1e6:.2f} us a turn without")
        line("   in microseconds a turn", (ours - theirs) / count * 1e6, budget, unit="us")


def through(observer: gs.observe.Observer | None, count: int) -> Callable[[], object]:
    def run() -> None:
        buffer: gs.Buffer[int] = gs.Buffer()
        buffer.put(*range(count))
        buffer.close()
        gs.run(PROGRAM, buffer, observe=observer)

    return run


def traced() -> gs.observe.OpenTelemetry:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    tracers = TracerProvider()
    tracers.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
    return gs.observe.OpenTelemetry(tracers, MeterProvider([InMemoryMetricReader()]))


if __name__ == "__main__":
    print(__doc__)
    main()
