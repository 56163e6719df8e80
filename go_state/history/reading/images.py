"""Images: models as bytes, made before messages and again after them. A model whose bytes are others was changed in place.

To make one costs what the model holds, so of a large one it is done only once as many messages were taken as pay for that; which
of them it was is then found by taking them again, from the model as the image has it. What messages have put into the model in between
has no image yet: small lists, dicts and sets among its fields are copied when they are new, and compared as well. One that is new in
a large container, and is changed in place before the next look, is not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Generic, NamedTuple, TypeVar

from go_state.core.ports import Entry
from go_state.history.reading.folding import Fold, exhaust
from go_state.history.reading.opened import Opened
from go_state.history.reading.starts import Start
from go_state.storage.codec.difference import Difference, difference
from go_state.storage.codec.equality import fields_that_count
from go_state.storage.codec.json_codec import JsonCodec
from go_state.storage.codec.program_types import model_type
from go_state.storage.types.annotations import Instance, TypeForm

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_AT_ONCE = 1024  # bytes of models that are looked at after every message
_SMALL = 64  # items of a list, dict or set that is kept an eye on by itself
_PAYS = 32  # bytes of a model that one message pays for: to make an image of them and read it back takes about 10 us


class Changed(NamedTuple):
    """A model that was changed in place, by one of the entries, which is a single one if it could be told."""

    entries: Sequence[Entry[Any]]
    key: str | None
    differs: Difference


class Images(Generic[Model, Msg]):
    """The images of the models that have had a turn since the last look at them."""

    def __init__(self, work: Opened[Model, Msg], start: Start[Model]) -> None:
        self._work = work
        self._start = start
        self._codec = JsonCodec[Model](model_type(work.program))
        self._known: dict[str | None, tuple[Model, bytes]] = {}
        self._fresh = _Fresh()
        self._since: list[Entry[Msg]] = []
        self._size = 0

    def meet(self, key: str | None, model: Model) -> None:
        """Called before a message is given to the model."""
        if key not in self._known:
            image = self._codec.encode(model)
            self._known[key] = model, image
            self._size += len(image)
        if self._size > _AT_ONCE:
            self._fresh.meet(key, model)

    def took(self, entry: Entry[Msg], *, at_once: bool = False) -> Changed | None:
        """Called after an entry was taken; return what was changed in place, once it is time to look, or `at_once`."""
        self._since.append(entry)
        return self.look() if at_once or self._size <= max(len(self._since) * _PAYS, _AT_ONCE) else None

    def look(self) -> Changed | None:
        """Compare all of the models with their images, and forget them."""
        known, since, fresh = self._known, self._since, self._fresh
        self._known, self._since, self._size, self._fresh = {}, [], 0, _Fresh()
        changed = self._changed(known, since) or fresh.changed(since)
        return changed if changed is None or len(since) < 2 else self._searched(changed, known)

    def _changed(self, known: dict[str | None, tuple[Model, bytes]], since: Sequence[Entry[Msg]]) -> Changed | None:
        for key, (model, image) in known.items():
            if self._codec.encode(model) != image:
                was = self._codec.decode(image)
                if (differs := difference(was, model)) is not None:
                    return Changed(since, key, differs)
        return None

    def _searched(self, changed: Changed, known: dict[str | None, tuple[Model, bytes]]) -> Changed:
        """Return the change with the one entry that it was, or with all of them if it does not come again."""
        whole, part = 0, len(changed.entries)
        found = self._again(known, changed.entries)
        if found is None:
            return changed
        while part - whole > 1:
            middle = (whole + part) // 2
            if (earlier := self._again(known, changed.entries[:middle])) is None:
                whole = middle
            else:
                part, found = middle, earlier
        return found._replace(entries=[changed.entries[part - 1]])

    def _again(self, known: dict[str | None, tuple[Model, bytes]], entries: Sequence[Entry[Msg]]) -> Changed | None:
        """Take the entries again, from models as their images have them, and return what was changed."""
        models, fresh = {key: self._codec.decode(image) for key, (_, image) in known.items()}, _Fresh()
        exhaust(Fold(self._work, self._start._replace(models=models), fresh.meet).steps(entries))
        changed = self._changed({key: (model, known[key][1]) for key, model in models.items()}, entries)
        return changed or fresh.changed(entries)


class _Fresh:
    """Small containers that messages have put into models, with copies of them as they were then."""

    def __init__(self) -> None:
        self._last: dict[str | None, object] = {}
        self._kept: list[tuple[str | None, str, object, object]] = []  # key, path, container, copy

    def meet(self, key: str | None, model: object) -> None:
        """Called before a message is given to the model: what it has and the last one had not is new."""
        if key in self._last:
            self._look(key, "", model, self._last[key])
        self._last[key] = model

    def _look(self, key: str | None, path: str, new: Instance, old: Instance) -> None:
        if new is old:
            return
        kind: TypeForm = type(new)
        if (fields := fields_that_count(kind)) is not None:
            for name in fields.names:
                self._look(key, f"{path}.{name}", getattr(new, name), getattr(old, name, None))
        elif isinstance(new, (list, dict, set)) and len(new) <= _SMALL:
            self._kept.append((key, path, new, deepcopy(new)))

    def changed(self, entries: Sequence[Entry[object]]) -> Changed | None:
        """Return the first of them that is not as it was."""
        for key, path, container, copied in self._kept:
            if (differs := difference(copied, container)) is not None:
                inner = "" if differs.path == "the model" else differs.path
                return Changed(entries, key, differs._replace(path=path + inner))
        return None
