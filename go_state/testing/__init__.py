"""What users test with: `play` and `Harness` for programs, `SimClock` for time, contract suites for backends of
their own, and `Recording`, a run that `gs.to_test` has written down.
"""

from go_state.system.crash_points import CRASH_POINTS
from go_state.testing.clock import SimClock
from go_state.testing.contracts import BufferContract, StoreContract
from go_state.testing.crashing import crash_at
from go_state.testing.harness import Harness
from go_state.testing.play import Played, play
from go_state.testing.recording import Recording
from go_state.testing.strategies import messages

__all__ = [
    "CRASH_POINTS",
    "BufferContract",
    "Harness",
    "Played",
    "Recording",
    "SimClock",
    "StoreContract",
    "crash_at",
    "messages",
    "play",
]
