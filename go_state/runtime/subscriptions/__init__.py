"""Subscriptions at work: after each turn that made another model, what is new is begun and what is gone is ended.

What `program.subscriptions(model)` returns enters; messages leave by the run's inbox. Read in this order:

- `subscribed.py`: the subscriptions of one run, and what a new model changes in them;
- `comparing.py`: how two models' wishes are compared, first by identity: what is the very same object is not looked at;
- `running.py`: one that is running, and what it brings;
- `timed.py`, `streams.py`, `signals.py`: each kind, from its beginning to its end.
"""
