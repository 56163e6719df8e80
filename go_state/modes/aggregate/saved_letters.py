"""What an aggregate asks of the letters that are written with its saves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from go_state.core.ports import Write
from go_state.runtime.on_error import Filing

if TYPE_CHECKING:
    from go_state.storage.letters.box import LetterBox


class SavedLetters(Filing, Protocol):
    """Letters that are written with the next save."""

    def writes(self) -> dict[str, Write]:
        """Return what the save is to write for them."""
        ...

    def written(self) -> None:
        """Called when that is stored."""
        ...

    def noted(self) -> Mapping[LetterBox, int]:
        """Return what `go_back` takes."""
        ...

    def go_back(self, to: Mapping[LetterBox, int], /) -> None:
        """Forget the letters that were filed since."""
        ...
