"""The commands that ask a history something: on a journal, on keyed programs, on a file, and on an aggregate's models."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

import go_state as gs

pytestmark = pytest.mark.processes

ROOT = Path(gs.__file__).parents[1]

SHOP = """
from dataclasses import dataclass, replace
import go_state as gs

@dataclass(frozen=True)
class Shop:
    total: int = 0
    refunded: int = 0

@dataclass(frozen=True)
class Sale:
    customer: str
    amount: int

@dataclass(frozen=True)
class Refund:
    customer: str
    amount: int

def init(key: str) -> gs.Step[Shop, Sale | Refund]:
    return Shop(), ()

def update(model: Shop, msg: Sale | Refund) -> gs.Step[Shop, Sale | Refund]:
    if isinstance(msg, Refund) or msg.amount < 0:
        amount = abs(msg.amount)
        return replace(model, total=model.total - amount, refunded=model.refunded + SIGN * amount), ()
    return replace(model, total=model.total + msg.amount), ()

def of_sales(model: Shop, msg: Sale) -> gs.Step[Shop, Sale]:
    return update(model, msg)

keyed = gs.Program(init, update)
plain = gs.Program(lambda: (Shop(), ()), update)
sales = gs.Program(init, of_sales)

def below(before: Shop, msg: object, after: Shop) -> bool:
    return after.total < 0
"""


class Command:
    """The command, in a folder with stores, files, and two versions of a shop."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "old.py").write_text(SHOP.replace("SIGN", "-1"))  # refunds are taken off what was refunded
        (folder / "new.py").write_text(SHOP.replace("SIGN", "1"))
        (folder / "fill.py").write_text("""
import pathlib
import go_state as gs
from old import Refund, Sale, keyed, plain, sales
with gs.LMDBStore("shop.lmdb") as store:
    journal = store.journal("shop", of=Sale | Refund)
    journal.put(Sale("c1", 5), Sale("c2", 3), Refund("c1", 2), Sale("c1", 1), Refund("c2", 9))
    journal.close()
    gs.run(plain, journal, store=store, key="shop", snapshots=gs.Snapshots(every=2, keep=9))
with gs.LMDBStore("shops.lmdb") as store:
    with gs.start_keyed(keyed, store=store, prefix="shops/") as shops:
        for key in ("north", "south"):
            shops[key].send(Sale("c1", 5))
            shops[key].send(Refund("c1", 1))
pathlib.Path("sales.csv").write_text("customer,amount\\nc1,5\\nc2,3\\nc1,-2\\nc2,-4\\n")
with gs.LMDBStore("customers.lmdb") as store:
    gs.aggregate(sales, gs.sources.CSV("sales.csv", Sale), store=store, key=lambda msg: msg.customer)
""")
        (folder / "own.py").write_text(  # whose own error names a keyword that is none of the command line
            SHOP.replace("SIGN", "1").replace(
                "-> gs.Step[Shop, Sale | Refund]:\n    if",
                "-> gs.Step[Shop, Sale | Refund]:\n    gs.Sub.every(1, msg, key=[])\n    if",
            )
        )
        self.python("fill.py")

    def python(self, *args: str) -> None:
        env = {"PATH": "", "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-W", "error", *args], cwd=self.folder, check=True, env=env)

    def start(self, *args: str) -> subprocess.Popen[str]:
        env = {"PATH": "", "PYTHONPATH": str(ROOT), "COLUMNS": "120", "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-W", "error", "-m", "go_state.cli", *args]
        return subprocess.Popen(command, cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)

    def __call__(self, *args: str) -> tuple[int, str, str]:
        process = self.start(*args)
        out, error = process.communicate(timeout=60)
        return process.returncode, out, error


@pytest.fixture(scope="module")
def go_state(tmp_path_factory: pytest.TempPathFactory) -> Command:
    return Command(tmp_path_factory.mktemp("shop"))


def test_a_trace_shows_before_and_after(go_state: Command) -> None:
    """Each turn between the positions, with the fields that it has changed, or only those that were asked for."""
    code, printed, error = go_state("replay", "old:plain", "shop.lmdb", "--trace", "--from", "1", "--until", "4")
    assert (code, error) == (0, "")
    lines = printed.splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == ["1", "2", "3"]
    assert '["Refund", {"customer": "c1", "amount": 2}]' in printed
    assert "    .total: 8 → 6" in lines
    printed = go_state("replay", "old:plain", "shop.lmdb", "--trace", "--fields", "refunded", "--json")[1]
    steps = [json.loads(line) for line in printed.splitlines()]
    assert [(step["position"], step["fields"]) for step in steps] == [
        (2, [{"path": ".refunded", "before": "0", "after": "-2"}]),
        (4, [{"path": ".refunded", "before": "-2", "after": "-11"}]),
    ]


@pytest.mark.parametrize(
    ("args", "position"),
    [
        (("old:plain", "shop.lmdb", "--where", "after.total < 0"), 4),
        (("old:plain", "shop.lmdb", "--where", "old:below"), 4),
        (("old:plain", "shop.lmdb", "--where", "customer=c1", "--type", "Refund"), 2),
        (("old:keyed", "shops.lmdb", "--prefix", "shops/", "--key", "south", "--where", "after.refunded"), 1),
        (("old:sales", "sales.csv", "--key-of", "customer", "--where", "msg.amount < 0"), 2),
        (("old:sales", "sales.csv", "--key-of", "customer", "--key", "c2", "--where", "msg.amount < 0", "--of", "old:Sale"), 3),
    ],
)
def test_first(go_state: Command, args: tuple[str, ...], position: int) -> None:
    """The first message that made it so is printed, as text and as JSON."""
    code, printed, error = go_state("first", *args, "--json")
    assert (code, error) == (0, "")
    assert json.loads(printed)["position"] == position
    assert go_state("first", *args)[1].startswith(str(position))


def test_first_of_none(go_state: Command) -> None:
    """If no message made it so, that is said, and the exit code is 1."""
    assert go_state("first", "old:plain", "shop.lmdb", "--where", "after.total > 99") == (1, "no message made it so\n", "")


def test_compare(go_state: Command) -> None:
    """The first message after which two programs part, by field, and how often with --go-on."""
    code, printed, _ = go_state("compare", "old:plain", "new:plain", "shop.lmdb", "--go-on")
    assert code == 1
    assert printed.splitlines()[0].startswith("2  ")
    assert "    .refunded: -2 → 2" in printed
    assert ".refunded differs after 2 messages" in printed
    code, printed, _ = go_state("compare", "old:sales", "new:sales", "sales.csv", "--key-of", "customer", "--json")
    assert (code, json.loads(printed.splitlines()[0])["key"]) == (1, "c1")
    assert go_state("compare", "old:plain", "old:plain", "shop.lmdb")[0] == 0


def test_verify_of_keyed_programs_and_of_an_aggregate(go_state: Command) -> None:
    """With what each of them has kept."""
    south = ("shops.lmdb", "--prefix", "shops/", "--key", "south")
    assert go_state("verify", "old:keyed", *south)[0] == 0
    assert go_state("verify", "new:keyed", *south)[0] == 1
    customers = ("sales.csv", "--key-of", "customer", "--store", "customers.lmdb")
    assert go_state("verify", "old:sales", *customers) == (
        0,
        "4 messages and 2 snapshots checked: they make what they made\n",
        "",
    )
    code, printed, _ = go_state("verify", "new:sales", *customers)
    assert (code, "of 'c" in printed, "today's update changes it at" in printed) == (1, True, True)


def test_rebuild(tmp_path: Path) -> None:
    """A dry run shows the table and writes nothing; then it is written, and everything is verified."""
    go_state = Command(tmp_path)
    for args, changed in (
        (("old:plain", "new:plain", "shop.lmdb"), "2 of 4"),
        (("old:keyed", "new:keyed", "shops.lmdb", "--prefix", "shops/"), "2 of "),
        (("old:sales", "new:sales", "sales.csv", "--key-of", "customer", "--store", "customers.lmdb"), "2 of 2"),
    ):
        old, new, *where = args
        code, printed, error = go_state("rebuild", new, *where, "--dry-run")
        assert (code, error) == (0, "")
        assert ".refunded" in printed
        assert "models changed; nothing was written" in printed
        if changed != "2 of 4":
            assert changed in printed
        if "--prefix" not in where:
            assert go_state("verify", new, *where)[0] == 1
        assert json.loads(go_state("rebuild", new, *where, "--json")[1])["written"] is True
        if "--prefix" not in where:
            assert go_state("verify", new, *where)[0] == 0
        assert "0 of" in go_state("rebuild", new, *where)[1]
        assert go_state("rebuild", old, *where)[0] == 0


def test_peek(go_state: Command) -> None:
    """The model as of now, and how old the stored one is."""
    assert go_state("peek", "old:plain", "shop.lmdb", "--key", "shop") == (0, '{"total":-2,"refunded":-11}\n', "")
    found = json.loads(go_state("peek", "old:keyed", "shops.lmdb", "--prefix", "shops/", "--key", "north", "--json")[1])
    assert found == {"model": {"total": 4, "refunded": -1}, "position": 2, "behind": 0, "since": None}
    assert go_state("peek", "old:sales", "customers.lmdb", "--key", "c1")[1] == '{"total":3,"refunded":-2}\n'


@pytest.mark.slow
def test_to_test(go_state: Command) -> None:
    """What is written passes with the program that it was written with, and fails with another."""
    for target, where in (("old:plain", ["shop.lmdb"]), ("old:sales", ["sales.csv", "--key-of", "customer", "--key", "c1"])):
        assert go_state("to-test", target, where[0], "test_it.py", *where[1:])[0] == 0
        text = (go_state.folder / "test_it.py").read_text()
        for module, code in (("old", 0), ("new", 1)):
            (go_state.folder / "test_it.py").write_text(text.replace("from old import", f"from {module} import"))
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"]
            ran = subprocess.run(command, cwd=go_state.folder, capture_output=True, text=True, check=False)
            assert ran.returncode == code, ran.stdout


def test_messages_are_shown_by_field_and_type(go_state: Command) -> None:
    """Those of a customer, of a class, of both."""

    def positions(*args: str) -> list[int]:
        return [
            json.loads(line)["position"] for line in go_state("journal", "show", "shop.lmdb", "shop", *args)[1].splitlines()
        ]

    assert positions("--where", "customer=c1") == [0, 2, 3]
    assert positions("--type", "Refund") == [2, 4]
    assert positions("--where", "customer=c2", "--where", "amount=9", "--type", "Refund") == [4]
    assert positions("--where", "nothing=c1") == []


def test_a_journal_is_followed(go_state: Command) -> None:
    """What another process puts is shown when it is there, until Ctrl-C."""
    following = go_state.start("journal", "show", "shops.lmdb", "shops/north", "--follow", "--type", "Sale")
    try:
        shown = lines_of(following.stdout)
        assert json.loads(next(shown))["position"] == 0
        (go_state.folder / "more.py").write_text("""
import go_state as gs
from old import Refund, Sale
with gs.LMDBStore("shops.lmdb") as store:
    store.journal("shops/north", of=Sale | Refund).put(Refund("c1", 7), Sale("c1", 8))
""")
        go_state.python("more.py")
        assert json.loads(next(shown))["position"] == 3
        os.kill(following.pid, signal.SIGINT)
        assert (following.wait(30), following.stderr.read() if following.stderr else "") == (0, "")
    finally:
        following.kill()
        following.communicate()


def lines_of(stream: IO[str] | None) -> Iterator[str]:
    assert stream is not None
    return iter(stream.readline, "")


def test_what_was_not_shown_is_told(go_state: Command) -> None:
    """A field that no turn changes, records of a file that are no messages, and snapshots of another revision."""
    trace = "replay", "old:plain", "shop.lmdb", "--trace", "--fields", "refundd"
    assert go_state(*trace) == (0, "", "no turn there changes refundd\n")
    (go_state.folder / "other.jsonl").write_text('{"customer": "c1", "amount": 5}\n' * 2)
    code, printed, error = go_state("replay", "old:plain", "other.jsonl")
    assert (code, printed, error) == (0, '{"total":0,"refunded":0}\n', "2 passed over, at 0 (BadRecord), 1 (BadRecord)\n")
    assert "2 passed over" in go_state("first", "old:plain", "other.jsonl", "--where", "customer=c1")[2]
    text = (go_state.folder / "old.py").read_text().replace("()), update)", "()), update, revision=2)")
    (go_state.folder / "revised.py").write_text(text)
    code, printed, _ = go_state("verify", "revised:plain", "shop.lmdb")
    assert (code, "no snapshot is of the program's revision 2" in printed) == (0, True)


@pytest.mark.parametrize(
    ("args", "teaches"),
    [
        (("first", "old:plain", "shop.lmdb", "--where", "after."), "--where is field=value, an expression such as"),
        (("first", "old:plain", "shop.lmdb", "--where", "old:nothing"), "the module has nothing of that name"),
        (("first", "old:plain", "shop.lmdb", "--where", "after.totl < 0"), "asked about position 0, a message of type Sale"),
        (("first", "old:plain", "shop.lmdb", "--where", "after.total < 'x'"), "cannot be computed (TypeError"),
        (("first", "old:plain", "shop.lmdb", "--where", "msg.customer == c1"), "a text is written in quotes"),
        (
            ("first", "old:sales", "sales.csv", "--key-of", "custmer", "--where", "amount=3"),
            "--key-of 'custmer' is a field that a Sale has not",
        ),
        (("replay", "old:plan", "shop.lmdb"), "is not a gs.Program: old has keyed, plain, sales"),
        (("replay", "old:plain", "shop.lmdb", "--from", "6"), "has the positions 0 to 5, not 6"),
        (("replay", "old:plain", "sales.csv"), "say with --of module:Class"),
        (
            ("rebuild", "old:keyed", "shops.lmdb", "--prefix", "shps/"),
            "there is no model of old:keyed under the prefix 'shps/'",
        ),
        (
            ("erase", "old:keyed", "shops.lmdb", "--prefix", "shps/", "--where", "customer=c1", "--dry-run"),
            "none whose name begins",
        ),
        (("to-test", "old:plain", "shop.lmdb", "fill.py"), "nothing is overwritten"),
        (("to-test", "old:plain", "shop.lmdb", "none/test_it.py"), "none/test_it.py cannot be written"),
        (("journal", "export", "shop.lmdb", "shop", "/dev/full"), "/dev/full cannot be written"),
        (("replay", "old:keyed", "shops.lmdb"), "say which with --name"),
        (("replay", "old:plain", "shop.lmdb", "--of", "old:Sale"), "leave it out"),
        (("replay", "old:plain", "shop.lmdb", "--fields", "total"), "--trace"),
        (("replay", "old:sales", "sales.csv"), "the program's init takes a key"),
        (("replay", "old:sales", "sales.csv", "--key-of", "customer"), "say which with --key"),
        (("replay", "old:plain", "shop.lmdb", "--from", "-1"), "--from is a position from 0"),
        (("verify", "old:sales", "sales.csv", "--store", "customers.lmdb"), "and with --key-of is one of"),
        (("replay", "own:plain", "shop.lmdb", "--from", "0"), "give it one by key="),
        (("replay", "old:sales", "no.csv", "--key", "c1"), "no.csv is not there"),
        (("replay", "old:sales", "sales.csv", "--name", "x"), "this is a file"),
        (("rebuild", "old:sales", "sales.csv", "--key-of", "customer"), "give --store, and --key or --key-of"),
        (("peek", "old:plain", "shop.lmdb", "--key", "nobody"), "nothing is kept under 'nobody'"),
        (("journal", "show", "shop.lmdb", "shop", "--where", "customer"), "as customer=c1"),
        (("journal", "show", "shop.lmdb", "shop", "--follow", "--until", "3"), "--follow has no end"),
    ],
)
def test_wrong_use_teaches(go_state: Command, args: tuple[str, ...], teaches: str) -> None:
    """Each mistake is a sentence on standard error that says what to do, and the exit code 1."""
    code, printed, error = go_state(*args)
    assert (code, printed) == (1, "")
    assert teaches in error
    assert "Traceback" not in error
