"""The API over HTTP: every address of it, who may ask, and what is refused."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from inspector_browser import elsewhere
from inspector_support import Client, Msg, Refund, Sale, Shop, fill, init, inspected, sales, shop, update

import go_state as gs
from go_state.inspector.serving.api import Busy, Places
from go_state.inspector.trying.finding import Cancelled
from go_state.inspector.trying.fresh import fresh_program
from go_state.inspector.worlds.stores import StoreWorld


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gs.LMDBStore]:
    """A store with a journal of a few hundred messages."""
    path = tmp_path_factory.mktemp("inspector") / "shop.lmdb"
    fill(path, sales(300))
    with gs.LMDBStore(path, readonly=True) as store:
        yield store


@pytest.fixture
def client(store: gs.LMDBStore) -> Iterator[Client]:
    with inspected(store, shop) as client:
        yield client


def wait_indexed(client: Client, subject: str = "shop") -> Any:
    while (found := client.api(f"s/{subject}"))["indexed"] < 1:
        pass
    return found


def all_rows(client: Client, **filters: Any) -> list[Any]:
    """Return the rows that pass, once all are known."""
    while (found := client.api("s/shop/rows", index=0, count=1000, **filters))["total"] is None:
        pass
    return list(found["rows"])


def test_what_is_looked_at_is_told(client: Client, store: gs.LMDBStore) -> None:
    """About, the subjects, and one of them with its types, times and keyframes."""
    about = client.api("about")
    assert about["store"] == store.where
    assert about["live"] is True  # another process may write it
    listed = client.api("subjects")
    assert [each["id"] for each in listed["items"]] == ["shop"]
    assert client.api("subjects", search="nothing")["items"] == []
    subject = wait_indexed(client)
    end = subject["end"]
    assert sum(each["count"] for each in subject["types"]) == end
    assert {each["name"] for each in subject["types"]} == {"Sale", "Refund", "Told"}
    assert 0 < subject["begins"] <= subject["ends"]
    assert 50 in subject["keyframes"]
    client.api("s/other", status=404)
    client.api("s/~%%%", status=404)
    client.api("nothing", status=404)


def test_rows_are_given_by_position_in_both_directions(client: Client) -> None:
    """From a position on, or before it; the end is where there is no next."""
    rows = client.api("s/shop/rows", **{"from": 6, "count": 3})
    assert [row["position"] for row in rows["rows"]] == [6, 7, 8]
    assert rows["rows"][0]["text"] == 'order="o6" amount=6 email="c6@example.org"'
    assert rows["rows"][1]["type"] == "Refund"
    assert rows["next"] == 9
    back = client.api("s/shop/rows", **{"from": 6, "count": 3, "direction": "backward"})
    assert [row["position"] for row in back["rows"]] == [3, 4, 5]
    end = client.api("s/shop")["end"]
    assert client.api("s/shop/rows", **{"from": end - 1, "count": 5})["next"] is None
    assert client.api("s/shop/rows", **{"from": end + 10})["rows"] == []
    at = client.api("s/shop/rows", time=rows["rows"][0]["time"])["rows"][0]
    assert at["time"] >= rows["rows"][0]["time"]


def test_rows_are_filtered_by_type_text_and_changed_path(client: Client, store: gs.LMDBStore) -> None:
    """Each filter finds what a fold of the same history finds, and all of them together what passes all."""
    steps = list(gs.history.steps(shop, store.journal("shop")))
    refunds = [step.position for step in steps if isinstance(step.message, Refund)]
    assert [row["position"] for row in all_rows(client, type="Refund")] == refunds
    with_text = [step.position for step in steps if "O12" in repr(step.message).upper()]
    assert [row["position"] for row in all_rows(client, text="O12")] == with_text
    changed = [step.position for step in steps if step.before.orders.get("o13") != step.after.orders.get("o13")]
    assert [row["position"] for row in all_rows(client, changed='orders["o13"]')] == changed
    assert [row["position"] for row in all_rows(client, changed="total", type="Refund", text="o20")] == [
        step.position
        for step in steps
        if isinstance(step.message, Refund) and "o20" in step.message.order and step.message.amount
    ]
    assert all_rows(client, aside=1) == []


def test_every_moment_is_what_a_replay_comes_to(client: Client, store: gs.LMDBStore) -> None:
    """The model before and after, in any order of asking, with what differs and what was asked for."""
    end = client.api("s/shop")["end"]
    for position in (0, end - 1, 120, 121, 7, 6, 49, 50, 51):
        moment = client.api(f"s/shop/at/{position}")
        after = gs.replay(shop, store.journal("shop"), until=position + 1)
        children = {child["label"]: child["value"] for child in moment["after"]["children"]}
        assert children["total"]["text"] == str(after.total), position
        assert children["orders"]["size"] == len(after.orders)
    refund = client.api("s/shop/at/7")
    assert [each["path"] for each in refund["diff"]] == ["total", 'orders["o6"].refunded']
    assert (refund["diff"][1]["before"]["text"], refund["diff"][1]["after"]["text"]) == ("0", "6")
    (command,) = refund["commands"]
    assert command["name"] == "tell"
    assert command["key"] == "o6"
    assert command["effect_id"] == f"{store.journal('shop').journal_id}/7/0"
    assert refund["error"] is None


def test_parts_of_a_tree_are_loaded_by_their_path(client: Client) -> None:
    """Children in pages, of the model before or after, or of the message."""
    page = client.api("s/shop/tree/300", of="after", path='["orders"]', **{"from": 100, "count": 100})
    assert len(page["children"]) == 100
    assert page["children"][0]["label"] == '"o100"'
    leaf = client.api("s/shop/tree/300", of="before", path='["orders", "o5", "amount"]')
    assert leaf["text"] == "5"
    assert client.api("s/shop/tree/6", of="message", path='["order"]')["text"] == '"o6"'
    for wrong in ('["nothing"]', "{}", "[[]]", "no json", '["orders", "o5", "amount", "x"]'):
        client.api("s/shop/tree/300", status=422, path=wrong)
    client.api("s/shop/tree/300", status=422, of="other")
    client.api("s/shop/at/999999", status=422)
    client.api("s/shop/at/-1", status=422)


def test_the_strip_counts_every_message_once(client: Client) -> None:
    """Whatever the number of stretches is."""
    end = wait_indexed(client)["end"]
    for buckets in (1, 7, 600, 5000):
        strip = client.api("s/shop/strip", buckets=buckets)
        assert sum(strip["count"]) == end
        assert len(strip["count"]) == len(strip["position"]) == len(strip["slow"]) == len(strip["failed"])
    part = client.api("s/shop/strip", buckets=10, **{"from": 100, "to": 200})
    assert sum(part["count"]) == 100


def test_the_first_message_is_found(client: Client) -> None:
    """With progress, from a position on, or none; what is no condition is refused before it begins."""
    events = list(client.events("s/shop/find", where="after.orders['o6'].refunded > 0", **{"from": 0}))
    assert events[-1] == ("found", {"position": 7})
    later = list(client.events("s/shop/find", where="msg.order == 'o20' and msg.amount == 20", **{"from": 10}))
    assert later[-1][1]["position"] > 10
    assert list(client.events("s/shop/find", where="after.total < 0", **{"from": 0}))[-1] == ("none", {})
    assert list(client.events("s/shop/find", where="after.nothing > 0", **{"from": 0}))[-1][0] == "problem"
    assert "calls" in client.api("s/shop/find", status=422, where="open('x')")["error"]


def test_what_if_folds_on_from_an_edit(client: Client, store: gs.LMDBStore) -> None:
    """Edited, left out and put in: the model is that of the messages as they would have been, and the store stays as it is."""
    before = store.journal("shop").statistics().end
    dropped = client.tried("shop", [{"do": "drop", "position": 7}])
    assert dropped["first"] == {"position": 7, "path": "total"}
    assert [each["path"] for each in dropped["diff"]] == ["total", 'orders["o6"].refunded']
    total = {each["path"]: each["after"]["text"] for each in dropped["diff"]}["total"]
    assert int(total) == gs.replay(shop, store.journal("shop")).total + 6
    written = json.dumps(["Sale", {"order": "new", "amount": 5, "email": ""}])
    put_in = client.tried("shop", [{"do": "insert", "position": 3, "message": written}], 10)
    assert {each["path"] for each in put_in["diff"]} == {"total", 'orders["new"]'}
    same = client.tried("shop", [{"do": "edit", "position": 3, "message": client.api("s/shop/message/3")["json"]}])
    assert same["first"] is None
    assert same["diff"] == []
    assert store.journal("shop").statistics().end == before
    for wrong in (
        [{"do": "edit", "position": 3, "message": '["Nothing", {}]'}],
        [{"do": "x"}],
        {},
        [{"do": "drop", "position": 10**9}],
        [7],
    ):
        client.post_api("s/shop/what-if", {"edits": wrong}, status=422)


def test_a_run_is_exported_as_a_test_that_passes(client: Client, tmp_path: Path) -> None:
    """As it was, and with edits; as lines of JSON."""
    edits = json.dumps([{"do": "drop", "position": 7}])
    for name, params in {
        "plain": {"until": 60},
        "edited": {"until": 60, "edits": edits},
        "late": {"from": 120, "until": 130},
    }.items():
        answer = client.get("/api/s/shop/export", params={"as": "test", **params})
        assert answer.status_code == 200, answer.text
        (tmp_path / f"test_{name}.py").write_text(answer.text)
        space: dict[str, Any] = {}
        exec(compile(answer.text, name, "exec"), space)
        space["test_replay"]()
    lines = client.get("/api/s/shop/export", params={"as": "jsonl", "until": 5, "edits": edits}).text.splitlines()
    assert [json.loads(line)["message"][1]["order"] for line in lines] == ["o0", "o1", "o2", "o3", "o4"]
    client.api("s/shop/export", status=422, **{"as": "other"})


def test_hidden_fields_are_in_no_answer(store: gs.LMDBStore) -> None:
    """Rows, moments, trees, diffs, searches and exports are without them; the editor and a test, which need them, are refused."""
    with inspected(store, shop, redact=["email", "amount"]) as client:
        wait_indexed(client)
        answers = [
            client.get("/api/s/shop/rows", params={"from": 0, "count": 300}).text,
            *(client.get(f"/api/s/shop/at/{position}").text for position in range(8)),
            client.get("/api/s/shop/tree/8", params={"path": '["orders", "o6", "amount"]'}).text,
            client.get("/api/s/shop/export", params={"as": "jsonl"}).text,
        ]
        assert not [each for each in answers if "example.org" in each]
        assert not all_rows(client, text="example.org")
        assert "hidden" in client.api("s/shop/tree/8", path='["orders", "o6", "amount"]')["kind"]
        client.api("s/shop/message/3", status=422)
        client.api("s/shop/export", status=422, **{"as": "test"})
        client.api("s/shop/find", status=422, where="msg.email == 'c1@example.org'")


def test_without_a_program_messages_are_shown(store: gs.LMDBStore) -> None:
    """And what needs models says what is missing."""
    with inspected(store) as client:
        moment = client.api("s/shop/at/7")
        assert moment["type"] == "Refund"
        assert moment["after"] is None
        assert "module:program" in client.api("s/shop/find", status=422, where="msg.x == 1")["error"]
        client.post_api("s/shop/what-if", {"edits": []}, status=422)


def test_a_file_of_records_is_inspected(tmp_path: Path) -> None:
    """A source has no keyframes: its models are folded from the beginning."""
    path = tmp_path / "sales.csv"
    path.write_text("order,amount,email\n" + "".join(f"o{number},{number},x\n" for number in range(500)))

    def add(model: Shop, msg: Sale) -> Shop:
        return Shop(model.total + msg.amount)

    only_sales = gs.reducer(Shop, add)
    with inspected(gs.sources.CSV(path, Sale), only_sales) as client:
        (listed,) = client.api("subjects")["items"]
        assert listed["kind"] == "file"
        while (subject := client.api(f"s/{listed['id']}"))["indexed"] < 1:
            pass
        assert subject["end"] == 500
        assert client.api(f"s/{listed['id']}/at/499")["after"]["children"][0]["value"]["text"] == str(sum(range(500)))
        assert client.api(f"s/{listed['id']}/rows", **{"from": 250, "count": 1})["rows"][0]["text"].startswith('order="o250"')


# ------------------------------------------------------------------ who may ask


def test_nobody_is_answered_without_the_token(client: Client) -> None:
    """Neither without one nor with another; with it the address is left without it, and the cookie is for this page alone."""
    with httpx.Client(base_url=client.origin) as plain:
        assert plain.get("/api/about").status_code == 401
        assert plain.get("/?token=wrong").status_code == 401
        assert plain.get("/api/about", headers={"cookie": "go_state_inspector_80=x"}).status_code == 401
        entered = plain.get(f"/?token={client.token}")
        assert entered.status_code == 303
        assert entered.headers["location"] == "/"
        cookie = entered.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert plain.get("/api/about").status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil", "[::2]", ""])
def test_a_host_name_that_is_not_ours_is_refused(client: Client, host: str) -> None:
    """A name that was rebound to this machine says so in Host."""
    assert client.get("/api/about", headers={"host": host}).status_code in (400, 403)
    assert client.get("/", headers={"host": host}).status_code in (400, 403)


def test_requests_of_other_pages_are_refused(client: Client) -> None:
    """By their origin, by what the browser says of them, and a POST that says nothing."""
    for origin in ("http://evil.example", "null", client.origin.replace("127.0.0.1", "localhost"), client.origin + "1"):
        assert client.get("/api/about", headers={"origin": origin}).status_code == 403
        assert client.post("/api/s/shop/what-if", json={"edits": []}, headers={"origin": origin}).status_code == 403
    for site in ("cross-site", "same-site"):
        assert client.get("/api/about", headers={"sec-fetch-site": site}).status_code == 403
    assert client.post("/api/s/shop/what-if", json={"edits": []}).status_code == 403
    assert client.get("/api/about", headers={"sec-fetch-site": "same-origin"}).status_code == 200


def test_every_answer_has_the_headers_that_keep_it_here(client: Client) -> None:
    """The policy, no store, no framing; also those that refuse."""
    for answer in (
        client.get("/"),
        client.get("/api/about"),
        client.get("/main.js"),
        client.get("/x"),
        client.get("/", headers={"host": "x"}),
    ):
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "access-control-allow-origin" not in answer.headers


def test_nothing_outside_the_page_is_served(client: Client) -> None:
    """No path leads out of its folder."""
    for path in ("/../__init__.py", "/..%2f__init__.py", "/%2e%2e/__init__.py", "//etc/passwd", "/vendor/../../__init__.py"):
        assert "inspector" not in client.get(path).text or client.get(path).status_code != 200


def test_hostile_requests_are_answered_in_plain_words(client: Client) -> None:
    """Whatever is asked, the answer is a sentence, and the server goes on."""
    for params in ({"from": "x"}, {"count": "-1"}, {"from": "9" * 30}, {"slower": "nan"}, {"time": "x"}, {"index": "1.5"}):
        assert client.get("/api/s/shop/rows", params=params).status_code == 422
    answer = client.post("/api/s/shop/what-if", content=b"[" * 100_000, headers={"origin": client.origin})
    assert answer.status_code == 422
    assert client.post("/api/s/shop/what-if", content=b"x" * (5 << 20), headers={"origin": client.origin}).status_code == 422
    assert client.get("/api/s/shop/find", params={"where": "(" * 900}).status_code == 422
    assert client.api("about")


def test_another_host_needs_a_token_of_ones_own(store: gs.LMDBStore) -> None:
    """Whoever reaches it would see everything."""
    with pytest.raises(gs.UsageError, match="token"):
        gs.inspect(store, shop, host="0.0.0.0")
    with pytest.raises(gs.UsageError, match="16"):
        gs.inspect(store, shop, token="short")


def test_a_port_that_cannot_be_had_is_said(store: gs.LMDBStore) -> None:
    """One that is taken, and one that no machine has."""
    with gs.inspect(store, shop) as inspector:
        taken = int(inspector.address.partition("/?")[0].rpartition(":")[2])
        with pytest.raises(gs.UsageError, match="give another port"), gs.inspect(store, shop, port=taken):
            pass
    with pytest.raises(gs.UsageError, match="65535"), gs.inspect(store, shop, port=80_000):
        pass


async def test_it_is_mounted_in_an_application(store: gs.LMDBStore) -> None:
    """Below a path, with a token of its own, and addresses that lead to it."""
    from starlette.applications import Starlette
    from starlette.routing import Mount

    inspector = gs.inspector.asgi(store, shop, token="0123456789abcdef")
    app = Starlette(routes=[Mount("/inspect", inspector)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://api.example") as client:
        assert (await client.get("/inspect/api/about")).status_code == 401
        entered = await client.get("/inspect/?token=0123456789abcdef")
        assert entered.headers["location"] == "/inspect/"
        assert "Path=/inspect/" in entered.headers["set-cookie"]
        assert (await client.get("/inspect/")).status_code == 200
        assert (await client.get("/inspect/main.js")).status_code == 200
        assert (await client.get("/inspect/api/s/shop/at/7")).json()["type"] == "Refund"
    inspector.close()


@pytest.mark.processes
def test_the_command_serves_a_store(tmp_path: Path) -> None:
    """`go-state inspect` prints the address, and ends with Ctrl-C."""
    import re
    import signal

    fill(tmp_path / "shop.lmdb", sales(20))
    root, here = Path(gs.__file__).parents[1], Path(__file__).parents[1]
    command = [sys.executable, "-m", "go_state.cli", "inspect", "inspector_support:shop", str(tmp_path / "shop.lmdb")]
    environment = {"PYTHONPATH": f"{root}:{here}", "PATH": ""}
    with subprocess.Popen(command, cwd=here, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        found = re.search(r"http\S+", process.stderr.readline())
        assert found is not None
        with closing(Client(found[0])) as client:
            assert client.api("s/shop/at/7")["type"] == "Refund"
            assert client.api("about")["program"] == "inspector_support:shop"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


MENDED = """
import go_state as gs

def init() -> gs.Step[int, int]:
    return 0, ()

def update(model: int, msg: int) -> gs.Step[int, int]:
    return model + msg, ()

sums = gs.Program(init, update, name="sums")
"""


@pytest.mark.slow
def test_your_fix_says_which_messages_come_out_differently(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module is read anew each time, and the one that runs stays as it is; so do all that it has imported."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "sums_module.py").write_text(MENDED)
    module = importlib.import_module("sums_module")
    monkeypatch.setitem(sys.modules, "sums_module", module)
    with gs.LMDBStore(tmp_path / "s.lmdb") as store, gs.start(module.sums, store=store, key="sums") as app:
        app.send(1, 2, -3, 4, -5)
        assert app.apply(10) == 9
        with inspected(app) as client:
            same = list(client.events("s/sums/fix", post={}))
            assert same[-1] == ("done", {"messages": 6, "differ": 0, "by_field": {}, "from": 0, "agrees": "yes"})
            (tmp_path / "sums_module.py").write_text(MENDED.replace("+ msg", "+ abs(msg)"))
            events = list(client.events("s/sums/fix", post={}))
            found = [data for kind, data in events if kind == "found"]
            assert [(each["position"], each["before"]["text"], each["after"]["text"]) for each in found] == [
                (2, "0", "6"),
                (4, "-1", "9"),
            ]
            assert events[-1][1]["differ"] == 2
            test = client.get("/api/s/sums/export", params={"as": "test", "fixed": 1, "from": 2, "until": 3})
            assert "last='6'" in test.text
            (tmp_path / "sums_module.py").write_text("raise SystemExit(3)")
            assert "SystemExit" in list(client.events("s/sums/fix", post={}))[-1][1]["error"]
            (tmp_path / "sums_module.py").write_text("sums = 3")
            assert "not a gs.Program" in list(client.events("s/sums/fix", post={}))[-1][1]["error"]
        assert sys.modules["sums_module"] is module
        assert app.apply(1) == 10


def test_your_fix_begins_at_the_nearest_model_before_a_position(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing before that is read, and what differs after it is found all the same."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "sums_later.py").write_text(MENDED)
    module = importlib.import_module("sums_later")
    monkeypatch.setitem(sys.modules, "sums_later", module)
    kept = gs.Snapshots(every=10, keep=100)
    with (
        gs.LMDBStore(tmp_path / "s.lmdb") as store,
        gs.start(module.sums, store=store, key="sums", snapshots=kept) as app,
    ):
        app.send(*[-1 if number in (3, 57) else 1 for number in range(99)])
        app.apply(1)
        with inspected(app) as client:
            (tmp_path / "sums_later.py").write_text(MENDED.replace("+ msg", "+ abs(msg)"))
            whole = list(client.events("s/sums/fix", post={"from": None}))
            later = list(client.events("s/sums/fix", post={"from": 55}))
            assert [data["position"] for kind, data in whole if kind == "found"] == [3, 57]
            assert [data["position"] for kind, data in later if kind == "found"] == [57]
            begin = later[-1][1]["from"]
            assert 0 < begin <= 55
            done = {"messages": 100 - begin, "differ": 1, "by_field": {"": 1}, "from": begin, "agrees": "yes"}
            assert later[-1] == ("done", done)
            assert client.post_api("s/sums/fix", {"from": "55"}, status=422)["error"] == "from is a position, or null"


NESTED = """
from __future__ import annotations
from dataclasses import dataclass, field
import go_state as gs

@dataclass(frozen=True)
class Order:
    amount: int

@dataclass(frozen=True)
class Sold:
    orders: dict[str, Order] = field(default_factory=dict)

@dataclass(frozen=True)
class Sale:
    name: str
    of: Order

def init() -> gs.Step[Sold, Sale]:
    return Sold(), ()

def update(model: Sold, msg: Sale) -> gs.Step[Sold, Sale]:
    return Sold({**model.orders, msg.name: Order(msg.of.amount)}), ()

sold = gs.Program(init, update, name="sold")
"""


def test_your_fix_takes_classes_that_name_each_other_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Annotations are text with `from __future__ import annotations`: what they name is of the module that was read anew."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "nested_sold.py").write_text(NESTED)
    module = importlib.import_module("nested_sold")
    monkeypatch.setitem(sys.modules, "nested_sold", module)
    with gs.LMDBStore(tmp_path / "s.lmdb") as store, gs.start(module.sold, store=store, key="sold") as app:
        app.send(*[module.Sale(f"o{number}", module.Order(number)) for number in range(10)])
        app.apply(module.Sale("last", module.Order(1)))
        with inspected(app) as client:
            done = {"messages": 11, "differ": 0, "by_field": {}, "from": 0, "agrees": "yes"}
            assert list(client.events("s/sold/fix", post={}))[-1] == ("done", done)
            (tmp_path / "nested_sold.py").write_text(NESTED.replace("Order(msg.of.amount)", "Order(msg.of.amount % 9)"))
            found = list(client.events("s/sold/fix", post={}))
            assert [(data["position"], data["path"]) for kind, data in found if kind == "found"] == [(9, 'orders["o9"].amount')]


def test_your_fix_says_when_it_begins_at_a_model_of_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot that is not what the messages before it come to: a mistake before it would look harmless."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "sums_other.py").write_text(MENDED)
    module = importlib.import_module("sums_other")
    monkeypatch.setitem(sys.modules, "sums_other", module)

    def twice(model: int, msg: int) -> gs.Step[int, int]:
        return model + 2 * msg, ()

    before = replace(module.sums, update=twice)
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        with gs.start(before, store=store, key="sums", snapshots=gs.Snapshots(every=10, keep=100)) as app:
            app.send(*[1] * 30)
        with inspected(store, module.sums) as client:
            whole = list(client.events("s/sums/fix", post={}))[-1][1]
            later = list(client.events("s/sums/fix", post={"from": 25}))[-1][1]
            assert (whole["from"], whole["agrees"]) == (0, "yes")
            assert later["from"] > 0
            assert later["agrees"] == "no"


SLOW = MENDED.replace(
    "import go_state as gs", "import threading, time\nimport go_state as gs\nslow, turns = threading.Event(), []"
).replace(
    "    return model + msg, ()",
    "    if slow.is_set():\n        turns.append(msg)\n        time.sleep(0.0001)\n    return model + msg, ()",
)


def search_threads() -> list[threading.Thread]:
    """Return the threads in which the server tries something."""
    return [each for each in threading.enumerate() if each.name == "go_state inspector search"]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["what-if", "fix"])
def test_whoever_goes_away_ends_what_was_tried_for_them(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fold ends long before it would, and leaves its place to others, however often that happens."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "sums_slow.py").write_text(SLOW)
    module = importlib.import_module("sums_slow")
    monkeypatch.setitem(sys.modules, "sums_slow", module)
    edits = [{"do": "edit", "position": 2, "message": "100"}, {"do": "edit", "position": 19_990, "message": "19990"}]
    body = {"edits": edits} if what == "what-if" else {}
    with (
        gs.LMDBStore(tmp_path / "s.lmdb") as store,
        gs.start(module.sums, store=store, key="sums", snapshots=gs.Snapshots(every=100_000)) as app,
    ):
        app.send(*range(20_000))
        total = app.apply(1)
        with inspected(app) as client:
            for _ in range(5):  # more than may run at once
                module.turns.clear()
                module.slow.set()
                events = client.events(f"s/sums/{what}", post=body)
                kind, told = next(events)
                assert (kind, told["end"]) == ("progress", 20_001)
                events.close()  # type: ignore[attr-defined]  # a generator
                while search_threads():
                    threading.Event().wait(0.01)
                assert len(module.turns) < 20_000
            module.slow.clear()
            kind, done = list(client.events(f"s/sums/{what}", post=body))[-1]
            assert kind == "done"
            assert done["after"]["text"] == str(total + 98) if what == "what-if" else done["differ"] == 0


def test_a_long_way_to_a_model_can_be_ended(tmp_path: Path) -> None:
    """And others get their moments meanwhile."""
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:

        def add(model: int, by: int) -> int:
            return model + by

        numbers = gs.reducer(int, add)
        with gs.start(numbers, store=store, key="n", snapshots=gs.Snapshots(every=100_000)) as app:
            app.send(*[1] * 35_000)
        subject = StoreWorld(store, numbers).find("n")
        assert subject is not None
        seen: list[int] = []

        def progress(position: int) -> None:
            seen.append(position)
            assert elsewhere(lambda: subject.needed().at(5).after) == 6
            if position == 20_000:
                raise Cancelled

        with pytest.raises(Cancelled):
            subject.needed().fresh(34_000, progress)
        assert seen[-1] == 20_000
        del seen[:]
        assert subject.needed().fresh(34_000, seen.append).model(None) == 34_000
        assert 20_000 < seen[0] < 30_000 in seen  # what was folded then is not folded again


def test_a_slow_program_is_interrupted_by_the_clock(tmp_path: Path) -> None:
    """However few messages it has taken by then."""
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:

        def add(model: int, by: int) -> int:
            if slow.is_set():
                threading.Event().wait(0.005)
            return model + by

        slow = threading.Event()
        numbers = gs.reducer(int, add)
        with gs.start(numbers, store=store, key="n", snapshots=gs.Snapshots(every=100_000)) as app:
            app.send(*[1] * 5000)
        subject = StoreWorld(store, numbers).find("n")
        assert subject is not None
        slow.set()

        def progress(position: int) -> None:
            assert position < 200
            raise Cancelled

        with pytest.raises(Cancelled):
            subject.needed().fresh(4000, progress)


def test_the_message_at_which_a_fold_fails_is_named(client: Client, store: gs.LMDBStore) -> None:
    """After it there is no model, and what the program has raised is said, but for what may hold something hidden."""

    def fails(model: Shop, msg: Msg) -> gs.Step[Shop, Msg]:
        if isinstance(msg, Refund):
            raise KeyError(msg.order)
        return update(model, msg)

    program = gs.Program(init, fails, name="shop")
    for redact in ((), ("email",)):
        with inspected(store, program, redact=redact) as other:
            found = other.api("s/shop/at/9", status=409)
            assert found["position"] == 7
            assert found["error"].startswith("There is no model here: at position 7, a Refund, the program fails with KeyError")
            assert ("o6" in found["error"]) is not bool(redact)
            assert other.api("s/shop/turns", **{"from": 9, "count": 5}) == {"turns": {}}
            kind, told = list(other.events("s/shop/find", where="after.total < 0", **{"from": 0}))[-1]
            assert kind == "problem"
            assert told["error"].startswith("There is no model here: at position 7, a Refund")
            assert ("o6" in told["error"]) is not bool(redact)


def test_a_place_is_left_also_by_what_is_never_begun() -> None:
    """A browser may be gone before its stream is read for the first time."""
    places, done = Places(1), list[str]()
    waits = places.taken(lambda tell: None)
    with pytest.raises(Busy):
        places.taken(lambda tell: None)
    del waits
    places.taken(lambda tell: tell("done", {}))(lambda kind, data: done.append(kind))
    assert done == ["done"]
    places.taken(lambda tell: None)


def test_a_script_that_runs_is_not_run_again() -> None:
    """To load it anew would do everything in it once more."""
    with pytest.raises(gs.UsageError, match="script"):
        fresh_program(("__main__", "anything"))


def test_what_was_set_aside_is_marked_and_passed_over(tmp_path: Path) -> None:
    """Its moment says why; the filter finds it; an edit in its place has a turn."""

    def fails(model: Shop, msg: Msg) -> gs.Step[Shop, Msg]:
        if msg == Sale("bad", 1):
            raise ValueError("bad")
        return update(model, msg)

    program = gs.Program(init, fails, name="shop")
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        with gs.start(program, store=store, key="shop", on_error=gs.SetAside()) as app:
            app.send(Sale("o1", 1), Sale("bad", 1), Sale("o2", 1))
            assert app.apply(Sale("o3", 1)).total == 3
        with inspected(store, program) as client:
            assert [row["position"] for row in all_rows(client, aside=1)] == [1]
            assert all_rows(client, aside=1)[0]["badges"] == ["set aside"]
            moment = client.api("s/shop/at/1")
            assert (moment["error"], moment["diff"]) == ("ValueError", [])
            assert client.api("s/shop/at/3")["after"]["children"][0]["value"]["text"] == "3"
            edit = {"do": "edit", "position": 1, "message": '["Sale", {"order": "good", "amount": 7, "email": ""}]'}
            tried = client.tried("shop", [edit])
            assert tried["after"]["children"][0]["value"]["text"] == "10"
