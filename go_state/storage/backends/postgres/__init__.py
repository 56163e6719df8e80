"""Postgres: a store in a database, for programs that may run on several machines.

A connection string comes in; out come transactions over the records of one table, leases of journals, and notices that a journal
has grown.

Read `store.py`, the users' `PostgresStore`, then `database.py`, which has the rest: `opening.py` checks the server and makes the
tables, `connections.py` lends connections on which every wait ends, `transaction.py` reads and writes records. Two things have a
connection of their own: `leases.py`, the advisory locks of the journals that are written, and `listening.py`, the thread that
receives the notices.

`dsn.py` keeps passwords out of messages. `driver.py` alone imports psycopg.
"""
