"""Keyed apps: one running program per key, started when the key is first used and put to rest when nobody uses it.

A program and options enter; a `KeyedApps` leaves, whose `apps[key]` is what to hold of one.

- `start_keyed.py`: the mode, and how the app of a key is made;
- `keyed_apps.py` and `keyed_app.py`: what users hold of all of them, and of one; `looking.py` is what an operator sees;
- `directory.py`: which key is where, how many may run, which have failed;
- `alarm.py`: wakes those at rest that have something to do by themselves;
- `place.py`: one key through all its lives, with the states of `states.py`;
- `sent.py`: what was sent to a program that may have to be started first.

Promised: what is sent has its turn once and in order, also while its program is put to rest or started again. At rest, a program is
its stored model, and a record of when it has something to do; without a store it is nothing.
"""
