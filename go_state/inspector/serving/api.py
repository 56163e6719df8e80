"""The API: what the page asks, and what it is answered. Nothing here changes anything in the store or the app."""

from __future__ import annotations

import json
import secrets
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from go_state.core.errors import UsageError
from go_state.inspector.looking.filters import Filter
from go_state.inspector.looking.moment import FoldFails, why
from go_state.inspector.looking.records import Line
from go_state.inspector.looking.shown import diff_of, difference
from go_state.inspector.looking.subject import SLOW
from go_state.inspector.looking.timeline import within
from go_state.inspector.serving.known import add_known
from go_state.inspector.serving.streams import Tell
from go_state.inspector.trying.edited import codec_of, edits_of
from go_state.inspector.trying.exports import as_lines, as_test
from go_state.inspector.trying.expressions import Condition
from go_state.inspector.trying.finding import first_where
from go_state.inspector.trying.fixing import Fixing
from go_state.inspector.trying.fresh import fresh_program, import_name, module_and_name
from go_state.inspector.trying.what_if import what_if
from go_state.inspector.values.parts import part_at
from go_state.inspector.values.text import shown
from go_state.inspector.values.tree import PAGE, Trees
from go_state.inspector.worlds.world import SomeSubject, Summary, World

T = TypeVar("T")
Json = dict[str, object]

_ROWS = 1000
_BUCKETS = 2000
_TURNS = 500  # whose commands are counted at once
_TOLD = 200  # messages that come out differently and are told one by one
_SOON = 0.1  # seconds between two words of progress


class Api:
    """Answers about the subjects of one world. `where` is the module and name of its program, if that can be imported."""

    def __init__(self, world: World, where: tuple[str, str] | None = None) -> None:
        self.world = world
        self._where = where
        self._served = secrets.token_hex(8)  # tells this run of the server from another at the same address
        self._fixed: dict[str, Any] = {}  # by subject: the program as its file said at the last comparison

    def about(self) -> Json:
        """Return what is looked at."""
        world = self.world
        return {
            "program": None if world.program is None else shown(world.program, 200),
            "store": None if world.store is None else shown(world.store, 300),
            "live": world.is_live,
            "served": self._served,
            "version": getattr(sys.modules["go_state"], "__version__", ""),
        }

    # ------------------------------------------------------------------ subjects

    def subjects(self, search: str, after: str, limit: int) -> Json:
        """Return some of the subjects."""
        page = self.world.page(search, after, min(max(limit, 1), 500))
        return {"items": [as_json(each) for each in page.items], "next": page.next, "total": page.total}

    def subject(self, subject: SomeSubject) -> Json:
        """Return what is known of a subject, and begin to make its timeline."""
        subject.begin()
        if subject.timeline.is_complete:
            subject.timeline.grow()
        begins, ends = subject.times()
        indexed = subject.indexed()
        keyframes = subject.keyframes()
        few = keyframes[:: max(len(keyframes) // 1000, 1)][:1000]
        counts = [{"name": name, "count": count} for name, count in subject.timeline.counts()]
        found: Json = as_json(self.world.summary(subject))
        return {**found, "types": counts, "begins": begins, "ends": ends, "indexed": indexed, "keyframes": few,
                "models": subject.moments is not None, "keys": subject.is_of_keys}  # fmt: skip

    def strip(self, subject: SomeSubject, start: int | None, end: int | None, buckets: int) -> Json:
        """Return the messages at a glance."""
        first, last = subject.span()
        start, end = first if start is None else max(start, first), last if end is None else min(end, last)
        subject.begin()
        if subject.timeline.is_complete:
            subject.timeline.grow()
        strip = subject.timeline.strip(start, end, min(max(buckets, 1), _BUCKETS))
        slow, failed = (within(marks, strip.positions, end) for marks in (subject.known.slower(SLOW), subject.set_aside()))
        return {"from": start, "to": end, "position": strip.positions, "count": strip.counts, "time": strip.times, "slow": slow,
                "failed": failed, "types": {}}  # fmt: skip

    # ------------------------------------------------------------------ messages

    def rows(
        self, subject: SomeSubject, wanted: Filter, start: int | None, index: int | None, count: int, *, backward: bool
    ) -> Json:
        """Return messages as rows: from a position on, or of those that pass a filter."""
        count = min(max(count, 1), _ROWS)
        first, end = subject.span()
        if wanted.is_empty:
            begin = first if start is None else start
            begin = max(begin - count, first) if backward else begin
            lines = subject.lines(begin, count)
            following = begin + len(lines)
            return {
                "rows": self._rows(subject, lines),
                "next": following if following < end else None,
                "scanned": len(lines),
                "total": end - first,
            }
        if index is None and start is not None:
            found = subject.after(wanted, start, count, backward=backward)
        else:
            found = subject.found(wanted, max(index or 0, 0), count)
        return {"rows": self._rows(subject, found.lines), "next": found.next, "scanned": found.scanned, "total": found.total,
                "index": found.number, "found": found.found}  # fmt: skip

    def row_at(self, subject: SomeSubject, time: float) -> Json:
        """Return the row of the first message that entered at a time, or later."""
        subject.timeline.grow()
        lines = subject.lines(subject.timeline.position_of(time), 1)
        return {"rows": self._rows(subject, lines), "next": None, "scanned": len(lines), "total": None}

    def _rows(self, subject: SomeSubject, lines: Iterable[Line]) -> list[Json]:
        aside, keyframes = subject.set_aside(), set(subject.keyframes())
        return [_row(line, subject.known.seconds(line.position), subject.badges(line, aside, keyframes)) for line in lines]

    def turns(self, subject: SomeSubject, start: int, count: int) -> Json:
        """Return what the turns of some rows have asked for, which takes a fold, and so is not a part of the rows."""
        first, end = subject.span()
        start, end = max(start, first), min(start + min(max(count, 1), _TURNS), end)
        try:
            asked = {} if subject.moments is None or start >= end else subject.moments.asked(start, end)
        except FoldFails:  # which the moment says
            asked = {}
        except Exception:
            if not self._is_forgotten(subject, start):
                raise
            asked = {}
        failed = subject.known.failed(asked)
        found: dict[str, object] = {}
        for position, each in asked.items():
            marks = {"failed": each.error is not None, "denied": each.is_denied, "command failed": position in failed}
            found[str(position)] = {"commands": each.commands, "badges": [name for name, holds in marks.items() if holds]}
        return {"turns": found}

    def at(self, subject: SomeSubject, position: int, *, newest: bool = False) -> Json:
        """Return a moment; of one that is forgotten that it is gone, or, if that is asked for, the `newest` in its place.

        What an app without a store does is forgotten while it is looked at: it is no mistake to ask for it.
        """
        first, end = subject.span()
        if newest and position < first < end:
            position = end - 1
        gone: Json = {"gone": True, "position": position}
        try:
            _check_there(subject, position)
            found = self._moment(subject, position)
        except Exception:
            if self._is_forgotten(subject, position):
                return gone
            raise
        return gone if self._is_forgotten(subject, position) else found

    def _is_forgotten(self, subject: SomeSubject, position: int) -> bool:
        """Return whether the message is one of those before what is kept."""
        return position < subject.span()[0]

    def _moment(self, subject: SomeSubject, position: int) -> Json:
        if subject.shown is None:
            return self._without_model(subject, position)
        found = subject.shown.moment(subject.needed().at(position))
        add_known(found, subject, position, self.world.now(subject))
        return found

    def _without_model(self, subject: SomeSubject, position: int) -> Json:
        """Return a moment of which only the message is known."""
        entry = next(iter(subject.history.entries(position, position + 1)))
        kind = next(iter(subject.records.lines(position, position + 1))).kind
        message = entry.message[1] if isinstance(entry.message, list) and len(entry.message) == 2 else entry.message
        return {"position": position, "time": entry.at, "type": kind, "message": Trees(subject.redaction).tree(message), "before": None,
                "after": None, "diff": [], "more_diff": 0, "commands": [], "subscriptions": {"begun": [], "ended": [], "kept": []},
                "turn": {"time": entry.at, "number": position, "seconds": None, "badges": []}, "recorded": False, "from": None,
                "error": None, "denied": None}  # fmt: skip

    def tree(self, subject: SomeSubject, position: int, of: str, path: str, start: int, count: int) -> Json:
        """Return a part of a model or message, with its children from a number on."""
        _check_there(subject, position)
        if of not in ("before", "after", "message"):
            raise UsageError('of= is "before", "after" or "message"')
        steps = _json(path, list, "path= is a list of steps, as JSON")
        if subject.moments is None:
            entry = next(iter(subject.history.entries(position, position + 1)))
            value: object = entry.message[1] if isinstance(entry.message, list) and len(entry.message) == 2 else entry.message
            before: object = value
        else:
            moment = subject.moments.at(position)
            value = {"before": moment.before, "after": moment.after}.get(of, moment.entry.message)
            before = moment.before if of == "after" else value
        return _part(subject, value, before, steps, max(start, 0), min(max(count, 1), PAGE))

    def message(self, subject: SomeSubject, position: int) -> Json:
        """Return a message as JSON for the editor."""
        from msgspec.json import format as formatted

        _check_there(subject, position)
        if not subject.redaction.is_empty:
            raise UsageError("fields are hidden here, and a message without them cannot be edited")
        if subject.opened is None:
            raise UsageError("there is no program to try it with: give it as module:program")
        entry = next(iter(subject.history.entries(position, position + 1)), None)
        if entry is None or entry.message is None:
            raise UsageError("the message was emptied, or cannot be read")
        return {"json": formatted(codec_of(subject.opened).encode(entry.message), indent=2).decode()}

    # ------------------------------------------------------------------ trying

    def what_if(self, subject: SomeSubject, given: object, until: int | None) -> Callable[[Tell], None]:
        """Return what folds what would have been, tells how far it is, and then what came of it."""
        first, end = subject.span()
        last = end if until is None else min(until, end)
        moments = subject.needed()
        edits = edits_of(moments.opened, given, first, end)

        def work(tell: Tell) -> None:
            tried = what_if(moments, edits, last, _progress(tell, last), subject.redaction)
            diff, more = diff_of(tried.was, tried.is_now, subject.redaction)
            parted = None if tried.parted is None else {"position": tried.parted[0], "path": shown(tried.parted[1], 500)}
            after = Trees(subject.redaction).tree(tried.is_now, (), tried.was)
            found = {
                "until": last,
                "after": after,
                "diff": diff,
                "more_diff": more,
                "first": parted,
                "messages": tried.messages,
            }
            tell("done", found)

        return work

    def find(self, subject: SomeSubject, where: str, start: int) -> Callable[[Tell], None]:
        """Return what looks for the first message where something is true, and tells how far it is."""
        condition = Condition(where, subject.redaction)
        subject.needed()

        def work(tell: Tell) -> None:
            position = first_where(subject, condition, start, _progress(tell, subject.span()[1]))
            tell("none", {}) if position is None else tell("found", {"position": position})

        return work

    def fix(self, subject: SomeSubject, start: int | None) -> Callable[[Tell], None]:
        """Return what compares the program as it is with what its file says now, and tells what it finds: of all messages, or of those
        from the nearest model on that was kept before the position `start`.
        """
        moments = subject.needed()
        where = self._where or module_and_name(moments.opened.program)

        def work(tell: Tell) -> None:
            new = fresh_program(where)
            key = subject.what.key if subject.what.kind == "journal" else None
            fixing = Fixing(subject, moments.opened, new, key, start)
            self._fixed[subject.what.id] = fixing.program
            end = subject.span()[1]
            progress = _progress(tell, end)
            agrees = fixing.agrees(progress)
            for parted in fixing.parted(end, progress):
                if fixing.differ <= _TOLD:
                    fields = [difference(each, subject.redaction) for each in parted.fields[:1]]
                    field = fields[0] if fields else {"path": "", "before": None, "after": None}
                    tell("found", {"position": parted.position, "type": shown(parted.kind, 80), **field})
            by_field = {shown(path, 200): count for path, count in fixing.by_field.most_common(50)}
            done = {"messages": fixing.messages, "differ": fixing.differ, "by_field": by_field, "from": fixing.start}
            tell("done", {**done, "agrees": agrees})

        return work

    def export(
        self, subject: SomeSubject, kind: str, edits: str, start: int | None, until: int | None, *, fixed: bool
    ) -> tuple[str, Iterator[bytes]]:
        """Return the name of a file and its contents."""
        first, end = subject.span()
        until = end if until is None else min(max(until, first), end)
        given = _json(edits or "[]", list, "edits= is a list, as JSON")
        changes = edits_of(subject.needed().opened, given, first, end) if given else []
        if kind == "jsonl":
            return f"{subject.what.id.lstrip('~')}.jsonl", as_lines(subject, changes, until)
        if kind != "test":
            raise UsageError('as= is "test" or "jsonl"')
        where = import_name(self._where or module_and_name(subject.needed().opened.program))
        program = self._fixed.get(subject.what.id) if fixed else None
        text = as_test(subject, where, program, changes, first if start is None else start, until)
        return "test_run.py", iter([text.encode()])


def said(error: BaseException, *, hidden: bool) -> str:
    """Return what the page is told of an error; of one that is not ours only its class, if something is to be hidden."""
    return shown(error.said(hidden=hidden) if isinstance(error, FoldFails) else why(error, hidden=hidden), 2000)


def as_json(summary: Summary) -> Json:
    """Return what the list says of a subject."""
    return {**summary.what._asdict(), **{name: value for name, value in summary._asdict().items() if name != "what"}}


def _row(line: Line, seconds: float | None, badges: list[str]) -> Json:
    return {
        "position": line.position,
        "time": line.at,
        "type": line.kind,
        "text": line.text,
        "seconds": seconds,
        "commands": None,
        "badges": badges,
    }


def _check_there(subject: SomeSubject, position: int) -> None:
    first, end = subject.span()
    if not first <= position < end:
        raise UsageError(
            f"there are the positions {first} to {end - 1}, not {position}" if end > first else "there are no messages yet"
        )


def _part(subject: SomeSubject, whole: object, before: object, steps: list[object], start: int, count: int) -> Json:
    """Return the tree of the part of a value to which the steps lead, beside that of another one."""
    names: tuple[str, ...] = ()
    value = whole
    way = [("", whole), *part_at(whole, steps)]
    for name, value in way:
        names = (*names, name) if name or names else names
        if subject.redaction.hides(names, value):
            return Trees(subject.redaction).tree(value, names)
    try:
        was = [before, *(part for _, part in part_at(before, steps))][-1]
    except UsageError:
        was = value
    return Trees(subject.redaction).tree(value, names, was, start=start, count=count, levels=2)


def _json(text: str, kind: type[T], what: str) -> T:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError(what) from None
    if not isinstance(found, kind):
        raise UsageError(what)
    return found


def _progress(tell: Tell, end: int) -> Callable[[int], object]:
    """Return what tells how far something is, a few times a second, and ends it if nobody reads any more."""
    last = [0.0]

    def progress(position: int) -> None:
        now = time.monotonic()
        if now - last[0] > _SOON:
            last[0] = now
            tell("progress", {"position": position, "end": end})

    return progress


class Busy(Exception):
    """As many searches run as may run at once."""


class Places:
    """How many searches may run at once: each has a thread."""

    def __init__(self, number: int) -> None:
        self._free = threading.BoundedSemaphore(number)

    def taken(self, work: Callable[[Tell], None]) -> Callable[[Tell], None]:
        """Return the work with a place of its own, until it is done or will not be; `Busy` if there is none."""
        if not self._free.acquire(blocking=False):
            raise Busy

        def placed(tell: Tell) -> None:
            try:
                work(tell)
            finally:
                leave()

        leave = weakref.finalize(placed, self._free.release)  # also of one that is not begun: its browser was gone too soon
        return placed
