"""How Sphinx builds these pages: `make docs`, which fails at the first warning."""

import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.nodes import make_refnode

import go_state

project = "go_state"
author = "the go_state developers"
copyright = author  # noqa: A001  - Sphinx's name
release = version = go_state.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = False

html_theme = "furo"
pygments_dark_style = "monokai"
highlight_language = "none"  # of a block that does not say what it is: what is typed into a shell, and drawings
html_title = "go_state"
html_static_path = ["static"]
html_css_files = ["pages.css"]
html_theme_options = {"sidebar_hide_name": False, "navigation_with_keys": True}
html_show_copyright = False
html_show_sphinx = False

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autoclass_content = "class"

# Docstrings are plain text, in which `backticks` are code, and a link if they hold a name of the reference.
default_role = "py:obj"
suppress_warnings = ["ref.python", "docutils"]


def setup(app: Sphinx) -> None:
    """Tell Sphinx of what follows."""
    app.connect("autodoc-process-signature", without_making)
    app.connect("autodoc-process-docstring", of_what_is_named)
    app.connect("autodoc-process-docstring", with_drawings)
    app.connect("autodoc-skip-member", without_insides)
    app.connect("doctree-read", link_names)
    app.connect("doctree-read", link_terms)
    app.connect("missing-reference", by_last_name)


def without_making(
    app: Sphinx, what: str, name: str, each: object, options: object, signature: str | None, returned: str | None
) -> tuple[str, None] | None:
    """Show no arguments of a class that nobody makes by calling it: its docstring says by what it is made."""
    text = getattr(each, "__doc__", None) or ""
    if signature is not None and what == "class" and re.search(r"\b[Mm]ade by\b", text):
        return "", None
    return None


# What the package's own parts use of an object, and nobody else.
INSIDES = {
    "life",
    "host",
    "directory",
    "kept",
    "after_fork_in_child",
    "check_not_own",
    "check_usable",
    "journal_unread",
    "page",
}
INSIDES |= {"rewrite_snapshots", "load_keyframe", "parts", "thread", "cursor", "slot", "log"}
INSIDES |= {"Consumer.belongs_to", "CopiedStore.of_source", "DeadLetters.box", "Letter.failed_again"}
INSIDES |= {f"Journal.{name}" for name in ("open", "end", "leave_to_parent", "rewrite", "is_read")}
INSIDES |= {f"JsonCodec.{name}" for name in ("of_part", "of_shape", "types")} | {"KeyedApp.to_settle", "RecordStore.forget"}
INSIDES |= {"RemoteValue.begin", "RemoteValue.end", "Watcher.is_end"}
INSIDES |= {f"SimClock.{name}" for name in ("enter", "leave", "left", "monotonic", "sleep_until")}


def without_insides(app: Sphinx, what: str, name: str, each: object, skip: bool, options: object) -> bool | None:
    """Leave out what is public only within the package."""
    whole = str(getattr(each, "__qualname__", getattr(getattr(each, "fget", None), "__qualname__", name)))
    plain = str(getattr(each, "__doc__", "")).startswith("Alias for field number")  # a field, which the class's signature has
    return True if plain or {name, whole} & INSIDES else None


def of_what_is_named(app: Sphinx, what: str, name: str, each: object, options: object, lines: list[str]) -> None:
    """Show what is said of a type or a constant where it is defined, and not what Python says of the class that it is of."""
    last = name.rpartition(".")[2]
    if what == "data":
        for module in [module for module in sys.modules if module.startswith("go_state")]:
            if getattr(sys.modules[module], last, None) is each:
                analyzer = ModuleAnalyzer.for_module(module)
                analyzer.analyze()
                if found := analyzer.attr_docs.get(("", last)):
                    lines[:] = found


def with_drawings(app: Sphinx, what: str, name: str, each: object, options: object, lines: list[str]) -> None:
    """Show an indented block of a docstring as it stands there: a drawing, a table, an example."""
    shown: list[str] = []
    for number, line in enumerate(lines):
        begins = line.startswith("    ") and number > 1 and not lines[number - 1] and not lines[number - 2].startswith("    ")
        if begins and not lines[number - 2].endswith("::"):
            shown += ["::", ""]
        shown.append(line)
    lines[:] = shown


def link_names(app: Sphinx, page: nodes.document) -> None:
    """Make links of the names in a page that begin with gs., such as `gs.aggregate(...)`."""
    for literal in list(page.findall(nodes.literal)):
        found = re.match(r"gs((?:\.\w+)+)", literal.astext())
        if (
            found
            and isinstance(literal.parent, nodes.Element)
            and not isinstance(literal.parent, (nodes.reference, addnodes.pending_xref))
        ):
            target = f"go_state{found[1]}"
            link = addnodes.pending_xref(
                "", refdomain="py", reftype="obj", reftarget=target, refdoc=app.env.docname, refexplicit=True
            )
            literal.replace_self(link)
            link += literal


# Words of the glossary that are more often a word like any other.
PLAIN = {
    "app",
    "event",
    "executor",
    "interpreter",
    "key",
    "leader",
    "lost",
    "mark",
    "part",
    "port",
    "record",
    "run",
    "settle",
    "step",
}
PLAIN |= {"update", "value", "view"}
TERMS = {
    term: re.compile(rf"(?<![\w-]){term}(?:e?s)?(?![\w-])", re.IGNORECASE)
    for term in re.findall(r"(?m)^([a-z][a-z -]*)$", (Path(__file__).parent / "glossary.md").read_text(encoding="utf-8"))
    if term not in PLAIN
}


def link_terms(app: Sphinx, page: nodes.document) -> None:
    """Lead from the first use of a word on a page to the glossary."""
    others = {"why", "comparison", "coming_from_go", "performance"}  # which speak of what others mean by such words
    if app.env.docname in {"glossary", "changes", "index"} | others or app.env.docname.startswith("reference/"):
        return
    left = dict(TERMS)
    for text in list(page.findall(nodes.Text)):
        inside = text.parent
        while inside is not None and not isinstance(inside, (nodes.title, nodes.reference, nodes.literal, nodes.literal_block)):
            if isinstance(inside, (addnodes.pending_xref, nodes.comment, nodes.raw)):
                break
            inside = inside.parent
        if inside is None:
            replaced = with_terms(app, text, left)
            if len(replaced) > 1:
                text.parent.replace(text, replaced)


def with_terms(app: Sphinx, text: nodes.Text, left: dict[str, re.Pattern[str]]) -> list[nodes.Node]:
    """Return the text as nodes, with links of the words that are still left to be linked; the longest word at a place is taken."""
    plain = text.astext()
    found = [(match.start(), -match.end(), term) for term, word in left.items() if (match := word.search(plain))]
    if not found:
        return [nodes.Text(plain)]
    start, end, term = min(found)
    del left[term]
    link = addnodes.pending_xref(
        "", nodes.inline("", plain[start:-end], classes=["term"]), refdomain="std", reftype="term", reftarget=term,
        refdoc=app.env.docname, refexplicit=True,
    )  # fmt: skip
    after = with_terms(app, nodes.Text(plain[-end:]), left) if plain[-end:] else []
    return [*([nodes.Text(plain[:start])] if start else []), link, *after]


def by_last_name(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, text: nodes.TextElement
) -> nodes.reference | None:
    """Find a name of the reference by its end, if there is one only: `Conflict` is in gs.errors."""
    if node.get("refdomain") != "py":
        return None
    objects = env.get_domain("py").objects  # type: ignore[attr-defined]
    target = re.sub(r"\(.*", "", node["reftarget"]).removeprefix("gs.").removeprefix("go_state.")
    ends = [name for name in objects if name.endswith(f".{target}")]
    tops = [name for name in ends if name in (f"go_state.{target}", f"go_state.errors.{target}")]
    if not re.fullmatch(r"[A-Za-z_][\w.]*", target) or (len(ends) != 1 and len(tops) != 1):
        return None
    [name] = tops if len(tops) == 1 else ends
    return make_refnode(app.builder, node["refdoc"], objects[name].docname, objects[name].node_id, text, name)
