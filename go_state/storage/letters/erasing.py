"""A person's data taken out of letters: messages replaced, or letters deleted, by a function or by a key."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from json import dumps
from typing import TypeVar

from go_state.core.ports import Store
from go_state.storage.codec.message_codec import MessageCodec
from go_state.storage.letters.box import LetterBox, names
from go_state.storage.letters.letter import Letter

Msg = TypeVar("Msg")


def boxes(store: Store) -> Iterator[LetterBox]:
    """Give the places for letters that the store has."""
    return (LetterBox(store, name) for name in names(store))


def rewrite_letters(
    store: Store,
    journal: str,
    codec: MessageCodec[Msg],
    schema: int,
    fn: Callable[[int, float, object], object],
    *,
    dry_run: bool,
) -> int:
    """Give the message of each letter of the journal to `fn(position, at, message)`, and return how many letters were changed or deleted.

    `fn` returns the message as it is, another in its place, or None, which deletes the letter. Of one that cannot be read it is its JSON.
    What the error said of the old message goes with it.
    """
    changed = 0
    for box in boxes(store):
        for letter in box.letters():
            if letter.journal != journal or not isinstance(letter.position, int):
                continue
            message = _message(codec, letter)
            returned = fn(letter.position, letter.at, message)
            if returned is message:
                continue
            new = None if returned is None else codec.encode(returned)  # type: ignore[arg-type]  # or it is refused
            if new is not None and new == letter.message:
                continue
            changed += 1
            if not dry_run and new is None:
                box.delete([letter.id])
            elif not dry_run:
                box.write(replace(letter, message=new, raw=None, schema=schema, text=""))
    return changed


def _message(codec: MessageCodec[Msg], letter: Letter) -> object:
    """Return the message with today's types, or its JSON if they cannot read it."""
    from msgspec import json

    if letter.message is None:
        return letter.raw
    try:
        return codec.decode_stored(letter.id, letter.message, letter.schema)
    except Exception:  # whatever a class of the user's may raise
        return json.decode(letter.message)


def forget_letters(store: Store, key: str) -> int:
    """Delete the letters of messages for the key, and of the journal of that name, and return how many there were."""
    deleted = 0
    for box in boxes(store):
        deleted += box.delete(letter.id for letter in box.letters() if key in (letter.key, letter.journal))
    return deleted


def letters_of(store: Store, key: str) -> int:
    """Return how many letters `forget_letters` would delete."""
    return sum(key in (letter.key, letter.journal) for box in boxes(store) for letter in box.letters())


def raw_letters_with(store: Store, *texts: str) -> Iterator[tuple[str, str]]:
    """Give the raw records that hold one of the texts, and so perhaps something of a person: the name of each one's letters, and its id."""
    return ((box.name, letter.id) for box in boxes(store) for letter in box.letters() if has_text(letter, texts))


def has_text(letter: Letter, texts: Collection[str]) -> bool:
    """Return whether the letter is a raw record that holds one of the texts, as it is or escaped as in JSON."""
    from msgspec import json

    if letter.message is not None or letter.raw is None:
        return False
    raw = letter.raw if isinstance(letter.raw, bytes) else json.encode(letter.raw)
    ways = {way for text in texts for way in (text, dumps(text)[1:-1], dumps(text, ensure_ascii=False)[1:-1])}
    return any(way.encode(errors="surrogatepass") in raw for way in ways if way)
