"""Letters are retried after the fix: into models, into journals, or by a function."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import go_state as gs


@dataclass(frozen=True)
class Add:
    who: str
    by: int


@dataclass(frozen=True)
class Sum:
    total: int = 0


def strict(model: Sum, msg: Add) -> gs.Step[Sum, Add]:
    if msg.by < 0:
        raise ValueError("negative")
    return Sum(model.total + msg.by), ()


def mended(model: Sum, msg: Add) -> gs.Step[Sum, Add]:
    if msg.by < -100:
        raise OverflowError("too low")
    return Sum(model.total + msg.by), ()


before: gs.Program[Sum, Add] = gs.Program(lambda: (Sum(), ()), strict)
after: gs.Program[Sum, Add] = gs.Program(lambda: (Sum(), ()), mended)


@gs.stored_as("Add")
@dataclass(frozen=True)
class Plus:
    name: str
    by: int


def plus(model: Sum, msg: Plus) -> gs.Step[Sum, Plus]:
    return Sum(model.total + msg.by), ()


def renamed(message: Any) -> Any:
    kind, fields = message
    return [kind, {"name": fields["who"], "by": fields["by"]}]


def who(msg: Add) -> str:
    return msg.who


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rows = [Add("ann", 1), Add("ann", -2), Add("bob", -4), Add("bob", 8), Add("bob", -1000)]
    lines = [json.dumps({"who": row.who, "by": row.by}) for row in rows]
    (tmp_path / "n.jsonl").write_text("\n".join([*lines, '{"who": "cat", "by": "16"}', ""]))
    return tmp_path / "n.jsonl"


def fix(raw: bytes) -> Add:
    fields = json.loads(raw)
    return Add(fields["who"], int(fields["by"]))


def test_letters_are_folded_into_the_models_of_their_keys(path: Path) -> None:
    """Each is folded once; what fails again stays with its new error; a raw record is decoded first."""
    with gs.LMDBStore(path.with_suffix(".db")) as store:
        letters = gs.DeadLetters(store, "night")
        found = gs.aggregate(before, gs.sources.JSONLines(path, Add), store=store, key=who, on_error=gs.SetAside(letters))
        assert (found.letters, len(letters)) == (4, 4)
        assert dict(found.models) == {"ann": Sum(1), "bob": Sum(8)}
        assert letters.retry(after, key=who, decode=fix) == gs.dead_letters.Retried(done=3, failed=1)
        assert dict(found.models) == {"ann": Sum(-1), "bob": Sum(4), "cat": Sum(16)}
        (left,) = letters
        assert (left.error, left.text, left.tries, left.position) == ("OverflowError", "too low", 2, 5)
        assert letters.retry(after, key=who) == gs.dead_letters.Retried(failed=1)
        again = gs.aggregate(after, gs.sources.JSONLines(path, Add), store=store, key=who)
        assert (again.processed, again.position) == (0, 6)  # the place in the file stays what it was


def test_one_letter_is_retried_and_one_dropped(path: Path) -> None:
    """Ids say which; the others stay."""
    with gs.LMDBStore(path.with_suffix(".db")) as store:
        letters = gs.DeadLetters(store)
        gs.aggregate(before, gs.sources.JSONLines(path, Add), store=store, key="sum", on_error=gs.SetAside(letters))
        first, second, third, raw = letters
        assert letters.retry(after, first.id, third.id, key="sum").done == 1
        assert [each.id for each in letters] == [second.id, third.id, raw.id]
        assert (letters.drop(second.id), letters.drop(second.id)) == (1, 0)
        assert letters.show(raw.id) == raw
        assert letters.export(path.with_suffix(".out")) == 2
        shown = [json.loads(line) for line in path.with_suffix(".out").read_text().splitlines()]
        assert shown[0]["message"] == ["Add", {"who": "bob", "by": -1000}]
        assert shown[1]["raw"] == '{"who": "cat", "by": "16"}'
        assert letters.drop_all() == 2
        assert list(letters) == []
        with pytest.raises(gs.UsageError, match="there is no letter"):
            letters.show(raw.id)


def test_a_function_takes_letters(path: Path) -> None:
    """A letter is gone once the function has returned; one that it raises for stays."""
    taken = []

    def take(letter: gs.dead_letters.Letter) -> None:
        if letter.raw is not None:
            raise KeyError("raw")
        taken.append(letter.position)

    with gs.MemoryStore() as store:
        letters = gs.DeadLetters(store)
        gs.batch(before, gs.sources.JSONLines(path, Add), on_error=gs.SetAside(letters))
        assert letters.retry(take) == gs.dead_letters.Retried(done=3, failed=1)
        assert taken == [2, 3, 5]
        assert [each.error for each in letters] == ["KeyError"]


def test_a_letter_is_migrated(path: Path) -> None:
    """A letter of an older schema passes through the migrations, as a message of a journal does."""
    newer: gs.Program[Sum, Plus] = gs.Program(
        lambda: (Sum(), ()), plus, schema=2, migrations={1: gs.Migration(message=renamed, model=lambda model: model)}
    )
    with gs.LMDBStore(path.with_suffix(".db")) as store:
        letters = gs.DeadLetters(store)
        gs.aggregate(before, [Add("ann", 1), Add("ann", -3)], store=store, key="sum", on_error=gs.SetAside(letters))
        assert letters.retry(newer, key="sum").done == 1
        assert gs.load_model(newer, store=store, key="sum") == Sum(-2)


def test_running_again_over_a_source_with_a_name_writes_each_letter_once(path: Path) -> None:
    """A batch writes at once, and a letter of the same source and position in its own place."""
    with gs.LMDBStore(path.with_suffix(".db")) as store:
        letters = gs.DeadLetters(store)
        for _ in range(3):
            gs.batch(before, gs.sources.JSONLines(path, Add), on_error=gs.SetAside(letters))
        assert [each.position for each in letters] == [2, 3, 5, 6]
        assert len(letters) == 4


def test_a_journals_letters_are_put_at_its_end(tmp_path: Path) -> None:
    """The letter is gone with the transaction that has the message in the journal; replays pass over where it was."""
    with gs.LMDBStore(tmp_path / "s") as store:
        letters = gs.DeadLetters(store, "bot")
        with gs.start(before, store=store, key="bot", on_error=gs.SetAside(letters)) as app:
            app.send(Add("ann", 1))
            app.send(Add("ann", -2))
            app.apply(Add("ann", 4))
        (letter,) = letters
        assert (letter.journal, letter.position, letter.key, letter.error) == ("bot", 1, None, "ValueError")
        assert store.journal("bot").set_aside() == {1: "ValueError"}
        assert letters.retry(after) == gs.dead_letters.Retried(done=1)
        assert list(letters) == []
        with gs.start(after, store=store, key="bot") as app:
            assert app.apply(Add("ann", 8)) == Sum(11)
        assert gs.verify(after, store.journal("bot")).ok


def test_a_running_program_takes_what_is_retried(tmp_path: Path) -> None:
    """In the same process the message enters the journal of the running program like any other."""
    with gs.LMDBStore(tmp_path / "s") as store:
        letters = gs.DeadLetters(store)
        with gs.start(before, store=store, key="bot", on_error=gs.SetAside(letters)) as app:
            app.send(Add("ann", -2))
            app.apply(Add("ann", 4))
            assert letters.retry(before).done == 1  # the same update fails on it again, and it is set aside again
            app.apply(Add("ann", 1))
            (letter,) = letters
            assert (letter.position, letter.tries) == (2, 1)


def test_keyed_programs_name_their_key(tmp_path: Path) -> None:
    """Letters of many programs lie together, each with its key and its journal, and go back to where they were."""
    with gs.LMDBStore(tmp_path / "s") as store:
        letters = gs.DeadLetters(store)
        with gs.start_keyed(before, store=store, prefix="p/", on_error=gs.SetAside(letters)) as apps:
            for key in ("ann", "bob"):
                apps[key].send(Add(key, -1))
                apps[key].apply(Add(key, 5))
        assert sorted((each.key, each.journal) for each in letters) == [("ann", "p/ann"), ("bob", "p/bob")]
        assert letters.retry(after).done == 2
        with gs.start_keyed(after, store=store, prefix="p/") as apps:
            assert [apps[key].apply(Add(key, 0)) for key in ("ann", "bob")] == [Sum(4), Sum(4)]


def test_a_memory_app_writes_letters_at_once() -> None:
    """A run without a journal has letters like any other, in a store of their own."""
    with gs.MemoryStore() as store:
        letters = gs.DeadLetters(store)
        with gs.start(before, on_error=gs.SetAside(letters)) as app:
            app.send(Add("ann", -2))
            assert app.apply(Add("ann", 4)) == Sum(4)
        assert [each.message for each in letters] == [b'["Add",{"who":"ann","by":-2}]']


def test_letters_of_a_command_are_left(tmp_path: Path) -> None:
    """The turn of a message whose command failed stays: folded again it would count twice."""

    def sending(model: Sum, msg: Add) -> gs.Step[Sum, Add]:
        def refuse() -> None:
            raise ValueError

        return Sum(model.total + msg.by), [gs.Cmd.call(refuse, thread=True)]

    program: gs.Program[Sum, Add] = gs.Program(lambda: (Sum(), ()), sending)
    with gs.LMDBStore(tmp_path / "s") as store:
        letters = gs.DeadLetters(store)
        gs.aggregate(program, [Add("ann", 1)], store=store, key="sum", on_error=gs.SetAside(letters))
        assert letters.retry(after, key="sum") == gs.dead_letters.Retried(left=1)
        assert gs.load_model(after, store=store, key="sum") == Sum(1)
        assert [each.failed for each in letters] == ["command"]


@pytest.mark.parametrize("name", ["", "a/b", "a\0", "x" * 300, 7])
def test_names_of_letters(name: Any) -> None:
    """A name that would mix letters with others is refused."""
    with gs.MemoryStore() as store, pytest.raises(gs.UsageError):
        gs.DeadLetters(store, name)


def test_the_error_that_ends_a_durable_program_names_the_command(tmp_path: Path) -> None:
    """Whoever reads it has a program that ends at the same message each time it is started."""
    with (
        gs.LMDBStore(tmp_path / "s") as store,
        pytest.raises(ValueError, match="negative") as raised,
        gs.start(before, store=store, key="my bot") as app,
    ):
        app.send(Add("ann", -2))
    assert f"go-state journal skip {tmp_path / 's'} 'my bot' 0" in "".join(raised.value.__notes__)
