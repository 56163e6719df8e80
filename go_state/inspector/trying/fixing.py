"""Your fix: every message through the program as it is and as its file says it now, and which come out differently, by field."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal, NamedTuple, TypeAlias

from go_state.core.program import SomeProgram
from go_state.history.reading.folding import Fold, entries_of, exhaust
from go_state.history.reading.opened import Opened
from go_state.history.reading.starts import Start
from go_state.history.reading.translation import translation_between
from go_state.history.reading.twins import Parting, Twins
from go_state.inspector.looking.subject import Subject
from go_state.inspector.trying.pace import paced
from go_state.inspector.values.differing import Differs, differing
from go_state.inspector.values.tree import ABSENT, same
from go_state.middleware.chain import replayed
from go_state.storage.codec.difference import ABSENT as NOTHING

_CHECKED = 2.0  # seconds that it may take to fold up to the model that the comparison begins from
_MOST = 100  # fields that are looked at of one message
_KEYS = re.compile(r"\[(?:\"(?:[^\"\\]|\\.)*\"|[^\]]*)\]")


Agrees: TypeAlias = Literal["yes", "no", "unknown"]


class Parted(NamedTuple):
    """A message that comes out differently, and the fields in which it does."""

    position: int
    kind: str
    fields: list[Differs]


class Fixing:
    """One comparison; `messages`, `differ` and `by_field` are what it has come to.

    Both programs take each message from the old one's model, so that of a message nothing before it counts: it may begin at any model
    that was kept, the nearest before `begin`, if that is given.
    """

    def __init__(
        self,
        subject: Subject[object, object],
        old: Opened[object, object],
        new: SomeProgram,
        key: str | None,
        begin: int | None,
    ) -> None:
        from go_state.history.reading.opened import with_key

        self.differ = 0
        self.by_field: Counter[str] = Counter()
        self._subject = subject
        own = replayed(new) if key is None else replayed(with_key(new, key))
        self.program: SomeProgram = own  #: the mended one, as a replay runs it
        other = replace(old, program=own)
        moments = subject.needed()
        first: Start[object] = moments.earliest()
        start = first if begin is None else moments.start(begin)
        self._old = old
        self._first, self._begin = first, start
        translation = translation_between(old.program, own)
        self._twins: Twins[object, object] = Twins(old, other, start, at_once=True, translation=translation)
        self.start = start.position  #: of the first message

    @property
    def messages(self) -> int:
        """How many messages were compared."""
        return self._twins.steps

    def agrees(self, progress: Callable[[int], object]) -> Agrees:
        """Return whether the model that it begins from is what the messages before it come to; "unknown" if that takes too long.

        If it is not, whoever kept it ran another program, and a mistake before it goes on in every model after it.
        """
        if self._begin.position == self._first.position:
            return "yes"
        fold: Fold[object, object] = Fold(self._old, self._first)
        exhaust(fold.begin())
        until = time.monotonic() + _CHECKED
        for at in self._subject.needed().forward(fold, self._first.position, self._begin.position):
            progress(at)
            if time.monotonic() > until:
                return "unknown"
        return "yes" if all(same(fold.models.get(key), model) for key, model in self._begin.models.items()) else "no"

    def parted(self, end: int, progress: Callable[[int], object]) -> Iterator[Parted]:
        """Give each message that comes out differently; both programs take each from the old one's model."""
        entries = paced(entries_of(self._subject.history, self.start, end), progress)
        for parting in self._twins.partings(entries, go_on=True):
            found = self._of(parting)
            self.differ += 1
            self.by_field.update({_KEYS.sub("[…]", each.path) for each in found.fields})
            yield found

    def _of(self, parting: Parting) -> Parted:
        entry = parting.entries[-1]
        before, after = (ABSENT if each is NOTHING else each for each in parting.models)
        fields = [each for each, _ in zip(differing(before, after, self._subject.redaction), range(_MOST), strict=False)]
        message: object = entry.message
        return Parted(entry.position, "" if message is None else type(message).__qualname__, fields)
