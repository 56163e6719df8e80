"""Messages as they were put: the commands below `go-state journal`.

`journals.py`   list, export, import, truncate, skip
`messages.py`   show, which can go on with what is put from now on
"""
