"""Apps: a program that runs by itself, in a thread or a task, while others send to it, ask it and watch it.

    App ──send, apply, ask──▶ queue ──▶ MemoryRun or JournalRun: turns ──▶ Observers, PendingReplies ──▶ watchers, senders
     └──stop, leave──▶ Life ◀──drives── Host (a thread, or a task)

`start.py` and `assembly.py` put an app together. `app.py` is its users' face and does nothing by itself. `life.py` is what happens
to the program between its beginning and its end, and `hosts/` is what it runs in. `runs/` has the two runs, in memory and with a
journal, which differ in when a turn is published. `observers.py` has whoever looks at models, `pending_replies.py` whoever waits
for one message's turn; both are hooks after the commit. `asking.py` and `settling.py` are the waits of senders. `capabilities.py`
has the parts of an app that a component is handed. Read `app.py`, `life.py`, then `runs/memory_run.py`.
"""
