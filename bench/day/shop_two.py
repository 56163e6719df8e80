"""The shop's program on the second day: a field is new, one is renamed, and one has another type, in events and in models."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from typing import Any

from immutables import Map

import go_state as gs
from day import shop as shop_one
from day.reading import tagged
from day.shop import Purchase


@dataclass(frozen=True, slots=True)
class Order:
    id: str
    order: str
    customer: str
    at: dt.datetime
    amount: int
    channel: str = "web"


@dataclass(frozen=True, slots=True)
class Payment:
    id: str
    order: str
    customer: str
    at: dt.datetime
    amount: int
    channel: str = "web"


@dataclass(frozen=True, slots=True)
class Refund:
    id: str
    order: str
    customer: str
    at: dt.datetime
    amount: int
    channel: str = "web"


Event = Order | Payment | Refund
_BEGINNING = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Customer:
    name: str
    bought: int = 0  # it was `ordered`
    paid: int = 0
    refunded: int = 0
    last_at: dt.datetime = _BEGINNING  # it was a number of seconds
    late: int = 0
    repeated: int = 0
    purchases: Map[str, Purchase] = field(default_factory=Map)
    by_app: int = 0  # it is new


def migrated(stored: Any) -> Any:
    """Return a model of the first day as the second has it; both are as JSON has them."""
    last_at = dt.datetime.fromtimestamp(stored["last_at"], dt.UTC).isoformat()
    same = {name: value for name, value in stored.items() if name not in ("ordered", "last_at")}
    return {**same, "bought": stored["ordered"], "last_at": last_at}


def init(name: str) -> gs.Step[Customer, Event]:
    return Customer(name), ()


def update(model: Customer, msg: Event) -> gs.Step[Customer, Event]:
    """Count an event once. A refund is counted however often it comes: that is the bug, still."""
    purchase = model.purchases.get(msg.order) or Purchase()
    if msg.id in purchase.events and not isinstance(msg, Refund):
        return replace(model, repeated=model.repeated + 1), ()
    return counted(model, purchase, msg), ()


def mended(model: Customer, msg: Event) -> gs.Step[Customer, Event]:
    """Count an event once, refunds too."""
    purchase = model.purchases.get(msg.order) or Purchase()
    if msg.id in purchase.events:
        return replace(model, repeated=model.repeated + 1), ()
    return counted(model, purchase, msg), ()


def counted(model: Customer, purchase: Purchase, msg: Event) -> Customer:
    purchase = replace(purchase, events=(*purchase.events, msg.id))
    match msg:
        case Order(amount=amount):
            purchase, bought, paid, refunded = replace(purchase, cents=amount), amount, 0, 0
        case Payment(amount=amount):
            purchase, bought, paid, refunded = replace(purchase, paid=purchase.paid + amount), 0, amount, 0
        case Refund(amount=amount):
            purchase, bought, paid, refunded = replace(purchase, refunded=purchase.refunded + amount), 0, 0, amount
    return replace(
        model,
        bought=model.bought + bought,
        paid=model.paid + paid,
        refunded=model.refunded + refunded,
        last_at=max(model.last_at, msg.at),
        late=model.late + (msg.at < model.last_at),
        purchases=model.purchases.set(msg.order, purchase),
        by_app=model.by_app + (msg.channel == "app"),
    )


def customer_of(msg: Event) -> str:
    return msg.customer


_parse = tagged(Order, Payment, Refund)
_OLD = {"Order": Order, "Payment": Payment, "Refund": Refund}


def parse(line: bytes) -> Event:
    """Return the event of a line of either day."""
    if b'"cents"' not in line:
        event: Event = _parse(line)
        return event
    old: shop_one.Event = shop_one.parse(line)
    at = dt.datetime.fromtimestamp(old.at, dt.UTC)
    return _OLD[type(old).__name__](old.id, old.order, old.customer, at, old.cents)


OPTIONS: dict[str, Any] = {"name": "shop", "schema": 2, "migrations": {1: migrated}}
shop = gs.Program(init, update, **OPTIONS)
mended_shop = gs.Program(init, mended, **OPTIONS)
