"""Aggregate with a key function: one model per key, all saved in one transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers
from test_batch import Tape

import go_state as gs
from go_state.storage.snapshots.snapshot import read_envelope

drivers = both_drivers.drivers


@dataclass(frozen=True)
class Account:
    owner: str
    seen: tuple[str, ...] = ()


@dataclass(frozen=True)
class To:
    key: str
    text: str


def init(key: str) -> gs.Step[Account, To]:
    return Account(key), ()


def update(model: Account, msg: To) -> gs.Step[Account, To]:
    """Keep the text; "a>b" sends "from a" to b; "same" changes nothing."""
    if msg.text == "bad":
        raise ValueError("bad")
    if msg.text == "same":
        return model, ()
    sender, arrow, target = msg.text.partition(">")
    return replace(model, seen=(*model.seen, msg.text)), [gs.Cmd.send(To(target, f"from {sender}"))] if arrow else ()


program = gs.Program(init, update)


def by_key(msg: To) -> str:
    return msg.key


def keyed(
    drivers: Drivers, messages: Any, store: gs.MemoryStore, program: gs.Program[Account, To] = program, **options: Any
) -> Any:
    """Run the aggregate."""
    return drivers.aggregate(program, messages, store=store, key=by_key, **options)


def seen(result: gs.KeyedResult[Account, To]) -> dict[str, tuple[str, ...]]:
    """Return what each model has seen."""
    return {key: model.seen for key, model in result.models.items()}


def test_one_model_for_each_key(drivers: Drivers) -> None:
    """Messages go to the model of their key, which init began with that key."""
    result = keyed(drivers, [To("a", "1"), To("b", "2"), To("a", "3")], gs.MemoryStore())
    assert dict(result.models) == {"a": Account("a", ("1", "3")), "b": Account("b", ("2",))}
    assert (result.processed, result.ended, result.position) == (3, "exhausted", None)


def test_command_messages_are_routed(drivers: Drivers) -> None:
    """A command's message goes to the model of its own key, after what was queued."""
    result = keyed(drivers, lambda: ([To("a", "a>b"), To("b", "1")], False), gs.MemoryStore())
    assert seen(result) == {"a": ("a>b",), "b": ("1", "from a")}


@pytest.mark.parametrize("cache", [1, 2, 3, 1000])
@pytest.mark.parametrize("every", [1, 7, None])
def test_cache_changes_no_result(drivers: Drivers, cache: int, every: int | None) -> None:
    """However few models are kept in memory and however often they are saved, the result is the same."""
    messages = [To(f"k{number * 7 % 5}", str(number)) for number in range(60)]
    result = keyed(drivers, Tape(*messages), gs.MemoryStore(), cache=cache, snapshots=gs.Snapshots(every=every))
    assert seen(result) == {f"k{k}": tuple(m.text for m in messages if m.key == f"k{k}") for k in range(5)}


def test_second_run_goes_on(drivers: Drivers) -> None:
    """Stored models are gone on from, whichever keys come, and a source is read on."""
    store = gs.MemoryStore()
    keyed(drivers, Tape(To("a", "1")), store)
    result = keyed(drivers, Tape(To("a", "1"), To("b", "2"), To("a", "3")), store)
    assert seen(result) == {"a": ("1", "3"), "b": ("2",)}
    assert result.processed == 2


def test_retired_model_is_deleted_and_begins_anew(drivers: Drivers) -> None:
    """A model that retires at a save is gone from the store, and its key begins with init again."""
    store = gs.MemoryStore()
    keyed(drivers, [To("a", "1")], store)
    done = lambda model: model.seen[-1:] == ("end",)  # noqa: E731
    assert seen(keyed(drivers, [To("a", "end"), To("b", "1")], store, retire=done)) == {"b": ("1",)}
    assert seen(keyed(drivers, [To("a", "2")], store, retire=done)) == {"a": ("2",), "b": ("1",)}


@pytest.mark.parametrize("tape", [False, True])
def test_model_retired_before_it_was_ever_saved_begins_anew(drivers: Drivers, tape: bool) -> None:
    """Within one run as well, also where the save had nothing else to write."""
    messages = [To("a", "1"), To("a", "end"), To("a", "2")]
    done = lambda model: model.seen[-1:] == ("end",)  # noqa: E731
    source = Tape(*messages) if tape else messages
    result = keyed(drivers, source, gs.MemoryStore(), retire=done, snapshots=gs.Snapshots(every=2))
    assert seen(result) == {"a": ("2",)}


def test_on_commit_has_what_changed(drivers: Drivers) -> None:
    """Each save tells the models it wrote, and only those."""
    store, told = gs.MemoryStore(), []

    def on_commit(changed: Mapping[str, Account], position: Any) -> None:
        told.append(({key: model.seen for key, model in changed.items()}, position))

    messages = [To("a", "1"), To("b", "2"), To("a", "3"), To("b", "same")]
    keyed(drivers, Tape(*messages), store, on_commit=on_commit, snapshots=gs.Snapshots(every=2))
    assert told == [({"a": ("1",), "b": ("2",)}, 2), ({"a": ("1", "3")}, 4)]


def test_models_are_lazy(drivers: Drivers) -> None:
    """`result.models` reads the store when it is asked, holds earlier runs' models, and no key of go_state's."""
    store = gs.MemoryStore()
    keyed(drivers, Tape(To("a", "1")), store)
    models = keyed(drivers, Tape(To("a", "1"), To("b", "2")), store).models
    assert (list(models), len(models), "a" in models, "z" in models) == (["a", "b"], 2, True, False)
    assert [key for key in store.keys() if key.startswith("@")]  # noqa: SIM118
    assert not [key for key in models if key.startswith("@")]
    keyed(drivers, [To("a", "later")], store)
    assert models["a"].seen == ("1", "later")
    with pytest.raises(KeyError):
        models["z"]


def test_models_of_another_program_are_not_among_them(drivers: Drivers) -> None:
    """A store shared with another program shows each its own: iterating, asking and looking up agree."""
    store = gs.MemoryStore()
    gs_total: gs.Program[int, int] = gs.reducer(int, lambda model, msg: model + msg)
    drivers.aggregate(gs_total, [1], store=store, key="other")
    models = keyed(drivers, [To("a", "1")], store).models
    assert list(models) == ["a"]
    assert "other" not in models
    assert models.get("other") is None


def test_conflict_saves_nothing(drivers: Drivers) -> None:
    """When another writer changed one of the keys, none is written."""
    store = gs.MemoryStore()
    keyed(drivers, [To("a", "1")], store)
    other = gs.MemoryStore()
    keyed(drivers, [To("a", "other")], other)
    theirs = other.load("a")
    assert theirs is not None

    def source() -> Any:
        yield To("b", "2")
        yield To("a", "2")
        mine = store.load("a")
        assert mine is not None
        store.store({"a": gs.abc.Write(theirs.data, mine.version)})

    with pytest.raises(gs.Conflict):
        keyed(drivers, source(), store)
    assert [key for key in store.keys() if not key.startswith("@")] == ["a"]  # noqa: SIM118


def test_two_runs_over_one_source_conflict(drivers: Drivers) -> None:
    """The mark of the source is fenced too: of two runs that began alike one saves, whatever their keys."""
    store = gs.MemoryStore()

    def on_error(message: Any, position: Any, error: Exception) -> gs.SetAside[Any]:
        gs.batch(gs.reducer(int, lambda model, msg: model), [])
        return gs.SetAside()

    class Racing(Tape):
        def read(self, after: Any = None) -> Any:
            if not self.closed:
                self.closed += 1
                with ThreadPoolExecutor(1) as other:  # where no event loop runs
                    other.submit(keyed, Drivers("thread", gs.run, gs.batch, gs.aggregate), Tape(To("x", "1")), store).result()
            return super().read(after)

    with pytest.raises(gs.Conflict):
        keyed(drivers, Racing(To("y", "1")), store, on_error=on_error)
    assert [key for key in store.keys() if not key.startswith("@")] == ["x"]  # noqa: SIM118


def test_failing_message_keeps_its_model(drivers: Drivers) -> None:
    """A message that was set aside changes no model, and begins none."""
    result = keyed(drivers, [To("a", "1"), To("a", "bad"), To("b", "bad")], gs.MemoryStore(), on_error=gs.SetAside())
    assert seen(result) == {"a": ("1",)}
    assert [failed.message.key for failed in result.set_aside] == ["a", "b"]


def test_failed_run_saves_nothing(drivers: Drivers) -> None:
    """A failure leaves every key as the last checkpoint had it."""
    store = gs.MemoryStore()
    with pytest.raises(ValueError, match="bad"):
        keyed(drivers, Tape(To("a", "1"), To("b", "2"), To("a", "3"), To("b", "bad")), store, snapshots=gs.Snapshots(every=2))
    result = keyed(drivers, Tape(To("a", "1"), To("b", "2"), To("a", "3"), To("b", "4")), store)
    assert seen(result) == {"a": ("1", "3"), "b": ("2", "4")}


def test_failing_store_is_no_poison_message(drivers: Drivers) -> None:
    """A store that cannot be read ends the run: its messages are not set aside and the position does not move on."""

    class Broken(gs.MemoryStore):
        def load(self, key: str) -> gs.abc.Stored | None:
            if not key.startswith("@"):
                raise gs.errors.StoreUnavailable("gone")
            return super().load(key)

    store = Broken()
    with pytest.raises(gs.errors.StoreUnavailable):
        keyed(drivers, Tape(To("a", "1")), store, on_error=gs.SetAside())
    assert [key for key in store.keys() if not key.startswith("@")] == []  # noqa: SIM118
    claimed = store.load("@positions/Account/tape")
    assert claimed is not None
    assert read_envelope("@positions/Account/tape", claimed.data).marks == {}


def test_commands_of_a_beginning_and_a_restoring(drivers: Drivers) -> None:
    """Init's commands run once, when a key is first met; on_restore's when a stored one is met; both after the first message."""
    store = gs.MemoryStore()

    def begin(key: str) -> gs.Step[Account, To]:
        return Account(key), [gs.Cmd.send(To(key, "begun"))]

    whole = gs.Program(begin, update, on_restore=lambda model: [gs.Cmd.send(To(model.owner, "restored"))])
    assert seen(keyed(drivers, [To("a", "1"), To("a", "2")], store, whole)) == {"a": ("1", "begun", "2")}
    assert seen(keyed(drivers, [To("a", "3"), To("a", "4")], store, whole)) == {"a": ("1", "begun", "2", "3", "restored", "4")}


def test_replaying_saves_and_is_silent(drivers: Drivers) -> None:
    """While it replays a keyed program performs no command, of init, update or on_restore, and shows no view."""
    store, shown = gs.MemoryStore(), []

    def begin(key: str) -> gs.Step[Account, To]:
        return Account(key), [gs.Cmd.send(To(key, "begun"))]

    loud = gs.Program(begin, update, view=shown.append, on_restore=lambda model: [gs.Cmd.send(To(model.owner, "restored"))])
    for _ in range(2):
        result = keyed(drivers, [To("a", "a>b")], store, loud, replaying=lambda: True)
    assert seen(result) == {"a": ("a>b", "a>b")}
    assert shown == []


def test_replaying_is_asked_once_a_turn(drivers: Drivers) -> None:
    """One answer counts for a turn's init, commands and view, also where the turn begins a model."""
    shown: list[Account] = []
    asked: list[bool] = []

    def replaying() -> bool:
        asked.append(True)
        return len(asked) in (1, 2, 4)  # turn 0 of the run, and two of the three messages

    watched = gs.Program(init, update, view=shown.append)
    keyed(drivers, [To("a", "1"), To("b", "2"), To("a", "3")], gs.MemoryStore(), watched, replaying=replaying)
    assert len(asked) == 4
    assert [model.seen for model in shown] == [("2",)]


def test_view_sees_the_model_that_changed(drivers: Drivers) -> None:
    """The view is shown each turn's model, and nothing on turn 0, which has none."""
    shown: list[Any] = []
    keyed(drivers, [To("a", "1"), To("b", "2")], gs.MemoryStore(), gs.Program(init, update, view=shown.append))
    assert shown == [Account("a", ("1",)), Account("b", ("2",))]


@dataclass(frozen=True)
class Tally:
    name: str
    count: int = 0


def tally(model: Tally, msg: To) -> Tally:
    return replace(model, count=model.count + 1)


def test_a_reducers_model_begins_with_its_key(drivers: Drivers) -> None:
    """A class with one required field is an init that takes the key."""
    result = drivers.aggregate(
        gs.reducer(Tally, tally), [To("a", ""), To("b", ""), To("a", "")], store=gs.MemoryStore(), key=by_key
    )
    assert dict(result.models) == {"a": Tally("a", 2), "b": Tally("b", 1)}


def test_a_reducers_name_and_schema_are_stored(drivers: Drivers) -> None:
    """A program of the same name and schema goes on, whatever its model's class is called; one with another is refused."""
    store = gs.MemoryStore()
    for _ in range(2):
        drivers.aggregate(gs.reducer(Tally, tally, name="mine", schema=3), [To("a", "")], store=store, key=by_key)
    assert b'["mine",3]' in (store.load("a") or gs.abc.Stored(b"", 0)).data
    for name, schema, field in (("mine", 4, "schema number"), ("other", 3, "schema name"), ("", 3, "schema name")):
        with pytest.raises(gs.errors.Incompatible) as raised:
            drivers.aggregate(gs.reducer(Tally, tally, name=name, schema=schema), [To("a", "")], store=store, key=by_key)
        assert raised.value.field == field
    assert gs.load_model(gs.reducer(Tally, tally, name="mine", schema=3), store=store, key="a") == Tally("a", 2)


def test_records_of_the_users_own_are_no_models(drivers: Drivers) -> None:
    """What somebody else keeps in the store is not looked into: it is not among the models, and nothing is raised."""
    store = gs.MemoryStore()
    mine = {"config": b'{"a":1}', "empty": b"", "image": b"\xff\x00\n", "notes": b"about go_state 1"}
    store.store({key: gs.abc.Write(data, 0) for key, data in mine.items()})
    models = keyed(drivers, [To("a", "1")], store).models
    assert (list(models), len(models)) == (["a"], 1)
    assert [(key in models, models.get(key)) for key in mine] == [(False, None)] * 4
    assert {key: store.load(key) for key in mine} == {key: gs.abc.Stored(data, 1) for key, data in mine.items()}


class Commands(list[gs.Cmd[str]]):
    """A list of a user's own."""


@pytest.mark.parametrize(("partitioned", "several"), [(False, list), (True, list), (False, tuple), (False, Commands)])
def test_the_keys_of_commands_are_those_of_their_model(
    *, partitioned: bool, several: Callable[[list[gs.Cmd[str]]], list[gs.Cmd[str]]]
) -> None:
    """Else the call of one model would take the place of another's, and one cancel would end those of all."""
    told: list[str] = []

    async def tell(name: str) -> str:
        told.append(name)
        return f"{name} told"

    def update(model: tuple[str, ...], msg: str) -> gs.Step[tuple[str, ...], str]:
        name, _, what = msg.partition(" ")
        if what == "cancel":
            return (*model, what), several([gs.Cmd.cancel()])
        calls: list[gs.Cmd[str]] = [] if what else [gs.Cmd.call(tell, name, key="tell"), gs.Cmd.send(f"{name} sent")]
        return (*model, what), several(calls)

    program = gs.Program(lambda: ((), ()), update, name="telling")
    messages = ["a", "b", "c", "z cancel"]
    log: gs.testing.PartitionedLog[str] = gs.testing.PartitionedLog(1)
    log.put("0", *messages)
    with gs.MemoryStore() as store:
        if partitioned:
            gs.aggregate(program, log.source("names", ends=True), store=store, key=lambda msg: msg[0])
        else:
            gs.aggregate(program, lambda: (messages, False), store=store, key=lambda msg: msg[0])
        assert sorted(told) == ["a", "b", "c"]
        assert [gs.load_model(program, store=store, key=key) for key in "ab"] == [("", "sent", "told")] * 2


def test_a_cancel_reaches_what_a_plain_function_has_returned() -> None:
    """A call is known to go on after its turn only when it has returned something to await; it is its model's own then as well."""
    done: list[str] = []

    async def work(name: str) -> None:
        await asyncio.sleep(0.01)
        done.append(name)

    def begin(name: str) -> Awaitable[None]:
        return work(name)

    def update(model: int, msg: str) -> gs.Step[int, str]:
        name, _, what = msg.partition(" ")
        if what == "cancel":
            return model, [gs.Cmd.cancel()]
        calls = [gs.Cmd.call(begin, f"{name}{number}") for number in range(model + 1)]
        return model + 1, [*calls, gs.Cmd.send()]

    messages = ["a", "b", "a", "c cancel", "a cancel", "b"]
    with gs.MemoryStore() as store:
        program: gs.Program[int, str] = gs.Program(lambda: (0, ()), update)
        gs.aggregate(program, lambda: (messages, False), store=store, key=lambda msg: msg[0])
    assert sorted(done) == ["b0", "b0", "b1"]
