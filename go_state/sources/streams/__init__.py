"""Streams whose partitions many processes share, each a `PartitionedSource`.

`kafka/`   a topic of Kafka; a consumer group decides who reads which partition
"""
