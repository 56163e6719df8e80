"""How long a buffer keeps its messages: the policies to give it, `gs.Buffer(retention=gs.retention.keep_all)`.

    drop_committed    until every reader has committed them; the default
    keep_all          for as long as the buffer lives
    fixed             a number of messages

For journals see `gs.Retain`, which drops what a durable run no longer needs.
"""

from go_state.buffer.retention import drop_committed, fixed, keep_all

__all__ = ["drop_committed", "fixed", "keep_all"]
