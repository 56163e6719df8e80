"""The leases of journals in a file: locks that the system takes back from a process that dies.

`byte_locks.py` locks bytes of sixteen files beside the store's, `<path>-owners-0` to `-f`, one for each journal, where the system can
(Linux);
`file_lease.py` a file for each lease, elsewhere and for folders.
"""
