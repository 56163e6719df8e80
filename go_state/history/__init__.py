"""What can be asked of a program's history: the model at any position, whether update still makes the same, a recorded run as a test.

`replay.py` folds messages, `verification.py` compares, `store_check.py` asks whether a program can read what a store has.
"""

from go_state.history.replay import Finding, Verified, replay, to_test, verify
from go_state.history.store_check import StoreChecked, StoreFinding, check_store

__all__ = ["Finding", "StoreChecked", "StoreFinding", "Verified", "check_store", "replay", "to_test", "verify"]
