"""Middleware: what there is ready, and what one's own is written with. `gs.middleware.ChangeLog(print)`, for instance."""

from go_state.middleware.chain import Final, Proposal
from go_state.middleware.ready import ChangeLog, authorise, expire

__all__ = ["ChangeLog", "Final", "Proposal", "authorise", "expire"]
