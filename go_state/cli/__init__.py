"""The command `go-state`: what a store holds, for people and, with `--json`, for programs. Needs the extra `cli`.

Arguments come in; lines on standard output and an exit code come out: 0 all is well, 1 what was asked for could not be done or
something is wrong in the store, 2 the command line was wrong.

`main.py`        the commands and how they are called; errors become a sentence and an exit code
`snapshots.py`   list, show, export, check
`journal/`       messages as they were put: list, show, export, import, truncate, skip
`history/`       what is asked of a program and its history: replay, first, compare, verify, rebuild, peek, to-test
`care/`          store info, backup, restore, compact and check; erase
`inspect.py`     the page that travels in time
`dead/`          what was set aside: list, show, retry, drop, export
`positions/`     how far sources were read: list, set, reset
`telling/`       errors, in the words of the command line
`conditions.py`  what `--where` may say
`parameters.py`  what the commands take: their arguments and options
`opened.py`      the store, the journal and the program that a command is given
`output.py`      tables, progress bars and JSON; `terminal.py` escapes what a terminal would obey
"""
