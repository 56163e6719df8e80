"""Keeping: under which name and as which type a program's models are stored, and how they are found again.

- `schema.py`: the name, number and codec of a program's models; `load_model`, which reads one without running anything;
- `keyframes.py`: the models at some positions of a journal, and the way from one of them to any other position;
- `folding.py`: that way: the messages between two positions through update, without the ones that were set aside;
- `filing.py`: how what is set aside becomes a letter; `waking.py`: when a program at rest has something to do, noted in its store.

A program enters, and for the others a journal; a `Schema` or a model leaves. Nothing here performs a command or calls a view.
Used by `aggregate`, `durable` and the tools in `history`.
"""
