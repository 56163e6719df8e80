"""The commands below `go-state positions`: `records.py` has one function each; positions are in `modes/aggregate/positions.py`."""
