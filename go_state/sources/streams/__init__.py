"""Sources of many partitions, of which a process reads those that it is given; see `go_state.core.partitions` for what they keep.

- `kafka/`: a topic of Kafka, whose partitions a consumer group gives to its members;
- `partitions.py`: partitions from plain functions.
"""
