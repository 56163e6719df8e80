"""LMDB: a store in one file, for the processes of one machine.

A path comes in; out come transactions over the file's records, leases of its journals, and whether the file is whole.

`store.py` is the users' `LMDBStore`. `environment.py` is the open file: its transactions, and LMDB's errors in our words. `file.py`
checks what is at a path before it is trusted: which file, and whether all of its pages exist. `lease.py` locks a journal with a
file beside the store's. `check.py` reads every record in a child process, which runs `child.py`, because a damaged page ends the
process that reads it. `place.py` knows whether the file at the path is still the one that was opened, `in_use.py` which transactions
are open, and `copying.py` makes copies that take its place, or are backups.

The module of the client library is imported in `environment.py` alone, and only when a store is opened.
"""
