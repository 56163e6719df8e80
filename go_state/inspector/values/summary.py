"""A value in one line, such as `customer="c1" amount=12`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from go_state.core.commands import After, All, Call, Cmd, Map, Seq, name_of
from go_state.inspector.values.parts import kind_of, parts_of, size_of
from go_state.inspector.values.redaction import HIDDEN, NOTHING, Redaction
from go_state.inspector.values.text import number_text, quoted, shown

_LONGEST = 200  # characters of a line
_TEXT = 60  # characters of a text in it
_DEEPEST = 4


def summary(
    value: object,
    redaction: Redaction = NOTHING,
    longest: int = _LONGEST,
    *,
    names: tuple[str, ...] = (),
    is_stored: bool = False,
) -> str:
    """Return the fields of an object, or the value itself, in a line of at most `longest` characters.

    `names` lead to the value, if it is a part of another. A mapping that `is_stored` is an object as JSON has it.
    """
    if redaction.hides(names, value):
        return HIDDEN
    kind = kind_of(value)
    line = _Line(redaction, longest, len(names))
    if kind == "object" or (kind == "mapping" and is_stored):
        line.fields(value, names, " ")
    else:
        line.add(value, names)
    return line.text()


def command_text(command: object, redaction: Redaction = NOTHING) -> str:
    """Return what a command asks for, in a line."""
    line = _Line(redaction, 2 * _LONGEST)
    line.command(command, 0)
    return line.text()


def inner_call(command: object) -> Call[object] | After[object] | None:
    """Return the call or timer that a command is, also if it is a child's; None for any other."""
    while isinstance(command, Map):
        command = command.command
    return command if isinstance(command, (Call, After)) else None


class _Line:
    """A line that is being written, and is full at some length."""

    def __init__(self, redaction: Redaction, longest: int, depth: int = 0) -> None:
        self._redaction = redaction
        self._deepest = depth + _DEEPEST
        self._longest = longest
        self._parts: list[str] = []
        self._left = longest

    def text(self) -> str:
        written = "".join(self._parts)
        return written if len(written) <= self._longest else f"{written[: self._longest - 1]}…"

    def _put(self, text: str) -> None:
        self._parts.append(text)
        self._left -= len(text)

    def add(self, value: object, names: tuple[str, ...]) -> None:
        """Write a value."""
        if self._left < 0:
            return
        if self._redaction.hides(names, value):
            self._put(HIDDEN)
            return
        kind = kind_of(value)
        if kind in ("object", "mapping", "list"):
            self._nested(value, names)
        else:
            self._put(leaf_text(value, _TEXT))

    def _nested(self, value: object, names: tuple[str, ...]) -> None:
        kind = kind_of(value)
        if len(names) >= self._deepest:
            self._put("…")
        elif kind == "object":
            self._put(f"{shown(type(value).__qualname__, _TEXT)}(")
            self.fields(value, names, ", ")
            self._put(")")
        else:
            begin, end = "{}" if kind == "mapping" else "[]"
            self._put(begin)
            self.fields(value, names, ", ")
            self._put(end)

    def fields(self, value: object, names: tuple[str, ...], between: str) -> None:
        """Write the parts of a value; those of a mapping as fields, if it is the whole line."""
        kind = kind_of(value)
        written = "object" if between == " " else kind
        for number, part in enumerate(parts_of(value, kind)):
            if self._left < 0:
                return
            if number:
                self._put(between)
            name = self._redaction.name_of(part)
            key = HIDDEN if self._redaction.hides_key(part) else part.name
            self._put({"object": f"{shown(name, _TEXT)}=", "mapping": f"{key}: "}.get(written, ""))
            self.add(part.value, (*names, name))

    def command(self, command: object, depth: int) -> None:
        """Write a command."""
        write = partial(self.command, depth=depth + 1)
        if isinstance(command, Call):
            self._called("call", shown(name_of(command.fn), _TEXT), command.args)
        elif isinstance(command, After):
            self._called("after", number_text(command.seconds), command.messages)
        elif isinstance(command, Map) and depth < _DEEPEST:
            write(command.command)
        elif isinstance(command, (All, Seq)) and depth < _DEEPEST:
            self._each(type(command).__name__.lower(), command.commands, write)
        elif isinstance(command, Cmd):
            self._put(f"Cmd.{type(command).__name__.lower()}(")
            self.fields(command, (), ", ")
            self._put(")")
        else:
            self._put(shown(name_of(command), _TEXT))

    def _called(self, what: str, first: str, args: tuple[object, ...]) -> None:
        self._put(f"Cmd.{what}({first}")
        for arg in args:
            self._put(", ")
            self.add(arg, ())
        self._put(")")

    def _each(self, what: str, commands: tuple[object, ...], write: Callable[[object], object]) -> None:
        self._put(f"Cmd.{what}(")
        for number, each in enumerate(commands):
            if self._left < 0:
                return
            self._put(", " if number else "")
            write(each)
        self._put(")")


def leaf_text(value: object, longest: int) -> str:
    """Return a value that has no parts, as text."""
    kind = kind_of(value)
    if isinstance(value, str) and kind == "text":
        return quoted(value, longest)
    if isinstance(value, (int, float, complex)) and kind == "number":
        return number_text(value)
    if kind == "bytes":
        begin = bytes(value[:32])  # type: ignore[index]  # of bytes, a bytearray or a memoryview
        return f"{begin!r}{'…' if (size_of(value, kind) or 0) > len(begin) else ''}"
    try:
        return shown(str(value) if kind != "other" or not callable(value) else name_of(value), longest)
    except Exception as error:
        return f"a {type(value).__qualname__} that cannot be written ({type(error).__name__})"
