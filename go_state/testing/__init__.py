"""What users test with: in goes a program, out come its models, commands and pending effects, in the test's own hands.

    play        messages -> every model and every command, nothing performed
    harness     the real loop with an executor that begins nothing: send, resolve, fail, give, advance, crash
    clock       `SimClock`: a day of timers in milliseconds, for real runs and apps
    recording   a run that `gs.to_test` has written down, and today's program taken through it
    strategies  messages for hypothesis, out of the types of an update
    contracts   the promises of a store and a buffer as test suites, for backends of one's own
    value_contract   the promises of a value, in memory or elsewhere
    streams/    a log with partitions in memory, and the promises of a partitioned source and of its holder
    crashing    a process that dies at a named point

Start with `play`; a program with effects needs `Harness`, and code that waits a `SimClock`.
"""

from go_state.system.crash_points import CRASH_POINTS
from go_state.testing.clock import SimClock
from go_state.testing.contracts import BufferContract, StoreContract
from go_state.testing.crashing import crash_at
from go_state.testing.harness import Harness
from go_state.testing.play import Played, play
from go_state.testing.recording import Recording
from go_state.testing.strategies import messages
from go_state.testing.streams.async_contract import AsyncPartitionContract
from go_state.testing.streams.holder_contract import HolderContract
from go_state.testing.streams.log import PartitionedLog
from go_state.testing.streams.partition_contract import PartitionContract
from go_state.testing.value_contract import ValueContract

__all__ = [
    "CRASH_POINTS",
    "AsyncPartitionContract",
    "BufferContract",
    "Harness",
    "HolderContract",
    "PartitionContract",
    "PartitionedLog",
    "Played",
    "Recording",
    "SimClock",
    "StoreContract",
    "ValueContract",
    "crash_at",
    "messages",
    "play",
]
