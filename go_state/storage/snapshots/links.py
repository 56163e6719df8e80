"""Loading a model together with the models it refers to, cycles included."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import TypeAlias, TypeVar, Union

from go_state.storage.types.annotations import Instance

Model = TypeVar("Model")

Attach: TypeAlias = Callable[[Instance], object]
"""Called with another model, or None."""

Link: TypeAlias = tuple[str, Union[Attach, None]]
"""Another model's key, and what to call with that model (None when the store has none under the key)."""

Links: TypeAlias = Callable[[Model], Iterable[Union[Link, None]]]
"""Says what a model refers to; `None` entries are skipped."""


def follow_links(key: str, load: Callable[[str], Model | None], links: Links[Model]) -> Model | None:
    """Return the model that `load(key)` gives, with every model it refers to attached, however deep.

    Each key is loaded once, so that cycles lead to the same object. A model is known before its links are followed, and what it
    refers to is attached before the next link is looked at, depth first. Nothing recurses: a chain may be of any length.
    """
    known: dict[str, Model | None] = {key: load(key)}
    first = known[key]
    following = [] if first is None else [iter(links(first))]
    pending: list[tuple[Attach | None, str]] = []  # what to attach once the links below are followed
    while following:
        link = next(following[-1], _End.END)
        if link is _End.END:
            following.pop()
            if pending:
                attach, target = pending.pop()
                if attach is not None:
                    attach(known[target])
            continue
        if link is None:
            continue
        target, attach = link
        if target not in known:
            found = known[target] = load(target)
            if found is not None:
                following.append(iter(links(found)))
                pending.append((attach, target))
                continue
        if attach is not None:
            attach(known[target])
    return first


class _End(Enum):
    """What is found in the place of a link when there is none left."""

    END = 0
