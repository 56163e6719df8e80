"""What is hidden is in no answer, and no question tells it; what is asked changes nothing in what it is asked of."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import pytest
from inspector_support import Client, Sale, inspected, shop

import go_state as gs
from go_state.core.errors import UsageError
from go_state.inspector.trying.expressions import Condition
from go_state.inspector.values.redaction import Redaction


class Secret(str):
    """A text that nobody is to see."""

    __slots__ = ()


class Card(NamedTuple):
    owner: str
    number: str


@dataclass(frozen=True)
class Customer:
    name: str
    email: str


@dataclass(frozen=True)
class Model:
    customer: Customer = Customer("ann", "secret@a")
    cards: tuple[Card, ...] = (Card("ann", "secret4111"),)
    emails: tuple[str, ...] = ("secret-a", "secret-b")
    secrets: tuple[Secret, ...] = (Secret("secret-t"),)
    by_secret: dict[Secret, int] = field(default_factory=lambda: {Secret("secret-k"): 1})
    by_name: dict[str, Card] = field(default_factory=lambda: {"ann": Card("ann", "secret4111")})
    total: int = 0


REDACT: list[str | type] = ["customer.email", "cards.*.number", "by_name.*.number", "emails.*", Secret]


@contextmanager
def watched(app: gs.App[Any, Any], **options: Any) -> Iterator[Client]:
    """Give a client of an inspector in which somebody looks at the app already."""
    with inspected(app, **options) as client, closing(Client(f"{client.origin}/?token={client.token}")) as other:
        events = client.events(f"s/{client.api('subjects')['items'][0]['id']}/live")
        next(events)
        yield other
        events.close()  # type: ignore[attr-defined]  # a generator


def take(model: Model, msg: int) -> gs.Step[Model, int]:
    return replace(model, total=msg, by_secret={**model.by_secret, Secret(f"secret{msg}"): msg}), ()


@pytest.mark.parametrize(
    "where",
    [
        "after.customer.email == 'secret@a'",
        "(after.customer if 1 else 0).email == 'secret@a'",
        "[after.customer][0].email == 'secret@a'",
        "(after.customer or 0).email > ''",
        "'secret-a' in after.emails",
        "after.emails[-1] > ''",
        "after.emails[True] > ''",
        "['secret-a', 'secret-b'] == after.emails or after.emails > [''] or after.emails != 1",
        "after.cards[0][1] > ''",
        "'secret4111' in after.cards[0]",
        "after.cards[0] == before.cards[0]",
        "after.by_name['ann'] == before.cards[0]",
        "'secret-t' in after.secrets",
        "after.secrets[0] > ''",
        "'secret-k' in after.by_secret",
        "after.by_secret['secret-k'] == 1",
        "after == after",
        "[after] == [after]",
    ],
)
def test_no_condition_tells_what_is_hidden(where: str) -> None:
    """Not by its path, nor by a detour, an index, a comparison of the whole, or a key."""
    with suppress(UsageError):  # which says so
        condition = Condition(where, Redaction(REDACT))
        assert not condition(Model(), 1, Model())
        assert not condition.told
    assert Condition(where)(Model(), 1, Model()) or "[1]" in where or "== after.emails" in where


def test_conditions_of_the_rest_are_answered() -> None:
    """Of the parts beside what is hidden, whether something is there, and of the keys of a mapping whose values hold it."""
    for where in ("after.total == 0", "'ann' in after.by_name", "after.customer is not None", "after.cards[0].owner == 'ann'"):
        assert Condition(where, Redaction(REDACT))(Model(), 1, Model()), where


def test_no_answer_has_what_is_hidden() -> None:
    """Neither values nor keys: in rows, moments, differences, parts, exports, what-ifs; and a part is asked for by its own way."""
    app = gs.start(gs.Program(lambda: (Model(), ()), take, name="app"))
    with watched(app, redact=REDACT) as client:
        app.send(1, 2, 3)
        app.apply(4)
        answers = [client.get(f"/api/s/app/{each}") for each in ("rows", "turns", "at/1", "at/3", "export?as=jsonl")]
        parts = ("[]", '["by_secret"]', '["by_secret", {"i": 1}]', '["emails", 0]', '["cards", 0, "number"]', '["customer"]')
        answers += [client.get("/api/s/app/tree/3", params={"of": "after", "path": path}) for path in parts]
        assert [each.status_code for each in answers] == [200] * len(answers)
        for path in ('["emails", -1]', '["emails", true]', '["cards", 0, 1]'):
            assert client.api("s/app/tree/3", 422, of="after", path=path)
        tried = json.dumps(client.tried("app", [{"do": "drop", "position": 2}]))
        assert "total" in tried
        assert not [each for each in [*(answer.text for answer in answers), tried] if "secret4" in each or "secret@" in each]
        assert not [each for each in [*(answer.text for answer in answers), tried] if "secret-" in each or "secret3" in each]
    app.stop()


@dataclass(frozen=True)
class Counts:
    by_name: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def count(model: Counts, msg: str) -> gs.Step[Counts, str]:
    return Counts(defaultdict(int, {**model.by_name, msg: 1})), ()


def test_what_is_asked_for_is_not_made() -> None:
    """A mapping that makes what it does not have, in the model of an app that runs, stays as it is."""
    app = gs.start(gs.Program(lambda: (Counts(), ()), count, name="app"))
    with watched(app) as client:
        app.apply("a")
        assert dict(client.events("s/app/find", where="after.by_name['b'] == 0")).keys() == {"problem"}
        client.api("s/app/tree/0", 422, of="after", path='["by_name", "b"]')
        assert dict(app.model.by_name) == {"a": 1}
    app.stop()


def test_keys_that_json_cannot_carry() -> None:
    """Lone surrogates, as names of files have them: shown with an escape, asked for by number, and exported."""
    app = gs.start(gs.Program(lambda: (Counts(), ()), count, name="app"))
    with watched(app) as client:
        app.apply("\udcff.txt")
        moment = client.api("s/app/at/0")
        assert moment["diff"][0]["path"] == 'by_name["\\udcff.txt"]'
        child = moment["after"]["children"][0]["value"]["children"][0]
        assert child["step"] == {"i": 0}
        assert client.api("s/app/tree/0", of="after", path=json.dumps(["by_name", child["step"]]))["text"] == "1"
    with watched(app, redact="nothing") as client:
        app.apply("\udcff.txt")
        assert "\\\\udcff.txt" in client.get("/api/s/app/export", params={"as": "jsonl"}).text
    app.stop()


def test_an_export_that_fails_is_an_answer_and_no_half_file(capfd: pytest.CaptureFixture[str]) -> None:
    """A message that cannot be written, among others that can: the page is told which, and the terminal stays silent."""
    app = gs.start(shop)
    with watched(app) as client:
        app.send(Sale("o1", 1), Sale("\udcff", 1))
        app.apply(Sale("o2", 1))
        found = client.api("s/shop/export", 422, **{"as": "jsonl"})
        assert "the message at position 1 cannot be exported" in found["error"]
    app.stop()
    assert "Traceback" not in capfd.readouterr().err


def test_an_origin_that_is_no_address_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    """In words, and not by an exception."""
    app = gs.start(shop)
    with inspected(app) as client:
        for origin in ("http://[", "null", "http://", f"{client.origin}.evil", "//", "\xff"):
            assert client.get("/api/about", headers={b"origin": origin.encode("latin-1")}).status_code == 403
    app.stop()
    assert "Traceback" not in capfd.readouterr().err
