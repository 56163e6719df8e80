"""What a program is: pure values and the words that all parts share. Nothing here runs anything or imports a third party.

Read `program.py`, then `commands.py`; `ports.py` is what the other folders ask of each other and of your own backends, and
`errors.py` every error there is.
"""
