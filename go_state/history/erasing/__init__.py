"""Erasing: taking a person's data out of a store.

A program, a journal and a function come in; out comes what was changed. This is the one part of `history` that writes.

`rewrite.py`   messages of a journal replaced or emptied, and the program's snapshots made anew from them
`forget.py`    all that is stored under one key deleted, or a stored model replaced

What is gone from the store is gone from its file only after `store.compact()`.
"""
