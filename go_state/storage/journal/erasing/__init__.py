"""Erasing: messages of a journal that are replaced or emptied where they lie, with their positions, times and journal_id.

A function of the user's comes in, and is called with every message; what goes out is one transaction.

`rewriting.py`   the way through the journal: what stays, what is replaced, what is emptied; the snapshots on the way
`stage.py`       what is to be written, under names of its own until it counts, all of it at once

How models are folded again is not known here: that is for the program, and `Refolding` is the port for it.
"""
