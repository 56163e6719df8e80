"""Durable runs: a program whose messages are in a journal and whose model is in snapshots, and that goes on after any crash.

In goes a program and its `DurableSettings`; out come the same turns as of any run, and a store from which the next run continues.
Read in this order:

- `durable_run.py`: from the lease to the last flush, one screen;
- `beginning.py`: snapshot, silent replay (`replaying.py`, `restoring.py`), the commands that were running;
- `feed.py`: what happens between two chunks of messages: what is shown, written and saved; `snapshot_writer.py` is what it asks;
- `entrance.py`: how messages get into the journal of a running program; `dead_letters.py`: those that are set aside.

Promised: what others send is on disk before update sees it; what a turn sends to the program itself may be processed before it is, but
until then its model is not shown and its commands do not begin. A turn's messages and its cursor are one transaction, and what a
crash takes back is what a replay makes again. Next: `storage/journal`, which writes; `modes/app`, which holds a run.
"""
