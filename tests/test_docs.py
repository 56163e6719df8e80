"""The pages: their code runs and prints what they say it prints, and every word of the glossary is used."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest

import go_state as gs

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: str(page.relative_to(DOCS)))
def test_the_code_of_a_page_prints_what_it_says(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page run one after another in one namespace, in an empty folder; one that begins with a file's name is saved."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page):
        if named := re.match(r"# (\w+\.py)\n", block):
            Path(named[1]).write_text(block, encoding="utf-8")
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, str(page), "exec", dont_inherit=True), namespace)
        assert printed.getvalue().splitlines() == re.findall(r"#> (.*)", block)


def test_the_store_that_a_page_writes_keeps_what_a_store_has_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite that the page names passes with the page's own store."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(DOCS / "how_to" / "own_parts.md"):
        exec(compile(block, "own_parts.md", "exec", dont_inherit=True), namespace)
    suite = namespace["TestSqliteStore"]
    assert isinstance(suite, type)
    tests = [name for name in dir(suite) if name.startswith("test_")]
    assert len(tests) > 8
    for name in tests:
        getattr(suite(), name)()


def test_code_fits_a_page() -> None:
    """On a screen of 1,400 pixels no line of code is wider than its box."""
    wide = []
    for page in PAGES:
        for kind, block in re.findall(
            r"^```(.*?)\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
        ):
            wide += [f"{page.name}: {line}" for line in block.splitlines() if len(line) > 108 and not kind.startswith("{")]
        for shown in re.findall(r"{literalinclude} (\S+)", page.read_text(encoding="utf-8")):
            example = page.parent / shown
            wide += [f"{shown}: {line}" for line in example.read_text(encoding="utf-8").splitlines() if len(line) > 110]
    assert wide == []


def test_every_page_can_be_reached() -> None:
    """Each page is in a table of contents, and each link to another page leads to one, and to a heading that it has."""
    named = {DOCS / "index.md"}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for contents in re.findall(r"```\{toctree\}\n(.*?)```", text, flags=re.DOTALL):
            for line in contents.splitlines():
                if line and not line.startswith(":"):
                    named |= set(page.parent.glob(f"{line}.md"))
    assert set(PAGES) - named == set()


def links() -> list[tuple[Path, str]]:
    return [
        (page, target)
        for page in [*PAGES, DOCS.parent / "README.md"]
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
        if "://" not in target
    ]


@pytest.mark.parametrize(("page", "target"), links(), ids=str)
def test_a_link_leads_somewhere(page: Path, target: str) -> None:
    """A link within the pages names a file that there is, and a heading of it."""
    path, _, heading = target.partition("#")
    found = (page.parent / path) if path else page
    assert found.exists()
    if heading:
        headings = re.findall(r"^#+ (.*)", found.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert heading in [re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings]


REFERENCE = {page.name: page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md")}


def test_the_reference_has_every_public_name() -> None:
    """Under one of the names by which it can be imported."""
    shown = {name for text in REFERENCE.values() for name in re.findall(r"auto(?:class|function|data):: (\S+)", text)}
    whole = {name for text in REFERENCE.values() for name in re.findall(r"automodule:: (\S+)", text)}
    modules = [gs, *(each for name in gs.__all__ if isinstance(each := getattr(gs, name), ModuleType))]
    missing = []
    for module in modules:
        for name in module.__all__:
            each = getattr(module, name)
            homes = [home.__name__ for home in modules if name in home.__all__ and getattr(home, name) is each]
            if not isinstance(each, ModuleType) and not whole & set(homes) and not shown & {f"{home}.{name}" for home in homes}:
                missing.append(f"{module.__name__}.{name}")
    assert missing == []


def test_help_shows_put_as_it_is_used() -> None:
    """Any number of messages: how the code takes the first of them apart is no concern of whoever reads it."""
    assert (
        str(inspect.signature(gs.Buffer.put)) == str(inspect.signature(gs.Journal.put)) == "(self, *messages: 'Msg') -> 'None'"
    )


def public() -> list[tuple[str, str]]:
    """Return the docstrings of all public classes and functions, and of their public methods, by name."""
    modules = [gs, *(each for name in gs.__all__ if isinstance(each := getattr(gs, name), ModuleType))]
    found = {f"{module.__name__}.{name}": getattr(module, name) for module in modules for name in module.__all__}
    for name, each in list(found.items()):
        if isinstance(each, type):
            found |= {f"{name}.{member}": of for member, of in vars(each).items() if not member.startswith("_")}
    return [(name, each.__doc__ or "") for name, each in found.items() if not isinstance(each, ModuleType)]


def test_docstrings_do_not_send_readers_into_the_source() -> None:
    """No file of the package is named; the folders' own docstrings, which are for contributors, do that."""
    assert len(public()) > 400
    assert [name for name, text in public() if re.search(r"\w\.py\b|`\w+/\w+`", text) and name != "go_state.to_test"] == []


def test_the_options_are_explained_once() -> None:
    """Each keyword of a mode has a row; one that modes take in two ways has two."""
    rows = re.findall(r"^\| `(\w+)` \|", REFERENCE["options.md"], flags=re.MULTILINE)
    options = (gs.RunOptions, gs.AppOptions, gs.KeyedAppOptions, gs.BatchOptions, gs.AggregateOptions, gs.KeyedAggregateOptions)
    assert {name for each in options for name in each.__annotations__} - set(rows) == set()
    assert {name for name in rows if rows.count(name) > 1} == {"store", "key", "snapshots", "limit"}


TERMS = re.findall(r"^([a-z][a-z -]*)$", (DOCS / "glossary.md").read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_every_word_of_the_glossary_is_used() -> None:
    """In a page that is not the glossary; and there is one entry of each, in order."""
    text = "\n".join(page.read_text(encoding="utf-8").lower() for page in PAGES if page.name != "glossary.md")
    assert [term for term in TERMS if not re.search(rf"(?<![\w-]){term}(?:e?s)?(?![\w-])", text)] == []
    assert sorted(set(TERMS)) == TERMS


def test_the_words_that_pages_explain_are_in_the_glossary() -> None:
    """What a page sets in bold type within a sentence it explains; a bold beginning is a heading of its paragraph."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    bold = re.findall(r"\*\*([a-z][\w -]+)\*\*", text)
    assert len(bold) > 40
    assert [word for word in bold if word not in TERMS and word.rstrip("s") not in TERMS] == []


def command_lines() -> list[str]:
    """Return what pages tell their readers to type: whole lines without what is said beside them, and longer pieces in the text."""
    found = []
    for page in [*PAGES, DOCS.parent / "README.md"]:
        text = page.read_text(encoding="utf-8")
        found += [re.split(r"\s{2,}", line)[0] for line in re.findall(r"^(go-state .*)", text, flags=re.MULTILINE)]
        found += [piece for piece in re.findall(r"`(go-state [^`\n]*)`", text) if len(piece.split()) > 3]
    return sorted({line for line in found if " | " not in line and not line.endswith("--help")})


@pytest.mark.parametrize("line", command_lines())
def test_the_command_takes_the_line(line: str) -> None:
    """Its arguments and options are those that the command has, in the order in which it takes them."""
    import typer

    from go_state.cli.main import app

    command, words = typer.main.get_command(app), shlex.split(line)[1:]
    context = command.make_context("go-state", list(words))
    while hasattr(command, "resolve_command"):
        name, command, words = command.resolve_command(context, words)
        assert command is not None, name
    params = command.make_context(line, words, parent=context).params
    opened = [str(params[name]) for name in ("db", "history", "store") if params.get(name)]
    assert [each for each in opened if not re.search(r"\.(lmdb|csv|jsonl)$|^postgresql://", each)] == []
