"""The modes wire the parts: `run.py`, then `batch.py` around it, then `aggregate.py` around that."""
