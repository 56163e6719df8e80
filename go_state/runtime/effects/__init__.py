"""Effects: what a run does with the commands of its turns, in the turn and after it.

In come a turn's commands; out go the messages of what is inline at once, and those of tasks, threads and timers when they are done.

    place        where a command stands: its turn, its path in it, its `seq` or `all`, its child's scope
    scheduler    an effect; keys, room, what waits for what -> which effects to launch and to stop; does neither
    held         what a turn begins and ends once it is committed
    interpreter  commands -> messages to send, effects to begin, keys and scopes to cancel; calls what is inline
    inbox        typed arrivals, posted from any thread; for how long a run may wait, and how it is woken
    executor     where effects run, and wait to be tried again: tasks and threads (`Workers`)
    endings      what becomes of an effect that fails, is tried again, or is a part of something
    lifecycle    an effect from the commit of its turn to its message in the queue
    manager      the block of one run that connects all these with its feed

Read them in this order. Each knows those above it; a loop and its feed know the manager, a harness gives it an executor of its own.
What a running command can ask for, its effect id and the environment, lies beside this folder, in `context.py`.

A command on its way, of most kinds: `Interpreter.perform` -> `Lifecycle.begin` -> `Scheduler.admit` -> `Workers.start` -> the task ->
`Inbox.post` -> `Lifecycle.deliver` -> the feed's `put` -> `Scheduler.end`.

A timer without a key, in a batch that nobody observes, is a `Later` in the heap of timers and no effect, unless it has to become one; when
nothing else is left, `Lifecycle.timer_messages` gives the message of each straight to the loop.
"""
