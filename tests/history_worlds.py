"""Programs and histories of every kind, for the tools of gs.history: what was recorded, and the same folded by hand."""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from postgres_server import PostgresServer

import go_state as gs
from go_state.core.program import takes_key
from go_state.history.reading.opened import with_key

BONUS = 13  # a sale of so much sends another of 1, to the head office if there is one
KINDS = ["lmdb", "postgres", "csv", "jsonlines", "own source", "own history", "aggregate", "aggregate of a journal"]


@dataclass(frozen=True)
class Shop:
    name: str = ""
    total: int = 0
    refunded: int = 0
    last: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Sale:
    shop: str
    amount: int


def update(model: Shop, msg: Sale) -> gs.Step[Shop, Sale]:
    refund = -msg.amount if msg.amount < 0 else 0
    after = replace(
        model, total=model.total + msg.amount, refunded=model.refunded + refund, last=[*model.last[-2:], msg.amount]
    )
    return after, [gs.Cmd.send(Sale("office", 1))] if msg.amount == BONUS else []


def mended(model: Shop, msg: Sale) -> gs.Step[Shop, Sale]:
    """Do the same, but that a refund counts twice."""
    after, commands = update(model, msg)
    return (replace(after, refunded=after.refunded - msg.amount) if msg.amount < 0 else after), commands


plain = gs.Program(lambda: (Shop(), ()), update)
keyed = gs.Program(lambda key: (Shop(key), ()), update)


def by_hand(
    program: gs.Program[Shop, Sale], messages: list[Sale], key: str | None, *, follows: bool, routed: bool
) -> Shop | None:
    """Fold in a few lines: the model of the key, None if no message has met it."""
    models: dict[str | None, Shop] = {}
    for message in messages:
        queue = deque([message])
        while queue:
            each = queue.popleft()
            to = each.shop if routed else None
            if to not in models:
                models[to] = (program.init(to) if takes_key(program) and routed else with_key(program, key or "").init())[0]
            models[to], commands = program.update(models[to], each)
            if follows:
                queue.extend(sent for command in commands for sent in command.messages)
    return models.get(key if routed else None)


def some_sales(number: int = 40) -> list[Sale]:
    """Return sales of three shops and the office, with refunds, and some that lead to another message."""
    chance = random.Random(7)
    amounts = [BONUS if index % 9 == 4 else chance.choice([-3, 1, 2, 5]) for index in range(number)]
    return [Sale(chance.choice(["office", "north", "south"]), amount) for amount in amounts]


class OwnSource:
    """A source of one's own, whose positions are no numbers."""

    name = "own"

    def __init__(self, messages: list[Sale]) -> None:
        self.messages = messages

    def fingerprint(self) -> str:
        return "mine"

    def recognise(self, fingerprint: str) -> None:
        assert fingerprint == "mine"

    def read(self, after: Any = None) -> OwnReading:
        return OwnReading(self.messages, 0 if after is None else int(after["offset"][1:]))


class OwnReading:
    def __init__(self, messages: list[Sale], done: int) -> None:
        self._messages = messages
        self._done = done

    @property
    def position(self) -> Any:
        return {"offset": f"x{self._done}"}

    def __iter__(self) -> Iterator[Sale | None]:
        while self._done < len(self._messages):
            self._done += 1
            yield self._messages[self._done - 1]
        yield None  # idle, as an endless one

    def close(self) -> None: ...


class OwnHistory:
    """A history of one's own, which knows when its messages entered."""

    name, identity, has_sent = "own", "id", True

    def __init__(self, messages: list[Sale]) -> None:
        self.messages = messages

    def span(self) -> gs.abc.Span:
        return gs.abc.Span(0, len(self.messages))

    def entries(self, start: int, end: int | None = None) -> Iterator[gs.abc.Entry[Sale]]:
        for position, message in enumerate(self.messages[start:end], start):
            yield gs.abc.Entry(position, 1000.0 + position, message)

    def set_aside(self) -> dict[int, str]:
        return {}


@dataclass
class World:
    """A history of one kind, and the options with which the tools are asked about one model of it."""

    kind: str
    program: gs.Program[Shop, Sale]
    history: Any
    messages: list[Sale]  # of the history
    options: dict[str, Any]
    follows: bool = False
    rebuilds: dict[str, Any] | None = None  # the options of a rebuild; None if nothing is kept
    rebuild_of: Any = None
    stored: Callable[[], Any] = lambda: None

    @property
    def routed(self) -> bool:
        return "key_of" in self.options

    def hand(self, until: int | None = None, program: gs.Program[Shop, Sale] | None = None) -> Shop | None:
        """Return the model before the message at `until`, folded by hand."""
        key = self.options.get("key")
        return by_hand(program or self.program, self.messages[:until], key, follows=self.follows, routed=self.routed)


class Worlds:
    """Makes histories of the messages; what they need is closed in the end."""

    def __init__(self, folder: Path, server: Callable[[], PostgresServer]) -> None:
        self.folder = folder
        self.server = server
        self.ends = ExitStack()

    def make(self, kind: str, program: gs.Program[Shop, Sale], messages: list[Sale]) -> World:
        own = {"key": "office"} if takes_key(program) else {}
        match kind:
            case "lmdb" | "postgres":
                return self._journal(kind, program, messages, own)
            case "own source":
                return World(kind, program, OwnSource(messages), messages, own, follows=True)
            case "own history":
                return World(kind, program, OwnHistory(messages), messages, own)
            case "aggregate" | "aggregate of a journal":
                return self._aggregate(kind, program, messages)
        return World(kind, program, self.file(kind, messages), messages, own, follows=True)

    def file(self, kind: str, messages: list[Sale]) -> Any:
        path = self.folder / f"sales.{kind}"
        if kind == "csv":
            path.write_text("shop,amount\n" + "".join(f"{each.shop},{each.amount}\n" for each in messages))
            return gs.sources.CSV(path, Sale)
        path.write_text("".join(json.dumps({"shop": each.shop, "amount": each.amount}) + "\n" for each in messages))
        return gs.sources.JSONLines(path, Sale)

    def store(self, kind: str) -> Any:
        if kind == "postgres":
            server = self.server()  # which is started for those that need it alone
            schema = server.fresh_schema()
            store: Any = gs.PostgresStore(server.dsn, schema=schema)
            self.ends.callback(server.forget, schema)
        else:
            store = gs.LMDBStore(self.folder / "world.lmdb")
        return self.ends.enter_context(store)

    def _journal(self, kind: str, program: gs.Program[Shop, Sale], messages: list[Sale], own: dict[str, Any]) -> World:
        store, name = self.store(kind), "shops/office"
        with store.journal(name, of=Sale) as journal:
            journal.put(*messages)
        journal = store.journal(name, of=Sale)
        journal.close()
        gs.run(with_key(program, "office"), journal, store=store, key=name, snapshots=gs.Snapshots(every=7, keep=100))
        journal = store.journal(name)
        recorded = [each.message for each in store.journal(name, of=Sale).read()]
        rebuilds = {"prefix": "shops/", "key": "office"}
        return World(
            kind, program, journal, recorded, own, rebuilds=rebuilds, rebuild_of=store, stored=lambda: store.load(name).data
        )

    def _aggregate(self, kind: str, program: gs.Program[Shop, Sale], messages: list[Sale]) -> World:
        store = self.store("lmdb")
        if kind == "aggregate":
            source: Any = self.file("csv", messages)
        else:
            source = store.journal("sales", of=Sale)
            source.put(*messages)
        gs.aggregate(program, source, store=store, key=lambda msg: msg.shop)
        options = {"key": "office", "key_of": "shop", "store": store}
        rebuilds = {"key_of": "shop", "store": store}
        return World(
            kind,
            program,
            source,
            messages,
            options,
            True,
            rebuilds,
            source,
            lambda: {key: store.load(key).data for key in store.keys()},  # noqa: SIM118
        )
