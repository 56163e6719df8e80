"""Keep: models on disk, and back.

`codec.py` turns a model into JSON and back by the shape that `shape.py` reads from its type, `snapshot.py` puts the JSON into an
envelope that says what it is, and `memory.py` and `lmdb.py` keep bytes under a key with a version fence. `links.py` loads models
that refer to others.
"""
