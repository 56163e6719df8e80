"""Models that refer to others: each loaded once and attached, cycles included, however long the chain."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

import go_state as gs
from go_state.storage.snapshots.links import follow_links


@dataclass
class Page:
    name: str = ""
    to: list[str] = field(default_factory=list)
    linked: list[Any] = field(default_factory=list, init=False, compare=False, repr=False)


def init() -> tuple[Page, tuple[()]]:
    return Page(), ()


def update(model: Page, msg: str) -> tuple[Page, tuple[()]]:
    return Page(model.name, [*model.to, msg]), ()


pages = gs.Program(init, update)


class CountingStore(gs.MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []

    def load(self, key: str) -> gs.abc.Stored | None:
        self.loads.append(key)
        return super().load(key)


def links(page: Page) -> Iterable[Any]:
    return [(key, page.linked.append) for key in page.to]


def stored(**to: list[str]) -> CountingStore:
    store = CountingStore()
    for key, keys in to.items():
        gs.aggregate(pages, keys, store=store, key=key)
    store.loads.clear()
    return store


def load(store: gs.MemoryStore, key: str = "a") -> Page:
    page = gs.load_model(pages, store=store, key=key, links=links)
    assert page is not None
    return page


def test_a_missing_model_is_none() -> None:
    """A key that holds nothing gives None, with and without links."""
    assert gs.load_model(pages, store=gs.MemoryStore(), key="a") is None
    assert gs.load_model(pages, store=gs.MemoryStore(), key="a", links=links) is None


def test_a_cycle_leads_to_the_same_object() -> None:
    """In a cycle each model is loaded once, and the last refers to the first itself."""
    store = stored(a=["b"], b=["c"], c=["a"])
    a = load(store)
    assert a.linked[0].linked[0].linked[0] is a
    assert store.loads == ["a", "b", "c"]


def test_a_self_link_attaches_itself() -> None:
    """A model that refers to itself is attached to itself."""
    store = stored(a=["a", "a"])
    a = load(store)
    assert [each is a for each in a.linked] == [True, True]
    assert store.loads == ["a"]


def test_a_missing_link_attaches_none() -> None:
    """A reference to nothing calls attach with None, each time, and looks once."""
    store = stored(a=["gone", "gone"])
    assert load(store).linked == [None, None]
    assert store.loads == ["a", "gone"]


def test_a_diamond_loads_each_key_once() -> None:
    """A model that two others refer to is one object, loaded once."""
    store = stored(a=["b", "c"], b=["d"], c=["d"], d=[])
    a = load(store)
    assert a.linked[0].linked[0] is a.linked[1].linked[0]
    assert sorted(store.loads) == ["a", "b", "c", "d"]


def test_links_attach_in_order() -> None:
    """Models are attached in the order of the links, whether they were known, new or missing."""
    a = load(stored(a=["b", "gone", "a", "c", "b"], b=["c"], c=[]))
    assert [page and page.to for page in a.linked] == [["c"], None, a.to, [], ["c"]]


def test_none_entries_and_none_attach_are_skipped() -> None:
    """A None among the links is no link, and a link without attach is loaded all the same."""
    store = stored(a=["b"], b=[])
    gs.load_model(pages, store=store, key="a", links=lambda page: [None, *((key, None) for key in page.to), None])
    assert store.loads == ["a", "b"]


@pytest.mark.slow
def test_a_chain_of_ten_thousand_is_loaded() -> None:
    """A chain may be of any length: nothing recurses."""
    seen: list[int] = []

    def following(number: int) -> list[Any]:
        return [(str(number + 1), seen.append)]

    assert follow_links("0", lambda key: int(key) if int(key) < 10_000 else None, following) == 0
    assert len(seen) == 10_000
    assert sorted(each for each in seen if each is not None) == list(range(1, 10_000))


@pytest.mark.slow
def test_a_stored_chain_of_ten_thousand_is_attached() -> None:
    """The same with models in a store, each attached to the one before."""
    schema_store = CountingStore()
    gs.aggregate(
        gs.Program(lambda key: (Page(key), ()), update, name="Page"), [(str(n), str(n + 1)) for n in range(9_999)],
        store=schema_store, key=lambda msg: msg[0], codec=_PairCodec(),
    )  # fmt: skip
    page, length = (
        gs.load_model(
            gs.Program(init, update, name="Page"), store=schema_store, key="0", links=_pair_links, codec=_PairCodec()
        ),
        0,
    )
    while page is not None:
        page, length = (page.linked[0] if page.linked else None), length + 1
    assert length == 9_999


class _PairCodec:
    """A codec of one's own: pages whose links are pairs of strings."""

    _inner = gs.JsonCodec(tuple[str, list[tuple[str, str]]])

    def encode(self, value: Page) -> bytes:
        return self._inner.encode((value.name, [tuple(each) for each in value.to]))  # type: ignore[misc]

    def decode(self, data: bytes) -> Page:
        name, to = self._inner.decode(data)
        return Page(name, to)  # type: ignore[arg-type]


def _pair_links(page: Page) -> Iterable[Any]:
    return [(target, page.linked.append) for _, target in page.to]


def test_a_damaged_link_is_refused() -> None:
    """A linked model that is damaged raises Corrupt with the linked key."""
    store = stored(a=["b"], b=[])
    record = gs.MemoryStore.load(store, "b")
    assert record is not None
    store.store({"b": gs.abc.Write(record.data[:-1], record.version)})
    with pytest.raises(gs.errors.Corrupt) as raised:
        load(store)
    assert raised.value.key == "b"
