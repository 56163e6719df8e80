"""What if: the history as it was and with edits, folded side by side from the first edit on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from go_state.core.ports import Entry
from go_state.history.reading.folding import Fold, entries_of, exhaust
from go_state.history.reading.starts import Start
from go_state.inspector.looking.moment import Moments, turns_of
from go_state.inspector.trying.edited import Edit, EditedHistory
from go_state.inspector.trying.pace import paced
from go_state.inspector.values.differing import differing
from go_state.inspector.values.redaction import NOTHING, Redaction
from go_state.inspector.values.tree import same

Model = TypeVar("Model")
Msg = TypeVar("Msg")


@dataclass(frozen=True, slots=True)
class Tried(Generic[Model]):
    """What came of it: both models at the end, and where they parted, if they did: the position and the path."""

    until: int
    was: Model | None
    is_now: Model | None
    parted: tuple[int, str] | None
    messages: int


def what_if(
    moments: Moments[Model, Msg],
    edits: Sequence[Edit[Msg]],
    until: int,
    progress: Callable[[int], object],
    redaction: Redaction = NOTHING,
) -> Tried[Model]:
    """Fold both on up to before the position `until`. As long as their models are equal, one fold is enough for both.

    `progress` is called now and then with the position, and may raise to end it.
    """
    positions = {edit.position for edit in edits if edit.position < until}
    start = min(positions, default=until)
    history, edited = moments.history, EditedHistory(moments.history, edits)
    one, other = moments.fresh(start, progress), None
    last, parted = max(positions, default=until), None
    for entry in paced(entries_of(history, start, last + 1 if positions else until), progress):
        if other is None and entry.position in positions:
            other = Fold(
                moments.opened, Start(start, dict(one.models), moments.start(start).find if _is_keyed(moments) else None)
            )
        exhaust(turns_of(one, entry))
        if other is None:
            continue
        _take(other, edited.at(entry))
        if parted is None and (path := _difference(one, other, redaction)) is not None:
            parted = entry.position, path
        elif parted is None:
            other = None
    was = _model(moments.fresh(until, progress), moments)
    if other is not None and parted is not None:
        for at in moments.forward(other, last + 1, until):
            progress(at)
        return Tried(until, was, _model(other, moments), parted, until - start)
    return Tried(until, was, was, None, until - start)


def _is_keyed(moments: Moments[Model, Msg]) -> bool:
    return moments.opened.key_of is not None


def _take(fold: Fold[Model, Msg], entries: Sequence[Entry[Msg]]) -> None:
    for entry in entries:
        exhaust(turns_of(fold, entry))


def _difference(one: Fold[Model, Msg], other: Fold[Model, Msg], redaction: Redaction) -> str | None:
    """Return the first path at which the models of two folds differ."""
    for key in {**one.models, **other.models}:
        a, b = one.models.get(key), other.models.get(key)
        if not same(a, b):
            found = next(differing(a, b, redaction), None)
            return "" if found is None else found.path
    return None


def _model(fold: Fold[Model, Msg], moments: Moments[Model, Msg]) -> Model | None:
    key = moments.opened.key if moments.opened.key_of is not None else None
    return fold.models.get(key)
