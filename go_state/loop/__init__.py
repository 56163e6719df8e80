"""The turn: how a message becomes the next model.

`turn.py` is the turn itself, `effects.py` performs its commands, `feeds.py` is where its messages come from and go to,
`policies.py` says what a failing message does, and `driver.py` is how it waits, in a thread or on an event loop.
"""
