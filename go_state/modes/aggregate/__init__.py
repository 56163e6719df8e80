"""Aggregate: a batch that continues from the model in a store, and saves model and position in one transaction.

A program, a source, a store and a key enter; the result of a batch leaves, or one with the models of all keys.

- `aggregate.py`: the mode: one model, or one per key if `key=` is a function;
- `model_store.py`: what is claimed and loaded at the beginning and written at each save, of either kind;
- `position_record.py`: the record of a source: who holds it, and how far it was read;
- `keyed.py`: the models in use, as a program whose model is the latest change; `loading.py` loads them, with a look at the claim;
- `journal_source.py`: a journal as the source, known again by its id.

Promised: each message of a source with positions counts once, whatever happens in between, and no update sees a model that a later
holder of the source has saved.
"""
