"""History: what can be asked of the messages that were kept of a program.

A program and a history come in: a journal, a source that can be read again, such as a file, or a `gs.abc.History` of your own. Out
comes an answer. Nothing here performs a command or shows a view, and only `rebuild` and `erasing/` write.

`replay.py`        the model at any position, folded from the nearest snapshot that was kept
`steps.py`         every turn, with the model before and after it; the first turn of which something is true
`compare.py`       two programs through one history: the first message after which they differ, by field
`verify.py`        does today's update still make what it made? The first message and the field at which it does not
`rebuild.py`       after a fix: the models that were kept, made again from all messages; `rebuilding/` has the ways
`peek.py`          the model as of now, from another process
`to_test.py`       a recorded run as a test in the user's repository
`check_store.py`   before a deploy: can the new program read everything that the old one has stored?
`erasing/`         a person's data taken out: the only part that writes messages

What was given is made one shape in `reading/`, which has the fold too. Keys: `key=` is that of a program whose init takes one, and of
`start_keyed` the journal's name without its prefix; with `key_of=`, the key function of an aggregate, that of one of its models.
"""

from go_state.history.check_store import StoreChecked, StoreFinding, check_store
from go_state.history.compare import Compared, Parted, compare
from go_state.history.erasing.forget import Forgotten, change_model, forget
from go_state.history.erasing.rewrite import rewrite
from go_state.history.peek import Peeked, peek
from go_state.history.reading.folding import Step
from go_state.history.reading.opened import HistoryOptions
from go_state.history.rebuild import rebuild
from go_state.history.rebuilding.changes import ModelChange, Rebuilt
from go_state.history.replay import replay
from go_state.history.steps import first, steps
from go_state.history.to_test import to_test
from go_state.history.verify import Finding, Verified, verify
from go_state.storage.journal.erasing.rewriting import Rewritten

__all__ = [
    "Compared",
    "Finding",
    "Forgotten",
    "HistoryOptions",
    "ModelChange",
    "Parted",
    "Peeked",
    "Rebuilt",
    "Rewritten",
    "Step",
    "StoreChecked",
    "StoreFinding",
    "Verified",
    "change_model",
    "check_store",
    "compare",
    "first",
    "forget",
    "peek",
    "rebuild",
    "replay",
    "rewrite",
    "steps",
    "to_test",
    "verify",
]
