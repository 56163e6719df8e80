"""A buffer that outlives the process: what is put into it is on disk before any reader gets it.

What enters: messages, by `Journal.put` or, from a running program, `Inlet.put_later`. What leaves: the same messages, through readers
(`consumer`) or as a history (`read`, replays). Read in this order:

`journal.py`       what users hold; `parts.py`: what it is made of
`message_type.py`  how messages become JSON, and messages again
`inlet.py`         how messages enter
`tail.py`          what the journal's log retains: what is on disk, and what a flush has yet to write
`commit/`          how it gets to disk: `writer.py` is a flush, one transaction
`reader.py`        the cursor of a reader
`history.py`       reading without being a reader; `exchange.py`: as JSON Lines, and back
`erasing/`         messages that are replaced or emptied where they lie
`run_record.py`    what only a run writes: messages set aside, commands that are running
"""
