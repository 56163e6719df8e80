"""The system: what go_state needs to know of the process it runs in. Nothing here knows what a program is.

    forks          what a forked child inherits, and how that refuses to be used there
    own_thread     a thread for what an event loop may not wait for: the disk, the end of another thread
    at_exit        journals that are not closed are written when the process ends
    timers         what is to be done when, by a clock that a test can replace
    locks          whether this thread holds a lock, for what a finalizer may interrupt
    running        the event loop that runs in this thread, asked without importing asyncio
    crash_points   named moments at which a test ends the process, to see what is on disk then
    threads        idle threads that are used again, for calls that may block
    later          names that a module imports when they are first used

Calls enter from every folder above, and go nowhere but to the standard library; `core.errors` is the only thing imported from the
package. Each file stands alone: read the one whose subject you need. Whatever threads share registers itself with `forks.at_fork`.
"""
