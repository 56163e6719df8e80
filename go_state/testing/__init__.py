"""What users test with: `play` for programs, and contract suites for backends of their own."""

from go_state.testing.clock import SimClock
from go_state.testing.contracts import BufferContract, StoreContract
from go_state.testing.harness import Harness
from go_state.testing.play import Played, play

__all__ = ["BufferContract", "Harness", "Played", "SimClock", "StoreContract", "play"]
