"""Letters: messages and raw records that were set aside, as they lie in a store.

`letter.py`   one letter: what was set aside, where it came from, what it failed with; as bytes and back
`box.py`      the letters of one name in a store: writing, reading in order, deleting
`erasing.py`  a person's data taken out of them

A run writes a letter in the transaction that writes its own progress, as a key among others: see `modes/keeping/filing.py`. Whoever
looks at letters, or retries them, begins in `go_state.dead_letters`.
"""
