"""Feed: messages in. An unbounded, thread-safe, one-to-many queue in memory.

What enters: messages, by `Buffer.put`, from any thread or task. What leaves: the same messages, in one order, through any number of
readers with a position each. Read in this order:

`buffer.py`      what users put into
`log.py`         the state that a buffer and its readers share, and how a put without a lock never misses a sleeping reader
`retained.py`    the list of retained messages, addressed by position
`cursor.py`      the place of one reader, which a run works on; `sleeper.py`: how it waits
`own_chunk.py`   how a run that has the log alone sends without a lock
`consumer.py`    what users hold of a reader
`retention.py`   which messages may be forgotten; `statistics.py`: sizes, ages and rates

How a thread or task sleeps is in `go_state.waking`. A journal (`go_state.storage.journal`) is the same log, kept on disk.
"""

from go_state.buffer.buffer import Buffer
from go_state.buffer.consumer import Consumer
from go_state.buffer.retention import drop_committed, fixed, keep_all
from go_state.buffer.statistics import BufferStatistics, ReaderStatistics

__all__ = ["Buffer", "BufferStatistics", "Consumer", "ReaderStatistics", "drop_committed", "fixed", "keep_all"]
