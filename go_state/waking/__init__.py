"""Waking: how a thread or a task sleeps until somebody else has something for it.

The sleeper makes a waker, leaves it where the other party finds it, looks once more, and only then sleeps: what comes
before the waker is registered is seen by that look, and what comes after it wakes. That order is the whole protocol, and nothing here
polls. A waker is used for one sleep; waking takes no lock, so that it may happen in a finalizer or in a signal handler.

    waker        what every waker promises, the sleep of a thread, on a plain lock, and the waking of many at once
    loop_waker   the sleep of a task, on a future of its event loop (imported when a task first sleeps, with asyncio)
    condition    sleeps until a condition holds: the protocol above, written once
    deadlines    timeouts, checked, as points in time

Read `waker.py`, then `condition.py`. Nothing enters or leaves but wake-ups: what a sleeper was waiting for lies elsewhere.
"""
