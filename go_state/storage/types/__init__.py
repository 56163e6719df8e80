"""Types: a class as JSON, what it is made of, and what has changed in it.

A type comes in as an annotation says it. Three things come out:

- how its values become JSON and come back equal. `annotations.py` resolves what each field is annotated with, `classes/`
  sees dataclasses, attrs classes, NamedTuples, Structs and pydantic models alike, `plain.py` are the types without fields. From these
  `shape.py` builds the *mirror* that msgspec reads and writes; `moments.py` are dates and times, `misfit.py` is the error for a value
  that does not fit, and `proof.py` shows of most values that they need not be read back.
- its description (`description.py`), which a store keeps: names of classes, fields and their types, under a digest.
- whether values of an older description can still be read (`compatibility.py`).

Read in this order. Nothing here writes JSON by itself: see `codec`.
"""
