"""Flows: one algorithm for threads and for event loops.

A mode is a plain generator, a *flow*. It computes, and whenever it has to wait it yields a `Wait` that says for what; it is sent
the result of the wait, or thrown what it has failed with. `drive` fulfils each wait by blocking its thread, `drive_async` by
awaiting. The flow is the same for both and knows neither.

    flow ──yields──▶ Wait ──in_thread() or on_loop()──▶ result ──sent──▶ flow

Read `waits.py` first, which has the type of a flow and everything that one waits for; then `driver.py`, which has the two drivers
and the checks for a running event loop; `awaitables.py` is what they know of awaitables and of the result of a task.
"""
