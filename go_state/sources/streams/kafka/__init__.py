"""Kafka: the partitions of a topic, as a consumer group gives them to its members.

Settings come in; records leave, with the offset of each as its position. The store says where a partition is read on, never the
group: what the group is told, after each save, is for tools that show lag.

`source.py`    `Kafka`, what a user hands to `aggregate`: names, decoding, and what a partition is known again by
`reading.py`   one member of the group: what the client says, told to the holder
`starts.py`    where a partition begins, and whether what the store asks for is still there
`topic.py`     what is asked about the topic: its id, its partitions, their first and last offsets, who is in the group
`client.py`    the settings of the client, its consumer, and its errors in words
`record.py`    one record as `parse=` gets it
"""
