"""What streams have in common of which several processes read a part each.

`part.py`      the keys of one part of a source that every process can read
`leases.py`    who reads what, where the engine does not say
`records.py`   records as messages
"""
