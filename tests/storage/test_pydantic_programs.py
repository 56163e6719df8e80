"""Programs whose models and messages are pydantic's: kept, checked, migrated, guarded, watched, and fed by FastAPI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fastapi
import httpx
import immutables
import pydantic
import pytest
from pydantic import BaseModel, Field, PrivateAttr

import go_state as gs
from go_state.storage.codec.json_codec import JsonCodec
from go_state.storage.snapshots.pieces import pieces, plan_of


class Add(BaseModel, frozen=True):
    name: str = Field(alias="userName", min_length=1)
    by: int = Field(1, gt=0)


class Clear(BaseModel, frozen=True):
    pass


class Entry(BaseModel, frozen=True):
    count: int = 0
    note: str = ""


class Model(BaseModel, frozen=True, arbitrary_types_allowed=True):
    entries: immutables.Map[str, Entry] = immutables.Map()
    total: int = 0
    label: str = "main"


def init() -> gs.Step[Model, Add | Clear]:
    return Model(), ()


def update(model: Model, msg: Add | Clear) -> gs.Step[Model, Add | Clear]:
    match msg:
        case Add(name=name, by=by):
            entry = model.entries.get(name, Entry())
            entries = model.entries.set(name, entry.model_copy(update={"count": entry.count + by}))
            return model.model_copy(update={"entries": entries, "total": model.total + by}), [gs.Cmd.reply(model.total + by)]
        case Clear():
            return Model(label=model.label), ()


program = gs.Program(init, update, name="entries")


def add(name: str, by: int = 1) -> Add:
    return Add(userName=name, by=by)


def test_a_program_of_models_survives_a_restart(tmp_path: Path) -> None:
    """Messages and model come back from the disk, and a replay makes the same of them, down to which fields were set."""
    with gs.LMDBStore(tmp_path / "s.lmdb") as store, gs.start(program, store=store, key="k") as app:
        app.apply(add("ann", 2))
        model = app.apply(add("bob"))
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        with gs.start(program, store=store, key="k") as app:
            assert (app.model, app.model.model_fields_set) == (model, {"entries", "total"})
            assert app.ask(add("ann")) == 4
        assert gs.verify(program, store.journal("k")).ok
        assert gs.batch(collected, store.journal("k", of=Add | Clear)).model[0].model_fields_set == {"name", "by"}


def test_a_message_remembers_what_it_was_given(tmp_path: Path) -> None:
    """What `exclude_unset` leaves out of a message it leaves out of the stored one as well."""

    class Patch(BaseModel, frozen=True):
        name: str = ""
        age: int = 0

    def patch(model: dict[str, int | str], msg: Patch) -> dict[str, int | str]:
        return {**model, **msg.model_dump(exclude_unset=True)}

    patch.__annotations__["msg"] = Patch
    patched: gs.Program[Any, Any] = gs.reducer(lambda: {"name": "ann", "age": 3}, patch)
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        journal = store.journal("k", of=Patch)
        journal.put(Patch(age=4))
        journal.close()
        assert gs.run(patched, journal, store=store, key="k") == {"name": "ann", "age": 4}
        assert gs.replay(patched, store.journal("k")) == {"name": "ann", "age": 4}


@pytest.mark.parametrize("label", ["main", "other"])
def test_the_pieces_of_a_large_model_are_the_whole(label: str) -> None:
    """A large model is written in pieces as it is in one, with what it says beside its fields."""
    entries = immutables.Map({str(n): Entry(count=n) if n % 2 else Entry(note="n") for n in range(3000)})
    model = Model(entries=entries) if label == "main" else Model(entries=entries, label=label)
    codec = JsonCodec[Any](Model)
    found = list(pieces(plan_of(codec), model))
    assert b"".join(found) == codec.encode(model)
    assert max(map(len, found)) < 20_000


class Guarded(BaseModel, frozen=True):
    items: list[int] = [1]
    _seen: int = PrivateAttr(default=0)


class Loose(BaseModel):
    items: list[int] = [1]


def _append(model: Any, msg: int) -> Any:
    model.items.append(msg)
    return model


def _assign(model: Any, msg: int) -> Any:
    model.items = [msg]
    return model


def _assign_private(model: Any, msg: int) -> Any:
    model._seen = msg
    return model


@pytest.mark.parametrize("change", [_append, _assign_private])
def test_a_strict_program_keeps_a_frozen_model_as_it_is(change: Any) -> None:
    """Lists inside, and private attributes, which a frozen model lets be assigned, are read-only in a strict program."""
    model = Guarded()
    program = gs.Program(lambda: (model, ()), lambda m, msg: (change(m, msg), ()), strict=True)
    with pytest.raises(gs.ProgramError, match="changed in place"):
        gs.batch(program, [2])
    assert (model.items, model._seen) == ([1], 0)


def test_a_strict_program_sees_assignments_to_a_model_that_is_not_frozen() -> None:
    """Objects that can be assigned to are compared before and after a turn."""
    model = Loose()
    program = gs.Program(lambda: (model, ()), lambda m, msg: (_assign(m, msg), ()), strict=True)
    with pytest.raises(gs.ProgramError, match=r"changes Loose\.items"):
        gs.batch(program, [2])
    assert model.items == [1]


def test_fields_of_a_model_are_watched() -> None:
    """A subscriber of one field is told of that one."""
    with gs.start(program) as app, app.changes("total") as changes:
        app.send(Clear())
        app.send(add("ann"))
        change = changes.get(timeout=5)
        assert (change.fields, change.model.total) == (("total",), 1)


@gs.stored_as("Model")
class Renamed(BaseModel, frozen=True):
    counts: dict[str, int] = {}
    total: int = 0


def renamed(model: Renamed, msg: Add | Clear) -> gs.Step[Renamed, Add | Clear]:
    return model.model_copy(update={"total": model.total + 1}), ()


def lifted(stored: Any) -> Any:
    return {"counts": {name: entry["count"] for name, entry in stored["entries"].items()}, "total": stored["total"]}


def test_an_older_model_is_refused_or_migrated(tmp_path: Path) -> None:
    """A removed field is found before a deploy and refused when it is read, until there is a migration."""
    new = gs.Program(lambda: (Renamed(), ()), renamed, name="entries")
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        gs.aggregate(program, [add("ann", 2), add("bob")], store=store, key="k")
        said = [str(finding) for finding in gs.check_store(new, store).findings]
        assert any("impossible: k: entries: it was removed" in each for each in said), said
        with pytest.raises(gs.errors.Incompatible, match="entries"):
            gs.load_model(new, store=store, key="k")
        migrated = gs.Program(lambda: (Renamed(), ()), renamed, name="entries", schema=2, migrations={1: lifted})
        assert gs.load_model(migrated, store=store, key="k") == Renamed(counts={"ann": 2, "bob": 1}, total=3)


collected: gs.Program[Any, Any] = gs.reducer(tuple, lambda model, msg: (*model, msg))


def test_rows_of_a_table_become_models(tmp_path: Path) -> None:
    """A table's columns are the fields, and its rows pass the model's own rules."""
    (tmp_path / "t.csv").write_text("name,by\nann,2\n,3\n")
    with pytest.raises(gs.errors.BadRecord, match="2"):
        gs.batch(collected, gs.sources.CSV(tmp_path / "t.csv", Add))
    (tmp_path / "t.csv").write_text("name,by\nann,2\n")
    assert gs.batch(collected, gs.sources.CSV(tmp_path / "t.csv", Add)).model == (add("ann", 2),)


def test_a_model_that_is_not_frozen_is_refused_before_anything_is_stored(tmp_path: Path) -> None:
    """The error says what to write."""
    loose = gs.reducer(Loose, lambda m, msg: m)
    why = r"make it frozen, class Loose\(BaseModel, frozen=True\)"
    with gs.LMDBStore(tmp_path / "s.lmdb") as store, pytest.raises(gs.errors.NotStorable, match=why):
        gs.aggregate(loose, [1], store=store, key="k")


async def test_fastapi_sends_its_bodies_as_messages(tmp_path: Path) -> None:
    """A body is parsed by its aliases and refused by its rules, as FastAPI does, sent as it is, and the model is the answer."""
    api = fastapi.FastAPI()
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        async with gs.start_async(program, store=store, key="k") as app:

            async def post(msg: Any) -> Any:
                return await app.ask_async(msg, timeout=5)

            async def first() -> Any:
                return app.model.entries["ann"]

            post.__annotations__ = {"msg": Add}  # as one writes it at the top of a module
            first.__annotations__ = {"return": Entry}
            api.post("/add")(post)
            api.get("/ann")(first)
            async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://test") as client:
                assert (await client.post("/add", json={"userName": "ann", "by": 2})).json() == 2
                assert (await client.post("/add", json={"userName": "bob"})).json() == 3
                assert (await client.post("/add", json={"userName": "", "by": 2})).status_code == 422
                assert (await client.get("/ann")).json() == {"count": 2, "note": ""}
        sent = await gs.batch_async(collected, store.journal("k", of=Add | Clear))
        assert sent.model == (add("ann", 2), Add(userName="bob"))


def test_pydantic_is_new_enough() -> None:
    """Fields are validated by their names, which pydantic can since 2.11."""
    assert tuple(map(int, pydantic.VERSION.split(".")[:2])) >= (2, 11)
