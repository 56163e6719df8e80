"""Records: how models, keyframes and journals lie in a store whose records have names in order.

A write comes in (a model with the version it expects, or an `Entry` of a journal); what goes out is one transaction.

`backend.py`   the ports: what a backend gives, and what a journal sees of its store
`layout.py`    the bytes of a record: its frame, and the block of messages in it; `keys.py`: names of keys
`models.py`    models behind their fence, and the keyframes of journalled programs
`parts.py`     a large snapshot in parts, written before the record that needs them
`writes/`      what one write adds to a journal, and the writes of many journals together
`records.py`   the records of one journal: reading, and writing one entry
`lease.py`     the right to write a journal, and waiting for it

No file or server is known here, and nothing above: a `Journal` reads and writes through `records.py`.
"""
