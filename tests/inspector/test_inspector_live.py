"""The inspector beside programs that run: what they do is seen, and nothing is noted while nobody looks."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from inspector_support import Client, Msg, Refund, Sale, Shop, Told, init, inspected, sales, shop, update

import go_state as gs
from go_state.inspector.serving.streams import Lookers
from go_state.inspector.worlds.recording import KEPT


def until(events: Iterator[tuple[str, Any]], is_so: Callable[[str, Any], bool]) -> Any:
    """Return the first event of which that is so."""
    return next(data for kind, data in events if is_so(kind, data))


def loop_of(app: gs.App[Any, Any]) -> Any:
    return app.life.run.loop


def test_an_app_without_a_store_is_recorded_while_somebody_looks() -> None:
    """Its last messages are there with models that are exactly its own, and gone with the last who looked."""
    with gs.start(shop) as app, inspected(app) as client:
        app.send(*sales(100))
        app.apply(Sale("before", 1))
        assert loop_of(app).around is None
        events = client.events("s/shop/live")
        until(events, lambda kind, data: kind == "state")
        assert loop_of(app).around is not None
        app.send(*sales(500))
        after = app.apply(Sale("seen", 3))
        state = until(events, lambda kind, data: data["end"] > 600 and not data["queue"] and not data["effects"])
        with closing(Client(f"{client.origin}/?token={client.token}")) as other:
            last = state["end"] - 1
            moment = other.api(f"s/shop/at/{last}")
            children = {child["label"]: child["value"] for child in moment["after"]["children"]}
            assert children["total"]["text"] == str(after.total)
            assert children["orders"]["size"] == len(after.orders)
            rows = other.api("s/shop/rows", **{"from": state["first"], "count": 5})["rows"]
            assert rows[0]["position"] == state["first"]
            assert rows[0]["seconds"] > 0
            found = list(other.events("s/shop/find", where="msg.order == 'seen'", **{"from": 0}))
            assert other.api(f"s/shop/at/{found[-1][1]['position']}")["message"]["children"][0]["value"]["text"] == '"seen"'
        events.close()  # type: ignore[attr-defined]  # a generator
        while loop_of(app).around is not None:
            threading.Event().wait(0.01)


def test_what_was_recorded_stays_until_messages_come_that_nobody_saw() -> None:
    """The page is loaded again: it is still there. After a gap only what comes after it is."""

    def watch(client: Client) -> tuple[int, int]:
        events = client.events("s/shop/live")
        state = until(events, lambda kind, data: kind == "state")
        events.close()  # type: ignore[attr-defined]  # a generator
        return state["first"], state["end"]

    with gs.start(shop) as app, inspected(app) as client:
        events = client.events("s/shop/live")
        until(events, lambda kind, data: kind == "state")
        app.send(*sales(20))
        until(events, lambda kind, data: data["end"] >= 22 and not data["queue"] and not data["effects"])
        events.close()  # type: ignore[attr-defined]
        while loop_of(app).around is not None:
            threading.Event().wait(0.01)
        with closing(Client(f"{client.origin}/?token={client.token}")) as other:
            first, end = watch(other)
            assert (first, end >= 22) == (0, True)
            assert other.api("s/shop/at/6")["commands"] == []
            assert other.api("s/shop/at/7")["commands"][0]["state"] == "done"
        while loop_of(app).around is not None:
            threading.Event().wait(0.01)
        app.apply(Sale("unseen", 1))
        app.apply(Refund("unseen", 1))  # its command is the first thing that happens when nobody looks
        while app.life.manager.lifecycle.observed is not None:
            app.apply(Refund("unseen", 1))
        app.settle(timeout=20)  # before anybody looks: what the last refund has sent has had its turn
        events = client.events("s/shop/live")
        until(events, lambda kind, data: kind == "state")
        app.apply(Sale("seen", 1))
        state = until(events, lambda kind, data: data["first"] > end)
        assert state["end"] == state["first"] + 1


def test_a_filter_is_stepped_through_while_the_app_forgets() -> None:
    """What is forgotten is no match any more: from one to the next and back, as at the beginning."""
    with gs.start(shop) as app, inspected(app) as client:
        events = client.events("s/shop/live")
        until(events, lambda kind, data: kind == "state")
        with closing(Client(f"{client.origin}/?token={client.token}")) as other:
            for _ in range(4):
                app.send(*sales(4000))
                app.settle(timeout=20)
                while (found := other.api("s/shop/rows", type="Refund", index=0, count=1000))["total"] is None:
                    pass  # it is still being looked for
                there = [each["position"] for each in found["rows"]]
                assert found["total"] >= len(there) > 100
                back = other.api("s/shop/rows", **{"type": "Refund", "from": there[50], "count": 1, "direction": "backward"})
                on = other.api("s/shop/rows", **{"type": "Refund", "from": there[50] + 1, "count": 2})
                assert [each["position"] for each in back["rows"]] == [there[49]]
                assert [each["position"] for each in on["rows"]] == there[51:53]
                assert (back["index"], on["index"]) == (49, 51)
        events.close()  # type: ignore[attr-defined]  # a generator


def test_no_more_than_the_last_messages_are_kept() -> None:
    """Ten thousand, with a model every so many."""

    def add(model: int, by: int) -> int:
        return model + by

    with gs.start(gs.reducer(int, add)) as app, inspected(app) as client:
        name = client.api("subjects")["items"][0]["id"]
        events = client.events(f"s/{name}/live")
        until(events, lambda kind, data: kind == "state")
        for _ in range(3):
            app.send(*[1] * KEPT)
            app.apply(1)
        state = until(events, lambda kind, data: data["end"] >= 3 * KEPT)
        with closing(Client(f"{client.origin}/?token={client.token}")) as other:
            first = other.api(f"s/{name}")["first"]
            assert state["end"] - first <= KEPT
            assert other.api(f"s/{name}/at/{state['end'] - 1}")["after"]["text"] == str(app.model)


def test_a_durable_app_is_seen_as_it_goes(tmp_path: Path) -> None:
    """Its journal grows, its turns have durations, its commands are under way; nothing is written by looking."""
    gate = threading.Event()

    def wait(order: str) -> None:
        gate.wait(20)

    def slow(model: Shop, msg: Msg) -> gs.Step[Shop, Msg]:
        after, _ = update(model, msg)
        return after, [gs.Cmd.call(wait, "x", thread=True, key="gate")] if msg == Sale("wait", 1) else ()

    program = gs.Program(init, slow, name="shop")
    with (
        gs.LMDBStore(tmp_path / "s.lmdb") as store,
        gs.start(program, store=store, key="shop") as app,
        inspected(app) as client,
    ):
        events = client.events("s/shop/live")
        until(events, lambda kind, data: kind == "state")
        app.send(*sales(50))
        app.apply(Sale("wait", 1))
        state = until(events, lambda kind, data: bool(data["effects"]))
        (effect,) = state["effects"]
        assert effect["state"] == "running"
        assert effect["key"]
        with closing(Client(f"{client.origin}/?token={client.token}")) as other:
            position = other.api("s/shop")["end"] - 1
            (command,) = other.api(f"s/shop/at/{position}")["commands"]
            assert command["state"] == "running"
            assert command["effect_id"] == effect["id"]
            assert other.api("s/shop/rows", **{"from": position})["rows"][0]["seconds"] > 0
        gate.set()
        until(events, lambda kind, data: not data["effects"])


async def flaky(tries: list[int]) -> Told:
    """Fail twice."""
    tries.append(1)
    if len(tries) < 3:
        raise OSError("not yet")
    return Told("flaky")


async def never() -> None:
    """Fail always."""
    raise ValueError("no good")


def failed(failure: gs.Failure) -> Told:
    """Say that it has failed."""
    return Told(failure.kind)


@pytest.mark.parametrize("is_durable", [False, True])
def test_what_commands_came_to_is_told(tmp_path: Path, is_durable: bool) -> None:
    """Tries, how long, and the message that came of each; what has failed, and why; what was denied; what is not recorded."""
    retry = gs.Retry(attempts=3, wait=0.001)

    def asks(model: Shop, msg: Msg) -> gs.Step[Shop, Msg]:
        after, commands = update(model, msg)
        if msg == Sale("asks", 1):
            commands = [
                gs.Cmd.call(flaky, tries, retry=retry),
                gs.Cmd.call(never, err=failed),
                gs.Cmd.after(60, Told("late"), key="t"),
            ]
        return after, commands

    def rule(model: Shop, msg: Msg) -> bool | str:
        return "not this one" if msg == Sale("denied", 1) else True

    tries: list[int] = []
    program = gs.Program(init, asks, name="shop", middleware=[gs.middleware.authorise(rule)])
    with ExitStack() as ends:
        options: Any = {}
        if is_durable:
            options = {"store": ends.enter_context(gs.LMDBStore(tmp_path / "s.lmdb")), "key": "shop"}
        app = ends.enter_context(gs.start(program, **options))
        client = ends.enter_context(inspected(app))
        app.apply(Sale("before", 1))
        events = client.events("s/shop/live")
        until(events, lambda kind, data: kind == "state")
        app.send(Sale("asks", 1), Sale("denied", 1))
        until(events, lambda kind, data: data["end"] == 5 and len(data["timers"]) == 1)
        with closing(Client(f"{client.origin}/?token={client.token}")) as other:
            check_what_commands_came_to(other)
        app.stop(drain=False)


def check_what_commands_came_to(client: Client) -> None:
    asked = client.api("s/shop/at/1")
    assert asked["recorded"]
    assert asked["turn"]["seconds"] > 0
    commands = {each["name"]: each for each in asked["commands"]}
    one, other, timer = commands["flaky"], commands["never"], commands["after"]
    assert (one["state"], one["tries"], one["error"]) == ("done", 3, None)
    assert (other["state"], other["tries"], other["error"]) == ("failed", 1, "ValueError: no good")
    assert (timer["state"], timer["entered"]) in (("running", []), ("scheduled", []))
    assert one["seconds"] > 0
    assert {*one["entered"], *other["entered"]} == {3, 4}
    for name, command in (("flaky", one), ("never", other)):
        assert client.api(f"s/shop/at/{command['entered'][0]}")["from"] == {"position": 1, "name": name}
    denied = client.api("s/shop/at/2")
    assert (denied["denied"], denied["turn"]["badges"], denied["diff"]) == ("not this one", ["denied"], [])
    turns = client.api("s/shop/turns", **{"from": 1, "count": 10})["turns"]
    assert turns["1"] == {"commands": 3, "badges": ["command failed"]}
    assert turns["2"] == {"commands": 0, "badges": ["denied"]}


def test_the_end_of_an_app_is_said() -> None:
    """With what it has failed with; the page can still ask for what was."""

    def fails(model: Shop, msg: Msg) -> gs.Step[Shop, Msg]:
        if msg == Sale("bad", 0):
            raise ValueError("a bad sale")
        return update(model, msg)

    app = gs.start(gs.Program(init, fails, name="shop"))
    with inspected(app) as client:
        app.ready(5)
        events = client.events("s/shop/live")
        until(events, lambda kind, data: kind == "state")
        app.send(Sale("o1", 1), Sale("bad", 0))
        assert "a bad sale" in until(events, lambda kind, data: kind == "ended")["error"]
        with closing(Client(f"{client.origin}/?token={client.token}")) as other:
            assert other.api("subjects")["items"][0]["state"] == "failed"
            assert other.api("s/shop/at/0")["type"] == "Sale"
            assert "a bad sale" in other.api("s/shop/at/1")["error"]
    with pytest.raises(ValueError, match="a bad sale"):
        app.wait(5)


def test_closing_the_inspector_ends_every_stream() -> None:
    """However many look, and without waiting for them."""
    with gs.start(shop) as app:
        with gs.inspect(app) as page:
            clients = [Client(page.address) for _ in range(10)]
            streams = [client.events("s/shop/live") for client in clients]
            for stream in streams:
                until(stream, lambda kind, data: kind == "state")
        for client in clients:
            client.close()
        assert loop_of(app).around is None
        assert app.apply(Sale("after", 1)).total == 1


def test_keys_come_and_go(tmp_path: Path) -> None:
    """Started, at rest, failed: seen as it happens, and none is started by looking."""

    def fails(model: Shop, msg: Msg) -> gs.Step[Shop, Msg]:
        if msg == Sale("bad", 0):
            raise ValueError("a bad sale")
        return update(model, msg)

    program = gs.Program(init, fails, name="shop")
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        shops = gs.start_keyed(program, store=store, prefix="shop/", limit=2)
        try:
            with inspected(shops) as client:
                watch_keys(shops, client)
        finally:
            shops.stop()


def watch_keys(shops: gs.KeyedApps[Shop, Msg], client: Client) -> None:
    shops["north"].apply(Sale("o1", 1))
    (listed,) = client.api("subjects")["items"]
    assert (listed["key"], listed["state"], listed["end"]) == ("north", "running", 1)
    events = client.events("live")
    until(events, lambda kind, data: data["total"] == 1)
    shops["south"].apply(Sale("o1", 2))
    started = until(events, lambda kind, data: bool(data["changed"]))
    assert [(each["key"], each["state"]) for each in started["changed"]] == [("south", "running")]
    shops["east"].apply(Sale("o1", 3))  # the first is put to rest
    until(events, lambda kind, data: any((each["key"], each["state"]) == ("north", "resting") for each in data["changed"]))
    with closing(Client(f"{client.origin}/?token={client.token}")) as other:
        keys = {each["key"]: each for each in other.api("subjects")["items"]}
        assert other.api(f"s/{keys['north']['id']}/at/0")["after"]["children"][0]["value"]["text"] == "1"
        assert "north" not in shops
        shops["south"].send(Sale("bad", 0))
        failed = until(events, lambda kind, data: any(each["state"] == "failed" for each in data["changed"]))
        assert [each["error"] for each in failed["changed"] if each["state"] == "failed"] == ["ValueError"]
        moment = other.api(f"s/{keys['south']['id']}/at/1")
        assert "a bad sale" in moment["error"]


@pytest.mark.slow
async def test_ten_thousand_keys_are_listed_in_pages_and_searched() -> None:
    """Without making anything for each."""

    def look(address: str) -> None:
        with closing(Client(address)) as client:
            seen: list[str] = []
            after = ""
            while True:
                page = client.api("subjects", after=after, limit=500)
                seen += [each["key"] for each in page["items"]]
                if page["next"] is None:
                    break
                after = page["next"]
            assert len(seen) == len(set(seen)) == page["total"] == 10_000
            assert [each["key"] for each in client.api("subjects", search="key-0999")["items"]] == [
                f"key-0999{n}" for n in range(10)
            ]

    async with gs.start_keyed_async(shop) as shops:
        for number in range(10_000):
            shops[f"key-{number:05}"].send(Sale("o", number))
        async with gs.inspect(shops) as page:
            await asyncio.to_thread(look, page.address)


def test_what_is_forgotten_is_gone_and_no_mistake() -> None:
    """Who follows is given the newest in its place; everybody else is told that it is gone."""

    def add(model: int, by: int) -> int:
        return model + by

    with gs.start(gs.reducer(int, add)) as app, inspected(app) as client:
        name = client.api("subjects")["items"][0]["id"]
        events = client.events(f"s/{name}/live")
        until(events, lambda kind, data: kind == "state")
        app.send(*[1] * (3 * KEPT))
        app.apply(1)
        state = until(events, lambda kind, data: data["end"] > 3 * KEPT)
        with closing(Client(f"{client.origin}/?token={client.token}")) as other:
            assert other.api(f"s/{name}/at/5") == {"gone": True, "position": 5}
            newest = other.api(f"s/{name}/at/5", newest=1)
            assert newest["position"] == state["end"] - 1
            assert newest["after"]["text"] == str(app.model)
            assert other.api(f"s/{name}/at/{state['end'] - 5}", newest=1)["position"] == state["end"] - 5


def test_many_who_look_share_what_few_may_ask() -> None:
    """Of a busy program each of ten has its turn less often than the only one; of one that is not, as often."""
    lookers = Lookers()
    alone = lookers.pause("running", 5000)
    with ExitStack() as ends:
        for _ in range(10):
            ends.enter_context(lookers.one_more())
        assert lookers.pause("running", 5000) >= 5 * alone
        assert lookers.pause("running", 10) < alone
    assert lookers.pause("running", 5000) == alone


def test_a_stream_says_what_has_ended_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A store that is closed under it: told as an event, and not in the terminal."""
    store = gs.LMDBStore(tmp_path / "s.lmdb")
    with gs.start(shop, store=store, key="shop") as app:
        app.apply(Sale("o1", 1))
    with inspected(store, shop) as client:
        events = client.events("s/shop/live")
        until(events, lambda kind, data: kind == "state")
        store.close()
        assert "is closed" in until(events, lambda kind, data: kind == "problem")["error"]
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
def test_what_is_asked_while_it_is_forgotten_is_right_or_gone() -> None:
    """Four who ask for everything, beside an app at full speed, with threads exchanged as often as that goes."""

    def add(model: int, by: int) -> int:
        return model + by

    with gs.start(gs.reducer(int, add)) as app, inspected(app) as client:
        name = client.api("subjects")["items"][0]["id"]
        events = client.events(f"s/{name}/live")
        until(events, lambda kind, data: kind == "state")
        app.apply(1)

        def ask(number: int) -> None:
            with closing(Client(f"{client.origin}/?token={client.token}")) as other:
                for turn in range(25):
                    subject = other.api(f"s/{name}")
                    place = subject["first"] + (subject["end"] - subject["first"]) * turn // 25
                    moment = other.api(f"s/{name}/at/{place}", newest=number % 2)
                    assert moment.get("gone") or moment["after"]["text"] == str(moment["position"] + 1)
                    rows = [row["position"] for row in other.api(f"s/{name}/rows", **{"from": subject["end"] - 50})["rows"]]
                    assert rows == list(range(rows[0], rows[0] + len(rows))) if rows else True
                    strip = other.api(f"s/{name}/strip")
                    assert sum(strip["count"]) <= KEPT
                    other.api(f"s/{name}/turns", **{"from": max(subject["end"] - 30, 0), "count": 30})

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            with ThreadPoolExecutor(4) as pool:
                asked = [pool.submit(ask, number) for number in range(4)]
                while not all(each.done() for each in asked):
                    app.send(*[1] * 300)
                    app.apply(1)
                for each in asked:
                    each.result()
        finally:
            sys.setswitchinterval(interval)
