"""A moment as the page has it: trees, the paths that differ, commands and subscriptions as text."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import islice
from typing import Generic, TypeVar

from go_state.core.commands import Call, Send, name_of
from go_state.core.program import Program
from go_state.core.subscriptions import Scope, Stream, Sub, checked_subscriptions
from go_state.inspector.looking.moment import Moment, why
from go_state.inspector.looking.records import type_of_entry
from go_state.inspector.values.differing import MOST, Differs, differing
from go_state.inspector.values.redaction import HIDDEN, Redaction
from go_state.inspector.values.summary import command_text, summary
from go_state.inspector.values.text import shown
from go_state.inspector.values.tree import ABSENT, Tree, Trees
from go_state.runtime.effects.interpreter import Interpreter
from go_state.runtime.effects.place import TurnNames
from go_state.runtime.effects.scheduler import Effect

Model = TypeVar("Model")
Msg = TypeVar("Msg")
T = TypeVar("T")

_COUNTED = 10_000  # differences that are counted beyond those told
_COMMANDS = 200
_SIDE = 6  # nodes of each side of a difference


class Shown(Generic[Model, Msg]):
    """Makes what the page has of a moment. `turn_name` is what the effect ids of a position's turn begin with."""

    def __init__(self, program: Program[Model, Msg], redaction: Redaction, turn_name: Callable[[int], str]) -> None:
        self._program = program
        self._redaction = redaction
        self._turn_name = turn_name

    def moment(self, moment: Moment[Model, Msg]) -> dict[str, object]:
        """Return everything of a moment."""
        entry, hidden = moment.entry, not self._redaction.is_empty
        message = Trees(self._redaction).tree(entry.message) if entry.message is not None else None
        diff, more = diff_of(moment.before, moment.after, self._redaction)
        marks = {"set aside": moment.aside, "failed": moment.error, "denied": moment.denied}
        badges = [name for name, why_so in marks.items() if why_so is not None]
        error = None if moment.error is None else shown(why(moment.error, hidden=hidden), 2000)
        return {
            "position": entry.position, "time": entry.at,
            "type": type_of_entry(entry), "message": message,
            "before": Trees(self._redaction, 50).tree(moment.before), "after": self.after(moment), "diff": diff, "more_diff": more,
            "commands": self.commands(moment), "subscriptions": self.subscriptions(moment),
            "turn": {"time": entry.at, "number": entry.position, "seconds": None, "badges": badges},
            "error": error or (shown(moment.aside, 200) if moment.aside is not None else None),
            "denied": None if moment.denied is None else HIDDEN if hidden else shown(moment.denied, 500),
        }  # fmt: skip

    def after(self, moment: Moment[Model, Msg]) -> Tree:
        """Return the model after the message, with what has changed marked."""
        return Trees(self._redaction).tree(moment.after, (), moment.before)

    def commands(self, moment: Moment[Model, Msg]) -> list[dict[str, object]]:
        """Return what the turn asked for: what goes on after it with its effect id, and all else as it is."""
        found: list[dict[str, object]] = []
        effects = {id(effect.command): effect for effect in self._effects(moment)}
        for command in islice(moment.commands, _COMMANDS):
            if command is None:
                continue
            own = [effect for effect in effects.values() if effect.command is command]
            text = command_text(command, self._redaction)
            if own:
                del effects[id(own[0].command)]
            found.append(_command(text, own[0] if own else None, _name(command)))
        found += [_command(command_text(each.command, self._redaction), each, _name(each.command)) for each in effects.values()]
        return found[:_COMMANDS]

    def _effects(self, moment: Moment[Model, Msg]) -> Iterator[Effect]:
        """Give the commands that go on after the turn. None is performed: plain functions are held as well."""
        names, position = TurnNames(), moment.entry.position
        names.name_turns(lambda: self._turn_name(position))
        interpreter = Interpreter(_NoKeys(), names, inline=False)
        try:
            interpreter.perform(moment.commands, moment.entry.message)
        except Exception:  # what is among the commands is none: the turn has failed with it
            interpreter.drop()
            return
        yield from interpreter.drop()

    def subscriptions(self, moment: Moment[Model, Msg]) -> dict[str, list[str]]:
        """Return which subscriptions the turn has begun and ended, and which went on."""
        try:
            before, after = self._wanted(moment.before), self._wanted(moment.after)
        except Exception:  # which ended the run, and is said there
            return {"begun": [], "ended": [], "kept": []}
        begun = [after[key] for key in after if key not in before]
        ended = [before[key] for key in before if key not in after]
        kept = [after[key] for key in after if key in before]
        found = {"begun": begun, "ended": ended, "kept": kept}
        return {name: [self._subscription(each) for each in subs[:_COMMANDS]] for name, subs in found.items()}

    def _wanted(self, model: Model | None) -> dict[Hashable, Sub[object]]:
        asked = None if model is None or self._program.subscriptions is None else self._program.subscriptions(model)
        return _by_key([] if asked is None else checked_subscriptions(asked))

    def _subscription(self, sub: Sub[object]) -> str:
        kind = type(sub).__name__.lower()
        if isinstance(sub, Stream):
            return f"{kind} {shown(name_of(sub.fn), 80)}"
        return f"{kind} {summary(sub, self._redaction, 120)}".removesuffix(" scope=[]")  # of no child


def diff_of(before: object, after: object, redaction: Redaction) -> tuple[list[dict[str, object]], int]:
    """Return the parts in which two models differ, and how many more there are."""
    found = differing(before, after, redaction)
    told = [difference(each, redaction) for each in islice(found, MOST)]
    return told, sum(1 for _ in islice(found, _COUNTED))


def difference(each: Differs, redaction: Redaction) -> dict[str, object]:
    """Return one difference: the path, and both sides as small trees, None for one that is not there."""
    sides = (each.before, each.after)
    hidden = any(redaction.hides(each.names[:length], ABSENT) for length in range(len(each.names) + 1))
    before, after = (None if side is ABSENT else _side(side, each, redaction, hidden=hidden) for side in sides)
    return {"path": shown(each.path, 500), "before": before, "after": after}


def _side(value: object, each: Differs, redaction: Redaction, *, hidden: bool) -> Tree:
    if hidden:
        return {"kind": "hidden", "name": None, "text": HIDDEN, "size": None, "children": None, "more": 0, "changed": False}
    tree = Trees(redaction, _SIDE).tree(value, each.names, levels=0)
    if tree["kind"] in ("object", "mapping", "list"):
        tree["text"] = summary(value, redaction, 120, names=each.names)
    return tree


def _command(text: str, effect: Effect | None, name: str) -> dict[str, object]:
    command = None if effect is None else effect.command
    own = command.how.key if isinstance(command, Call) else None if command is None else command.key
    key = None if own is None else shown(str(own), 100)
    effect_id = None if effect is None else shown(effect.name, 200)
    return {"text": text, "name": name, "effect_id": effect_id, "key": key, "result": None, "error": None, "tries": None,
            "seconds": None, "state": None}  # fmt: skip


def _name(command: object) -> str:
    if isinstance(command, Call):
        return shown(name_of(command.fn), 80)
    if isinstance(command, Send):
        return "send"
    return (
        type(command).__name__.lower() if type(command).__module__ == "go_state.core.commands" else shown(name_of(command), 80)
    )


def _by_key(subs: Iterable[Sub[object]]) -> dict[Hashable, Sub[object]]:
    return {(getattr(sub, "scope", ()), getattr(sub, "key", None)): sub for sub in subs}


class _NoKeys:
    """No command is running here, so no key is taken."""

    def is_taken(self, key: Hashable) -> bool:
        return False

    def keys_in(self, scope: Scope) -> Iterable[Hashable]:
        return ()
