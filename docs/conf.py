"""How Sphinx builds these pages: `make docs`, which fails at the first warning."""

import go_state

project = "go_state"
author = "the go_state developers"
copyright = author  # noqa: A001  - Sphinx's name
release = version = go_state.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = False

html_theme = "furo"
html_title = "go_state"
html_theme_options = {"sidebar_hide_name": False, "navigation_with_keys": True}
html_show_copyright = False

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autoclass_content = "class"
intersphinx_mapping: dict[str, tuple[str, None]] = {}  # no other site is asked while these pages are built

# Docstrings are plain text, in which `backticks` are code.
default_role = "code"
suppress_warnings = ["ref.python", "docutils"]
