"""Hosts: what an app's program runs in, and how the block of an app is left.

    app ──start──▶ Host (a thread or a task) ──drives──▶ Life.flow() ──▶ Life.end()
     └──leave──▶ outlast: wait for the end, whatever interrupts the wait

A host is started once, drives the life of the program to its end, and can be joined. It decides nothing: what happens in a life is
in `modes/app/life.py`. Read `host.py`, which has the port and both hosts, first. `leaving.py` is the wait of whoever leaves a block,
which Ctrl-C or a cancellation hastens and does not end; `uncancelled.py` is the future that it awaits. `loop_end.py` notices that an
event loop was closed while an app ran in it.
"""
