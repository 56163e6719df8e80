"""What can be asked of a history: the commands replay, first, compare, verify, rebuild, peek and to-test.

Each takes a program and a history: a store and the journal in it, or a file of records.

`where.py`      the options that say which journal, file and model are meant, the same for all of them
`asked.py`      opens what was given
`shown.py`      how turns and models are printed
`replay.py`     the model at a position, and the way there
`finding.py`    the commands that look for a message
`models.py`     those that print or write models
"""
