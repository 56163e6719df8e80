"""Examples, to be read in the order of their numbers; the named ones are whole applications."""
