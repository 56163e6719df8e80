"""Compare: two programs, or two updates of one, through the same history, and the first message after which they differ."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Generic, NamedTuple, TypeVar, Unpack

from go_state.core.ports import Entry
from go_state.core.program import Program
from go_state.history.reading.folding import checked_end, entries_of, with_progress
from go_state.history.reading.histories import Given, history_of
from go_state.history.reading.opened import HistoryOptions, opened
from go_state.history.reading.starts import Start, earliest_of
from go_state.history.reading.translation import translation_between
from go_state.history.reading.twins import Parting, Twins
from go_state.runtime.on_error import FailedMessage
from go_state.storage.codec.difference import Difference, differences

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_MOST = 100  # fields that are named of one message
_KEYS = re.compile(r"\[(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\]]*)\]")


class Parted(NamedTuple, Generic[Msg]):
    """The first message after which two programs' models are not equal: its position, and in what they differ after it.

    `fields` are `(path, old, new)`, and `key` is that of the model, None for the only one. `message` is None at the beginning.
    """

    position: int
    at: float | None
    message: Msg | None
    key: str | None
    fields: tuple[Difference, ...]


class Compared(NamedTuple, Generic[Msg]):
    """What `compare` has found: how many turns it has taken, the first message after which the two part, and the counts.

    `counts` says of each field, without the keys in its path, after how many messages it differs; 1 each for the first message, if
    it was not asked to go on. `passed_over` says how many messages and records the old and the new one have passed over (see
    `on_error`), and `set_aside` names up to 1,000 of the new one's.
    """

    messages: int
    parted: Parted[Msg] | None
    counts: Mapping[str, int]
    passed_over: tuple[int, int] = (0, 0)
    set_aside: tuple[FailedMessage[Msg], ...] = ()

    @property
    def ok(self) -> bool:
        """Whether both come to the same models."""
        return self.parted is None


def compare(
    old: Program[Model, Msg],
    new: Program[Model, Msg],
    history: Given[Msg],
    *,
    until: int | None = None,
    go_on: bool = False,
    progress: Callable[[int], object] | None = None,
    **options: Unpack[HistoryOptions],
) -> Compared[Msg]:
    """Fold the `history` through both programs and return the first message after which their models differ, and in which
    fields.

    With `go_on` every message is taken by both from the old program's model, and `counts` says of how many they make something else,
    by field; then each message costs what it changes, and of persistent maps what they hold. Otherwise large persistent maps are
    compared now and then, and the message is found by going back: a difference in one that is gone again by then is passed over.
    The programs may have classes of their own, as two versions of a module have: messages are given to the new one as it reads those
    that the old one stores, through its migrations, and models are compared in the fields that both have.

    The other arguments are those of `replay`. Raises what `replay` raises.
    """
    given = history_of(history)
    one, other = opened("compare", old, given, **options), opened("compare", new, given, **options)
    end = checked_end(given, until)
    start: Start[Model] = earliest_of(one, end)
    twins = Twins(one, other, start, at_once=go_on, translation=translation_between(old, new))
    counts: Counter[str] = Counter()
    found: Parted[Msg] | None = None
    entries = with_progress(entries_of(given, start.position, end), progress)
    for parting in twins.partings(entries, go_on=go_on):
        parted = _parted(parting, twins)
        counts.update({_KEYS.sub("[...]", each.path) for each in parted.fields})
        found = found or parted
    passed = one.passed.count, other.passed.count
    return Compared(twins.steps, found, dict(counts), passed, tuple(other.passed.named))


def _parted(parting: Parting, twins: Twins[Model, Msg]) -> Parted[Msg]:
    entry: Entry[Msg] = parting.entries[-1]
    fields = differences(*parting.models, _MOST)
    return Parted(entry.position, entry.at, entry.message, parting.key, tuple(fields))
