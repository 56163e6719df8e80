"""Values: whatever a program holds, made fit for a page: bounded, escaped, and without what is to be hidden.

    a model, a message ──▶ tree.py (a page of a tree) | summary.py (one line) | plain.py (JSON for a file)
    two models ──▶ differing.py (the paths at which they differ)

`parts.py` says what a value consists of, `text.py` what of a text is shown, `redaction.py` what is not. Nothing here calls what a
user has written, but for the comparison and the length of their values.
"""
