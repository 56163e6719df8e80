"""Streams: an aggregate of a source with many partitions, of which this process has those that an engine gives it.

A partitioned source and the options of an aggregate enter; an outcome leaves, by partition.

- `fold.py`: the mode, for a thread and for an event loop; `faces.py`: what its reading calls, in either;
- `holder.py`: the loop, and what becomes of partitions that are assigned, revoked, lost, fenced or ended;
- `claims.py` claims them; `fenced.py`: when those that were fenced are claimed again;
- `shares/`: one partition as a batch that can be left waiting; how many are run in turn, and saved together;
- `places.py`: where partitions are kept: in one store, or each in its own; `only_effects.py`: what a command may not do in the latter;
- `making.py`: the options that all shares have; `telling.py` is what observers are told.

Promised: models and position of a partition are one transaction, behind a claim that was made before the first record; what befalls a
partition, such as a fence, a failure or an end, leaves the others as they were; no partition waits for the commands of another.
"""
