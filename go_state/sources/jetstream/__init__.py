"""JetStream: subjects of a stream as partitions, each read from a position by a consumer of its own.

`source.py`    a stream, as it is given to aggregate_async
`reading.py`   one process's pass: leases, and a task for each subject that it holds
`follower.py`  the task: one subject from a position on, with the consumer made anew whenever it is gone
`client.py`    the calls of nats-py, and what their errors mean
`subjects.py`  which subjects may be partitions
"""
