"""Aggregate: a batch that continues from the model in a store, and saves model and position in one transaction.

A program, a source, a store and a key enter; the result of a batch leaves, or one with the models of all keys.

- `aggregate.py`: the mode: one model, or one per key if `key=` is a function;
- `model_store.py`: what is loaded at the beginning and written at each save, of either kind;
- `keyed.py`: the models in use, as a program whose model is the latest change;
- `journal_source.py`: a journal as the source, known again by its id.

Promised: each message of a source with positions counts once, whatever happens in between.
"""
