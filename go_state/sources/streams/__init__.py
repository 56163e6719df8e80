"""Sources of many partitions, of which a process reads those that it is given; see `go_state.core.partitions` for what they keep.

- `partitions.py`: partitions from plain functions.
"""
