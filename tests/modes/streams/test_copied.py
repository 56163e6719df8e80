"""State that moves: an LMDB file for each partition on each machine, with copies in an object store."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from streams_support import TALLY, Add, Tally, begin, key_of, log_of, update

import go_state as gs
from go_state.core.errors import Corrupt, StoreUnavailable
from go_state.modes.aggregate.partitions import holder
from go_state.storage.backends.objects.client import Objects
from go_state.storage.backends.objects.copies import Copies
from go_state.storage.backends.objects.held_file import HeldFile
from go_state.storage.backends.objects.store import CopiedStore
from go_state.testing.streams.log import LogSource
from go_state.testing.streams.members import Member

LATER = gs.Snapshots(seconds=1e6)
SEVERAL = gs.Snapshots(every=2)


@dataclass
class Machines:
    """Stores of machines that share nothing but the copies; each has a folder of its own."""

    folder: Path
    stack: ExitStack

    @property
    def copies(self) -> Path:
        return self.folder / "copies"

    def store(self, name: str, every: float = 1e6) -> CopiedStore:
        return self.stack.enter_context(gs.CopiedStore(self.folder / name, self.copies, every=every))

    def objects(self, kind: str = "copies") -> list[Path]:
        return sorted(self.copies.rglob(f"{kind}/*"))


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    with ExitStack() as stack:
        yield Machines(tmp_path, stack)


def member(source: LogSource[Add], store: Any, program: Any = TALLY, **options: Any) -> Member[Tally, Add]:
    return Member(program, source, store=store, key=key_of, **{"snapshots": SEVERAL, **options})


def holding(source: LogSource[Add], store: Any, *partitions: str, polls: int = 2, **options: Any) -> Member[Tally, Add]:
    """Return a member that was given the partitions, and has read them."""
    one = member(source, store, **options)
    one.reading.tell("assigned", *partitions)
    one.step(polls)
    return one


def counts(store: Any) -> dict[str, int]:
    models = {key: gs.load_model(TALLY, store=store, key=key) for key in store.keys("p")}
    return {key: model.count for key, model in models.items() if model is not None}


# -------------------------------------------------------------------- moving


def test_a_partition_moves_with_its_state(machines: Machines) -> None:
    """What was saved is copied when it is given back, and the next machine reads on from there."""
    log = log_of(2, 5, keys=2)
    source = log.source(alone=False)
    one = holding(source, machines.store("a"), "0", "1")
    one.reading.tell("revoked", "0")
    one.step()
    log.put("0", Add("p0k1", 2))
    store = machines.store("b")
    two = holding(source, store, "0")
    assert two.close().processed == 1
    assert counts(store) == {"p0k0": 3, "p0k1": 3}
    assert one.close().positions == {"0": 4, "1": 4}


def test_a_hand_over_waits_for_no_copy_that_is_late(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object store that does not answer holds the first partition alone: the engine waits for all of them."""
    source = log_of(4, 4).source(alone=False)
    store = machines.store("a")
    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr(holder, "time", clock)  # that of the hand-overs alone
    now = 0.0
    one = holding(source, store, "0", "1", "2", "3", polls=4, hand_over=30)
    for partition in source.log.records:
        source.log.put(partition, Add(f"p{partition}k0", 4))
    tried: list[str] = []

    def copy(file: HeldFile) -> None:
        nonlocal now
        tried.append(file.path)
        now += 31  # longer than a hand-over may take
        raise StoreUnavailable("no answer")

    monkeypatch.setattr(HeldFile, "copy", copy)
    one.step(2)
    one.reading.tell("revoked", "0", "1", "2")
    one.step()
    assert len(tried) == 1
    one.reading.tell("ended", "3")
    one.step(2)
    assert len(tried) == 2
    assert one.close().positions == dict.fromkeys("0123", 4)


def test_what_was_saved_after_the_newest_copy_is_read_again(machines: Machines) -> None:
    """A machine that is gone has left a copy, and its successor comes to the same state from the stream."""
    log = log_of(1, 4)
    source = log.source(alone=False, at_once=2)
    lost = machines.store("a")
    one = holding(source, lost, "0", polls=5)
    log.put("0", Add("p0k0", 4), Add("p0k0", 5))
    one.step(3)
    one.crash()
    assert counts(lost) == {"p0k0": 6}
    assert len(machines.objects()) == 1  # of the first save
    store = machines.store("b")
    two = holding(source, store, "0", polls=6)
    assert two.close().processed == 4
    assert counts(store) == {"p0k0": 6}


def test_a_machine_that_comes_back_has_its_own_file(machines: Machines) -> None:
    """If nobody has copied anything since, nothing is fetched, and nothing is read again."""
    log = log_of(1, 6)
    source = log.source(alone=False)
    with gs.CopiedStore(machines.folder / "a", machines.copies, every=1e6) as store:
        holding(source, store, "0", polls=6).crash()
    for copy in machines.objects():
        copy.unlink()
    store = machines.store("a")
    assert holding(source, store, "0").close().processed == 0
    assert counts(store) == {"p0k0": 6}


def test_copies_are_made_while_it_is_written_to(machines: Machines) -> None:
    """Every so many seconds, of what has changed; the newest two are kept."""
    log = log_of(1, 0)
    store, stop = machines.store("a", every=0.02), gs.StopSwitch()
    seen: set[str] = set()

    def committed(changed: object, position: dict[str, int]) -> None:
        seen.update(path.name for path in machines.objects())
        if len(seen) > 4:
            stop.set()
        else:
            log.put("0", Add("p0k0", position["0"] + 1))

    log.put("0", Add("p0k0", 0))
    options: Any = {"snapshots": gs.Snapshots(every=1), "on_commit": committed, "budget": 30}
    result = gs.aggregate(TALLY, log.source(), store=store, key=key_of, stop=stop, **options)
    assert result.ended == "stopped"
    assert result.models["p0k0"].count == result.processed
    assert len(machines.objects()) == 2


def test_positions_are_acknowledged_when_there_is_a_copy_to_read_on_from(machines: Machines) -> None:
    """The first save of a partition waits for its first copy; what fails there is not told to the engine."""
    source = log_of(1, 4).source(alone=False, at_once=2)
    one = holding(source, machines.store("a"), "0", polls=1, snapshots=LATER)
    assert machines.objects() == []
    one.close()
    assert len(machines.objects()) == 1
    with gs.CopiedStore(machines.folder / "c", machines.folder / "unwritable", every=1e6) as store:
        other = member(log_of(1, 2).source(alone=False), store)
        other.reading.tell("assigned", "0")
        other.step(1)
        for path in machines.folder.glob("unwritable/**/copies"):
            raise AssertionError(path)
        place = next((machines.folder / "unwritable").rglob("claims")).parent
        (place / "copies").write_bytes(b"a file in the folder's place")
        with pytest.raises(StoreUnavailable, match="could not be written"):
            other.step(3)
        assert other.reading.acknowledged == {}


@pytest.fixture
def silent() -> Iterator[Any]:
    """Give an object store whose server takes connections and says nothing."""
    from obstore.store import S3Store

    with socket.create_server(("127.0.0.1", 0)) as server:
        where = f"http://127.0.0.1:{server.getsockname()[1]}"
        access = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region": "c"}
        yield S3Store("shops", endpoint=where, client_options={"allow_http": True}, **access)


def test_an_object_store_that_does_not_answer_is_told(machines: Machines, silent: Any) -> None:
    """A partition is not begun with, and the error says for how long the answer was waited for."""
    with gs.CopiedStore(machines.folder / "a", silent, timeout=0.05) as store:
        source = log_of(1, 4).source(alone=False)
        with pytest.raises(StoreUnavailable, match=r"could not be listed in the object store .*: no answer in 0\.05 s"):
            holding(source, store, "0")


CALLS: dict[str, Callable[[Objects, str], object]] = {
    "make": lambda objects, file: objects.make("a", b"1"),
    "put_file": lambda objects, file: objects.put_file("a", file),
    "get": lambda objects, file: list(objects.get("a")),
    "names": lambda objects, file: objects.names("a"),
    "delete": lambda objects, file: objects.delete(["a"]),
}


@pytest.mark.parametrize("call", CALLS)
def test_each_call_is_given_up(tmp_path: Path, silent: Any, call: str) -> None:
    """It raises what a call raises that fails, so that what tries it again does so."""
    file = tmp_path / "file"
    file.write_bytes(b"1")
    with pytest.raises(StoreUnavailable, match=r"no answer in 0\.05"):
        CALLS[call](Objects(silent, 0.05), str(file))


def test_a_folder_that_hangs_is_given_up(tmp_path: Path) -> None:
    """As one of a network whose server is gone; here an object is a pipe that nobody writes to."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    try:
        with pytest.raises(StoreUnavailable, match=r"pipe could not be read .*: no answer in 0\.05 s"):
            list(Objects(tmp_path, 0.05).get("pipe"))
    finally:
        os.close(os.open(pipe, os.O_RDWR))  # so that the call ends


def test_a_copy_that_was_given_up_is_made_at_the_next_time(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says so, and whoever has the partition next comes to the same."""
    hung, copied, put, log = threading.Event(), threading.Event(), Objects.put_file, log_of(1, 2)

    def put_file(self: Objects, name: str, path: str) -> None:
        if threading.current_thread().name != "go_state copies":
            put(self, name, path)
        elif not hung.is_set():
            hung.set()
            raise StoreUnavailable("no answer in 200 s")
        else:
            put(self, name, path)
            copied.set()

    one = holding(log.source(alone=False), machines.store("a", every=0.01), "0", polls=3)
    monkeypatch.setattr(Objects, "put_file", put_file)
    log.put("0", Add("p0k0", 2), Add("p0k0", 3))
    one.step(3)
    assert copied.wait(30)
    one.crash()
    assert "could not be copied, and will be in 0.01 s: no answer in 200 s" in caplog.text
    store = machines.store("b")
    holding(log.source(alone=False), store, "0").close()
    assert counts(store) == {"p0k0": 4}


# -------------------------------------------------------------------- fences


def test_a_late_copy_of_a_zombie_does_not_win(machines: Machines) -> None:
    """However late it comes and however far it has read: the copies of a later holder come before it."""
    log = log_of(1, 4)
    source = log.source(alone=False)
    one = holding(source, machines.store("a"), "0", polls=4)
    late = machines.objects()[0]
    two = holding(source, machines.store("b"), "0", polls=4)
    log.put("0", Add("p0k0", 4))
    two.step(2)
    assert two.close().processed == 3  # its copy is of the first save, after two messages
    newest = machines.objects()[-1]
    epoch, number, rest = late.name.split("-")
    assert newest.name > f"{epoch}-{number}"
    late.rename(late.with_name(f"{epoch}-0000999999-{rest}"))  # which the object store shows only now
    store = machines.store("c")
    assert holding(source, store, "0").close().processed == 0
    assert counts(store) == {"p0k0": 5}
    one.crash()


def test_a_zombie_is_fenced_at_its_next_copy(machines: Machines) -> None:
    """It copies nothing, saves nothing more, and asks the engine before it claims again."""
    log, told = log_of(1, 4), Told()
    source = log.source(alone=False)
    store = machines.store("a")
    one = holding(source, store, "0", polls=4, observe=told)
    two = holding(source, machines.store("b"), "0", polls=4)
    one.reading.owned.discard("0")
    log.put("0", Add("p0k0", 4), Add("p0k0", 5))
    before = machines.objects()
    for file in store.of_source(("Tally",), "log").held:
        file.copy()
    one.step(4)
    assert machines.objects() == before
    assert [event.partition for event in told.events if isinstance(event, gs.observe.PartitionFenced)] == ["0"]
    assert one.reading.asked == ["0"]
    two.step(4)
    two.close()
    one.close()
    assert counts(machines.store("c")) == {}


class Told:
    def __init__(self) -> None:
        self.events: list[gs.observe.Event] = []

    def on_event(self, event: gs.observe.Event) -> None:
        self.events.append(event)


def test_a_partition_that_a_failed_aggregate_has_left_open_is_begun_with_anew(machines: Machines) -> None:
    """If another machine has had it meanwhile: what lies here is old, and nothing can be saved there any more."""
    log = log_of(2, 4)
    source = log.source(alone=False)
    store = machines.store("a")
    place = machines.copies / "Tally" / "log" / "1"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"a file in the folder's place")
    with pytest.raises(StoreUnavailable):
        holding(source, store, "0", "1")
    holding(source, machines.store("b"), "0", polls=4).close()
    for file in store.of_source(("Tally",), "log").held:
        file.copy()
    assert holding(source, store, "0").close().processed == 0
    assert counts(store) == {"p0k0": 4}


def test_claims_are_made_by_one_alone(machines: Machines) -> None:
    """Whoever begins with a partition has the next epoch, also if others try at once."""
    source = log_of(1, 2).source(alone=False)
    for number, name in enumerate("abc", start=1):
        one = holding(source, machines.store(name), "0", polls=3)
        assert [path.name for path in machines.objects("claims")][-1] == f"{number:010d}"
        one.crash()


def test_an_epoch_whose_claim_was_deleted_is_not_claimed_again(tmp_path: Path) -> None:
    """Whoever was slow would have the epoch of another, below that of a third."""
    file = tmp_path / "file"
    file.write_bytes(b"models")

    class Slow(Objects):
        def make(self, name: str, data: bytes) -> bool:
            if name.endswith("/claims/0000000001"):
                others = Copies(Objects(tmp_path / "copies"), ["p"])
                assert [others.claim("one", 0), others.claim("two", 0)] == [1, 2]
                others.add(2, 1, str(file))
            return super().make(name, data)

    assert Copies(Slow(tmp_path / "copies"), ["p"]).claim("slow", 0) == 3


# -------------------------------------------------------------------- copies that are not whole


def test_a_damaged_copy_is_passed_over(machines: Machines, caplog: pytest.LogCaptureFixture) -> None:
    """The one before it is taken, and that is said; if there is none left it raises, and nothing begins anew."""
    log = log_of(1, 4)
    source = log.source(alone=False)
    one = holding(source, machines.store("a"), "0", polls=4)
    log.put("0", Add("p0k0", 4), Add("p0k0", 5))
    one.step(3)
    one.close()
    first, second = machines.objects()
    second.write_bytes(second.read_bytes()[:-4096])
    store = machines.store("b")
    two = holding(source, store, "0", polls=4)
    assert "is damaged, and the one before it is taken" in caplog.text
    assert counts(store) == {"p0k0": 6}
    two.crash()
    for copy in machines.objects():
        copy.write_bytes(b"")
    with pytest.raises(Corrupt, match="each copy of the partition is damaged"):
        holding(source, machines.store("c"), "0")
    assert first.exists()


CHILD = """
import sys
sys.path[:0] = sys.argv[1:3]
from modes.streams.test_copied import work
import go_state as gs
gs.testing.crash_at(sys.argv[5], int(sys.argv[6]))
work(*sys.argv[3:5])
"""


def work(folder: Path | str, copies: Path | str, most: int = 40) -> None:
    """Read 40 messages of 2 partitions, of which no more than `most` are still to be read, and copy all the time."""
    with gs.CopiedStore(folder, copies, every=0.001) as store:
        result = gs.aggregate(TALLY, log_of(2, 20).source(ends=True, at_once=3), store=store, key=key_of, snapshots=SEVERAL)
        assert {key: model.count for key, model in result.models.items()} == {"p0k0": 20, "p1k0": 20}
    assert result.processed <= most


def _killed(folder: Path, copies: Path, point: str, nth: int) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[3]
    arguments = [str(root), str(root / "tests"), str(folder), str(copies), point, str(nth)]
    return subprocess.run([sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize(
    ("point", "nth"), [("before-upload", 1), ("before-upload", 4), ("after-upload", 2), ("before-exchange", 2)]
)
def test_a_kill_at_an_upload_leaves_whole_copies(tmp_path: Path, point: str, nth: int) -> None:
    """The next machine, or the same one again, comes to the same state, whatever was left; and begins where a copy was made."""
    copies = tmp_path / "copies"
    died = _killed(tmp_path / "a", copies, point, nth)
    assert died.returncode == -signal.SIGKILL, died.stderr
    for path in copies.rglob("copies"):  # and what an upload that was cut short leaves in a folder
        (path / "0000000001-0000000009-00000000000000000000000000000000.lmdb#1").write_bytes(b"half")
    work(tmp_path / "b", copies, most=40)
    work(tmp_path / "a", copies, most=0)


# -------------------------------------------------------------------- what is refused


def _refusing(commands: Callable[[Add], Any]) -> gs.Program[Tally, Add]:
    return gs.Program(begin, lambda model, msg: (update(model, msg)[0], commands(msg)), name="Tally")


BRINGS: dict[str, Callable[[Add], Any]] = {
    "ok": lambda msg: [gs.Cmd.call(int, ok=lambda _: None)],
    "err": lambda msg: [gs.Cmd.call(int, err=lambda _: None)],
    "after": lambda msg: [gs.Cmd.after(0.0, msg)],
    "a result": lambda msg: [gs.Cmd.call(lambda: msg)],
    "a bare callable's": lambda msg: [lambda: msg],
    "nested": lambda msg: [gs.Cmd.seq(gs.Cmd.all(gs.Cmd.map([gs.Cmd.call(int, ok=str)], str)[0]))],
    "behind a call": lambda msg: [gs.Cmd.seq(gs.Cmd.all([].clear), gs.Cmd.map([gs.Cmd.send(msg)], Add, "sent")[0])],
    "a thread's": lambda msg: [gs.Cmd.call(lambda: msg, thread=True)],
}


@pytest.mark.parametrize("what", BRINGS)
def test_commands_that_bring_messages_are_refused(machines: Machines, what: str) -> None:
    """The reason is in the error, and nothing of the message is saved."""
    store = machines.store("a")
    program: Any = gs.Program(begin, _annotated(lambda model, msg: (update(model, msg)[0], BRINGS[what](msg))), name="Tally")
    with pytest.raises(gs.UsageError, match="models that follow from the stream alone"):
        gs.aggregate(program, log_of(1, 1).source(ends=True), store=store, key=key_of)
    assert counts(store) == {}


def test_what_is_sent_wherever_a_model_is_loaded_is_refused(machines: Machines) -> None:
    """It would come again on each machine; an effect may."""
    log, did = log_of(1, 1), list[int]()
    asked: list[Any] = [gs.Cmd.send(Add("sent", 0))]
    program = gs.Program(begin, update, name="Tally", on_restore=lambda model: asked)
    store = machines.store("a")
    gs.aggregate(program, log.source(ends=True), store=store, key=key_of)
    log.put("0", Add("p0k0", 1))
    with pytest.raises(gs.UsageError, match="on_restore sends"):
        gs.aggregate(program, log.source(ends=True), store=store, key=key_of)
    asked[:] = [lambda: did.append(1)]
    assert gs.aggregate(program, log.source(ends=True), store=store, key=key_of).processed == 1
    assert did == [1]


def test_many_copies_of_one_holder_are_in_order(machines: Machines) -> None:
    """One a second is a million in twelve days."""
    log = log_of(1, 2)
    source = log.source(alone=False)
    store = machines.store("a")
    one = holding(source, store, "0", polls=4)
    (file,) = store.of_source(("Tally",), "log").held
    file._number = 999_999
    log.put("0", Add("p0k0", 2), Add("p0k0", 3))
    one.step(3)
    one.close()
    assert holding(source, machines.store("b"), "0").close().processed == 0


def _annotated(fn: Any) -> Any:
    fn.__annotations__ = {"model": Tally, "msg": Add, "return": tuple}
    return fn


def test_commands_that_bring_nothing_are_performed(machines: Machines) -> None:
    """In the turn or after it, bare or nested; what a turn sends itself follows from its message."""
    did: list[str] = []

    def busy(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
        if msg.key == "sent":
            return Tally(model.count + 1, msg.n), ()
        noted = [gs.Cmd.call(did.append, "called"), lambda: did.append("bare"), gs.Cmd.call(did.append, "thread", thread=True)]
        return update(model, msg)[0], [*noted, gs.Cmd.seq(gs.Cmd.call(did.append, "in order")), gs.Cmd.send(Add("sent", msg.n))]

    store = machines.store("a")
    program = gs.Program(begin, busy, name="Tally")
    result = gs.aggregate(program, log_of(1, 2).source(ends=True), store=store, key=key_of)
    assert sorted(did) == sorted(["called", "bare", "thread", "in order"] * 2)
    assert result.models["sent"].count == 2


def test_what_does_not_follow_from_the_stream_is_refused(machines: Machines) -> None:
    """A turn's time and chance; one model; a source without an engine; leases; letters; a folder that is in use; no number of seconds."""
    store = machines.store("a")

    def turned(model: Tally, msg: Add, turn: gs.Turn) -> gs.Step[Tally, Add]:
        return model, ()

    with pytest.raises(gs.UsageError, match="takes the turn"):
        gs.aggregate(gs.Program(begin, turned, name="T"), log_of(1, 1).source(ends=True), store=store, key=key_of)
    with pytest.raises(gs.UsageError, match="a file of its own"):
        gs.aggregate(TALLY, [Add("k", 0)], store=store, key=key_of)
    with pytest.raises(gs.UsageError, match="needs a store that all workers share"):
        store.of_source(("Tally",), "log").of("3")
    with pytest.raises(StoreUnavailable, match="in use by another process"):
        gs.CopiedStore(machines.folder / "a", machines.copies)
    for wrong in (0, -1, float("inf"), "300", True):
        with pytest.raises(gs.UsageError, match="every="):
            gs.CopiedStore(machines.folder / "b", machines.copies, every=wrong)  # type: ignore[arg-type]
        with pytest.raises(gs.UsageError, match="timeout="):
            gs.CopiedStore(machines.folder / "b", machines.copies, timeout=wrong)  # type: ignore[arg-type]
    with pytest.raises(gs.UsageError, match="grown="):
        gs.CopiedStore(machines.folder / "b", machines.copies, grown="read")  # type: ignore[arg-type]
    with pytest.raises(gs.UsageError, match="copies= is a URL"):
        gs.CopiedStore(machines.folder / "b", "nowhere://bucket")


def test_it_is_used_in_its_block(machines: Machines) -> None:
    """Afterwards it says so, its folder is free, and nothing of it runs."""
    with gs.CopiedStore(machines.folder / "a", machines.copies) as store:
        gs.aggregate(TALLY, log_of(1, 1).source(ends=True), store=store, key=key_of)
    with pytest.raises(StoreUnavailable, match="is closed"):
        store.load("p0k0")
    store.close()
    assert counts(machines.store("a")) == {"p0k0": 1}


def test_where_a_topic_is_entered_is_agreed_on(machines: Machines) -> None:
    """Records that all workers share are in the object store: one of two who write at once is told that it was not the first."""
    one, two = machines.store("a"), machines.store("b")
    key = "@starts/orders/shops"
    assert one.load(key) is None
    assert one.store({key: gs.abc.Write(b"at 5", 0)}) == {key: 1}
    with pytest.raises(gs.Conflict):
        two.store({key: gs.abc.Write(b"at 7", 0)})
    assert two.load(key) == gs.abc.Stored(b"at 5", 1)
    assert two.store({key: gs.abc.Write(b"made anew", 1)}) == {key: 2}
    assert one.load(key) == gs.abc.Stored(b"made anew", 2)


@pytest.mark.slow
def test_copies_move_on_an_event_loop(machines: Machines) -> None:
    """The files are used in the thread of the store."""
    import asyncio

    log = log_of(3, 5)
    for name in ("a", "b"):
        store = machines.store(name)
        aggregated = gs.aggregate_async(TALLY, log.source(ends=True), store=store, key=key_of, snapshots=SEVERAL)
        result = asyncio.run(aggregated)
        assert result.processed == (15 if name == "a" else 0)
        assert counts(store) == {"p0k0": 5, "p1k0": 5, "p2k0": 5}


@gs.stored_as("Sum", was=("Tally",))
@dataclass(frozen=True)
class Sum:
    count: int = 0
    last: int = -1


def test_a_renamed_program_has_its_copies(machines: Machines) -> None:
    """They are found under the name that its model had."""

    def add(model: Sum, msg: Add) -> gs.Step[Sum, Add]:
        return Sum(model.count + 1, msg.n), ()

    log = log_of(1, 3)
    gs.aggregate(gs.Program(begin, update), log.source(ends=True), store=machines.store("a"), key=key_of)
    log.put("0", Add("p0k0", 3))
    renamed = gs.Program(lambda: (Sum(), ()), add)
    result = gs.aggregate(renamed, log.source(ends=True), store=machines.store("b"), key=key_of)
    assert (result.processed, result.models["p0k0"]) == (1, Sum(4, 3))
