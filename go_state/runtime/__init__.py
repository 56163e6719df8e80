"""The runtime: what takes a program from message to message. It knows no store and no mode; modes put it together.

    Feed ──messages──▶ Loop.turns: update ──▶ inline commands ──▶ commit ──▶ hooks ──▶ next message
     ▲                                             │                            (after_commit.py)
     └────────────── messages ◀── effects ◀────────┘

A flow (`flow/`) drives all of it, in a thread or on an event loop. Read in this order: `turn.py`, which is law 3;
`after_commit.py`, what follows a commit and in which order; `feeds/`, where messages come from; `effects/`, how commands are
performed. Beside them: `steps.py`, what a run calls in the place of the program's init and update; `replaying.py`, turns without
effects; `subscriptions/`, the inputs that a model asks for; `on_error.py` and `raised.py`, what becomes of messages that fail and
of what users' functions raise; `inside.py`, which threads and tasks are a part of a run and must not wait for it; `resources.py`,
the environment, limits and clock of a run; `context.py`, what a running command can ask for; `observing/`, what observers are told.
"""
