"""What the tests of the inspector share: a shop that counts refunds, and a client that has the token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

import go_state as gs


@dataclass(frozen=True)
class Order:
    amount: int
    refunded: int = 0


@dataclass(frozen=True)
class Shop:
    total: int = 0
    orders: dict[str, Order] = field(default_factory=dict)


@dataclass(frozen=True)
class Sale:
    order: str
    amount: int
    email: str = ""


@dataclass(frozen=True)
class Refund:
    order: str
    amount: int


@dataclass(frozen=True)
class Told:
    order: str


Msg = Sale | Refund | Told


async def tell(order: str) -> Told:
    """Tell the customer."""
    return Told(order)


def init() -> gs.Step[Shop, Msg]:
    """Begin with no orders."""
    return Shop(), ()


def update(model: Shop, msg: Msg) -> gs.Step[Shop, Msg]:
    """Count sales and refunds."""
    match msg:
        case Sale(order, amount):
            orders = {**model.orders, order: Order(amount)}
            return replace(model, total=model.total + amount, orders=orders), ()
        case Refund(order, amount):
            known = model.orders[order]
            orders = {**model.orders, order: replace(known, refunded=known.refunded + amount)}
            return replace(model, total=model.total - amount, orders=orders), [gs.Cmd.call(tell, order, key=order)]
        case Told():
            return model, ()


shop = gs.Program(init, update, name="shop")


def sales(count: int) -> list[Msg]:
    """Return some sales, of which every seventh is refunded at once."""
    found: list[Msg] = []
    for number in range(count):
        found.append(Sale(f"o{number}", number, f"c{number}@example.org"))
        if number % 7 == 6:
            found.append(Refund(f"o{number}", number))
    return found


def fill(path: Path, messages: list[Msg], key: str = "shop", every: int = 50) -> None:
    """Write a journal of the shop that has taken these messages, and no others."""
    with (
        gs.LMDBStore(path) as store,
        gs.start(shop, store=store, key=key, snapshots=gs.Snapshots(every=every, keep=100)) as app,
    ):
        app.send(*messages)
        app.apply(Sale("last", 1))


class Client(httpx.Client):
    """A browser, as far as it is looked at here: it has the cookie, and says which origin it is of."""

    def __init__(self, address: str) -> None:
        base, _, self.token = address.partition("/?token=")
        super().__init__(base_url=base, timeout=20)
        self.origin = base
        assert self.get(f"/?token={self.token}").status_code == 303

    def api(self, address: str, /, status: int = 200, **params: Any) -> Any:
        """Return what the API answers."""
        answer = self.get(f"/api/{address}", params=params)
        assert answer.status_code == status, answer.text
        return answer.json()

    def post_api(self, path: str, body: object, status: int = 200) -> Any:
        """Return what the API answers to a POST of the page."""
        answer = self.post(f"/api/{path}", json=body, headers={"origin": self.origin})
        assert answer.status_code == status, answer.text
        return answer.json()

    def tried(self, subject: str, edits: list[dict[str, Any]], until: int | None = None) -> Any:
        """Return what came of a what-if."""
        return list(self.events(f"s/{subject}/what-if", post={"edits": edits, "until": until}))[-1][1]

    def events(self, path: str, post: object = None, **params: Any) -> Iterator[tuple[str, Any]]:
        """Give the events of a stream."""
        method, headers = ("GET", {}) if post is None else ("POST", {"origin": self.origin})
        with self.stream(method, f"/api/{path}", params=params, json=post, headers=headers) as answer:
            assert answer.status_code == 200, answer.read()
            kind = ""
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    kind = line[7:]
                elif line.startswith("data: "):
                    yield kind, json.loads(line[6:])


@contextmanager
def inspected(of: Any, program: Any = None, **options: Any) -> Iterator[Client]:
    """Serve an inspector, and give a client of it."""
    with gs.inspect(of, program, **options) as page, closing(Client(page.address)) as client:
        yield client
