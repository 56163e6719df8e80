"""Streams to read: files of records that know where they were, so that an interrupted run goes on where it stopped.

`files.py` opens a file, plain or compressed, and knows it again; `jsonlines.py` and `tables.py` read records from its lines;
`progress.py` shows how far a reader is. Whatever has the methods of `go_state.core.ports.Source` is a source too.
"""

from go_state.sources.jsonlines import JSONLines
from go_state.sources.progress import progress
from go_state.sources.tables import CSV

__all__ = ["CSV", "JSONLines", "progress"]
