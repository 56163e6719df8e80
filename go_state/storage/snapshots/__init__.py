"""Snapshots: a model as bytes that say what they are, and back.

A model and the positions of its sources come in; out comes an envelope with the schema, the digest of the types and a checksum over
every byte (`snapshot.py`: `Schema` seals and opens it, `Loaded` is what was stored).

A large model is made in pieces of a few milliseconds each: `pieces.py` gives them, by the plan of the model's type. `plans.py` says
what a plan is, `class_plans.py` and `container_plans.py` are the plans of classes and unions, and of lists, sets and mappings.

`links.py` loads a model together with the models that it refers to.

Nothing here knows where bytes are kept: a `Store` loads and stores them under a key.
"""
