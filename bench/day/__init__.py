"""A working day of a shop: what comes in (`lines.py`), the program (`shop.py`), and the same by hand (`by_hand.py`)."""
