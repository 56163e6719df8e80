"""The command go-state: what it prints, its exit codes, and that it harms nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import go_state as gs

pytestmark = pytest.mark.processes

ROOT = Path(gs.__file__).parents[1]  # the command is that of the package under test

BOT = """
from dataclasses import dataclass, replace
import go_state as gs

@dataclass(frozen=True)
class Counter:
    count: int = 0

@dataclass(frozen=True)
class Add:
    by: int

def init() -> gs.Step[Counter, Add]:
    return Counter(), ()

def update(model: Counter, msg: Add) -> gs.Step[Counter, Add]:
    return replace(model, count=model.count + msg.by), ()

def changed(model: Counter, msg: Add) -> gs.Step[Counter, Add]:
    return replace(model, count=model.count + 2 * msg.by), ()

counter = gs.Program(init, update)
doubling = gs.Program(init, changed)
newer = gs.Program(init, update, schema=2)
"""


@dataclass(frozen=True)
class Counter:
    count: int = 0


@dataclass(frozen=True)
class Add:
    by: int


def update(model: Counter, msg: Add) -> gs.Step[Counter, Add]:
    return Counter(model.count + msg.by), ()


class Command:
    """The command, in a folder with a store and the module `bot`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bot.py").write_text(BOT)
        (folder / "broken.py").write_text("counter =")
        (folder / "script.py").write_text("import sys; sys.exit()")
        with gs.LMDBStore(folder / "bot.lmdb") as store:
            journal = store.journal("bot", of=Add)
            journal.put(Add(1), Add(2), Add(4))
            journal.close()
            gs.run(
                gs.Program(lambda: (Counter(), ()), update), journal, store=store, key="bot", snapshots=gs.Snapshots(every=2)
            )

    def __call__(self, *args: str, stdin: str = "", encoding: str = "utf-8") -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "go_state.cli", *args],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            input=stdin,
            env={"PATH": "", "PYTHONPATH": str(ROOT), "COLUMNS": "120", "PYTHONIOENCODING": encoding},
        )
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def go_state(tmp_path: Path) -> Command:
    return Command(tmp_path)


def test_snapshots_are_listed(go_state: Command) -> None:
    """The list names key, schema, revision, position and size, as a table and as JSON."""
    assert json.loads(go_state("snapshots", "list", "bot.lmdb", "--json")[1]) == [
        {"key": "bot", "schema": "Counter", "number": 1, "revision": 1, "positions": {"journal": 3}, "bytes": 11}
    ]
    assert "Counter 1" in go_state("snapshots", "list", "bot.lmdb")[1]


def test_the_positions_of_sources_are_listed_and_shown(go_state: Command, tmp_path: Path) -> None:
    """Each source of a keyed program is a line with its position, and shows who holds it."""
    (tmp_path / "adds.jsonl").write_text('{"by": 1}\n{"by": 2}\n')
    with gs.LMDBStore(tmp_path / "keyed.lmdb") as store:
        source = gs.sources.JSONLines(tmp_path / "adds.jsonl", Add)
        gs.aggregate(gs.Program(lambda: (Counter(), ()), update), source, store=store, key=lambda msg: str(msg.by))
    listed = json.loads(go_state("snapshots", "list", "keyed.lmdb", "--json")[1])
    key = "@positions/Counter/adds.jsonl"
    assert [(each["key"], each["positions"]) for each in listed if each["positions"]] == [(key, {"adds.jsonl": 2})]
    assert json.loads(go_state("snapshots", "show", "keyed.lmdb", key)[1])["epoch"] == 1


def test_snapshots_are_shown_and_exported(go_state: Command) -> None:
    """The newest model and a keyframe are printed as JSON, and all newest ones are exported as lines."""
    assert go_state("snapshots", "show", "bot.lmdb", "bot") == (0, '{"count":7}\n', "")
    assert go_state("snapshots", "show", "bot.lmdb", "bot", "--position", "2") == (0, '{"count":3}\n', "")
    assert json.loads(go_state("snapshots", "export", "bot.lmdb")[1])["model"] == {"count": 7}


def test_check_reads_with_todays_types(go_state: Command) -> None:
    """A store that today's program can read passes; where it cannot, key and field are named and the exit code is 1."""
    assert go_state("snapshots", "check", "bot.lmdb", "bot:counter")[0] == 0
    code, printed, _ = go_state("snapshots", "check", "bot.lmdb", "bot:newer", "--json")
    assert (code, json.loads(printed)["findings"][0]["field"]) == (1, "schema number")


def test_journals_are_shown(go_state: Command) -> None:
    """Messages are printed with position and time, as they can be imported."""
    lines = [
        json.loads(line)
        for line in go_state("journal", "show", "bot.lmdb", "bot", "--from", "1", "--until", "3")[1].splitlines()
    ]
    assert [(line["position"], line["message"]) for line in lines] == [(1, ["Add", {"by": 2}]), (2, ["Add", {"by": 4}])]
    assert json.loads(go_state("journal", "list", "bot.lmdb", "--json")[1]) == [
        {"name": "bot", "start": 0, "end": 3, "readers": {"program": 3}, "aside": {}}
    ]


def test_a_journal_is_exported_and_imported(go_state: Command) -> None:
    """What is exported is imported into another store, message by message and with its times."""
    assert go_state("journal", "export", "bot.lmdb", "bot", "bot.jsonl") == (0, "", "")
    assert go_state("journal", "import", "other.lmdb", "bot", "bot.jsonl", "bot:counter") == (0, "3 messages imported\n", "")
    assert go_state("journal", "show", "other.lmdb", "bot")[1] == (go_state.folder / "bot.jsonl").read_text()


def test_an_import_that_fails_enters_nothing(go_state: Command) -> None:
    """A line that is no message of the program is named by its number, and none before it is kept."""
    (go_state.folder / "bad.jsonl").write_text('{"at":"2026-01-01T00:00:00Z","message":["Add",{"by":1}]}\n{"at":1}\n')
    code, _, error = go_state("journal", "import", "bot.lmdb", "bot", "bad.jsonl", "bot:counter")
    assert code == 1
    assert "record 2 of bad.jsonl" in error
    assert '"end": 3' in go_state("journal", "list", "bot.lmdb", "--json")[1]


@pytest.mark.parametrize("line", ['{"at":9223372036854775808,"message":["Add",{"by":1}]}', '{"at":' + "[" * 100_000])
def test_an_import_takes_nothing_that_cannot_be_shown(go_state: Command, line: str) -> None:
    """A time beyond all clocks, which no export could write, is refused, and so is what is nested too deeply to be read."""
    code, _, error = go_state("journal", "import", "bot.lmdb", "bot", "-", "bot:counter", stdin=line)
    assert (code, "record 1 of /dev/stdin" in error) == (1, True)
    assert len(go_state("journal", "show", "bot.lmdb", "bot")[1].splitlines()) == 3


@pytest.mark.slow
@pytest.mark.parametrize("what", [("journal", "export", "bot.lmdb", "bot"), ("snapshots", "export", "bot.lmdb")])
def test_an_export_never_takes_the_place_of_its_store(go_state: Command, what: tuple[str, ...]) -> None:
    """Whatever the store's file is called: it would be emptied before anything is read."""
    (go_state.folder / "link").symlink_to("bot.lmdb")
    for path in ("bot.lmdb", "./bot.lmdb", "link", "bot.lmdb-lock"):
        code, _, error = go_state(*what, path)
        assert (code, "a file of the store itself" in error) == (1, True)
    assert go_state("replay", "bot:counter", "bot.lmdb") == (0, '{"count":7}\n', "")


def test_a_model_that_is_no_json_is_exported_in_base64(go_state: Command) -> None:
    """Each line is JSON, whatever a codec of one's own has made; JSON of several lines becomes one."""

    class Codec:
        encode = staticmethod(lambda model: b"\xff\n" if model == "no" else b'{"a":\n1}')
        decode = staticmethod(lambda data: "")

    program = gs.Program(lambda: ("", ()), lambda model, msg: (msg, ()), name="text")
    with gs.LMDBStore(go_state.folder / "s.lmdb") as store:
        for key in ("no", "yes"):
            gs.aggregate(program, [key], store=store, key=key, codec=Codec())
    no, yes = map(json.loads, go_state("snapshots", "export", "s.lmdb")[1].splitlines())
    assert (no["base64"], yes["model"]) == ("/wo=", {"a": 1})


def test_a_terminal_without_the_letters_is_shown_escapes(go_state: Command) -> None:
    """What its encoding does not have is escaped, in JSON as JSON escapes it."""
    with gs.LMDBStore(go_state.folder / "s.lmdb") as store:
        store.journal("é", of=str).put("é漢😀")
    assert "\\xe9" in go_state("journal", "list", "s.lmdb", encoding="ascii")[1]
    code, shown, _ = go_state("journal", "show", "s.lmdb", "é", encoding="ascii")
    assert (code, shown.isascii(), json.loads(shown)["message"]) == (0, True, "é漢😀")


def test_an_error_of_the_program_is_told_with_where_it_was_raised(go_state: Command) -> None:
    """The traceback is the program's; what a terminal would obey is an escape in it too."""
    failing = BOT.replace("return replace(model, count=model.count + msg.by), ()", r'raise ValueError("\x1b[2J")', 1)
    (go_state.folder / "failing.py").write_text(failing)
    code, _, error = go_state("verify", "failing:counter", "bot.lmdb")
    assert (code, "in update" in error, "typer" in error) == (1, True, False)
    assert {each for each in error if not each.isprintable()} == {"\n"}


def test_verify(go_state: Command) -> None:
    """An update that makes what it made passes; one that has changed is reported with position, path and both values."""
    assert go_state("verify", "bot:counter", "bot.lmdb")[0] == 0
    code, printed, _ = go_state("verify", "bot:doubling", "bot.lmdb", "--json")
    finding = json.loads(printed)["finding"]
    assert (code, finding["start"], finding["position"], finding["path"]) == (1, 0, 1, ".count")
    assert (finding["expected"], finding["found"]) == ("3", "6")


def test_replay(go_state: Command) -> None:
    """The model at a position is printed as JSON."""
    assert go_state("replay", "bot:counter", "bot.lmdb", "--until", "1") == (0, '{"count":1}\n', "")
    assert go_state("replay", "bot:counter", "bot.lmdb") == (0, '{"count":7}\n', "")


def test_skip_and_truncate(go_state: Command) -> None:
    """A message that is skipped no longer counts in a replay; one that is truncated is gone."""
    with gs.LMDBStore(go_state.folder / "bot.lmdb") as store:
        store.journal("bot", of=Add).put(Add(100), Add(1000))
    assert go_state("journal", "skip", "bot.lmdb", "bot", "3")[1] == "bot passes over position 3\n"
    assert go_state("replay", "bot:counter", "bot.lmdb")[1] == '{"count":1007}\n'
    assert go_state("journal", "truncate", "bot.lmdb", "bot", "2")[1] == "bot begins at 2\n"
    assert go_state("replay", "bot:counter", "bot.lmdb", "--until", "1")[0] == 1


@pytest.mark.parametrize(
    ("args", "teaches"),
    [
        (("journal", "show", "nothing.lmdb", "bot"), "nothing.lmdb is not a file"),
        (("journal", "show", "bot.lmdb", "other"), "bot.lmdb, which has 1 journal ('bot')"),
        (("snapshots", "show", "bot.lmdb", "other"), "there is no such snapshot under 'other'"),
        (("replay", "nowhere:x", "bot.lmdb"), "nowhere cannot be imported"),
        (("replay", "bot:Add", "bot.lmdb"), "bot:Add is not a gs.Program"),
        (("replay", ".bot:counter", "bot.lmdb"), "'.bot' is not a module's name"),
        (("replay", "./bot.py:counter", "bot.lmdb"), "'./bot.py' is not a module's name"),
        (("replay", "broken:counter", "bot.lmdb"), "broken cannot be imported (SyntaxError"),
        (("journal", "import", "bot.lmdb", "bot", "nothing.jsonl", "bot:counter"), "nothing.jsonl is not a file"),
        (("replay", "bot:counter", "bot.lmdb", "--until", "9"), "has the positions 0 to 3, not 9"),
        (("journal", "skip", "bot.lmdb", "bot", "2"), "every message is processed: none can be skipped, not 2"),
        (("verify", "bot:counter", "bot.py"), "bot.py is no LMDB file"),
        (("snapshots", "check", "bot.lmdb", "script:counter"), "script cannot be imported (SystemExit"),
        (
            ("journal", "export", "bot.lmdb", "bot", "no/folder.jsonl"),
            "no/folder.jsonl cannot be written (No such file",
        ),
        (("snapshots", "export", "bot.lmdb", "."), ". cannot be written (Is a directory)"),
        (("journal", "import", "bot.lmdb", "bot", ".", "bot:counter"), ". is not a file"),
        (("snapshots", "show", "bot.lmdb", "bot", "--position", "-1"), "a whole number from 0, not -1"),
        (("snapshots", "show", "bot.lmdb", "bot", "--position", str(2**64)), f"a whole number from 0, not {2**64}"),
        (("snapshots", "list", "host=localhost password=x"), "this, which may hold a password, is not a file"),
    ],
)
def test_wrong_use_teaches(go_state: Command, args: tuple[str, ...], teaches: str) -> None:
    """Each mistake is a sentence on standard error that says what to do, and the exit code 1."""
    code, printed, error = go_state(*args)
    assert (code, printed) == (1, "")
    assert teaches in error


HOSTILE = "[/x][bold]b\x1b]0;title\x07\x1b[2J\x9b2J\u202eevil"


@pytest.mark.slow
def test_names_and_contents_are_shown_and_never_obeyed(go_state: Command) -> None:
    """Markup is text, and what a terminal would obey is an escape: in tables, in JSON and in errors."""

    def init() -> gs.Step[str, str]:
        return HOSTILE, ()

    def keep(model: str, msg: str) -> gs.Step[str, str]:
        return model, ()

    with gs.LMDBStore(go_state.folder / "s.lmdb") as store:
        gs.aggregate(gs.Program(init, keep), ["x"], store=store, key=HOSTILE)
        store.journal(HOSTILE, of=str).put(HOSTILE)
    shown = [
        go_state("snapshots", "list", "s.lmdb"),
        go_state("snapshots", "show", "s.lmdb", HOSTILE),
        go_state("journal", "list", "s.lmdb"),
        go_state("journal", "show", "s.lmdb", HOSTILE),
        go_state("journal", "show", "s.lmdb", "other"),
        go_state("journal", "truncate", "s.lmdb", HOSTILE, "0"),
    ]
    assert [code for code, _, _ in shown] == [0, 0, 0, 0, 1, 0]
    printed = "".join(output + error for _, output, error in shown)
    assert {each for each in printed if not each.isprintable()} == {"\n"}
    assert all("[/x][bold]b" in output + error for _, output, error in shown)
    assert json.loads(shown[1][1]) == json.loads(shown[3][1])["message"] == HOSTILE


@pytest.mark.slow
def test_what_is_passed_over_is_said(go_state: Command) -> None:
    """list, show and export tell which messages were skipped, and an import passes over them too."""
    with gs.LMDBStore(go_state.folder / "bot.lmdb") as store:
        store.journal("bot", of=Add).put(Add(100), Add(1000))
    go_state("journal", "skip", "bot.lmdb", "bot", "3")
    assert json.loads(go_state("journal", "list", "bot.lmdb", "--json")[1])[0]["aside"] == {"3": "skipped"}
    assert "3: skipped" in go_state("journal", "list", "bot.lmdb")[1]
    shown = [json.loads(line) for line in go_state("journal", "show", "bot.lmdb", "bot")[1].splitlines()]
    assert [line.get("aside") for line in shown] == [None, None, None, "skipped", None]
    go_state("journal", "export", "bot.lmdb", "bot", "bot.jsonl")
    assert go_state("journal", "import", "other.lmdb", "bot", "bot.jsonl", "bot:counter")[0] == 0
    assert go_state("replay", "bot:counter", "other.lmdb")[1] == '{"count":1007}\n'


def test_an_import_reads_a_pipe(go_state: Command) -> None:
    """Lines come from standard input too, which can be read only once; none enters if one does not fit."""
    lines = go_state("journal", "show", "bot.lmdb", "bot")[1]
    args = ("journal", "import", "other.lmdb", "bot", "-", "bot:counter")
    assert go_state(*args, stdin=lines + '{"at":1}')[0] == 1
    assert go_state(*args, stdin=lines) == (0, "3 messages imported\n", "")
    assert go_state("journal", "show", "other.lmdb", "bot")[1] == lines


@pytest.mark.slow
@pytest.mark.parametrize("at", [2**61, -(2**61), 253402300799_999_999, 1])
def test_every_time_is_shown_and_imported_exactly(go_state: Command, at: int) -> None:
    """To the microsecond; a time that the calendar has no year for is a number."""
    with gs.LMDBStore(go_state.folder / "s.lmdb") as store:
        store.journal("bot", of=Add).inlet.put_dated([Add(1)], [at])
    lines = go_state("journal", "show", "s.lmdb", "bot")[1]
    assert json.loads(lines)["message"] == ["Add", {"by": 1}]
    assert go_state("journal", "import", "other.lmdb", "bot", "-", "bot:counter", stdin=lines)[0] == 0
    assert go_state("journal", "show", "other.lmdb", "bot")[1] == lines


def test_a_few_of_many_journals_are_named(go_state: Command) -> None:
    """An error for people names the way on, not two thousand journals."""
    with gs.LMDBStore(go_state.folder / "s.lmdb") as store:
        for number in range(200):
            store.journal(f"guild {number}", of=Add).put(Add(1))
    for args in (("replay", "bot:counter", "s.lmdb"), ("journal", "show", "s.lmdb", "other")):
        error = go_state(*args)[2]
        assert "200 journals ('guild 0', 'guild 1', 'guild 10', 'guild 100', 'guild 101' and 195 more)" in error
    assert "say which with --name" in go_state("replay", "bot:counter", "s.lmdb")[2]


def test_a_check_runs_nothing_of_the_current_folder(go_state: Command) -> None:
    """The child that reads the file imports what this process would, and no module that happens to lie beside the store."""
    for module in ("lmdb", "struct", "orjson", "json"):
        (go_state.folder / f"{module}.py").write_text("open('ran', 'w')")
    code = "import sys; sys.path.remove(''); import go_state as gs\n"
    code += "with gs.LMDBStore('bot.lmdb') as store: sys.path.insert(0, ''); store.check_damage()"
    ran = subprocess.run([sys.executable, "-c", code], cwd=go_state.folder, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert not (go_state.folder / "ran").exists()


@pytest.mark.parametrize("python", ["", "/bin/true", "/bin/false", "/bin/echo"])
def test_a_check_that_could_not_look_finds_no_damage(go_state: Command, python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no child can read the file, as in an embedded Python, the store is not called corrupt."""
    monkeypatch.setattr(sys, "executable", python)
    with (
        gs.LMDBStore(go_state.folder / "bot.lmdb") as store,
        pytest.raises(gs.errors.StoreUnavailable, match="was not checked"),
    ):
        store.check_damage()
