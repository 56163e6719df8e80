"""How a command tells what has gone wrong: `errors.py` makes the sentence."""
