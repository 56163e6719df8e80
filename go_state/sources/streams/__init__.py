"""Sources of many partitions, of which a process reads those that it is given; see `go_state.core.ports.partitions` for what they keep.

- `kafka/`: a topic of Kafka, whose partitions a consumer group gives to its members;
- `part.py`: the keys of one part of a source that every process can read;
- `partitions.py`: partitions from plain functions;
- `leases.py`: who reads which partition, where the engine does not say;
- `records.py`: records as messages.
"""
