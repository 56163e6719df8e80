"""The runs of an app: the same program with a queue in memory, or in a journal.

- `run_parts.py`: what a run is connected with, whichever its queue is;
- `memory_run.py`: each turn is published when it is committed;
- `journal_run.py`: each turn is published when it is on disk.
"""
