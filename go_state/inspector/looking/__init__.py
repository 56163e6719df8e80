"""Looking: what there is to look at, and any moment of it.

    a journal in a store (stored.py), or any other history ──▶ subject.py
    Subject ──▶ records.py (its messages as they are stored) ──▶ timeline.py (types and times of all) ──▶ filters.py (those that pass)
            ──▶ moment.py (the model before and after one message) ──▶ shown.py (that, as the page has it)
            ──▶ known.py (what a watched run adds: how long turns took, what commands came to)

Where subjects come from, `worlds/` says. Nothing here writes, performs a command or keeps a decoded message.
"""
