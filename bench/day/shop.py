"""The shop's program: one model a customer, folded from orders, payments and refunds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from immutables import Map

import go_state as gs
from day.reading import tagged


@dataclass(frozen=True, slots=True)
class Order:
    id: str
    order: str
    customer: str
    at: int
    cents: int


@dataclass(frozen=True, slots=True)
class Payment:
    id: str
    order: str
    customer: str
    at: int
    cents: int


@dataclass(frozen=True, slots=True)
class Refund:
    id: str
    order: str
    customer: str
    at: int
    cents: int


Event = Order | Payment | Refund


@dataclass(frozen=True, slots=True)
class Purchase:
    """An order and what became of it; `events` are the ids of what was counted, so that nothing counts twice."""

    cents: int = 0
    paid: int = 0
    refunded: int = 0
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Customer:
    name: str
    ordered: int = 0
    paid: int = 0
    refunded: int = 0
    last_at: int = 0
    late: int = 0
    repeated: int = 0
    purchases: Map[str, Purchase] = field(default_factory=Map)


def init(name: str) -> gs.Step[Customer, Event]:
    return Customer(name), ()


def update(model: Customer, msg: Event) -> gs.Step[Customer, Event]:
    """Count an event once. A refund is counted however often it comes: that is the bug."""
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
    late, last_at = model.late + (msg.at < model.last_at), max(model.last_at, msg.at)
    events = (*purchase.events, msg.id)
    match msg:
        case Order(cents=cents):
            purchase = replace(purchase, cents=cents, events=events)
            purchases = model.purchases.set(msg.order, purchase)
            return replace(model, ordered=model.ordered + cents, late=late, last_at=last_at, purchases=purchases)
        case Payment(cents=cents):
            purchase = replace(purchase, paid=purchase.paid + cents, events=events)
            purchases = model.purchases.set(msg.order, purchase)
            return replace(model, paid=model.paid + cents, late=late, last_at=last_at, purchases=purchases)
        case Refund(cents=cents):
            purchase = replace(purchase, refunded=purchase.refunded + cents, events=events)
            purchases = model.purchases.set(msg.order, purchase)
            return replace(model, refunded=model.refunded + cents, late=late, last_at=last_at, purchases=purchases)


def customer_of(msg: Event) -> str:
    return msg.customer


parse = tagged(Order, Payment, Refund)
shop = gs.Program(init, update, name="shop")
