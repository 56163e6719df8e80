"""Batch: a run that ends with its source.

A program and anything that gives messages enter; a `Result` leaves: the model, how many messages, why it ended.

- `batch.py`: the mode, from the checked options to the result;
- `source_feed.py`: the feed that the loop reads: a message of the source, then everything that it led to, then the next;
- `opening.py`: which reader a source has; `source_reader.py`: each kind, as runs of messages with positions; `prefetch.py` reads ahead
  in a thread;
- `queued_feed.py`: the same with a queue of the user's own in between;
- `loaded_first.py`: a feed that loads what a message needs before its turn, for an aggregate on an event loop;
- `halting.py`: where a batch ends that halts at a message;
- `limits.py`: when to pause between two messages: to stop, to save, to give the event loop control.

Promised: the next message is taken only when the queue is empty, so the order does not depend on timing, and memory stays flat.
"""
