"""Backends: records in memory, in an LMDB file, in a Postgres database.

Each backend gives transactions over records in the order of their names, leases of journals, and, if it can, notices of what other
processes have written: the port `Backend` in `records/backend.py`. What a store makes of them is the same for all:

`record_store.py`   `RecordStore`: models behind a version fence, keyframes, journals
`journals.py`       the journals of a store that are open, one of each name
`contents.py`       all that a store holds: counted, or taken over from another store
`lmdb/`             `LMDBStore`
`postgres/`         `PostgresStore`
`objects/`          `CopiedStore`: LMDB files, one for each partition of a stream, with copies in an object store
`memory.py`         `MemoryStore`, which has models but no journals, and no records

This is the top of `storage`: a backend may know everything below it, and nothing below it knows a backend.
"""
