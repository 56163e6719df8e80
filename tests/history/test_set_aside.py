"""The tools over what an aggregate has set aside, over several sources, and at the positions that an aggregate counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import go_state as gs


@dataclass(frozen=True)
class Shop:
    total: int = 0
    seen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sale:
    shop: str
    amount: int


def update(model: Shop, msg: Sale) -> gs.Step[Shop, Sale]:
    if msg.amount == 7:
        raise ValueError("seven")
    return Shop(model.total + msg.amount, (*model.seen, f"{msg.shop}{msg.amount}")), ()


def mended(model: Shop, msg: Sale) -> gs.Step[Shop, Sale]:
    return Shop(model.total + msg.amount, (*model.seen, f"{msg.shop}{msg.amount}")), ()


shop = gs.Program(lambda: (Shop(), ()), update)
fixed = replace(shop, update=mended)
LINES = "shop,amount\na,1\nb,7\na,x\na,2\nb,3\na,7\n"


def by_shop(msg: Sale) -> str:
    return msg.shop


@pytest.fixture
def sales(tmp_path: Path) -> gs.sources.CSV[Sale]:
    """A file with a row that is no message, and two on which update fails."""
    path = tmp_path / "sales.csv"
    path.write_text(LINES)
    return gs.sources.CSV(path, Sale)


@pytest.fixture
def store() -> Iterator[gs.MemoryStore]:
    with gs.MemoryStore() as store:
        yield store


def test_without_a_policy_the_first_message_raises(sales: gs.sources.CSV[Sale]) -> None:
    """As an aggregate without one does."""
    with pytest.raises(ValueError, match="seven"):
        gs.replay(shop, sales)


def test_every_tool_passes_over_what_the_aggregate_has_set_aside(sales: gs.sources.CSV[Sale], store: gs.MemoryStore) -> None:
    """And counts it, and names it."""
    gs.aggregate(shop, sales, store=store, key="all", on_error=gs.SetAside())
    dead: gs.Buffer[gs.FailedMessage[Sale]] = gs.Buffer()
    reader = dead.consumer()
    assert gs.replay(shop, sales, on_error=gs.SetAside(dead)) == Shop(6, ("a1", "a2", "b3"))
    passed = [reader.get() for _ in range(reader.diff())]
    assert [(each.position, type(each.error)) for each in passed] == [(1, ValueError), (5, ValueError)]
    options: Any = {"store": store, "key": "all", "on_error": gs.SetAside()}
    verified = gs.verify(shop, sales, **options)
    assert verified.ok
    assert (verified.messages, verified.snapshots, verified.passed_over) == (3, 1, 3)
    assert [each.position for each in verified.set_aside] == [1, 2, 5]
    step = gs.history.first(shop, sales, lambda before, msg, after: after.total >= 6, on_error=gs.SetAside())
    assert step is not None
    assert (step.position, step.message) == (4, Sale("b", 3))
    compared = gs.history.compare(shop, fixed, sales, on_error=gs.SetAside())
    assert compared.parted is not None
    assert (compared.parted.position, compared.parted.message) == (1, Sale("b", 7))
    assert gs.history.compare(shop, shop, sales, on_error=gs.SetAside()).passed_over == (3, 3)


@pytest.mark.parametrize("keyed", [False, True])
def test_a_rebuild_after_the_fix_counts_what_was_set_aside_and_removes_its_letters(
    sales: gs.sources.CSV[Sale], store: gs.MemoryStore, *, keyed: bool
) -> None:
    """The letters are known without being named; a retry afterwards counts nothing twice."""
    letters = gs.DeadLetters(store, "night")
    key: Any = by_shop if keyed else "all"
    gs.aggregate(shop, sales, store=store, key=key, on_error=gs.SetAside(letters))
    assert len(letters) == 3
    options: Any = {"store": store, **({"key_of": by_shop} if keyed else {"key": "all"})}
    same = gs.history.rebuild(shop, sales, **options)
    assert (same.changed, same.passed_over, same.letters, same.written) == (0, 3, 0, False)
    dry = gs.history.rebuild(fixed, sales, dry_run=True, **options)
    done = gs.history.rebuild(fixed, sales, **options)
    assert (done.changed, done.passed_over, done.letters, done.written) == (2 if keyed else 1, 1, 2, True)
    assert dry == done._replace(written=False)
    assert [letter.failed for letter in letters] == ["record"]
    models = [gs.load_model(fixed, store=store, key=each) for each in (("a", "b") if keyed else ("all",))]
    assert sum(model.total for model in models if model is not None) == 1 + 7 + 2 + 3 + 7
    again = letters.retry(fixed, key=key, decode=gs.sources.CSV(sales.path, parse=lambda row: Sale(row["shop"], 100)))
    assert again.done == 1
    with pytest.raises(gs.errors.BadRecord) as raised:  # it is in the models, and the source does not read it
        gs.history.rebuild(fixed, sales, **options)
    assert "with another decode=" in raised.value.__notes__[0]
    reads_it = gs.sources.CSV(sales.path, parse=lambda row: Sale(row["shop"], int(row["amount"].replace("x", "100"))))
    assert gs.history.rebuild(fixed, reads_it, **options).passed_over == 0
    assert gs.history.rebuild(fixed, sales, dry_run=True, on_error=gs.SetAside(), **options).passed_over == 1


@gs.stored_as("Sale")
@dataclass(frozen=True)
class Noted:
    """A sale with a field more, which has a default."""

    shop: str
    amount: int
    note: str = ""


@gs.stored_as("Sale")
@dataclass(frozen=True)
class Cents:
    """A sale whose amount has another name: what was stored cannot be read as one."""

    shop: str
    cents: int


def noted(model: Shop, msg: Noted) -> gs.Step[Shop, Noted]:
    return update(model, Sale(msg.shop, msg.amount))[0], ()


def cents(model: Shop, msg: Cents) -> gs.Step[Shop, Cents]:
    return update(model, Sale(msg.shop, msg.cents))[0], ()


@pytest.mark.parametrize(("today", "kind", "amount"), [(noted, Noted, "amount"), (cents, Cents, "cents")])
@pytest.mark.parametrize("migrated", [False, True])
def test_a_letter_whose_message_fails_again_stays_though_its_class_has_changed(
    today: Any, kind: type[Any], amount: str, sales: gs.sources.CSV[Sale], store: gs.MemoryStore, *, migrated: bool
) -> None:
    """Its bytes are not those of today's message; what fails again is in no model, so without the letter it would be lost."""
    letters = gs.DeadLetters(store, "night")
    gs.aggregate(replace(shop, name="shop"), sales, store=store, key=by_shop, on_error=gs.SetAside(letters))

    def renamed(old: list[Any]) -> list[Any]:
        return [old[0], {"shop": old[1]["shop"], amount: old[1]["amount"]}]

    schema: dict[str, Any] = {"schema": 2, "migrations": {1: gs.Migration(message=renamed)}} if migrated else {}
    program: gs.Program[Shop, Any] = gs.Program(lambda: (Shop(), ()), today, name="shop", **schema)
    again = gs.sources.CSV(sales.path, parse=lambda row: kind(row["shop"], int(row["amount"])))
    done = gs.rebuild(program, again, store=store, key_of=lambda msg: msg.shop, on_error=gs.SetAside(letters))
    assert (done.letters, done.passed_over, [letter.position for letter in letters]) == (0, 3, [2, 3, 6])


def test_one_key_rebuilt_leaves_the_letters_of_the_others(sales: gs.sources.CSV[Sale], store: gs.MemoryStore) -> None:
    """Only those whose messages are in the model that was made again are gone."""
    letters = gs.DeadLetters(store, "night")
    gs.aggregate(shop, sales, store=store, key=by_shop, on_error=gs.SetAside(letters))
    done = gs.history.rebuild(fixed, sales, store=store, key_of="shop", key="b")
    assert done.letters == 1
    assert [letter.key for letter in letters] == [None, "a"]


def test_what_fails_only_now_becomes_a_letter(sales: gs.sources.CSV[Sale], store: gs.MemoryStore) -> None:
    """With the policy of the aggregate; the message is taken out of the model in the same write."""

    def stricter(model: Shop, msg: Sale) -> gs.Step[Shop, Sale]:
        if msg.amount == 2:
            raise LookupError("two")
        return mended(model, msg)

    letters = gs.DeadLetters(store, "night")
    gs.aggregate(shop, sales, store=store, key=by_shop, on_error=gs.SetAside(letters))
    strict = replace(shop, update=stricter)
    with pytest.raises(LookupError):
        gs.history.rebuild(strict, sales, store=store, key_of="shop")
    done = gs.history.rebuild(strict, sales, store=store, key_of="shop", on_error=gs.SetAside(letters))
    assert (done.letters, done.passed_over) == (2, 2)
    assert [(each.position, each.error) for each in letters] == [(3, "BadRecord"), (4, "LookupError")]
    assert letters.retry(fixed, *[each.id for each in letters if each.failed == "turn"], key=by_shop).done == 1
    model = gs.load_model(fixed, store=store, key="a")
    assert model is not None
    assert model.total == 1 + 2 + 7


def test_two_aggregates_of_one_file_have_letters_of_their_own(sales: gs.sources.CSV[Sale], store: gs.MemoryStore) -> None:
    """Though they lie in one place."""
    letters = gs.DeadLetters(store, "night")
    gs.aggregate(shop, sales, store=store, key="one", on_error=gs.SetAside(letters))
    gs.aggregate(shop, sales, store=store, key="two", on_error=gs.SetAside(letters))
    assert len(letters) == 6
    assert gs.history.rebuild(fixed, sales, store=store, key="one").letters == 2
    assert {letter.key for letter in letters if letter.failed == "turn"} == {"two"}


@pytest.mark.parametrize("keyed", [False, True])
def test_a_file_a_night_is_rebuilt_in_the_order_they_were_read(tmp_path: Path, store: gs.MemoryStore, *, keyed: bool) -> None:
    """Each comes to the stored position of its source."""
    nights = []
    for night, rows in enumerate(["a,1\nb,2\n", "a,3\n", "b,4\na,5\n"]):
        path = tmp_path / f"{night}.csv"
        path.write_text("shop,amount\n" + rows)
        nights.append(gs.sources.CSV(path, Sale))
        gs.aggregate(shop, nights[-1], store=store, key=by_shop if keyed else "all")
    twice = replace(shop, update=doubled)
    options: Any = {"store": store, **({"key_of": by_shop} if keyed else {"key": "all"})}
    assert gs.history.rebuild(shop, nights, **options).changed == 0
    with pytest.raises(gs.UsageError, match="as well: give a list of all"):
        gs.history.rebuild(twice, nights[:2], **options)
    with pytest.raises(gs.UsageError, match="give each once"):
        gs.history.rebuild(twice, [*nights, nights[0]], **options)
    done = gs.history.rebuild(twice, nights, **options)
    assert done.changed == (2 if keyed else 1)
    model = gs.load_model(twice, store=store, key="a" if keyed else "all")
    assert model is not None
    assert model.seen == (("a2", "a6", "a10") if keyed else ("a2", "b4", "a6", "b8", "a10"))
    key: Any = by_shop if keyed else "all"
    assert gs.aggregate(twice, nights[1], store=store, key=key).processed == 0


def doubled(model: Shop, msg: Sale) -> gs.Step[Shop, Sale]:
    return mended(model, replace(msg, amount=msg.amount * 2))


def test_a_key_that_cannot_be_stored_fails_its_message_in_the_tools_too(store: gs.MemoryStore, tmp_path: Path) -> None:
    """As in the aggregate."""
    path = tmp_path / "sales.csv"
    path.write_text("shop,amount\n@x,1\na,2\n")
    source = gs.sources.CSV(path, Sale)
    result = gs.aggregate(shop, source, store=store, key=by_shop, on_error=gs.SetAside())
    assert len(result.set_aside) == 1
    verified = gs.verify(shop, source, store=store, key_of="shop", on_error=gs.SetAside())
    assert verified.ok
    assert verified.passed_over == 1
    with pytest.raises(gs.errors.InvalidKey):
        gs.history.rebuild(shop, source, store=store, key_of="shop")


@dataclass(frozen=True)
class Places:
    at: tuple[str, ...] = ()


def place(model: Places, msg: Sale, turn: Any) -> gs.Step[Places, Sale]:
    if msg.amount == 7:
        raise ValueError("seven")
    return Places((*model.at, repr(turn.position))), ()


class Tens:
    """A source of the user's own: positions go up by ten, and None is a moment without messages."""

    name = "tens"

    def __init__(self, messages: list[Any]) -> None:
        self.messages = messages

    def fingerprint(self) -> str:
        return "tens"

    def recognise(self, fingerprint: str) -> None:
        assert fingerprint == "tens"

    def read(self, after: Any = None) -> Any:
        return _Pass(self.messages, after or 0)


class _Pass:
    def __init__(self, messages: list[Any], position: int) -> None:
        self.messages = messages
        self.position = position

    def __iter__(self) -> Iterator[Any]:
        for message in self.messages[self.position // 10 :]:
            self.position += 10
            yield message

    def close(self) -> None:
        """Nothing to close."""


def jsonl(path: Path) -> gs.sources.JSONLines[Sale]:
    import json

    def parse(line: bytes) -> Sale | None:
        found = json.loads(line)
        return Sale(found["shop"], int(found["amount"])) if found["amount"] != 0 else None

    path = path / "sales.jsonl"
    rows = [("a", 1), ("b", 7), ("a", "x"), ("a", 2), ("b", 0), ("a", 5)]
    path.write_text("".join(json.dumps({"shop": each, "amount": amount}) + "\n" for each, amount in rows))
    return gs.sources.JSONLines(path, parse=parse)


def table(path: Path) -> gs.sources.CSV[Sale]:
    path = path / "sales.csv"
    path.write_text(LINES)
    return gs.sources.CSV(path, Sale)


def own(path: Path) -> Tens:
    bad = gs.abc.Undecoded(b"?", gs.errors.BadRecord("tens", 3, "it is none"))
    return Tens([Sale("a", 1), Sale("b", 7), bad, None, Sale("a", 2), None, None, Sale("a", 5)])


@pytest.mark.parametrize("make", [jsonl, table, own])
def test_positions_of_the_tools_are_those_of_the_aggregate(make: Callable[[Path], Any], tmp_path: Path) -> None:
    """Bad records, records that parse= leaves out and moments without messages count alike; `turn.position` is the same."""
    source, program = make(tmp_path), gs.Program(lambda: (Places(), ()), place)
    with gs.MemoryStore() as store:
        letters = gs.DeadLetters(store)
        result = gs.aggregate(program, source, store=store, key="one", on_error=gs.SetAside(letters))
        verified = gs.verify(program, source, store=store, key="one", on_error=gs.SetAside())
        assert verified.ok, str(verified.finding)
        assert verified.snapshots == 1
        assert verified.passed_over == len(letters)
        assert gs.replay(program, source, on_error=gs.SetAside()) == result.model
        assert gs.history.compare(program, program, source, on_error=gs.SetAside()).ok
        done = gs.history.rebuild(program, source, store=store, key="one")
        assert (done.changed, done.letters, done.passed_over) == (0, 0, len(letters))
