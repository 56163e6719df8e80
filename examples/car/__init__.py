"""A car with one owner and many who read, send and watch."""
