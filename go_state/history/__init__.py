"""History: what can be asked of the messages that were kept of a program.

A program and a journal (or a store) come in; out comes an answer. Nothing here runs a command, shows a view or writes a message.

`replay.py`        the model at any position, folded from the nearest snapshot that was kept
`verify.py`        does today's update still make what it made? The first message and the field at which it does not
`to_test.py`       a recorded run as a test in the user's repository
`check_store.py`   before a deploy: can the new program read everything that the old one has stored?

The fold itself is in `modes/keeping/folding.py`, because a durable run begins with it, and the snapshots to start from are found in
`modes/keeping/keyframes.py`. In what two models differ is said by `storage/codec/difference.py`.
"""
