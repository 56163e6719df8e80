"""The purity guard: an update that changes the model it was given is found at the line that does so, or right after.

An update enters, and a guarded one leaves: `guard.py`, to be read first. It makes each model that update returns read-only, once, when
that is new (`protection.py`): lists, dicts and sets become read-only twins of themselves (`read_only.py`), whose every change raises
`ProgramError`. What a new model shares with the one before is not looked at again, so a turn costs what it has built. Objects that can
be assigned to have no such twin: a model that has some is inspected before and after every turn, and what was changed is put back
(`assignable.py`). A persistent map is looked through whenever it is a new one.

Immer freezes what enters a state in the same way: if you keep using a list that you have put into a model, you find it frozen
there. What C code does behind a list's back, such as heapq, and objects that hide what they hold are not seen here; `verify` sees
them.
"""
