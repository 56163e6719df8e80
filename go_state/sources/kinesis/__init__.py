"""Kinesis: shards as partitions, read by a process that goes on, or event by event in a Lambda function.

`event.py`     the event of a Lambda function, and what Lambda is answered; `lanes.py` is what it must not be
`source.py`    a stream, as it is given to aggregate
`reading.py`   one process's pass: leases, calls, pages; `cursor.py` is one shard, `shards.py` which of them may be read
`client.py`    the calls, and what their errors mean
"""
