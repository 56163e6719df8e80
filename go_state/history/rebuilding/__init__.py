"""Rebuilding: the models that were kept, made again from all messages by today's update, and written in one transaction.

`changes.py`     what has changed, by key and field, and how much of it there is
`journalled.py`  the snapshots of journalled programs, keyframes included, of one journal or of all under a prefix
`aggregated.py`  the models of an aggregate, up to the position that it has come to
`letters.py`     its dead letters: gone if their messages count now, and new for others

A fold comes in, `Rebuilt` leaves. Nothing is written before everything is folded, so whatever ends the process in between leaves what
was there; who writes meanwhile is found by lease and version, and nothing is written then.
"""
