"""The docstrings of all public names, as the reference shows them: there, for readers without the source, and with every parameter."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Iterator
from types import FunctionType, ModuleType

import go_state as gs

# Parameters that mean the same everywhere: what they are is said where programs, options and waits are explained.
KNOWN = {
    "self", "cls", "args", "kwargs", "options", "program", "store", "timeout", "message", "messages", "more", "msg", "key", "keys", "model",
    "value", "event", "of", "tag", "tags", "name",
}  # fmt: skip


def modules() -> list[ModuleType]:
    """Return the package and those of its modules that are named in its `__all__`."""
    return [gs, *(each for name in gs.__all__ if isinstance(each := getattr(gs, name), ModuleType))]


def named() -> dict[str, object]:
    """Return every public class and function, by the first name under which it is found."""
    found: dict[int, tuple[str, object]] = {}
    for module in modules():
        for name in module.__all__:
            each = getattr(module, name)
            if inspect.isclass(each) or inspect.isfunction(each):
                found.setdefault(id(each), (f"{module.__name__}.{name}", each))
    return dict(found.values())


def members(owner: type) -> Iterator[tuple[str, object]]:
    """Yield the public methods and properties that the class has from this package."""
    for name in dir(owner):
        if name.startswith("_"):
            continue
        home = next((base for base in owner.__mro__ if name in vars(base)), object)
        each = inspect.getattr_static(owner, name)
        if home.__module__.startswith("go_state") and isinstance(each, (staticmethod, classmethod, property, FunctionType)):
            yield name, each


def texts() -> dict[str, tuple[object, str]]:
    """Return the docstring of every public class, function, method and property."""
    found = {}
    for name, each in named().items():
        found[name] = each, inspect.getdoc(each) or ""
        if inspect.isclass(each):
            for member, value in members(each):
                found[f"{name}.{member}"] = value, inspect.getdoc(getattr(each, member)) or ""
    return found


TEXTS = texts()


def test_there_are_many() -> None:
    """The walk has not missed them."""
    assert len(TEXTS) > 400
    assert {"go_state.App.apply", "go_state.Program", "go_state.watch.Watcher.get", "go_state.errors.Lagged"} <= set(TEXTS)


def test_every_public_name_has_a_docstring() -> None:
    """Nothing in the reference is empty."""
    assert [name for name, (_, text) in TEXTS.items() if not text] == []


def test_no_docstring_needs_the_source() -> None:
    """None names a file of the package, or sends its reader to one."""
    assert [name for name, (_, text) in TEXTS.items() if re.search(r"[a-z_]+\.py\b|see the folder", text)] == []


def test_a_docstring_begins_with_one_sentence() -> None:
    """Its first paragraph begins with a capital or a name in backticks, and ends with a full stop, or a colon before an example."""
    wrong = []
    for name, (_, text) in TEXTS.items():
        first = text.partition("\n\n")[0]
        if not re.match(r"[A-Z`(\"'0-9]", first) or not re.search(r"[.:?!)`]\Z", first.strip()):
            wrong.append(name)
    assert wrong == []


def test_every_parameter_is_explained() -> None:
    """In the docstring of the function, or of what it belongs to, is a twin of, or implements."""
    missing = []
    for name, (each, text) in TEXTS.items():
        if not isinstance(each, property) and not made_elsewhere(each, text):
            said_about = text + "".join(beside(name, each))
            missing += [f"{name}({parameter})" for parameter in parameters(each) if not said(parameter, said_about)]
    assert missing == []


def made_elsewhere(each: object, text: str) -> bool:
    """Whether nobody makes one: an error is raised, and other classes say by what they are made."""
    return inspect.isclass(each) and (issubclass(each, BaseException) or re.search(r"\b[Mm]ade by\b", text) is not None)


def beside(name: str, each: object) -> Iterator[str]:
    """Yield the docstrings in which a parameter may be explained as well."""
    yield TEXTS.get(name.removesuffix("_async").removesuffix("_nowait"), (None, ""))[1]
    owner, _, member = name.rpartition(".")
    yield TEXTS.get(owner, (None, ""))[1]
    if inspect.isclass(each):
        yield from (base.__doc__ or "" for base in each.__mro__[1:] if base.__module__.startswith("go_state"))
    if name.split(".")[1] in gs.__all__:
        yield getattr(gs, name.split(".")[1]).__doc__ or ""
    yield from sent_to(TEXTS[name][1])
    for port in gs.abc.__all__:
        yield TEXTS.get(f"go_state.abc.{port}.{member}", (None, ""))[1]


def sent_to(text: str, depth: int = 2) -> Iterator[str]:
    """Yield the docstrings to which this one sends its reader, and those to which these do."""
    for named_there in re.findall(r"(?:[Ss]ee|as|those of)\s+`([\w.]+)`", text) if depth else ():
        for other, (_, found) in TEXTS.items():
            if other.endswith(f".{named_there}"):
                yield found
                yield from sent_to(found, depth - 1)


def said(parameter: str, text: str) -> bool:
    return parameter in KNOWN or re.search(rf"(?<!\w){parameter}(?!\w)", text) is not None


def parameters(each: object) -> list[str]:
    if isinstance(each, (staticmethod, classmethod)):
        each = each.__func__
    if not callable(each) or typing.is_typeddict(each) or (inspect.isclass(each) and getattr(each, "_is_protocol", False)):
        return []
    if inspect.isclass(each) and not dataclasses.is_dataclass(each) and "__init__" not in vars(each):
        return []
    return [name for name in inspect.signature(each).parameters if not name.startswith("_")]
