"""Watching: values of which everybody sees the newest, and nobody a backlog.

A value enters by `Value.set`, or as a program's committed model that the runtime publishes; it leaves by a watcher's `get`. What the
two share is a `Slot`: a version, the newest value, and the wakers of the watchers that sleep.

    slot        the shared state, and why no watcher misses a value
    value       `Value`, what `map` and `select` derive from it
    watcher     `Watcher`: one reader, in threads and tasks; where all waiting is
    fields      `Changes`: which fields of a model have changed, for those who care about some
    differing   when two values count as different
    fanout      one value or consumer to many functions, in threads of their own
    throttle    a view that is called no more often than it can bear

Read `slot.py`, then `watcher.py`. A watcher that does not wait costs whoever sets the value nothing.
"""
