"""System: the process that a program runs in, its threads, its forks and its end.

`running.py`        whether this thread runs an event loop
`own_thread.py`     a thread in which an object of an event loop uses the disk
`forks.py`          what a forked child inherits stays its parent's: `share`, `forget_parent`, `parents`
`at_exit.py`        journals that are not closed are written when the process ends
`crash_points.py`   named points at which a test may end the process

Nothing here knows a program, a buffer or a store: they register themselves.
"""
