"""Middleware: what there is ready, and what one's own is written with. `gs.middleware.ChangeLog(print)`, for instance."""

from go_state.loop.middleware import Final, Proposal
from go_state.loop.ready_middleware import ChangeLog, authorise, expire

__all__ = ["ChangeLog", "Final", "Proposal", "authorise", "expire"]
