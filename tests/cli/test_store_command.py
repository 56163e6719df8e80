"""`go-state store` and `go-state erase`: what they ask, what they do, and that a misspelt path makes no file."""

from __future__ import annotations

import json
import os
import pty
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import go_state as gs

pytestmark = pytest.mark.processes

ROOT = Path(gs.__file__).parents[1]

SHOP = """
from dataclasses import dataclass, field, replace
import go_state as gs

@dataclass(frozen=True)
class Address:
    city: str

@dataclass(frozen=True)
class Paid:
    customer: str
    amount: int
    to: list[Address] = field(default_factory=list)

@dataclass(frozen=True)
class Shop:
    paid: dict[str, int] = field(default_factory=dict)

def init() -> gs.Step[Shop, Paid]:
    return Shop(), ()

def update(model: Shop, msg: Paid) -> gs.Step[Shop, Paid]:
    return Shop(model.paid | {msg.customer: model.paid.get(msg.customer, 0) + msg.amount}), ()

def keyed_init(key: str) -> gs.Step[Shop, Paid]:
    return Shop({key: 0}), ()

shop = gs.Program(init, update)
keyed = gs.Program(keyed_init, update)

def nobody(entry):
    return replace(entry.message, customer="nobody", to=[])
"""
FILL = """
import sys, shop, go_state as gs
with gs.LMDBStore("shop.lmdb") as store:
    with gs.start(shop.shop, store=store, key="shop", snapshots=gs.Snapshots(every=10, keep=3)) as app:
        for number in range(40):
            app.send(shop.Paid(f"c{number % 4}", number, [shop.Address("Oslo" if number % 8 else "Rome")]))
with gs.LMDBStore("rooms.lmdb") as store, gs.start_keyed(shop.keyed, store=store, prefix="room/") as rooms:
    for number in range(12):
        rooms[f"r{number % 3}"].apply(shop.Paid(f"c{number % 4}", number), timeout=30)
"""


class Command:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"PATH": "", "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "COLUMNS": "120"}
        (folder / "shop.py").write_text(SHOP)
        subprocess.run([sys.executable, "-c", FILL], cwd=folder, env=self.environment, check=True)

    def __call__(self, *args: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "go_state.cli", *args],
            cwd=self.folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=self.environment,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    def answered(self, answer: str, *args: str) -> int:
        """Run it at a terminal at which a person answers, and return its exit code."""
        ours, its = pty.openpty()
        try:
            os.write(ours, answer.encode() + b"\n")
            done = subprocess.run(
                [sys.executable, "-m", "go_state.cli", *args],
                cwd=self.folder, capture_output=True, check=False, stdin=its, env=self.environment,
            )  # fmt: skip
        finally:
            os.close(ours)
            os.close(its)
        return done.returncode

    def model(self) -> dict[str, int]:
        paid: dict[str, int] = json.loads(self("replay", "shop:shop", "shop.lmdb")[1])["paid"]
        return paid


@pytest.fixture
def go_state(tmp_path: Path) -> Command:
    return Command(tmp_path)


def test_a_person_is_erased(go_state: Command) -> None:
    """Counted first, asked, emptied, compacted: no byte is left, and verify agrees."""
    erase = ("erase", "shop:shop", "shop.lmdb", "--where", "customer=c1")
    before = (go_state.folder / "shop.lmdb").read_bytes()
    code, printed, _ = go_state(*erase, "--dry-run", "--json")
    assert (code, json.loads(printed)["emptied"]) == (0, 10)
    code, _, error = go_state(*erase, "--empty")
    assert (code, "10 messages in 1 journals" in error, "say --yes" in error) == (1, True, True)
    assert go_state.answered("n", *erase, "--empty") == 1
    assert (go_state.folder / "shop.lmdb").read_bytes() == before
    assert b'"c1"' in before
    assert go_state.answered("y", *erase, "--empty", "--compact") == 0
    after = (go_state.folder / "shop.lmdb").read_bytes()
    assert (b'"c1"' in after, b'"c2"' in after) == (False, True)
    assert set(go_state.model()) == {"c0", "c2", "c3"}
    assert go_state("verify", "shop:shop", "shop.lmdb")[0] == 0
    assert go_state("journal", "show", "shop.lmdb", "shop", "--until", "2")[1].count('"message":null') == 1


@pytest.mark.parametrize(
    ("what", "said"),
    [(("--where", "custmer=c1", "--empty"), "no message has custmer=c1"), (("--key", "c1"), "nothing is stored under 'c1'")],
)
def test_nothing_found_is_not_taken_for_erased(go_state: Command, what: tuple[str, ...], said: str) -> None:
    """A misspelt field or key is said, and nothing is said of bytes that were erased."""
    _, printed, error = go_state("erase", "shop:shop", "shop.lmdb", *what, "--yes")
    assert (said in printed + error, "compact" in printed + error) == (True, False)


def test_raw_records_of_a_person_are_named(go_state: Command) -> None:
    """What is no message has no key: it stays, and is listed with the commands that show and drop it."""
    (go_state.folder / "night.jsonl").write_text('{"city": "Rome"\n{"city": "Oslo"\n')
    with gs.LMDBStore(go_state.folder / "shop.lmdb") as store:
        letters = gs.DeadLetters(store, "bad night")
        night = gs.sources.JSONLines(go_state.folder / "night.jsonl", int)
        gs.aggregate(
            gs.reducer(int, lambda model, msg: model + msg), night, store=store, key="n", on_error=gs.SetAside(letters)
        )
        found = next(letter.id for letter in letters)
    erase = ("erase", "shop:shop", "shop.lmdb", "--where", "to.city=Rome", "--empty", "--yes")
    printed = "".join(go_state(*erase)[1:])
    drop = f"go-state dead drop shop.lmdb 'bad night' {found}"
    assert ("raw: 1" in printed, printed.count("dead drop"), drop in printed) == (True, 1, True)
    assert go_state(*shlex.split(drop)[1:])[0] == 0
    assert "raw: 0" in "".join(go_state(*erase)[1:])
    short = ("erase", "shop:shop", "shop.lmdb", "--where", "amount=8", "--dry-run")
    assert "not searched for texts under 3 characters" in "".join(go_state(*short)[1:])
    assert "not searched" not in "".join(go_state(*erase)[1:])


def test_messages_are_replaced_by_a_function(go_state: Command) -> None:
    """Several conditions have to hold, of fields below fields and in lists too."""
    done = go_state(
        "erase", "shop:shop", "shop.lmdb", "--where", "to.city=Rome", "--where", "amount=8", "--with", "shop:nobody", "--yes", "--json"
    )  # fmt: skip
    counted = {"messages": 40, "journals": 1, "replaced": 1, "emptied": 0, "snapshots": 3, "letters": 0, "raw": 0}
    assert json.loads(done[1]) == counted
    assert go_state.model()["nobody"] == 8


def test_a_person_is_erased_of_all_rooms(go_state: Command) -> None:
    """Each journal of a keyed program is rewritten with its own key."""
    erase = ("erase", "shop:keyed", "rooms.lmdb", "--prefix", "room/", "--where", "customer=c2", "--empty", "--yes", "--json")
    assert json.loads(go_state(*erase)[1]) == {
        "messages": 12,
        "journals": 3,
        "replaced": 0,
        "emptied": 3,
        "snapshots": 6,
        "letters": 0,
        "raw": 0,
    }
    assert json.loads(go_state(*erase)[1])["emptied"] == 0
    shown = json.loads(go_state("snapshots", "show", "rooms.lmdb", "room/r1")[1])
    assert shown == {"paid": {"r1": 0, "c0": 4, "c1": 1, "c3": 7}}


def test_all_under_a_key_is_deleted(go_state: Command) -> None:
    """With its journal, and nothing else."""
    assert go_state("erase", "shop:keyed", "rooms.lmdb", "--key", "room/r0")[0] == 1
    code, printed, _ = go_state("erase", "shop:keyed", "rooms.lmdb", "--key", "room/r0", "--yes", "--compact")
    assert (code, "there: True" in printed) == (0, True)
    assert [row["name"] for row in json.loads(go_state("journal", "list", "rooms.lmdb", "--json")[1])] == ["room/r1", "room/r2"]


def test_a_store_is_backed_up_and_restored(go_state: Command) -> None:
    """To a new file without a question, in the place of what is there with one; a failure leaves no new file."""
    assert go_state("store", "backup", "shop.lmdb", "backup.lmdb")[0] == 0
    assert "nothing is overwritten" in go_state("store", "backup", "shop.lmdb", "backup.lmdb")[2]
    assert go_state("store", "restore", "backup.lmdb", "new.lmdb")[0] == 0
    assert json.loads(go_state("replay", "shop:shop", "new.lmdb")[1])["paid"] == go_state.model()
    assert "say --yes" in go_state("store", "restore", "backup.lmdb", "rooms.lmdb")[2]
    assert go_state("store", "restore", "backup.lmdb", "rooms.lmdb", "--yes")[0] == 0
    assert [row["name"] for row in json.loads(go_state("journal", "list", "rooms.lmdb", "--json")[1])] == ["shop"]
    data = bytearray((go_state.folder / "backup.lmdb").read_bytes())
    data[data.index(b'"c1"') + 1] ^= 1
    (go_state.folder / "backup.lmdb").write_bytes(data)
    assert go_state("store", "check", "backup.lmdb")[0] == 1
    assert go_state("store", "restore", "backup.lmdb", "never.lmdb")[0] == 1
    assert not list(go_state.folder.glob("never*"))


def test_beside_a_program_that_runs(go_state: Command) -> None:
    """What needs the lease says to stop the program, and not what only a program can do: wait for it."""
    run = (
        "import shop, go_state as gs\nwith gs.LMDBStore('shop.lmdb') as store, gs.start(shop.shop, store=store, key='shop'):\n"
        "    print('runs', flush=True)\n    input()\n"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", run],
        cwd=go_state.folder,
        env=go_state.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stdout is not None
        assert running.stdout.readline() == "runs\n"
        for args in (
            ("store", "compact", "shop.lmdb"),
            ("rebuild", "shop:shop", "shop.lmdb"),
            ("journal", "skip", "shop.lmdb", "shop", "3"),
        ):
            code, _, error = go_state(*args)
            assert (code, "stop it, give the command again" in error, "wait" in error) == (1, True, False)
        assert go_state("peek", "shop:shop", "shop.lmdb", "--key", "shop")[0] == 0
    finally:
        running.communicate("\n")


def test_a_store_says_what_it_holds(go_state: Command) -> None:
    """As a table and as JSON; check reads it, compact makes it smaller or leaves it."""
    info = json.loads(go_state("store", "info", "rooms.lmdb", "--json")[1])
    assert (info["journals"], {each["name"] for each in info["largest"]}) == (3, {"room/r0", "room/r1", "room/r2"})
    assert "map size" in go_state("store", "info", "rooms.lmdb")[1]
    assert go_state("store", "check", "rooms.lmdb")[:2] == (0, f"Every record of {go_state.folder}/rooms.lmdb is whole.\n")
    assert go_state("store", "compact", "rooms.lmdb")[0] == 0


@pytest.mark.parametrize(
    ("args", "teaches"),
    [
        (("store", "info", "typo.lmdb"), "is not a file"),
        (("store", "compact", "typo.lmdb"), "is not a file"),
        (("store", "restore", "typo.lmdb", "new.lmdb"), "is not a file"),
        (("erase", "shop:shop", "typo.lmdb", "--where", "a=b", "--empty"), "is not a file"),
        (("erase", "shop:shop", "shop.lmdb"), "say whose messages"),
        (("erase", "shop:keyed", "rooms.lmdb", "--key", "room/r0", "--empty"), "leave out --empty and --with"),
        (("erase", "shop:shop", "shop.lmdb", "--where", "a=b"), "say what becomes of the messages"),
        (("erase", "shop:shop", "shop.lmdb", "--where", "a", "--empty"), "a condition is field=value"),
        (
            ("erase", "shop:shop", "shop.lmdb", "--where", "a=b", "--with", "shop:none"),
            "shop:none: the module has nothing of that name",
        ),
        (("erase", "shop:shop", "shop.lmdb", "--where", "a=b", "--empty", "--with", "shop:nobody"), "say one of them"),
        (("erase", "shop:shop", "rooms.lmdb", "--where", "a=b", "--empty"), "say which with --name"),
        (
            ("erase", "shop:keyed", "rooms.lmdb", "--prefix", "rom/", "--where", "a=b", "--empty"),
            "none whose name begins with 'rom/'",
        ),
        (("journal", "import", "new.lmdb", "shop", "shop.py", "shop:shop"), "of shop.py: JSON is malformed"),
    ],
)
def test_wrong_use_teaches_and_makes_no_file(go_state: Command, args: tuple[str, ...], teaches: str) -> None:
    """A sentence and the exit code 1."""
    before = {path: path.read_bytes() for path in go_state.folder.glob("*.lmdb")}
    code, _, error = go_state(*args)
    assert (code, teaches in error) == (1, True), error
    assert {path: path.read_bytes() for path in go_state.folder.glob("*.lmdb")} == before
