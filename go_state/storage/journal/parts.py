"""What a journal is made of, put together: each part is given those that it calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from go_state.buffer.log import Log
from go_state.storage.journal.commit.flush_rules import FlushRules
from go_state.storage.journal.commit.group_commit import GroupCommit
from go_state.storage.journal.commit.in_hand import InHand
from go_state.storage.journal.commit.lease_holder import LeaseHolder
from go_state.storage.journal.commit.lease_queue import LeaseQueue
from go_state.storage.journal.commit.writer import Writer
from go_state.storage.journal.message_type import MessageType
from go_state.storage.journal.run_record import RunRecord
from go_state.storage.journal.tail import Positions, Tail
from go_state.storage.records.lease import IfHeld, Lease
from go_state.storage.records.records import Records
from go_state.system.own_thread import OwnThread

Msg = TypeVar("Msg")


@dataclass(frozen=True, slots=True)
class Parts(Generic[Msg]):
    """The parts of one journal that know each other."""

    records: Records
    log: Log[Msg]
    tail: Tail[Msg]
    kind: MessageType[Msg]
    run_record: RunRecord
    positions: Positions
    lease: LeaseHolder
    stage: GroupCommit[Msg]
    in_hand: InHand[Msg]
    writer: Writer[Msg]


def assemble(
    records: Records,
    lease: Lease,
    if_held: IfHeld,
    *,
    at_once: bool,
    before: Callable[[], object] | None,
    let_go: Callable[[], object],
) -> Parts[Msg]:
    """Return the parts of a journal. Nothing is read: `before` is called at the first look at the disk, `let_go` at the end."""
    aside: dict[int, str] = {}  # what was set aside since the last flush; the log's lock guards it
    kind: MessageType[Msg] = MessageType(records, aside)
    tail: Tail[Msg] = Tail(records, kind.decode_as_far)
    log: Log[Msg] = Log(tail, in_memory=False)
    log.locked_put = True  # until the first put has taken the lease
    positions = Positions(log.cursors)
    run_record = RunRecord(records, log, tail, aside)
    thread = OwnThread(f"go_state journal {records.name}")
    stage: GroupCommit[Msg] = GroupCommit()
    in_hand: InHand[Msg] = InHand(log, tail)
    queue = LeaseQueue(records.name, lease, if_held, records.store.check_usable)
    holder = LeaseHolder(records, log, tail, positions, queue, before=before, taken=lambda: writer.taken(), thread=thread)
    rules: FlushRules[Msg] = FlushRules(
        log, tail, stage, holder, run_record, positions, at_once=at_once
    )  # fmt: skip
    writer: Writer[Msg] = Writer(
        records, log, tail, kind, run_record, in_hand, stage, holder, rules, thread=thread, let_go=let_go
    )  # fmt: skip
    return Parts(records, log, tail, kind, run_record, positions, holder, stage, in_hand, writer)
