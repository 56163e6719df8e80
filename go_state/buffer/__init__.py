"""Feed: messages in. An unbounded, thread-safe, one-to-many queue in memory.

`buffer.py` takes messages, `consumer.py` gives them, `retained.py` is the list between the two, `together.py` is how a reader sleeps
and `retention.py` says what may be forgotten.
"""

from go_state.buffer.buffer import Buffer
from go_state.buffer.consumer import Consumer
from go_state.buffer.retention import drop_committed, fixed, keep_all
from go_state.buffer.statistics import BufferStatistics, ReaderStatistics

__all__ = ["Buffer", "BufferStatistics", "Consumer", "ReaderStatistics", "drop_committed", "fixed", "keep_all"]
