"""Middleware: functions around update, for what concerns many messages: which may be sent, what they have changed, what has expired.

    message ──▶ update ──▶ proposal ──▶ middleware, up to its yield ──▶ commit ──▶ middleware, after its yield

A middleware is given each proposal: it agrees, changes the proposed model, or denies it; after the commit it is sent what became of it.
`chain.py` is how a run folds all of a program's middleware around its update, and what one's own is written with: `Proposal` and
`Final`. `ready.py` has what many programs need; `gs.middleware.ChangeLog(print)`, for instance. Read `chain.py` first.

Up to its `yield` a middleware is a part of the program, and is replayed with it; after the `yield` it is an effect, and is not.
"""

from go_state.middleware.chain import Final, Proposal
from go_state.middleware.ready import ChangeLog, authorise, expire

__all__ = ["ChangeLog", "Final", "Proposal", "authorise", "expire"]
