"""What the run of an app is made of, whichever its queue is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from go_state.core.program import Program
from go_state.middleware.chain import Chain
from go_state.modes.app.observers import Observers
from go_state.modes.app.pending_replies import PendingReplies
from go_state.modes.app.settling import Settling
from go_state.runtime.after_commit import StopRequest
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.on_error import OnError

Model = TypeVar("Model")
Msg = TypeVar("Msg")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunParts(Generic[Model, Msg]):
    """The program, and all that its run is connected with but the queue."""

    program: Program[Model, Msg]
    manager: EffectManager
    on_error: OnError
    observers: Observers[Model]
    replies: PendingReplies
    settling: Settling
    chain: Chain[Model, Msg] | None
    stop: StopRequest
    on_loop: bool
