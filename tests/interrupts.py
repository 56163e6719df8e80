"""Ctrl-C at every point at which Python delivers it, for tests of what an interrupted call leaves behind."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any


class Interrupt:
    """Raises KeyboardInterrupt after the nth call within a block: CPython delivers signals after calls, and when a function begins."""

    def __init__(self, nth: int) -> None:
        self.left = nth
        self.came = False

    def __call__(self, frame: Any, event: str, argument: Any) -> None:
        # A generator that is left early ends in its deallocation, and `_remove` is what a WeakSet is told of one: no caller has either.
        if frame.f_code.co_name in ("<genexpr>", "_remove"):
            return
        if event in ("call", "c_return") and frame.f_code is not Interrupt.__exit__.__code__:
            self.left -= 1
            if self.left == 0:
                sys.setprofile(None)
                self.came = True
                raise KeyboardInterrupt

    def __enter__(self) -> None:
        gc.disable()  # what the collector calls belongs to no caller, and an exception in it to nobody
        sys.setprofile(self)

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> bool:
        sys.setprofile(None)
        gc.enable()
        return kind is KeyboardInterrupt


def at_every_point(act: Callable[[Interrupt], object]) -> None:
    """Call it with an interrupt at its first point, its second, and so on, until none comes."""
    nth, came = 1, True
    while came:
        interrupt = Interrupt(nth)
        act(interrupt)
        nth, came = nth + 1, interrupt.came
    assert nth > 5
