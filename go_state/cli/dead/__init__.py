"""The commands below `go-state dead`: `letters.py` has one function each; what they do is in `go_state.dead_letters`."""
