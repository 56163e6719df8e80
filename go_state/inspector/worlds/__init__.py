"""Worlds: where the subjects of one page come from.

`world.py`      what the server asks of a world, and of what runs in it
`stores.py`     the journals of a store; or one history, such as a file
`files.py`      a file of records, that is asked again and again
`growth.py`     whether a journal grows that another process writes, seen from one look to the next
`apps.py`       an app of `start`, or those of `start_keyed`, with the store they have
`recording.py`  the last messages of an app, and how long its turns take: noted only while somebody looks
`noting.py`     what its commands came to, noted beside that
`ids.py`        how a subject is named in an address
"""
