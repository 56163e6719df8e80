"""Erasing reaches dead letters: of a journal by the same function, of a key with all that is under it; and two journals' letters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import go_state as gs


@dataclass(frozen=True)
class Total:
    amount: int = 0


@dataclass(frozen=True)
class Paid:
    customer: str
    amount: int


def update(model: Total, msg: Paid) -> gs.Step[Total, Paid]:
    if msg.amount < 0:
        raise ValueError(f"{msg.customer} paid {msg.amount}")
    return Total(model.amount + msg.amount), ()


till = gs.Program(lambda: (Total(), ()), update)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "till.lmdb"


@pytest.fixture
def store(path: Path) -> Iterator[gs.LMDBStore]:
    with gs.LMDBStore(path) as store:
        yield store


def run(store: gs.LMDBStore, *messages: Paid) -> gs.DeadLetters:
    letters = gs.DeadLetters(store, "till")
    with gs.start(till, store=store, key="till", on_error=gs.SetAside(letters)) as app:
        for each in messages:
            app.send(each)
    return letters


def without_roe(entry: Any) -> object:
    return None if entry.message.customer == "Jane Roe" else entry.message


def test_letters_of_a_person_are_erased_with_the_journal(store: gs.LMDBStore, path: Path) -> None:
    """Emptied messages lose their letters, with what the error said of them; the bytes are gone once the store is compacted."""
    letters = run(store, Paid("Jane Roe", -1), Paid("John Doe", -2), Paid("Jane Roe", 3), Paid("John Doe", 4))
    counted = gs.history.rewrite(till, store.journal("till"), without_roe, dry_run=True)
    assert (counted.emptied, counted.letters, len(letters)) == (2, 1, 2)
    done = gs.history.rewrite(till, store.journal("till"), without_roe)
    assert (done.emptied, done.letters) == (2, 1)
    assert [letter.text for letter in letters] == ["John Doe paid -2"]
    again = gs.history.rewrite(till, store.journal("till"), without_roe)
    assert (again.replaced, again.emptied, again.first, again.letters) == (0, 0, None, 0)
    store.compact()
    assert b"Jane Roe" not in path.read_bytes()
    assert b"John Doe" in path.read_bytes()


def test_letters_are_given_the_replaced_message(store: gs.LMDBStore) -> None:
    """And can be retried with it; what the error said is gone, as it may quote the old one."""
    letters = run(store, Paid("Jane Roe", -1))

    def nobody(entry: Any) -> object:
        return replace(entry.message, customer="nobody")

    assert gs.history.rewrite(till, store.journal("till"), nobody).letters == 1
    [letter] = letters
    assert (letter.message, letter.text) == (b'["Paid",{"customer":"nobody","amount":-1}]', "")


def test_a_letter_that_outlived_its_message_is_erased_too(store: gs.LMDBStore) -> None:
    """The journal may have forgotten the message, or an erasing have been killed before the letters."""
    letters = run(store, Paid("Jane Roe", -1), Paid("John Doe", 4))
    store.journal("till", of=Paid).rewrite(without_roe)
    assert len(letters) == 1
    done = gs.history.rewrite(till, store.journal("till"), without_roe)
    assert (done.first, done.letters, len(letters)) == (None, 1, 0)


def test_forget_says_how_many_letters_were_of_the_key(store: gs.LMDBStore) -> None:
    """Those of an aggregate's model, and those of a journal of that name."""
    letters = run(store, Paid("Jane Roe", -1))
    gs.aggregate(
        till,
        [Paid("jane", -1), Paid("john", -2), Paid("jane", 2)],
        store=store,
        key=lambda each: each.customer,
        on_error=gs.SetAside(letters),
    )
    assert len(letters) == 3
    assert gs.history.forget(store, "jane") == gs.history.Forgotten(there=True, letters=1)
    assert gs.history.forget(store, "till") == gs.history.Forgotten(there=True, letters=1)
    assert not gs.history.forget(store, "nobody")
    assert [letter.key for letter in letters] == ["john"]


def test_a_journal_that_is_begun_anew_does_not_write_over_the_letters_of_the_old_one(store: gs.LMDBStore) -> None:
    """Both count from 0."""
    letters = run(store, Paid("Jane Roe", -1))
    store.forget("till")
    run(store, Paid("John Doe", -2))
    assert sorted(letter.text for letter in letters) == ["Jane Roe paid -1", "John Doe paid -2"]


def test_the_models_of_a_keyed_aggregate_are_not_the_snapshots_of_journals(store: gs.LMDBStore) -> None:
    """Though they are of one program in one store."""
    with gs.start(till, store=store, key="till", snapshots=gs.Snapshots(every=1)) as app:
        app.apply(Paid("x", 5), timeout=30)
    result = gs.aggregate(till, [Paid("jane", 2)], store=store, key=lambda each: each.customer)
    assert dict(result.models) == {"jane": Total(2)}
    assert "till" not in result.models
