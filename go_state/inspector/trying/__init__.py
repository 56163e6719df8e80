"""Trying: questions to a whole history, as it was or with edits.

`expressions.py`   conditions over `before`, `msg` and `after`, which can call nothing
`finding.py`       the first message of which one is true
`edited.py`        a history with messages edited, left out and put in
`what_if.py`       fold on from there, and compare
`fresh.py`         the program's module, imported anew
`fixing.py`        which messages come out differently with it
`pace.py`          how far it is, by the clock
`exports.py`       either one as a test, or as JSON Lines

Everything happens in memory; no command is performed and nothing is written.
"""
