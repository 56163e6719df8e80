"""Effects: what a run does with the commands of its turns, in the turn and after it.

In come a turn's commands; out go the messages of what is inline at once, and those of tasks, threads and timers when they are done.

    context      what a running command can ask for: its effect id and the environment
    effect       the values that the others hand to each other: effect, turn, group, names
    interpreter  commands -> messages to send, effects to begin, keys and scopes to cancel; calls what is inline
    scheduler    keys, room, what waits for what -> which effects to launch and to stop; does neither
    inbox        typed arrivals, posted from any thread; how a run that waits is woken
    executor     where effects run: tasks and threads
    lifecycle    an effect from the commit of its turn to its message in the queue, and what follows it
    deliveries   what has arrived on its way into the queue
    manager      the block of one run that connects all these with its feed

Read them in this order. Each knows those above it; a loop and its feed know the manager, a harness gives it an executor of its own.
"""
