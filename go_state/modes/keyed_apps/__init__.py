"""Keyed apps: one running program per key, started when the key is first used and put to rest when nobody uses it.

A program and options enter; a `KeyedApps` leaves, whose `apps[key]` is what to hold of one.

- `start_keyed.py`: the mode, and how the app of a key is made;
- `keyed_apps.py`: all of them: which key is where, how many may run, and the end;
- `place.py`: one key through all its lives, with the states of `states.py`;
- `sent.py`: what was sent to a program that may have to be started first.

Promised: what is sent has its turn once and in order, also while its program is put to rest or started again. At rest, a program is
its stored model alone; without a store it is nothing.
"""
