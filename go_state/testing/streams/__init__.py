"""Streams for tests: a log with partitions in memory, an engine that says who reads what, and the contracts of sources and holders.

- `log.py`: `PartitionedLog`, and the source that reads it; what an engine tells a reader is queued, and arrives at its next poll;
- `partition_contract.py`: what a partitioned source keeps, for one of your own; `async_contract.py`: the same on an event loop;
- `members.py`: aggregates that a test takes from poll to poll, so that any order of events can be played;
- `histories.py`: random histories with zombies, crashes, stores that fail, late news; `holder_contract.py` runs them over a store.
"""
