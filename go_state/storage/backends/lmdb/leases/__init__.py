"""The leases of journals in a file: locks that the system takes back from a process that dies.

- `byte_locks.py`: on Linux a lock on one byte for each journal, of sixteen files beside the store's, `<path>-owners-0` to `-f`;
- `file_lease.py`: a file for each lease, on other systems and for folders.
"""
