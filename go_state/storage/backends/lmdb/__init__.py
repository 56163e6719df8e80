"""LMDB: a store in one file, for the processes of one machine.

A path comes in; out come transactions over the file's records, leases of its journals, and whether the file is whole.

`store.py` is the users' `LMDBStore`. `environment.py` opens the file, and compacts, copies and measures it as a whole.
`transactions.py` is what each read and write passes: no other transaction exchanges the file, and it is still the one that was opened.
`file.py` checks what is at a path before it is trusted: which file, and whether all of its pages exist. `leases/` locks a journal
with a file beside the store's. `check.py` reads every record in a child process, which runs `child.py`, because a damaged page ends the
process that reads it. `copying.py` makes copies that take the file's place, or are backups, and `errors.py` has LMDB's errors in our
words.

The module of the client library is imported in `environment.py`, `transactions.py` and `errors.py` alone, and only when a store is opened.
"""
