"""An IRC bot that keeps karma and reminds, and remembers both whatever happens to it.

network.py ──▶ bot.py: what is heard ──▶ karma, reminders, lines to say ──▶ network.py

`bot.py` is the program and knows no network; `network.py` is one IRC connection; `__main__.py` runs the two on a store.
"""
