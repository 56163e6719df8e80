"""Who looks at a running program: its watchers, the subscribers of its fields, and whoever waits for its end.

All that publishes runs in the program's own thread or task; watchers wait in theirs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from go_state.watch.fields import Fields
from go_state.watch.value import Value

Model = TypeVar("Model")


class Observers(Generic[Model]):
    """The models of one running program, as others see them. A hook after the commit: see `runtime/after_commit.py`."""

    def __init__(self) -> None:
        self.models: Value[Model] = Value()
        self.ended: Value[bool] = Value()  #: set once, at the end
        self.fields: Fields[Model] | None = None  #: compared from the first subscription on
        #: What is called with each model that is published, in this order; `follow` adds to it.
        self.on_published: list[Callable[[Model], object]] = [self.models.slot.publish]
        self.is_drained = False  #: whether the end of the app waits for nothing but its commands
        self._following = threading.Lock()  # held by whoever begins to follow the fields
        self._has_begun = False  # whether the fields have begun with a model that was the newest then
        self._error: BaseException | None = None  # what the program has ended with

    # ------------------------------------------------------------------ called by the run

    def committed(self, model: Model) -> None:
        """Publish the model."""
        for published in self.on_published:
            published(model)

    def _compare(self, model: Model) -> None:
        if self.fields is not None:
            self.fields.committed(model, self.models.version)

    def drained(self) -> None:
        """Called when the run waits for nothing but its commands, none of which may wait for a model from now on."""
        if self.is_drained:
            return
        self.is_drained = True
        self.models.slot.wake()
        if self.fields is not None:
            self.fields.wake()

    def end(self, error: BaseException | None) -> None:
        """End: watchers get the last model, and then the error."""
        self._error = error
        self.models.close(error)
        if self.fields is not None:
            self.fields.close(error)
        self.ended.set(True)

    # ------------------------------------------------------------------ called by others

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody waits for a model, or for a change."""
        return bool(self.models.slot.waiting) or (self.fields is not None and self.fields.is_waited_for)

    def follow(self) -> Fields[Model]:
        """Return the fields of the models, which are compared from here on; from any thread. `Empty` before the first model.

        The program goes on meanwhile. A model that it publishes is either seen here, and then the fields begin with it, or it is
        published after the fields are set, and then the program compares it with the one that they began with.
        """
        with self._following:
            if self._compare not in self.on_published:
                self.on_published.append(self._compare)
            while not self._has_begun:
                version, model = self.models.versioned()
                self.fields = Fields(model, version, self.models.slot.before_wait)
                if self.is_drained:  # looked at after the fields are set: `drained` does it the other way round
                    self.fields.wake()
                self._has_begun = self.models.version == version
            fields: Fields[Model] = self.fields  # type: ignore[assignment]  # it was begun
            if self.models.closed:  # looked at after the fields are set: `end` does it the other way round
                fields.close(self._error)
            return fields
