"""Classes with fields: dataclasses, attrs classes, NamedTuples, msgspec Structs and pydantic models, seen alike.

A class comes in; out come its fields (`fields.py`), whether it only holds what it is given (`construction.py`), and its *mirror*
(`mirror.py`): a msgspec Struct with the same fields, with the steps from an object to it and back. What is special about pydantic
models is in `pydantic_models.py`.
"""
