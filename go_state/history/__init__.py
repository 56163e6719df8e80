"""History: what can be asked of the messages that were kept of a program.

A program and a journal (or a store) come in; out comes an answer. Nothing here runs a command or shows a view.

`replay.py`        the model at any position, folded from the nearest snapshot that was kept
`verify.py`        does today's update still make what it made? The first message and the field at which it does not
`to_test.py`       a recorded run as a test in the user's repository
`check_store.py`   before a deploy: can the new program read everything that the old one has stored?
`erasing/`         a person's data taken out: the only part that writes messages

The fold itself is in `modes/keeping/folding.py`, because a durable run begins with it, and the snapshots to start from are found in
`modes/keeping/keyframes.py`. In what two models differ is said by `storage/codec/difference.py`.
"""

from go_state.history.check_store import StoreChecked, StoreFinding, check_store
from go_state.history.erasing.forget import change_model, forget
from go_state.history.erasing.rewrite import rewrite
from go_state.history.replay import replay
from go_state.history.to_test import to_test
from go_state.history.verify import Finding, Verified, verify
from go_state.storage.journal.erasing.rewriting import Rewritten

__all__ = [
    "Finding",
    "Rewritten",
    "StoreChecked",
    "StoreFinding",
    "Verified",
    "change_model",
    "check_store",
    "forget",
    "replay",
    "rewrite",
    "to_test",
    "verify",
]
