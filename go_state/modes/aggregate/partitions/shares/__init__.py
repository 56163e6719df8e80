"""Shares: the partitions that one process holds, each a batch of its own, run in turn and saved together.

Records enter by `ShareReader.give`; models and positions leave in one transaction of many shares.

- `reader.py`: the records of one partition as what a batch reads, in chunks of a few milliseconds;
- `share.py`: the batch itself, in a context of its own, which can be left waiting;
- `runner.py`: who is run next, and when; `saving.py`: one transaction for those that are due;
- `waking.py`: which shares have something to do again; `pausing.py`: of which no more is given for now.
"""
