"""How a journal gets to disk: the flush, whose turn it is to write, what waits for it, and when.

What enters: messages of senders who wait until they are on disk, and questions of `Writer` and of readers. What leaves: answers, and
senders who are woken. Read in this order:

`group_commit.py`   senders who wait, and share one sync
`in_hand.py`        messages that are being written: their place, and losing it if they cannot be
`lease_queue.py`    the waits for the lease in this process; one of them asks the system
`lease_holder.py`   having the lease, and what is known of the disk with and without it
`flush_rules.py`    when to flush: nobody else decides; how far named readers have come, until that is written
`writer.py`         a flush: one transaction; then readers are woken
`upkeep.py`         what a user changes besides putting: pass over a message, forget a reader, forget what is old
"""
