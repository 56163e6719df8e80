"""Streams of which several processes read a part each.

`part.py`      the keys of one part of a source that every process can read
`kinesis/`     shards of a Kinesis stream; the events of a Lambda function
`leases.py`    who reads what, where the engine does not say
`records.py`   records as messages
"""
