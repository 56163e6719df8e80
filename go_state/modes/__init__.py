"""Modes: the ways to run a program. Each wires the turn of `runtime` to a source of messages, and to a store.

A program and options enter; a model, a result or a running app leaves. Read in this order:

- `options.py`: every keyword argument, explained once; `settings.py`: the same, checked and frozen;
- `run.py`: every message of a queue (`queues.py`), the shortest mode; `loops.py` puts the loop of a mode together;
- `batch/`: every message of a source, and then the end; `stop.py` asks for that end early;
- `aggregate/`: a batch that continues from a stored model, or from one model per key;
- `durable/`: a program whose messages are in a journal; `keeping/` is how models are named, stored and found again;
- `app/`: a program that others hold, send to and watch; `keyed_apps/`: one such program per key.

Promised: a mode for threads and its `_async` twin run the same algorithm, and nothing runs on after the block that started it.
"""
