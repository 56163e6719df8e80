"""Messages as they were put: the commands below `go-state journal`.

`journals.py`   list, export, import, truncate, skip
`messages.py`   show, which can wait for what is put from now on
"""
