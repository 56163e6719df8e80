"""Sources: files of records that know where they were, so that an interrupted run goes on where it stopped.

A path and a class come in; messages come out, each with a position. A file is opened once, recognised by its fingerprint, and read
on after the records that were counted already. A record that is no message comes out as an `Undecoded`, on which `on_error` decides.

`files.py`       a file as a source: positions, fingerprint, and a last record that may still grow
`contents.py`    the bytes of an open file, decompressed (`gzipped.py`) and cut into lines
`decoding.py`    one record: bytes in, a message out, and in words why not; for streams of any kind
`jsonlines.py`   one JSON value a line
`tables.py`      CSV: rows (`rows.py`) whose columns become fields (`columns.py`)
`progress.py`    the same with a bar

An object with the methods of `go_state.core.ports.Source` is a source too.
"""

from go_state.core.ports import Undecoded
from go_state.sources.jsonlines import JSONLines
from go_state.sources.progress import progress
from go_state.sources.tables import CSV

__all__ = ["CSV", "JSONLines", "Undecoded", "progress"]
