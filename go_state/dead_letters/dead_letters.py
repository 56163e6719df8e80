"""`DeadLetters`: what was set aside, kept in a store, to be looked at, retried, dropped or exported."""

from __future__ import annotations

import base64
import inspect
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from go_state.core.errors import UsageError
from go_state.core.migrations import Json
from go_state.core.ports import Store
from go_state.core.program import Program
from go_state.dead_letters.again import Decode, Reading, Retried, Tally, checked_decode
from go_state.storage.letters.box import DEFAULT_NAME, LetterBox
from go_state.storage.letters.erasing import has_text
from go_state.storage.letters.letter import Letter

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class DeadLetters:
    """A durable place for what is set aside, used as `on_error=gs.SetAside(gs.DeadLetters(store, "night"))`.

    A letter holds the message, or the raw record that is none, its source and position, the key of its model, the error and the
    time. In an aggregate on the same store letters are written in the transaction of its save, and in a durable program on the same
    store with the cursor that passes the message: so each is there once, and none is there that a crash has taken back. Everywhere
    else a letter is written at once, and a second time in its own place, if its source has a name. Iterating gives the letters in the
    order in which they were set aside, however many there are. Beyond 10,000 letters an aggregate saves in between.

    A durable program whose `gs.SetAside()` names no place has its letters in its own store, under the name "dead".

    >>> import go_state as gs
    >>> def divide(model: float, msg: int) -> float:
    ...     return model / msg
    >>> with gs.MemoryStore() as store:
    ...     letters = gs.DeadLetters(store, "night")
    ...     result = gs.batch(gs.reducer(lambda: 12.0, divide), [2, 0, 3], on_error=gs.SetAside(letters))
    ...     result.model, result.letters, [(letter.position, letter.error) for letter in letters]
    (2.0, 1, [(1, 'ZeroDivisionError')])
    """

    def __init__(self, store: Store, name: str = DEFAULT_NAME) -> None:
        self.box = LetterBox(store, name)

    @property
    def name(self) -> str:
        """The name of these letters in the store."""
        return self.box.name

    def __iter__(self) -> Iterator[Letter]:
        """Give the letters in the order in which they were set aside, those that are written meanwhile perhaps among them."""
        return self.box.in_order()

    def __len__(self) -> int:
        """Return how many letters there are; each is read."""
        return sum(1 for _ in self.box.letters())

    def __bool__(self) -> bool:
        """Return true: an empty place for letters is one."""
        return True

    def show(self, letter_id: str) -> Letter:
        """Return the letter whose id is `letter_id`; `UsageError` if there is none."""
        found = self.box.load(letter_id)
        if found is None:
            raise UsageError(
                f"there is no letter {letter_id!r} in {self.name!r}: iterating over the letters, or `go-state dead list`, gives their ids"
            )
        return found

    def raw_with(self, *texts: str) -> Iterator[Letter]:
        """Give the raw records that hold one of the texts: they have no key by which `gs.history.forget` would find them."""
        return (letter for letter in self.box.letters() if has_text(letter, texts))

    def retry(
        self,
        again: Program[Model, Msg] | Callable[[Letter], object],
        *ids: str,
        key: str | Callable[[Msg], str] | None = None,
        decode: Decode = None,
        env: object = None,
    ) -> Retried:
        """Try letters again, those of the ids, or all; one that fails again stays, with the new error.

        With a program its messages, decoded and migrated as today, go where they belong. With `key`, as for `aggregate`, each is
        folded into the model of its key, in the transaction that removes its letter. Without it each is put at the end of the journal
        that it was in, likewise; nobody but this process may run that journal's program meanwhile. A raw record is decoded first:
        `decode` is its source, or a function of the raw record. Letters of commands that have failed after their turn are left: it
        would count twice.

        Commands of the program find `env` as in a run.

        A function is called with each letter, which is removed when it returns; after a crash it may be called again.

        Raises what the store raises, `Conflict` if an aggregate writes the same models, and `LeaseHeld`.
        """
        checked_decode(decode)
        tally, chosen = Tally(), self._chosen(ids)
        if not isinstance(again, Program):
            if not callable(again):
                raise UsageError(f"a retry takes a gs.Program, or a function of a letter, not a {type(again).__qualname__}")
            self._call(again, chosen, tally)
            return tally.retried()
        reading: Reading[Msg] = Reading(again, decode)
        if key is not None:
            from go_state.dead_letters.into_models import retry_into_models

            retry_into_models(again, self, chosen, key, reading, tally, env)
        else:
            from go_state.dead_letters.into_journals import retry_into_journals

            # By journal, so that each is written seldom; of one journal that is the order of the messages.
            retry_into_journals(again, self.box, chosen if ids else self.box.letters(), reading, tally)
        return tally.retried()

    async def retry_async(
        self,
        again: Program[Model, Msg] | Callable[[Letter], object],
        *ids: str,
        key: str | Callable[[Msg], str] | None = None,
        decode: Decode = None,
        env: object = None,
    ) -> Retried:
        """Try letters again as `retry` does, on the event loop, which does not wait for the disk.

        A program folds in a thread of its own, which a cancellation waits for. A function is called on the event loop, and may be a
        coroutine function.
        """
        from go_state.system.own_thread import OwnThread

        async with OwnThread("go_state retry of letters") as thread:
            if isinstance(again, Program) or not callable(again):
                return await thread.call(lambda: self.retry(again, *ids, key=key, decode=decode, env=env))
            checked_decode(decode)
            tally, chosen = Tally(), await thread.call(lambda: self._chosen(ids))
            while (letter := await thread.call(lambda: next(chosen, None))) is not None:
                error: Exception | None = None
                try:
                    if inspect.isawaitable(result := again(letter)):
                        await result
                except Exception as raised:
                    error = raised
                await thread.finish(partial(self._called, letter, error, tally))
            return tally.retried()

    def _chosen(self, ids: tuple[str, ...]) -> Iterator[Letter]:
        return iter([self.show(each) for each in ids]) if ids else iter(self)

    def _call(self, again: Callable[[Letter], object], letters: Iterator[Letter], tally: Tally) -> None:
        for letter in letters:
            error: Exception | None = None
            try:
                again(letter)
            except Exception as raised:
                error = raised
            self._called(letter, error, tally)

    def _called(self, letter: Letter, error: Exception | None, tally: Tally) -> None:
        """Remove a letter with which the function was called, or note what it has failed with."""
        if error is None:
            self.box.delete([letter.id])
            tally.done += 1
        else:
            self.box.write(letter.failed_again(error))
            tally.failed += 1

    def drop(self, *ids: str) -> int:
        """Remove the letters of these `ids`, and return how many there were; `UsageError` without any."""
        if not ids:
            raise UsageError("say which letters to drop, by their ids, or drop_all()")
        return self.box.delete(ids)

    def drop_all(self) -> int:
        """Remove every letter, and return how many there were."""
        return self.box.delete(letter.id for letter in self.box.letters())

    def export(self, path: str | os.PathLike[str]) -> int:
        """Write the letters into the file at `path`, as JSON Lines that a person can read, and return how many they were."""
        number = 0
        with open(path, "wb") as file:
            for letter in self:
                file.write(as_json(letter) + b"\n")
                number += 1
        return number


def as_json(letter: Letter) -> bytes:
    """Return a letter as JSON in one line: its message as a journal shows it; raw bytes as text, or in base64 if they are not text."""
    import msgspec

    fields: dict[str, Json] = {name: getattr(letter, name) for name in letter.__dataclass_fields__}
    message, raw = fields.pop("message"), fields.pop("raw")
    if message is not None:
        fields["message"] = msgspec.Raw(message)
    elif isinstance(raw, bytes):
        try:
            fields["raw"] = raw.decode()
        except UnicodeDecodeError:
            fields["base64"] = base64.b64encode(raw).decode()
    else:
        fields["value"] = raw
    return msgspec.json.encode(fields)
