"""Reading: whatever gives messages by position, made one shape, and the fold through it, a message at a time.

    Journal | Source | History ──▶ histories.py ──▶ opened.py ──▶ folding.py ──▶ Step(position, before, message, commands, after)
                                                       ▲
                       keyframes or an aggregate's models: starts.py

`histories.py`   a journal and a source as a `History`
`opened.py`      what a tool was given, checked: the program with its key, the history, the store that goes with it
`starts.py`      the models there are to begin a fold from, and at which position
`following.py`   what a turn's commands have sent, if the history does not have it
`folding.py`     the messages through update, as steps, or as fast as it goes
`kept.py`        the models that were kept, to be compared with what a fold comes to
`images.py`      models as bytes, so that one which is changed in place is noticed
`twins.py`       two folds side by side; `translation.py`: of two programs whose classes are not the same

Nothing here performs a command, shows a view or writes.
"""
