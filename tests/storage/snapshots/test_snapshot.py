"""The snapshot envelope: what is not exactly as it was written is refused, never read as another model."""

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmdb
import pytest

import go_state as gs
from go_state.storage.snapshots.snapshot import Mark, Schema, read_envelope


@dataclass(frozen=True)
class Counter:
    count: int = 0


SCHEMA: Schema[Counter] = Schema(("Counter", "OldCounter"), 2, gs.JsonCodec(Counter))
MARKS = {"manager.csv": Mark(7, "10:abc")}
SEALED = SCHEMA.seal("key", Counter(3), MARKS)


def add(model: Counter, msg: int) -> tuple[Counter, tuple[()]]:
    return Counter(model.count + msg), ()


counter = gs.Program(lambda: (Counter(), ()), add)


def flips(data: bytes) -> list[bytes]:
    """Return the data with each bit flipped in turn."""
    return [data[:i] + bytes([data[i] ^ (1 << bit)]) + data[i + 1 :] for i in range(len(data)) for bit in range(8)]


def outcome(data: bytes) -> type[Exception] | None:
    try:
        SCHEMA.open("key", data)
    except gs.GoStateError as error:
        return type(error)
    return None


def test_a_snapshot_is_read_back() -> None:
    """Model and marks come back, and a person can read the bytes."""
    assert SCHEMA.open("key", SEALED) == (Counter(3), MARKS)
    assert SEALED.endswith(
        b'\n{"schema":["Counter",2],"types":"","revision":1,"positions":{"manager.csv":[7,"10:abc"]}}\n{"count":3}'
    )


def test_every_flipped_bit_is_noticed() -> None:
    """Any single flipped bit of the envelope raises Corrupt or Incompatible."""
    assert {outcome(data) for data in flips(SEALED)} <= {gs.errors.Corrupt, gs.errors.Incompatible}


def test_every_truncation_is_noticed() -> None:
    """A snapshot cut short at any length, or longer than it was, raises Corrupt or Incompatible."""
    cut = [SEALED[:length] for length in range(len(SEALED))] + [SEALED[start:] for start in range(1, len(SEALED))]
    assert {outcome(data) for data in [*cut, SEALED + b"\n", SEALED + b" ", SEALED + SEALED]} <= {
        gs.errors.Corrupt,
        gs.errors.Incompatible,
    }


def test_every_swapped_pair_of_bytes_is_noticed() -> None:
    """Two different neighbouring bytes that change places are noticed too."""
    swapped = [SEALED[:i] + SEALED[i : i + 2][::-1] + SEALED[i + 2 :] for i in range(len(SEALED) - 1)]
    assert {outcome(data) for data in swapped if data != SEALED} <= {gs.errors.Corrupt, gs.errors.Incompatible}


def test_a_snapshot_under_another_key_is_refused() -> None:
    """A snapshot that was copied under another key raises Corrupt with that key."""
    store = gs.MemoryStore()
    store.store({"other": gs.abc.Write(SEALED, 0)})
    with pytest.raises(gs.errors.Corrupt) as raised:
        SCHEMA.load(store, "other")
    assert raised.value.key == "other"


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        (Schema(("Other",), 2, SCHEMA.codec), "schema name"),
        (Schema(("Counter",), 1, SCHEMA.codec), "schema number"),
        (Schema(("Counter",), 3, SCHEMA.codec), "schema number"),
        (Schema(("Counter",), 2, gs.JsonCodec(list[int])), "model"),
    ],
)
def test_another_schema_is_incompatible(schema: Schema[Any], field: str) -> None:
    """Another schema name, number or model raises Incompatible with the key and what does not fit."""
    with pytest.raises(gs.errors.Incompatible) as raised:
        schema.open("key", SEALED)
    assert (raised.value.key, raised.value.field) == ("key", field)


def test_an_earlier_name_is_read() -> None:
    """A snapshot under a name the schema had before is read."""
    assert Schema(("New", "Counter"), 2, SCHEMA.codec).open("key", SEALED)[0] == Counter(3)


def test_another_format_is_incompatible() -> None:
    """A later format of the envelope is told from a damaged one."""
    with pytest.raises(gs.errors.Incompatible) as raised:
        read_envelope("key", SEALED.replace(b"go_state 1", b"go_state 2"))
    assert raised.value.field == "format"


def test_an_unreadable_model_is_incompatible_however_it_fails() -> None:
    """A payload that the codec gives up on, in whatever way, is Incompatible and no other error."""
    deep: Schema[Any] = Schema(("Any",), 1, gs.JsonCodec[Any](Any))
    sealed = Schema(("Any",), 1, _Raw()).seal("key", b"[" * 100_000, {})
    with pytest.raises(gs.errors.Incompatible):
        deep.open("key", sealed)


class _Raw:
    def encode(self, value: bytes) -> bytes:
        return value

    def decode(self, data: bytes) -> bytes:
        return data


def test_a_program_refuses_the_snapshot_of_another() -> None:
    """An aggregate whose program has another schema loads nothing and stores nothing."""
    store = gs.MemoryStore()
    gs.aggregate(counter, [1], store=store, key="k")
    before = store.load("k")
    with pytest.raises(gs.errors.Incompatible):
        gs.aggregate(gs.Program(lambda: (Counter(), ()), add, schema=2), [1], store=store, key="k")
    assert store.load("k") == before


@pytest.mark.slow
def test_every_flipped_bit_in_lmdb_is_noticed(tmp_path: Path) -> None:
    """Any single flipped bit of the raw LMDB record, frame included, raises Corrupt when it is loaded."""
    path = tmp_path / "state.lmdb"
    with gs.LMDBStore(path) as store:
        gs.aggregate(counter, [3], store=store, key="k")
    with lmdb.open(str(path), subdir=False, sync=False) as env, env.begin() as reading:
        ((name, record),) = [(bytes(name), bytes(data)) for name, data in reading.cursor() if b"@types" not in bytes(name)]
    damaged = {f"{number}": data for number, data in enumerate([*flips(record), *(record[:n] for n in range(len(record)))])}
    outcomes = set()
    with gs.LMDBStore(path) as store:
        raw = store.backend.file.environment  # the raw record, as a disk that forgets a bit would leave it
        assert raw is not None
        for data in damaged.values():
            with raw.begin(write=True) as writing:
                writing.put(name, data)
            try:
                outcomes.add(gs.load_model(counter, store=store, key="k"))
            except (gs.errors.Corrupt, gs.errors.Incompatible) as error:
                outcomes.add(type(error))
    assert outcomes <= {gs.errors.Corrupt, gs.errors.Incompatible}


def test_a_record_under_another_key_is_noticed(tmp_path: Path) -> None:
    """A raw LMDB record that was copied to another key raises Corrupt."""
    with gs.LMDBStore(tmp_path / "state.lmdb") as store:
        store.store({"k": gs.abc.Write(b"1", 0)})
        assert store.backend.file.environment is not None
        with store.backend.file.environment.begin(write=True) as writing:
            writing.put(b"s/other", bytes(writing.get(b"s/k")))
        with pytest.raises(gs.errors.Corrupt):
            store.load("other")


def test_a_mark_that_json_cannot_hold_is_refused_clearly() -> None:
    """A position that is no JSON value raises a go_state error, not one of the JSON library."""
    with pytest.raises(gs.GoStateError):
        SCHEMA.seal("key", Counter(), {"source": Mark(object(), "")})


def test_a_source_name_that_utf8_cannot_write_is_refused_clearly() -> None:
    """A source's name with a lone surrogate, as odd file names have, raises a go_state error."""
    with pytest.raises(gs.GoStateError):
        SCHEMA.seal("key", Counter(), {"\udcff.csv": Mark(1, "")})


class Texts:
    """A codec that forgets the bytes."""

    def encode(self, value: Any) -> Any:
        return str(value)

    def decode(self, data: bytes) -> Any:
        return data.decode()


@pytest.mark.parametrize(
    ("codec", "teaches"),
    [
        (gs.JsonCodec(int), "a str would read back|Expected|int cannot be stored"),
        (Texts(), "encode returned a str"),
    ],
)
def test_what_the_codec_says_is_passed_on(codec: Any, teaches: str) -> None:
    """A model that cannot be written is the model's fault, not that of the source's position."""
    with pytest.raises(gs.errors.NotStorable, match=teaches):
        Schema(("int",), 1, codec).seal("key", "three", {})


def test_a_position_that_is_no_json_is_named() -> None:
    """A source whose position cannot be stored, or would be another when it is read, is told so."""
    for position in (object(), ("topic", 3), {0: 5}, float("nan"), datetime.date(2024, 1, 1), Counter(3)):
        with pytest.raises(gs.errors.NotStorable, match="the position of a source cannot be stored"):
            SCHEMA.seal("key", Counter(3), {"mine": Mark(position, "")})


class Quoting:
    """A codec whose errors quote what they were given."""

    def __init__(self, kind: type[Exception]) -> None:
        self._kind = kind

    def encode(self, value: str) -> bytes:
        raise self._kind(value)

    def decode(self, data: bytes) -> str:
        raise self._kind(data)


@pytest.mark.parametrize("kind", [ValueError, KeyError, TypeError, RuntimeError])
def test_what_a_codec_of_ones_own_raises_is_named_and_not_quoted(kind: type[Exception]) -> None:
    """Its words may hold the model; they stay with its own error, which is the cause."""
    schema: Schema[str] = Schema(("text",), 1, Quoting(kind))
    sealed = Schema(("text",), 1, _Raw()).seal("key", b"secret", {})
    for code, error in (
        (lambda: schema.seal("key", "secret", {}), gs.errors.NotStorable),
        (lambda: schema.open("key", sealed), gs.errors.Incompatible),
    ):
        with pytest.raises(error, match=f"raised {kind.__name__}") as raised:
            code()
        assert "secret" not in str(raised.value)
        assert type(raised.value.__cause__) is kind
