"""Writes that go together: those of many journals in one transaction, and what a program's write says of its next one.

- `entry.py`: what one write adds to a journal;
- `together.py`: whoever writes first writes for all that wait, and a write that fails takes no other along;
- `wakes.py`: when a program at rest has something to do by itself, a record in the transaction that makes it true.
"""
