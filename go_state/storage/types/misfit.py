"""Misfits: values that do not fit their annotation, with the path from the value that was to be stored or read."""

from __future__ import annotations


class MisfitError(TypeError, ValueError):
    """A value is not what its annotation says, or cannot be made again. `path` leads to it, such as `.cards[].title`."""

    def __init__(self, why: str, path: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.path = path

    def within(self, step: str) -> MisfitError:
        """Return itself, with a step added in front of its path."""
        self.path = step + self.path
        return self

    def __str__(self) -> str:
        return f"{self.why} - at `${self.path}`" if self.path else self.why
