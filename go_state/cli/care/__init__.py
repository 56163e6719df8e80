"""The care of a store, and taking a person's data out of it.

`store.py`   info, backup, restore, compact, check
`erase.py`   erase: the messages that a condition holds for, or all that is stored under a key

What is asked before something is deleted is in `store.py`, which `erase.py` uses.
"""
