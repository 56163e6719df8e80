"""Feeds: where a run's messages come from, where those of its commands go, and how what was processed is committed.

    take ──▶ messages ──▶ turns (runtime/turn.py) ──▶ commit: the turn's own messages are put and the position moves, as one step
                                                  └─▶ rollback: what was not processed is given again

Read `feed.py` first: the protocol that the loop knows. `log_feed.py` reads a `Log`, many messages at a time, and is the fast one,
most of all while a run has a log in memory to itself; a durable run's feed is made of it (`modes/durable`). While somebody waits
until what they have sent is done, `following.py` notes for it what comes of which message, as `consequences.py` reckons it; for
tracers it does always. `port_feed.py` reads somebody's own producer and consumer, one message at a time, and `getting.py` is how it
waits for a consumer's `get` while commands are running. A batch has a feed of its own, which asks its source
(`modes/batch/source_feed.py`). `disk.py` is what a feed asks of a log on disk, so that no event loop waits for the disk.
"""
