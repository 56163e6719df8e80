"""The noun `positions`: how far sources were read."""
